"""The network between the demo's bot and its gateway: it carries connections, loses them and refuses them."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast

from qqproto_transports._break_off import break_off

_HOST = "127.0.0.1"


class Network:
    """A port of this machine that leads to another one, for as long as the block lasts.

    ``port`` is known inside of it. ``connections`` counts those that were made.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._ends: set[_End] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self.port = 0
        self.connections = 0

    async def __aenter__(self) -> Network:
        sock = _bound(0)
        self.port = sock.getsockname()[1]
        await self._listen(sock)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop_listening()
        if self._placeholder is not None:
            self._placeholder.close()
        if self._dials:
            await asyncio.wait(self._dials)
        self._reset_all()
        if self._ends:
            self._empty.clear()
            await self._empty.wait()

    # -- what it does ---------------------------------------------------------------------------------------------

    def lose(self) -> None:
        """Nothing passes any more on the connections there are, in either direction, and neither end is told.

        New ones are carried as before.
        """
        for end in self._ends:
            end.lost = True

    def refuse(self) -> None:
        """Every connection is reset and new ones are refused, until :meth:`accept`."""
        self._stop_listening()
        # The port stays taken. Nobody else may get it, and the system may not use it for a connection on its way out:
        # one that is made to its own port reaches itself.
        self._placeholder = _bound(self.port)
        self._reset_all()

    async def accept(self) -> None:
        """Connections are carried again."""
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
            await self._listen(_bound(self.port))

    # -- for its ends ---------------------------------------------------------------------------------------------

    def joined(self, end: _End) -> None:
        self._ends.add(end)

    def left(self, end: _End) -> None:
        self._ends.discard(end)
        if not self._ends:
            self._empty.set()

    def lead_on(self, far: _End) -> None:
        """A connection came: make the rest of its way."""
        self.connections += 1
        dial = asyncio.get_running_loop().create_task(self._dial(far))
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _dial(self, far: _End) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, _HOST, self._to_port)
        except OSError:
            far.other.reset()

    async def _listen(self, sock: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(lambda: _End(self), sock=sock)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reset_all(self) -> None:
        for end in self._ends:
            end.reset()


def _bound(port: int) -> socket.socket:
    """A socket that has a port, 0 being any free one, and does not listen: connections to it are refused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # There it would let others take the port over.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((_HOST, port))
    return sock


class _End(asyncio.Protocol):
    """One end of a connection; what comes in here goes out at the other one, the end of a stream and a reset as well.

    ``lost``: nothing does.
    """

    def __init__(self, network: Network, near: _End | None = None) -> None:
        self._network = network
        self._is_near = near is None
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._ended = False
        self._over = False
        self.other = near if near is not None else _End(network, self)
        self.lost = False

    # -- from the event loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._network.joined(self)
        if self._is_near:
            self._network.lead_on(self.other)
        elif self.other._over:
            self.reset()
        else:
            self._transport.write(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        if not self.lost:
            self.other.write(data)

    def eof_received(self) -> bool:
        """The transport closes itself when this is false."""
        if self.lost:
            return True
        self._ended = True
        self.other.write_eof()
        return not self.other._ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._network.left(self)
        if self.lost:
            return
        if exc is None:
            self.other.close()
        else:
            self.other.reset()

    # -- from the other end ---------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early += data
        elif not self._transport.is_closing():
            self._transport.write(data)

    def write_eof(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None and not self._over:
            break_off(self._transport)
