"""A network on this machine, between a bot and its gateway: it carries connections, and does to them what networks do.

The demo and the scenarios play with it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys

from qqproto_transports._link import Link

_HOST = "127.0.0.1"
_ATTEMPT = 0.1
_MOST_ATTEMPTS = 16


class Network:
    """A port of this machine that leads to another one, for as long as the block lasts.

    ``port`` is known inside of it. ``links`` are the connections that were made, with all that each has carried.
    ``tls``: clients have to speak TLS, which ends here. What may be changed at any time, and holds from then on:

    - ``pace``: so many bytes go through at once, and so many seconds pass before the next; None: whatever comes;
    - ``cut_after``: a connection breaks off as soon as it has carried so many bytes to the client;
    - ``idle_cut``: a connection that has carried nothing for so many seconds is lost, and neither end is told.

    And for new connections alone:

    - ``swallows``: they are taken, and nothing is carried on them;
    - ``impostor``: they lead nowhere, and are answered with these bytes once the client has said something.
    """

    def __init__(self, to_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._to_port = to_port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._dials: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self.port = 0
        self.links: list[Link] = []
        self.open = 0
        """How many ends of connections there are now: two for each that is carried."""
        self.pace: tuple[int, float] | None = None
        self.cut_after: int | None = None
        self.idle_cut: float | None = None
        self.swallows = False
        self.impostor: bytes | None = None

    async def __aenter__(self) -> Network:
        sock = _bound(0)
        self.port = sock.getsockname()[1]
        await self._listen(sock)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for _ in range(5):
            await asyncio.sleep(0)  # Somebody may just have come in; a server that is closed loses the socket.
        self._stop_listening()
        self._give_port_back()
        if self._dials:
            await asyncio.wait(self._dials)
        self.reset()
        if self.open:
            self._empty.clear()
            await self._empty.wait()

    @property
    def clients(self) -> int:
        """How many connections there are that their client has not ended."""
        return sum(link.near.there for link in self.links)

    # -- the connections there are --------------------------------------------------------------------------------

    def lose(self) -> None:
        """Nothing passes any more, in either direction, and neither end is told. New connections are carried."""
        for link in self.links:
            link.lose()

    def reset(self) -> None:
        """Each breaks off, at both ends."""
        for link in self.links:
            link.reset()

    def hang_up(self) -> None:
        """Half of each is over: clients see the end of the stream, and what they say is still carried."""
        for link in self.links:
            link.near.end()

    def stall(self) -> None:
        """Nothing more is taken from the clients: when the system's buffers are full, they cannot send."""
        for link in self.links:
            link.near.stall()

    def say(self, data: bytes) -> None:
        """Clients get these bytes as if they came from the gateway."""
        for link in self.links:
            link.near.write(data)

    # -- new ones -------------------------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Every connection breaks off and new ones are refused, until :meth:`accept`."""
        self._stop_listening()
        self._give_port_back()
        # The port stays taken. Nobody else may get it, and the system may not use it for a connection on its way out:
        # one that is made to its own port reaches itself.
        self._placeholder = _bound(self.port)
        self.reset()

    async def hang(self) -> None:
        """Attempts at new connections get no answer at all, until :meth:`accept`: the queue of the port is full.

        Raises OSError on systems whose queues have no end.
        """
        self._stop_listening()
        self._give_port_back()
        self._placeholder = _bound(self.port)
        self._placeholder.listen(0)
        for _ in range(_MOST_ATTEMPTS):
            filler = socket.socket()
            self._fillers.append(filler)
            filler.setblocking(False)
            attempt = asyncio.ensure_future(asyncio.get_running_loop().sock_connect(filler, (_HOST, self.port)))
            done, _ = await asyncio.wait([attempt], timeout=_ATTEMPT)
            if not done:
                attempt.cancel()
                await asyncio.wait([attempt])
                return
            attempt.result()
        raise OSError(errno.EOPNOTSUPP, "this system accepts without end")

    async def accept(self) -> None:
        """Connections are carried again."""
        if self._placeholder is not None:
            self._give_port_back()
            await self._listen(_bound(self.port))

    # -- for its links --------------------------------------------------------------------------------------------

    def joined(self) -> None:
        self.open += 1

    def left(self) -> None:
        self.open -= 1
        if not self.open:
            self._empty.set()

    def lead_on(self, link: Link) -> None:
        """A connection came: make the rest of its way."""
        dial = asyncio.get_running_loop().create_task(self._dial(link))
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _dial(self, link: Link) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: link.far, _HOST, self._to_port)
        except OSError:
            link.near.reset()

    async def _listen(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self).near, sock=sock, ssl=self._tls)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _give_port_back(self) -> None:
        for sock in (*self._fillers, self._placeholder):
            if sock is not None:
                sock.close()
        self._fillers.clear()
        self._placeholder = None


def _bound(port: int) -> socket.socket:
    """A socket that has a port, 0 being any free one, and does not listen: connections to it are refused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # There it would let others take the port over.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((_HOST, port))
    return sock
