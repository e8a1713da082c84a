"""A platform whose gateway is the `websockets` package."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.e2e.foreign_platform import ForeignPlatform


class WebsocketsPlatform(ForeignPlatform):
    """It has no HTTP. websockets pings every 50 ms, and drops who does not answer."""

    @contextlib.asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        async with serve(self._on_connection, "127.0.0.1", 0, ssl=tls, ping_interval=0.05, ping_timeout=5.0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/websocket"
            yield server

    async def _on_connection(self, connection: ServerConnection) -> None:
        await self.converse(_Connection(connection))


class _Connection:
    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    @property
    def headers(self) -> Mapping[str, str]:
        assert self._connection.request is not None
        return dict(self._connection.request.headers.raw_items())

    @property
    def close_code(self) -> int | None:
        return self._connection.close_code

    async def send(self, text: str) -> None:
        await self._connection.send(text)

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)

    def reset(self) -> None:
        self._connection.transport.abort()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        with contextlib.suppress(ConnectionClosed):
            async for message in self._connection:
                yield message
