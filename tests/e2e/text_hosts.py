"""Hosts with HTTP and a WebSocket client of their own, on aiohttp, on websockets and on trio-websocket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import trio
import trio_websocket
import websockets
from websockets.asyncio.client import ClientConnection, connect

from qqproto import Failure, HTTPRequest, HTTPResponse, OpenConnection
from qqproto_transports.asyncio import Closed, TextSocket, failure_of

MOST = 16 << 20
"""Bytes of a message."""


class Host(ABC):
    """What a host gives; ``dialled`` counts, and ``inside`` says how many of its contexts are open.

    ``logger`` is its client's.
    """

    logger: str

    def __init__(self) -> None:
        self.dialled = 0
        self.inside = 0

    @asynccontextmanager
    async def dial(self, opening: OpenConnection) -> AsyncIterator[TextSocket]:
        self.dialled += 1
        async with self.connect(opening) as socket:
            self.inside += 1
            try:
                yield socket
            finally:
                self.inside -= 1

    @abstractmethod
    async def http(self, asked: HTTPRequest) -> HTTPResponse: ...

    @abstractmethod
    def connect(self, opening: OpenConnection) -> AbstractAsyncContextManager[TextSocket]: ...

    @abstractmethod
    def explain(self, error: Exception) -> Closed | Failure: ...


# -- aiohttp -----------------------------------------------------------------------------------------------------------


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


class AiohttpHost(Host):
    logger = "aiohttp"

    async def http(self, asked: HTTPRequest) -> HTTPResponse:
        async with aiohttp.ClientSession() as session:
            what: dict[str, Any] = {"headers": asked.headers, "data": asked.body, "allow_redirects": False}
            async with session.request(asked.method, asked.url, **what) as response:
                return HTTPResponse(response.status, dict(response.headers), await response.read())

    @asynccontextmanager
    async def connect(self, opening: OpenConnection) -> AsyncIterator[TextSocket]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(opening.url, headers=opening.headers, max_msg_size=MOST) as ws,
        ):
            yield AiohttpSocket(ws)

    def explain(self, error: Exception) -> Closed | Failure:
        return Closed(*error.args) if isinstance(error, Gone) else failure_of(error)


# -- websockets, which has no HTTP -------------------------------------------------------------------------------------


class WebsocketsSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        await self._connection.send(text)

    async def receive(self) -> str | bytes:
        return await self._connection.recv()

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)


class WebsocketsHost(AiohttpHost):
    logger = "websockets"

    @asynccontextmanager
    async def connect(self, opening: OpenConnection) -> AsyncIterator[TextSocket]:
        headers = dict(opening.headers)
        async with connect(
            opening.url, additional_headers=headers, compression=None, ping_interval=None, proxy=None, max_size=MOST
        ) as connection:
            yield WebsocketsSocket(connection)

    def explain(self, error: Exception) -> Closed | Failure:
        if isinstance(error, websockets.ConnectionClosed) and error.rcvd is not None:
            return Closed(error.rcvd.code, error.rcvd.reason)
        return failure_of(error)


# -- trio-websocket, with httpx for HTTP -------------------------------------------------------------------------------


class TrioSocket:
    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        await self._connection.send_message(text)

    async def receive(self) -> str | bytes:
        return await self._connection.get_message()

    async def close(self, code: int, reason: str) -> None:
        await self._connection.aclose(code, reason)


class TrioHost(Host):
    """It opens TCP itself: of a connection that the server has closed, trio-websocket 0.12 leaves the socket open."""

    logger = "trio-websocket"

    async def http(self, asked: HTTPRequest) -> HTTPResponse:
        async with httpx.AsyncClient(trust_env=False) as client:
            reply = await client.request(asked.method, asked.url, headers=dict(asked.headers), content=asked.body)
            return HTTPResponse(reply.status_code, dict(reply.headers), reply.content)

    @asynccontextmanager
    async def connect(self, opening: OpenConnection) -> AsyncIterator[TextSocket]:
        url = urlsplit(opening.url)
        headers = [(name.encode(), value.encode()) for name, value in opening.headers.items()]
        async with await trio.open_tcp_stream(url.hostname or "", url.port or 80) as stream:
            async with trio.open_nursery() as nursery:
                connection = await trio_websocket.wrap_client_stream(
                    nursery, stream, url.netloc, url.path, extra_headers=headers, max_message_size=MOST
                )
                try:
                    yield TrioSocket(connection)
                finally:
                    nursery.cancel_scope.cancel()

    def explain(self, error: Exception) -> Closed | Failure:
        if isinstance(error, trio_websocket.ConnectionClosed) and error.reason is not None:
            return Closed(error.reason.code, error.reason.reason or "")
        return failure_of(error)
