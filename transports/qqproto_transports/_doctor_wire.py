"""A socket, and on it a route whose layers are agreed upon one by one."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from qqproto_transports._route import Layer, Route

_READ = 65_536


class Wire:
    """A socket, and the route on it."""

    def __init__(self, route: Route, sock: socket.socket) -> None:
        self.route = route
        self._sock = sock
        self._said = b""

    async def begin(self) -> None:
        """TCP is up."""
        self.route.start()
        await self._flush()

    async def agree(self, layer: Layer) -> None:
        """Go on until this layer of the route stands."""
        loop = asyncio.get_running_loop()
        while not layer.established:
            data = await loop.sock_recv(self._sock, _READ)
            try:
                self._said += self.route.receive_data(data)
            except Exception:
                with contextlib.suppress(OSError):
                    await self._flush()  # What is wrong with its TLS the peer may know.
                raise
            if not layer.established:
                await self._flush()

    async def send(self, data: bytes) -> None:
        """Say ``data`` to the host."""
        self.route.send_data(data)
        await self._flush()

    async def receive(self) -> bytes:
        """What the host says next, ``b""`` at its end."""
        while not self._said and not self.route.ended:
            data = await asyncio.get_running_loop().sock_recv(self._sock, _READ)
            self._said += self.route.receive_data(data)
            await self._flush()
        said, self._said = self._said, b""
        return said

    async def settle(self) -> None:
        """Send what was left unsaid when the last layer came to stand."""
        await self._flush()

    def close(self) -> None:
        self._sock.close()

    async def _flush(self) -> None:
        if data := self.route.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
