"""How asyncio reaches a host: by way of which proxy, and its addresses raced against each other, the losers closed.

``loop.create_connection`` would do, but uvloop's does not race, and CPython's does not wait for those that it cancels.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

from qqproto.failures import Failure, FailureKind
from qqproto.wire.proxies import Proxy
from qqproto_transports._addresses import HEAD_START, Address, in_turn
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed


async def choose_proxy(egress: Egress, url: str) -> Proxy | None:
    """The proxy for ``url``; the host's own choice is made in another thread."""
    return await asyncio.to_thread(egress.choose, url) if egress.blocks else egress.choose(url)


async def connect(host: str, port: int) -> socket.socket:
    """A connected, non-blocking stream socket. Raises OSError, the first one if several addresses fail."""
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise Failed(Failure(FailureKind.DNS, "the gateway's host is no valid name")) from None
    return await connect_to(addresses)


async def connect_to(addresses: Iterable[Address]) -> socket.socket:
    """The same for addresses that are known."""
    candidates = in_turn(addresses)
    if len(candidates) == 1:  # Alone it is no race, and needs no task: of a thousand bots at once that is 2 MB.
        return await _try(candidates[0])
    race = _Race(asyncio.get_running_loop(), candidates)
    try:
        return await race.run()
    finally:
        await race.end()


async def reach(host: str, port: int) -> Wire:
    """The same, to be read and written by whoever awaits."""
    return Wire(await connect(host, port))


class Wire:
    """A connected socket: what comes, what goes, one at a time of either."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def read(self, size: int) -> bytes:
        """What has come, ``size`` bytes at most; nothing at the end."""
        return await self._loop.sock_recv(self._sock, size)

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self._sock, data)

    def close(self) -> None:
        """Let go of it."""
        self._sock.close()


class _Race:
    def __init__(self, loop: asyncio.AbstractEventLoop, addresses: list[Address]) -> None:
        self._loop = loop
        self._addresses = addresses
        self._tasks: list[asyncio.Task[socket.socket]] = []
        self._winner: socket.socket | None = None

    async def run(self) -> socket.socket:
        waiting, running = self._addresses, set[asyncio.Task[socket.socket]]()
        error: BaseException | None = None
        while waiting or running:
            if waiting:
                task = self._loop.create_task(_try(waiting.pop(0)))
                self._tasks.append(task)
                running.add(task)
            alone_for = HEAD_START if waiting else None
            done, running = await asyncio.wait(running, timeout=alone_for, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failed = task.exception()
                if failed is None:
                    self._winner = task.result()
                    return self._winner
                error = error or failed
        raise error or OSError("the name has no address")

    async def end(self) -> None:
        """Close what has not won, and leave no task behind."""
        for task in self._tasks:
            task.cancel()
            task.add_done_callback(self._close_unless_winner)
        try:
            if self._tasks:
                await asyncio.wait(self._tasks)
        except BaseException:
            if self._winner is not None:
                self._winner.close()
            raise

    def _close_unless_winner(self, task: asyncio.Task[socket.socket]) -> None:
        if not task.cancelled() and task.exception() is None and task.result() is not self._winner:
            task.result().close()


async def _try(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
