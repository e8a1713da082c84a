"""The ASGI application where it will live: under uvicorn, alone and inside of frameworks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import fastapi
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from qqproto import Credentials, Dispatch, HTTPRequest, HTTPResponse
from qqproto.testing import FakeBot
from qqproto_transports.asgi import WebhookApp
from tests.transports.callbacks import BOT, NOW, heard, platform, said, unix_time
from tests.transports.loops import eventually, on_loop

CREDENTIALS = Credentials(BOT.app_id, BOT.secret)
PATH = "/callbacks/qq"


class _Server(uvicorn.Server):
    """uvicorn in a task of the test's, which keeps its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def uvicorn_with(application: Any) -> AsyncIterator[int]:
    """uvicorn serves the application; gives the port."""
    server = _Server(uvicorn.Config(application, port=0, log_config=None, lifespan="on"))
    serving = asyncio.ensure_future(server.serve())
    await eventually(lambda: server.started or serving.done())
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def post(http: httpx.AsyncClient, request: HTTPRequest) -> HTTPResponse:
    response = await http.post(request.url, headers=dict(request.headers), content=request.body)
    return HTTPResponse(response.status_code, dict(response.headers), response.content)


def alone(app: WebhookApp, bot: Callable[[], Any]) -> Any:
    return app


def in_starlette(app: WebhookApp, bot: Callable[[], Any]) -> Any:
    return Starlette(routes=[Mount(PATH, app)], lifespan=_lifespan(bot))


def in_fastapi(app: WebhookApp, bot: Callable[[], Any]) -> Any:
    api = fastapi.FastAPI(lifespan=_lifespan(bot))
    api.mount(PATH, app)

    @api.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    return api


def _lifespan(bot: Callable[[], Any]) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        task = asyncio.ensure_future(bot())
        yield
        task.cancel()
        await asyncio.wait([task])

    return lifespan


@pytest.mark.parametrize("host", [alone, in_starlette, in_fastapi])
@on_loop
async def test_the_platform_validates_and_delivers(host: Callable[[WebhookApp, Callable[[], Any]], Any]) -> None:
    # At import time, before any loop runs: what a framework mounts has to be there by then.
    app = WebhookApp(CREDENTIALS, unix_time=unix_time)
    handled: list[Dispatch] = []

    async def bot() -> None:
        async with app:
            async for dispatch in app:
                handled.append(dispatch)

    async with uvicorn_with(host(app, bot)) as port, httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        path = "/" if host is alone else f"{PATH}/"
        sender = platform(f"http://127.0.0.1:{port}{path}")
        task = asyncio.ensure_future(bot()) if host is alone else None
        assert sender.confirms(await post(http, sender.validation(NOW)))
        for content in ("one", "two"):
            assert sender.acknowledged(await post(http, said(content, sender)))
        forged = platform(sender.url, FakeBot(BOT.app_id, "another secret"))
        assert (await post(http, said("forged", forged))).status == 401
        await eventually(lambda: len(handled) == 2)
        if task is not None:
            app.close()
            await task

    assert [dispatch.data["content"] for dispatch in handled] == ["one", "two"]


@on_loop
async def test_the_rest_of_the_application_goes_on_beside_it() -> None:
    app = WebhookApp(CREDENTIALS, unix_time=unix_time)

    async def bot() -> None:
        async with app:
            await asyncio.sleep(3600)

    async with uvicorn_with(in_fastapi(app, bot)) as port, httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        response = await http.get(f"http://127.0.0.1:{port}/health")
        assert response.json() == {"ok": True}


@on_loop
async def test_a_handler_that_takes_long_keeps_no_request_waiting() -> None:
    """Everything is answered while the first event is still being handled."""
    app = WebhookApp(CREDENTIALS, unix_time=unix_time)
    async with app, uvicorn_with(app) as port, httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        sender = platform(f"http://127.0.0.1:{port}/")
        assert sender.acknowledged(await post(http, said(0, sender)))
        assert await heard(app) == ["0"]
        responses = await asyncio.gather(*(post(http, said(number, sender)) for number in range(1, 30)))

        assert {response.status for response in responses} == {200}
        assert sorted(await heard(app, 29), key=int) == [str(number) for number in range(1, 30)]


@on_loop
async def test_a_body_beyond_the_limit_is_refused_by_it_and_the_server_goes_on() -> None:
    app = WebhookApp(CREDENTIALS, unix_time=unix_time)
    async with app, uvicorn_with(app) as port, httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        sender = platform(f"http://127.0.0.1:{port}/")
        response = await http.post(sender.url, content=b"x" * (3 << 20))
        assert response.status_code == 413
        assert sender.acknowledged(await post(http, said("still here", sender)))
        assert await heard(app) == ["still here"]
