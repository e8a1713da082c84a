"""A platform that is none of ours: its gateway is somebody's WebSocket server, its words are the wire samples."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

from qqproto import Endpoints, HTTPRequest, HTTPResponse
from tests.core.samples import SAMPLES, body, response

DISPATCHES = [name for name, sample in SAMPLES.items() if sample["where"] == "ws-in dispatch"]

Talk: TypeAlias = "Callable[[ForeignPlatform, Connection], Awaitable[None]]"


class Connection(Protocol):
    """A server's end of a WebSocket; iterated it gives messages until the connection is over, in whichever way."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def close_code(self) -> int | None:
        """The code that the client has closed with; nothing, or 1006, without one."""

    async def send(self, text: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...
    def reset(self) -> None: ...
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...


class ForeignPlatform(ABC):
    """The token endpoint and ``/gateway/bot`` as an HTTP callable, and a gateway on a real WebSocket server.

    ``talks`` says what happens on each connection that has authenticated, one after another; without one it stays
    open. The next Identifies and Resumes are answered with ``refuse``, the next HTTP requests with ``http_replies``.
    ``replay`` comes before each RESUMED. ``heard`` is every message but heartbeats, ``beats`` the heartbeats' ``d``,
    ``closes`` the close codes of the connections that are over. A server that has HTTP too says where in ``endpoints``.
    """

    def __init__(self, *talks: Talk, hello: str = "hello_field", ready: str = "ready") -> None:
        self.talks = list(talks)
        self.hello = body(hello)
        self.ready = body(ready)
        self.http_replies: list[HTTPResponse] = []
        self.asked: list[HTTPRequest] = []
        self.heard: list[dict[str, Any]] = []
        self.beats: list[int | None] = []
        self.closes: list[int | None] = []
        self.handshakes: list[Mapping[str, str]] = []
        self.refuse: list[dict[str, Any]] = []
        self.replay: list[dict[str, Any]] = []
        self.url = ""
        self.endpoints: Endpoints | None = None

    @abstractmethod
    def open(self, tls: ssl.SSLContext | None = None) -> AbstractAsyncContextManager[object]:
        """Serve on a loopback port."""

    async def http(self, request: HTTPRequest) -> HTTPResponse:
        """The platform's HTTP, to be given to a BotAccount."""
        self.asked.append(request)
        if self.http_replies:
            return self.http_replies.pop(0)
        if "getAppAccessToken" in request.url:
            return response("token_response_string_expires")
        reply = response("gateway_bot_response")
        return HTTPResponse(200, {}, json.dumps({**json.loads(reply.body), "url": self.url}).encode())

    async def converse(self, connection: Connection) -> None:
        """A connection's whole life, after the upgrade."""
        self.handshakes.append(connection.headers)
        await self.say(connection, self.hello)
        authenticated = asyncio.Event()
        talking = asyncio.create_task(self._talk_after(authenticated, connection))
        try:
            async for message in connection:
                await self._on_message(connection, json.loads(message), authenticated)
        finally:
            self.closes.append(connection.close_code)
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking

    async def _talk_after(self, authenticated: asyncio.Event, connection: Connection) -> None:
        await authenticated.wait()
        if self.talks:
            await self.talks.pop(0)(self, connection)

    async def _on_message(self, connection: Connection, message: dict[str, Any], authenticated: asyncio.Event) -> None:
        if message["op"] == 1:
            self.beats.append(message["d"])
            await self.say(connection, body("heartbeat_ack"))
            return
        self.heard.append(message)
        if self.refuse:
            await self.say(connection, self.refuse.pop(0))
            return
        if message["op"] == 2:
            await self.say(connection, self.ready)
        else:
            for dispatch in self.replay:
                await self.say(connection, dispatch)
            await self.say(connection, {**body("resumed"), "s": message["d"]["seq"] + len(self.replay)})
        authenticated.set()

    async def say(self, connection: Connection, message: dict[str, Any]) -> None:
        """One message, as the platform writes it."""
        await connection.send(json.dumps(message, ensure_ascii=False, separators=(",", ":")))


# -- what it says ------------------------------------------------------------------------------------------------------


async def play_everything(platform: ForeignPlatform, connection: Connection) -> None:
    """All dispatches, and between them what else a gateway says."""
    between = ["heartbeat_ack", "server_heartbeat_request", "unknown_opcode"]
    for position, name in enumerate(DISPATCHES):
        await platform.say(connection, body(between[position % len(between)]))
        await platform.say(connection, body(name))


def play(names: list[str]) -> Talk:
    """Say these."""

    async def talk(platform: ForeignPlatform, connection: Connection) -> None:
        for name in names:
            await platform.say(connection, body(name))

    return talk


def rotating(how: str, names: list[str]) -> Talk:
    """Say these, then end the connection."""

    async def talk(platform: ForeignPlatform, connection: Connection) -> None:
        await play(names)(platform, connection)
        if how == "op 7":
            await platform.say(connection, body("reconnect"))
        elif how == "4009":
            await connection.close(4009, "Session timed out")
        else:
            connection.reset()

    return talk
