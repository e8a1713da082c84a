"""The callback address with a server of its own, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from qqproto import Credentials, HTTPRequest, HTTPResponse, Policy
from qqproto.testing import FakeCallbacks
from qqproto_transports.asyncio import WebhookServer, open_webhook
from qqproto_transports.local_gateway import CannotListen
from tests.transports.callbacks import BOT, NOW, heard, platform, said, unix_time
from tests.transports.certificates import server_context, trusting
from tests.transports.loops import GUARD, eventually, on_loop

CREDENTIALS = Credentials(BOT.app_id, BOT.secret)


def webhook(**options: Any) -> WebhookServer:
    return open_webhook(CREDENTIALS, port=0, unix_time=unix_time, **options)


@contextlib.asynccontextmanager
async def serving(verify: ssl.SSLContext | bool = False, **options: Any) -> AsyncIterator[tuple[WebhookServer, Client]]:
    """A server, and the platform before it."""
    async with webhook(**options) as server, httpx.AsyncClient(trust_env=False, verify=verify, timeout=GUARD) as http:
        yield server, Client(http, platform(server.url))


class Client:
    """The platform, by a client that keeps its connections."""

    def __init__(self, http: httpx.AsyncClient, sender: FakeCallbacks) -> None:
        self.http = http
        self.sender = sender

    async def post(self, request: HTTPRequest) -> HTTPResponse:
        response = await self.http.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        return HTTPResponse(response.status_code, dict(response.headers), response.content)

    async def say(self, content: object) -> HTTPResponse:
        return await self.post(said(content, self.sender))


async def raw(server: WebhookServer, data: bytes) -> bytes:
    """What comes back for these bytes until the server ends the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    try:
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# -- what it is for ---------------------------------------------------------------------------------------------------


@on_loop
async def test_the_platform_validates_and_delivers() -> None:
    async with serving() as (server, client):
        assert client.sender.confirms(await client.post(client.sender.validation(NOW)))
        for content in ("one", "two"):
            assert client.sender.acknowledged(await client.say(content))
        assert await heard(server, 2) == ["one", "two"]
        assert server.url == f"http://127.0.0.1:{server.port}/"
        assert len(server._listener.connections) == 1, "the client's connection is kept"


@on_loop
async def test_it_speaks_tls_where_there_is_a_certificate() -> None:
    async with serving(trusting(), ssl_context=server_context("127.0.0.1"), host="127.0.0.1") as (server, client):
        assert server.url.startswith("https://")
        assert client.sender.acknowledged(await client.say("hello"))
        assert await heard(server) == ["hello"]
        response = await client.http.post(server.url, content=b"x", headers={"Connection": "close"})
        assert response.status_code == 400


@on_loop
async def test_many_come_at_once_and_each_is_heard_once() -> None:
    async with serving() as (server, client):
        requests = [said(number, client.sender) for number in range(40)]
        responses = await asyncio.gather(*(client.post(request) for request in requests * 2))

        assert {response.status for response in responses} == {200}
        assert sorted(await heard(server, 40), key=int) == [str(number) for number in range(40)]
        assert server.counters == {"dispatches": 40, "repetitions": 40}


@on_loop
async def test_requests_that_follow_each_other_at_once_are_answered_and_then_handed_over() -> None:
    async with webhook() as server:
        sender = platform(server.url)
        pieces = []
        for content in ("one", "two"):
            request = said(content, sender)
            head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
            pieces.append(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(request.body)}\r\n".encode())
            pieces.append((b"Connection: close\r\n" if content == "two" else b"") + b"\r\n" + request.body)
        answer = await raw(server, b"".join(pieces))

        assert answer.count(b"HTTP/1.1 200") == 2
        assert await heard(server, 2) == ["one", "two"]


# -- what is refused --------------------------------------------------------------------------------------------------


@on_loop
async def test_what_is_no_callback_is_refused_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(policy=Policy(max_http_body=1000)) as (server, client):
        get = await client.http.get(server.url)
        assert (get.status_code, get.headers["allow"]) == (405, "POST")
        websocket = await client.http.get(server.url, headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert websocket.status_code == 405
        assert (await client.post(HTTPRequest("POST", server.url, {}, b"x"))).status == 400
        assert (await client.post(HTTPRequest("POST", server.url, {}, b"x" * 1001))).status == 413
        assert b"HTTP/1.1 400" in await raw(server, b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert client.sender.acknowledged(await client.say("still here"))
        assert await heard(server) == ["still here"]
    told = [record.getMessage() for record in caplog.records if record.name == "qqproto"]

    assert [line.partition(" with ")[2][:3] for line in told] == ["405", "405", "400", "413", "400"]


@on_loop
async def test_a_signature_that_comes_twice_is_none() -> None:
    async with webhook() as server:
        request = said("hello", platform(server.url))
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        twice = f"X-Signature-Ed25519: {'00' * 64}\r\n"
        length = f"Content-Length: {len(request.body)}\r\nConnection: close\r\n\r\n"
        answer = await raw(server, f"POST / HTTP/1.1\r\nHost: x\r\n{head}{twice}{length}".encode() + request.body)

        assert answer.startswith(b"HTTP/1.1 401")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"] == "the signature is not 128 hexadecimal digits"


@pytest.mark.parametrize(
    "begun", [b"", b"POST / HTTP/1.1\r\nContent-Le", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
@on_loop
async def test_who_does_not_come_to_the_point_is_hung_up_on(begun: bytes) -> None:
    async with webhook(policy=Policy(http_timeout=0.05)) as server:
        await raw(server, begun)
        await eventually(lambda: not server._listener.connections)


@on_loop
async def test_there_are_only_so_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qqproto_transports._webhook_server._MOST_CONNECTIONS", 2)
    async with webhook() as server:
        kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        await eventually(lambda: len(server._listener.connections) == 2)
        with contextlib.suppress(ConnectionError):
            assert await raw(server, b"") == b""
        for _, writer in kept:
            writer.close()
            await writer.wait_closed()


# -- its port ---------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} of 127.0.0.1 is in use: stop the program"):
            await open_webhook(CREDENTIALS, port=port).__aenter__()


def test_a_port_that_there_cannot_be_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="port must lie between 0 and 65535"):
        open_webhook(CREDENTIALS, port=65536)


@on_loop
async def test_leaving_the_block_frees_the_port_and_ends_every_connection() -> None:
    async with serving() as (server, client):
        await client.say("hello")
        idle = await asyncio.open_connection("127.0.0.1", server.port)
        await eventually(lambda: len(server._listener.connections) == 2)
        assert [dispatch.data["content"] for dispatch in [await server.__anext__()]] == ["hello"]
    port = server.port
    with contextlib.suppress(ConnectionError):
        assert await idle[0].read() == b""
    idle[1].close()
    async with open_webhook(CREDENTIALS, port=port):
        pass


@on_loop
async def test_draining_still_answers_and_takes_nothing() -> None:
    async with serving(settle="manual") as (server, client):
        await client.say("in hand")
        dispatch = await server.__anext__()
        closing = asyncio.ensure_future(server.aclose(drain=20.0))
        await asyncio.sleep(0)
        assert (await client.say("too late")).status == 503
        server.settle(dispatch)
        await closing
        assert [dispatch async for dispatch in server] == []
