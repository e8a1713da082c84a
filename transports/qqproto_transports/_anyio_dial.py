"""How anyio reaches a host: by way of which proxy, and its addresses raced against each other, the losers closed.

``anyio.connect_tcp`` races as well, but loses the socket if it is cancelled in the moment of success.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from anyio import Event, create_task_group, getaddrinfo, move_on_after, to_thread, wait_readable, wait_writable
from anyio.abc import TaskGroup

from qqproto.failures import Failure, FailureKind
from qqproto.wire.proxies import Proxy
from qqproto_transports._addresses import HEAD_START, Address, in_turn
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed


async def choose_proxy(egress: Egress, url: str) -> Proxy | None:
    """The proxy for ``url``; the host's own choice is made in another thread, and not waited for when it is late."""
    return await to_thread.run_sync(egress.choose, url, abandon_on_cancel=True) if egress.blocks else egress.choose(url)


async def connect(host: str, port: int) -> socket.socket:
    """A connected, non-blocking stream socket. Raises OSError, the first one if several addresses fail."""
    try:
        addresses = in_turn(await getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise Failed(Failure(FailureKind.DNS, "the gateway's host is no valid name")) from None
    race = _Race()
    try:
        await race.run(addresses)
    except BaseException:
        if race.winner is not None:
            race.winner.close()
        raise
    if race.winner is not None:
        return race.winner
    raise race.error or OSError("the name has no address")


async def reach(host: str, port: int) -> Wire:
    """The same, to be read and written by whoever awaits."""
    return Wire(await connect(host, port))


class Wire:
    """A connected socket: what comes, what goes, one at a time of either."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def read(self, size: int) -> bytes:
        """What has come, ``size`` bytes at most; nothing at the end."""
        while True:
            await wait_readable(self._sock)
            with suppress(BlockingIOError, InterruptedError):
                return self._sock.recv(size)

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            await wait_writable(self._sock)
            with suppress(BlockingIOError, InterruptedError):
                rest = rest[self._sock.send(rest) :]

    def close(self) -> None:
        """Let go of it."""
        self._sock.close()


class _Race:
    def __init__(self) -> None:
        self.winner: socket.socket | None = None
        self.error: Exception | None = None
        """The first, if there were any."""

    async def run(self, addresses: list[Address]) -> None:
        """Until one is reached, or all have failed."""
        async with create_task_group() as group:
            for address in addresses:
                failed = Event()
                group.start_soon(self._try, address, failed, group)
                with move_on_after(HEAD_START):
                    await failed.wait()

    async def _try(self, address: Address, failed: Event, group: TaskGroup) -> None:
        try:
            sock = await _reach(address)
        except Exception as error:  # Raised in a group, it would come out wrapped in a group.
            self.error = self.error or error
            failed.set()
            return
        if self.winner is None:
            self.winner = sock
            group.cancel_scope.cancel()
        else:
            sock.close()


async def _reach(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(where)
        except (BlockingIOError, InterruptedError):
            await wait_writable(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number)) from None
    except BaseException:
        sock.close()
        raise
    return sock
