"""One connection to the gateway on anyio: a socket, the bytes of its route, and what is unsent.

On a socket and not on anyio's streams, whose verbs wait: what can be sent at once is sent at once, and what cannot has
its progress watched.
"""

from __future__ import annotations

import socket

from anyio import CancelScope, Event, create_task_group, current_time, move_on_after, wait_readable, wait_writable

from qqproto.actions import OpenConnection
from qqproto.policy import Policy
from qqproto_transports._anyio_dial import choose_proxy, connect
from qqproto_transports._anyio_tasks import Tasks
from qqproto_transports._egress import Egress
from qqproto_transports._route import Route
from qqproto_transports._stream import LINGER, READ_SIZE, Listener, StreamCore


class AnyioStream(StreamCore):
    """A stream as a task, which dials, then reads; what the system does not take at once has another one."""

    __slots__ = (
        "_closing", "_egress", "_finished", "_flushers", "_life", "_reading", "_resumed", "_sock", "_unsent", "_url",
    )  # fmt: skip

    def __init__(
        self,
        runner: Listener,
        action: OpenConnection,
        egress: Egress,
        policy: Policy,
        tasks: Tasks,
    ) -> None:
        super().__init__(runner, action.id, policy)
        self._url = action.url
        self._egress = egress
        self._sock: socket.socket | None = None
        self._unsent = bytearray()
        self._flushers = create_task_group()
        self._reading = CancelScope()
        self._resumed: Event | None = None
        """Set when reading may go on; None: it does."""
        self._closing = False
        self._finished = False
        """Whether nothing more is read, and nothing more taken to be sent."""
        self._life = tasks.start(self._live)

    # -- what the runner asks -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Flush, say close_notify, close; ``stream_closed`` is told when it is done.

        The peer gets a moment to close first. Closing with something of its unread would be a reset, which takes with
        it what is still on its way: the goodbye.
        """
        if self._sock is None or self._closing or self._finished:
            return  # It is told when it is done, which it will be soon.
        self._closing = True
        if self._route is not None:
            self._route.close()
            self._put(self._route.data_to_send())
        if not self._unsent:
            _half_close(self._sock)
        self._read_on()
        self._reading.deadline = current_time() + LINGER

    def abort(self) -> None:
        """Drop it, dialled or open."""
        self._over = True
        self._cut()

    def pause_reading(self) -> None:
        """Read nothing, once it is open: a TLS handshake goes on."""
        if self._opened and not self._closing and self._resumed is None:
            self._resumed = Event()

    def resume_reading(self) -> None:
        self._read_on()

    # -- steps: its life ------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        try:
            proxy = await choose_proxy(self._egress, self._url)
            self._route = Route(self._url, proxy, self._egress.context, self._policy)
            sock = await connect(*self._route.address)
        except Exception as error:
            self._fail(error)
            return
        with sock:
            self._sock = sock
            async with self._flushers:
                await self._talk(sock)
        self._closed()

    async def _talk(self, sock: socket.socket) -> None:
        """Until nothing more is to be read; what is still unsent may go on."""
        try:
            self._take(None)
            with self._reading:
                await self._read(sock)
            self._finished = True
        except Exception as error:
            self._fail(error)

    async def _read(self, sock: socket.socket) -> None:
        while not self._finished:
            if self._resumed is not None:
                await self._resumed.wait()
            await wait_readable(sock)
            if self._resumed is not None:
                continue
            try:
                data = sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                continue
            if not self._closing:
                self._take(data)
            elif not data:
                return

    def _read_on(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def _finish(self) -> None:
        self._finished = True

    def _cut(self) -> None:
        self._life.cancel()

    # -- steps: what is sent --------------------------------------------------------------------------------------

    def _put(self, data: bytes) -> None:
        if not data or self._sock is None or self._over or self._finished:
            return
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except OSError:
            sent = 0  # If it is more than a full buffer, the next try tells, or a read.
        if sent < len(data):
            self._unsent += data[sent:]
            self._flushers.start_soon(self._flush, self._sock)

    def _count_unsent(self) -> int:
        return len(self._unsent)

    async def _flush(self, sock: socket.socket) -> None:
        """Send what is unsent as the system takes it."""
        try:
            while self._unsent:
                with move_on_after(self._policy.unsent_timeout) as patience:
                    await self._send_some(sock)
                if patience.cancelled_caught:
                    self._fail_for_want_of_progress()
                    return
        except Exception as error:
            self._fail(error)
            return
        if self._closing:
            _half_close(sock)

    async def _send_some(self, sock: socket.socket) -> None:
        while True:
            await wait_writable(sock)
            try:
                sent = sock.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                continue
            del self._unsent[:sent]
            return


def _half_close(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The connection is gone already, and reading will tell.
