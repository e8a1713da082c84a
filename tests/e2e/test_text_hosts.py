"""Hosts with a WebSocket client of their own, on aiohttp and on websockets: the driver opens no socket."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from qqproto import (
    Disconnected,
    Dispatch,
    Event,
    Failure,
    FailureKind,
    HTTPRequest,
    HTTPResponse,
    OpenConnection,
    Policy,
    Ready,
    Resumed,
    Stopped,
)
from qqproto_transports.asyncio import BotAccount, Closed, Gateway, TextSocket, failure_of, open_gateway
from qqproto_transports.local_gateway import LocalGateway
from tests.scenarios.diary import Diary, find_leaks
from tests.transports.bots import INTENTS, QUICK, say, until
from tests.transports.commands import launched, settings_of
from tests.transports.loops import eventually, nothing_left_behind, on_loop

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "text_host.py"


class Gone(Exception):
    """aiohttp tells the end of a WebSocket as a message."""


class AiohttpSocket:
    def __init__(self, ws: Any) -> None:
        self._ws = ws

    async def send(self, text: str) -> None:
        await self._ws.send_str(text)

    async def receive(self) -> str | bytes:
        message = await self._ws.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        raise Gone(self._ws.close_code, str(message.extra or ""))

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code=code, message=reason.encode())


class WebsocketsSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        await self._connection.send(text)

    async def receive(self) -> str | bytes:
        return await self._connection.recv()

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)


class Host:
    """What a host gives; ``dialled`` counts, and ``inside`` says how many of its contexts are open."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.dialled = 0
        self.inside = 0

    async def http(self, asked: HTTPRequest) -> HTTPResponse:
        async with aiohttp.ClientSession() as session:
            what: dict[str, Any] = {"headers": asked.headers, "data": asked.body, "allow_redirects": False}
            async with session.request(asked.method, asked.url, **what) as response:
                return HTTPResponse(response.status, dict(response.headers), await response.read())

    @asynccontextmanager
    async def dial(self, opening: OpenConnection) -> AsyncIterator[TextSocket]:
        self.dialled += 1
        if self.library == "aiohttp":
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(opening.url, headers=opening.headers, max_msg_size=16 << 20) as ws,
            ):
                async with self._counted():
                    yield AiohttpSocket(ws)
        else:
            async with connect(
                opening.url, additional_headers=dict(opening.headers), compression=None, ping_interval=None, proxy=None
            ) as connection:
                async with self._counted():
                    yield WebsocketsSocket(connection)

    def explain(self, error: Exception) -> Closed | Failure:
        if isinstance(error, Gone):
            return Closed(*error.args)
        if isinstance(error, websockets.ConnectionClosed) and error.rcvd is not None:
            return Closed(error.rcvd.code, error.rcvd.reason)
        return failure_of(error)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


on_both = pytest.mark.parametrize("library", ["aiohttp", "websockets"])


def bot(local: LocalGateway, host: Host, policy: Policy = QUICK) -> Gateway:
    account = BotAccount(local.credentials, endpoints=local.endpoints, http=host.http, policy=policy)
    return open_gateway(account, intents=INTENTS, websocket=host)


def is_a(kind: type[Event]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, kind)


@on_both
@on_loop
async def test_connects_hears_and_says_goodbye(library: str) -> None:
    host = Host(library)
    async with LocalGateway() as local:
        async with nothing_left_behind(), bot(local, host) as gateway:
            await until(gateway, is_a(Ready))
            say(local, "hello")
            event = await until(gateway, is_a(Dispatch))
            assert isinstance(event, Dispatch)
            assert event.data["content"] == "hello"
            gateway.close()
            assert [type(event) async for event in gateway] == [Stopped]
        await eventually(lambda: not local.platform.conversations)
        assert local.platform.sessions == {}, "it has said 1000"
        assert local.platform.violations == []
    assert (host.dialled, host.inside) == (1, 0)


@on_both
@pytest.mark.parametrize("how", ["op 7", "4009", "reset"])
@on_loop
async def test_a_new_connection_resumes(library: str, how: str) -> None:
    host = Host(library)
    async with LocalGateway() as local, bot(local, host, dataclasses.replace(QUICK, stable_after=0.0)) as gateway:
        await until(gateway, is_a(Ready))
        for number in range(3):
            talk = local.platform.session().live
            assert talk is not None
            if how == "op 7":
                talk.send_reconnect(local.now)
            elif how == "4009":
                talk.close(4009, "session timed out", local.now)
            else:
                talk.reset(local.now)
            gone = await until(gateway, is_a(Disconnected))
            assert isinstance(gone, Disconnected)
            assert gone.planned == (how != "reset")
            assert gone.code == (4009 if how == "4009" else None)
            await until(gateway, is_a(Resumed))
            say(local, number)
            await until(gateway, is_a(Dispatch))
        assert local.platform.ops() == [2, 6, 6, 6]
        await eventually(lambda: host.inside == 1)


@on_both
@on_loop
async def test_with_the_clients_loggers_at_info_no_token_is_logged_at_debug(
    library: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the page on embedding says to do; a client that is left at DEBUG may tell every frame."""
    caplog.set_level(logging.INFO, logger=library)
    host = Host(library)
    with Diary() as diary:
        async with LocalGateway() as local, bot(local, host) as gateway:
            await until(gateway, is_a(Ready))
            local.platform.conversations[0].reset(local.now)
            await until(gateway, is_a(Resumed))
            token = gateway.account.current_token

    assert token is not None
    assert any(line.startswith("qqproto:") for line in diary.lines), "the driver has talked"
    assert find_leaks({token.value, local.credentials.secret}, diary.lines) == []


@on_both
@on_loop
async def test_a_link_that_is_given_up_says_no_1000(library: str) -> None:
    """A client's context that is left says 1000 or 1011, either of which may end the session."""
    policy = dataclasses.replace(QUICK, probe_after=0.3, dead_after=0.6)
    host = Host(library)
    async with LocalGateway(heartbeat_interval=0.25) as local, bot(local, host, policy) as gateway:
        await until(gateway, is_a(Ready))
        local.platform.conversations[0].mute_acks()
        local.platform.conversations[0].ignore()
        gone = await until(gateway, is_a(Disconnected))
        assert isinstance(gone, Disconnected)
        assert gone.failure is not None
        assert gone.failure.kind is FailureKind.TIMEOUT
        await until(gateway, is_a(Resumed))
        assert local.platform.ops() == [2, 6], "the session was not ended"


@on_both
@on_loop
async def test_what_cannot_be_reached_is_a_failure_and_tried_again(library: str) -> None:
    host = Host(library)
    async with LocalGateway() as local:
        url, local.platform.gateway_url = local.platform.gateway_url, "ws://127.0.0.1:1/websocket"
        policy = dataclasses.replace(QUICK, gateway_fresh_for=0.0, gateway_burst=1000)
        async with bot(local, host, policy) as gateway:
            gone = await until(gateway, is_a(Disconnected))
            assert isinstance(gone, Disconnected)
            assert gone.failure is not None
            assert gone.failure.kind is FailureKind.REFUSED
            local.platform.gateway_url = url
            await until(gateway, is_a(Ready))


@on_loop
async def test_a_client_that_hangs_while_it_closes_is_left_within_a_second() -> None:
    host = Host("aiohttp")
    loop = asyncio.get_running_loop()
    async with LocalGateway() as local:
        async with nothing_left_behind(), bot(local, host) as gateway:
            await until(gateway, is_a(Ready))
            local.platform.conversations[0].ignore()
            began = loop.time()
            await gateway.aclose(0.1)
            assert loop.time() - began < 5.0
            assert host.inside == 0


@on_loop
async def test_an_exception_that_the_host_cannot_explain_is_a_bug() -> None:
    class Puzzled(Host):
        def explain(self, error: Exception) -> Closed | Failure:
            raise error

    host = Puzzled("aiohttp")
    async with LocalGateway() as local:
        with pytest.raises(Gone):
            await live_until_closed(local, bot(local, host))


async def live_until_closed(local: LocalGateway, gateway: Gateway) -> None:
    async with gateway:
        await until(gateway, is_a(Ready))
        local.platform.conversations[0].close(4000, "", local.now)
        await until(gateway, is_a(Stopped))


@on_loop
async def test_the_example() -> None:
    async with LocalGateway() as local:
        async with launched(sys.executable, "-W", "error", str(EXAMPLE), settings=settings_of(local)) as process:
            await process.line("Ready(")
            local.platform.conversations[0].send_reconnect(local.now)
            await eventually(lambda: local.platform.ops() == [2, 6])
            say(local, "hello")
            await process.line("'hello'")
            assert process.errors == []
