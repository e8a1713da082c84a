"""A port of this machine and the connections that come in at it, for the servers of our own."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from typing import cast

from qqproto_transports._http_server import HTTPServerSide

_LINGER = 2.0


class CannotListen(OSError):
    """The port cannot be had; the message says why, and what to do."""


class Listener:
    """A port that is listened at between :meth:`open` and :meth:`close`. ``port`` 0 takes any free one.

    ``most`` connections are served at a time; one more is broken off.
    """

    def __init__(
        self, host: str, port: int, serve: Callable[[], Connection], *, tls: ssl.SSLContext | None = None,
        most: int | None = None,
    ) -> None:  # fmt: skip
        if not 0 <= port <= 65535:
            raise ValueError(f"port must lie between 0 and 65535, not be {port}; 0 takes any free one")
        self.host = host
        self.port = port
        self.connections: set[Connection] = set()
        self._serve = serve
        self._tls = tls
        self._most = most
        self._server: asyncio.Server | None = None
        self._all_gone = asyncio.Event()

    @property
    def authority(self) -> str:
        """Host and port as URLs have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def open(self) -> None:
        """Listen. Raises :class:`CannotListen`."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._serve, self.host, self.port, ssl=self._tls)
        except OSError as error:
            raise self._explain(error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.abort()
        if self.connections:
            await self._all_gone.wait()
        await self._server.wait_closed()

    def joined(self, connection: Connection) -> bool:
        """A connection came in; False if it is one too many."""
        self.connections.add(connection)
        self._all_gone.clear()
        return self._most is None or len(self.connections) <= self._most

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self._all_gone.set()

    def _explain(self, error: OSError) -> CannotListen:
        where = f"port {self.port} of {self.host}"
        if error.errno == errno.EADDRINUSE:
            text = f"{where} is in use: stop the program that listens there, or take another port (0 is any free one)"
        elif error.errno in (errno.EACCES, errno.EPERM):
            text = f"{where} may not be used by this user: take a port above 1023 (0 is any free one)"
        else:
            text = f"cannot listen on {where}: {error.strerror or error}; 127.0.0.1 is this machine's own address"
        return CannotListen(error.errno, text)


class Connection(asyncio.Protocol):
    """One client of a :class:`Listener`, who speaks HTTP. What it does with bytes, a class of the server's says."""

    def __init__(self, listener: Listener, http: HTTPServerSide) -> None:
        self._listener = listener
        self._http = http
        self._transport: asyncio.Transport
        self._linger: asyncio.TimerHandle | None = None

    # -- from the event loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        if not self._listener.joined(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        self.write(self._http.receive(data))
        if self._http.finished:
            self.finish()

    def eof_received(self) -> None:
        """The transport closes itself after this."""
        self.write(self._http.receive(b""))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._listener.left(self)

    def pause_writing(self) -> None:
        """The client does not read: neither do we, so that nothing piles up here."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    # -- from the server ------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send."""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def finish(self) -> None:
        """End our half of the stream and give the client a moment to end its own.

        Closing at once, with something of the client's unread, would be a reset, and take with it what was just sent.
        """
        if self._linger is not None or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._linger = asyncio.get_running_loop().call_later(_LINGER, self.abort)
        else:
            self._transport.close()  # TLS knows no half of a stream, and says goodbye by itself.

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()
