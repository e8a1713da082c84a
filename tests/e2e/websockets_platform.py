"""A platform that is none of ours: its gateway is the `websockets` package, its words are the wire samples."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve

from qqproto import HTTPRequest, HTTPResponse
from tests.core.samples import body, response

Talk: TypeAlias = "Callable[[WebsocketsPlatform, ServerConnection], Awaitable[None]]"


class WebsocketsPlatform:
    """The token endpoint and ``/gateway/bot`` as an HTTP callable, and a gateway on a real WebSocket server.

    ``talks`` says what happens on each connection that has authenticated, one after another; without one it stays
    open. The next Identifies and Resumes are answered with ``refuse``, the next HTTP requests with ``http_replies``.
    ``replay`` comes before each RESUMED. ``heard`` is every message but heartbeats, ``beats`` the heartbeats' ``d``.
    """

    def __init__(self, *talks: Talk, hello: str = "hello_field", ready: str = "ready") -> None:
        self.talks = list(talks)
        self.hello = body(hello)
        self.ready = body(ready)
        self.http_replies: list[HTTPResponse] = []
        self.asked: list[HTTPRequest] = []
        self.heard: list[dict[str, Any]] = []
        self.beats: list[int | None] = []
        self.handshakes: list[dict[str, str]] = []
        self.refuse: list[dict[str, Any]] = []
        self.replay: list[dict[str, Any]] = []
        self.url = ""

    # -- HTTP -----------------------------------------------------------------------------------------------------

    async def http(self, request: HTTPRequest) -> HTTPResponse:
        """The platform's HTTP, to be given to a BotAccount."""
        self.asked.append(request)
        if self.http_replies:
            return self.http_replies.pop(0)
        if "getAppAccessToken" in request.url:
            return response("token_response_string_expires")
        reply = response("gateway_bot_response")
        return HTTPResponse(200, {}, json.dumps({**json.loads(reply.body), "url": self.url}).encode())

    # -- the gateway ----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        """Serve on a loopback port. websockets pings every 50 ms, and drops who does not answer."""
        async with serve(self._on_connection, "127.0.0.1", 0, ssl=tls, ping_interval=0.05, ping_timeout=5.0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/websocket"
            yield server

    async def _on_connection(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.handshakes.append(dict(connection.request.headers.raw_items()))
        await self.say(connection, self.hello)
        authenticated = asyncio.Event()
        talking = asyncio.create_task(self._talk_after(authenticated, connection))
        try:
            async for message in connection:
                await self._on_message(connection, json.loads(message), authenticated)
        finally:
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking

    async def _talk_after(self, authenticated: asyncio.Event, connection: ServerConnection) -> None:
        await authenticated.wait()
        if self.talks:
            await self.talks.pop(0)(self, connection)

    async def _on_message(
        self, connection: ServerConnection, message: dict[str, Any], authenticated: asyncio.Event
    ) -> None:
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

    async def say(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        """One message, as the platform writes it."""
        await connection.send(json.dumps(message, ensure_ascii=False, separators=(",", ":")))
