"""A platform on aiohttp: gateway, token endpoint and ``/gateway/bot`` are routes of one application."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionResetError, WSCloseCode, WSMsgType, web

from qqproto import Endpoints, HTTPRequest
from tests.e2e.foreign_platform import ForeignPlatform, Talk

if TYPE_CHECKING:
    WebSocket = web.WebSocketResponse[bool]


class AiohttpPlatform(ForeignPlatform):
    """Its HTTP may be asked over the network, or as a callable as well."""

    def __init__(self, *talks: Talk, hello: str = "hello_field", ready: str = "ready") -> None:
        super().__init__(*talks, hello=hello, ready=ready)
        self._live: set[WebSocket] = set()

    @contextlib.asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[web.AppRunner]:
        application = web.Application()
        application.router.add_get("/websocket", self._on_upgrade)
        application.router.add_get("/gateway/bot", self._on_request)
        application.router.add_post("/app/getAppAccessToken", self._on_request)
        application.on_shutdown.append(self._close_everything)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            secure, address = "s" if tls else "", f"127.0.0.1:{runner.addresses[0][1]}"
            self.url = f"ws{secure}://{address}/websocket"
            base = f"http{secure}://{address}"
            self.endpoints = Endpoints(api_base=base, token_url=f"{base}/app/getAppAccessToken")
            yield runner
        finally:
            await runner.cleanup()

    async def _on_request(self, request: web.Request) -> web.Response:
        asked = HTTPRequest(request.method, str(request.url), dict(request.headers), await request.read())
        reply = await self.http(asked)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _on_upgrade(self, request: web.Request) -> WebSocket:
        ws: WebSocket = web.WebSocketResponse()
        await ws.prepare(request)
        self._live.add(ws)
        try:
            await self.converse(_Connection(request, ws))
        finally:
            self._live.discard(ws)
        return ws

    async def _close_everything(self, application: web.Application) -> None:
        """aiohttp would wait for its WebSockets to end by themselves."""
        await asyncio.gather(*(ws.close(code=WSCloseCode.GOING_AWAY) for ws in self._live))


class _Connection:
    def __init__(self, request: web.Request, ws: WebSocket) -> None:
        self._request = request
        self._ws = ws
        self.close_code: int | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        return dict(self._request.headers)

    async def send(self, text: str) -> None:
        # A client that has closed its half is answered no more; what it said before, its goodbye, is still to be read.
        with contextlib.suppress(ClientConnectionResetError):
            await self._ws.send_str(text)

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code=code, message=reason.encode())

    def reset(self) -> None:
        assert self._request.transport is not None
        self._request.transport.abort()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Not by aiohttp's own: what it says of a close is 1006 where its reply comes too late for the client."""
        while True:
            message = await self._ws.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                yield message.data
                continue
            if message.type is WSMsgType.CLOSE:
                self.close_code = message.data
            return
