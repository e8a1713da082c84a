"""One connection to the gateway on a non-blocking socket: TCP, the bytes of its route, and what is unsent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from qqproto.actions import OpenConnection
from qqproto.policy import Policy
from qqproto.wire.proxies import Proxy
from qqproto_transports._egress import Egress
from qqproto_transports._route import Route
from qqproto_transports._stream import LINGER, READ_SIZE, Listener, StreamCore
from qqproto_transports._sync_dial import Dial
from qqproto_transports._sync_loop import READ, WRITE, Alarm, Loop
from qqproto_transports._sync_threads import Helper


class SyncStream(StreamCore):
    """A stream on a socket of ``loop``; ``on_finished`` is called when nothing is left of it."""

    __slots__ = (
        "_closing", "_dialling", "_egress", "_linger", "_loop", "_may_end", "_on_finished", "_paused", "_sock",
        "_unsent", "_unsent_check", "_url",
    )  # fmt: skip

    def __init__(
        self,
        runner: Listener,
        action: OpenConnection,
        egress: Egress,
        policy: Policy,
        loop: Loop,
        on_finished: Callable[[SyncStream], object],
    ) -> None:
        super().__init__(runner, action.id, policy)
        self._url = action.url
        self._egress = egress
        self._loop = loop
        self._on_finished = on_finished
        self._dialling: Dial | None = None
        self._sock: socket.socket | None = None
        self._unsent = bytearray()
        self._unsent_check = Alarm(loop, self._fail_for_want_of_progress)
        self._paused = False
        self._closing = False
        """Whether we have said goodbye: what comes is not heard any more."""
        self._may_end = False
        """Whether the connection is to be closed as soon as all is sent."""
        self._linger = Alarm(loop, self._finish)
        loop.post(self._dial)  # Nothing is told of it while the machine is being drained.

    # -- what the runner asks -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Flush, say close_notify, close; ``stream_closed`` is told when it is done.

        The peer gets a moment to close first. Closing with something of its unread would be a reset, which takes with
        it what is still on its way: the goodbye.
        """
        if self._sock is None or self._closing:
            return  # It is told when it is done, which it will be soon.
        if self._route is not None:
            self._route.close()
            self._put(self._route.data_to_send())
        self._closing = True
        self._linger.set(self._loop.clock() + LINGER)
        self._flushed()

    def abort(self) -> None:
        """Drop it, dialled or open."""
        self._over = True
        self._cut()

    def pause_reading(self) -> None:
        """Read nothing, once it is open: a TLS handshake goes on."""
        self._paused = self._opened
        self._watch()

    def resume_reading(self) -> None:
        self._paused = False
        self._watch()

    # -- what the socket tells ------------------------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        if events & READ:
            self._read()
        if events & WRITE and self._sock is not None:
            self._flush()

    def _read(self) -> None:
        assert self._sock is not None, "it is watched"
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not self._closing:
            self._take(data)
        if not data:
            self._finish()

    def _flush(self) -> None:
        """Let the system take what it takes of what is unsent."""
        assert self._sock is not None, "it is watched"
        try:
            count = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._on_broken(error)
            return
        del self._unsent[:count]
        if self._unsent:
            self._expect_progress()
        else:
            self._flushed()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _dial(self) -> None:
        """Begin: which proxy is it to go through?"""
        if self._over:
            return
        choose = partial(self._egress.choose, self._url)
        if self._egress.blocks:
            chosen = Helper(choose, "choice of a proxy").begin()
            chosen.add_done_callback(lambda chosen: self._loop.post(lambda: self._on_chosen(chosen)))
        else:
            self._set_out(choose)

    def _on_chosen(self, chosen: Future[Proxy | None]) -> None:
        if not self._over:
            self._set_out(chosen.result)

    def _set_out(self, choose: Callable[[], Proxy | None]) -> None:
        try:
            self._route = Route(self._url, choose(), self._egress.context, self._policy)
        except Exception as error:
            self._fail(error)
        else:
            self._dialling = Dial(self._loop, *self._route.address, self._on_reached, self._fail)

    def _on_reached(self, sock: socket.socket) -> None:
        self._sock = sock
        self._watch()
        self._take(None)

    def _watch(self) -> None:
        """Wait for what the socket may have for us."""
        if self._sock is not None:
            read = READ if (self._closing or not self._paused) and not self._may_end else 0
            self._loop.watch(self._sock, read | (WRITE if self._unsent else 0), self._on_ready)

    def _put(self, data: bytes) -> None:
        if not data or self._sock is None or self._over:
            return
        waits = bool(self._unsent)
        self._unsent += data
        if not waits:
            self._flush()
            if self._unsent:
                self._expect_progress()
                self._watch()

    def _expect_progress(self) -> None:
        self._unsent_check.set(self._loop.clock() + self._policy.unsent_timeout)

    def _flushed(self) -> None:
        """Do what was to be done when all is sent, if it is."""
        if self._unsent or self._sock is None:
            return
        self._unsent_check.set(None)
        if self._may_end:
            self._cut()
            self._closed()
            return
        if self._closing:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._on_broken(error)
                return
        self._watch()

    def _count_unsent(self) -> int:
        return len(self._unsent)

    def _finish(self) -> None:
        self._may_end = True
        self._watch()
        self._flushed()

    def _on_broken(self, error: OSError) -> None:
        """Nothing more can be sent. What has come before that is heard all the same: it may say why."""
        self._loop.post(lambda: self._hear_last_words(error))

    def _hear_last_words(self, error: OSError) -> None:
        if self._sock is not None and not self._paused:
            self._read()
        if self._sock is not None:
            self._fail(error)

    def _cut(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        self._unsent.clear()
        self._unsent_check.set(None)
        self._linger.set(None)
        if self._sock is not None:
            sock, self._sock = self._sock, None
            self._loop.forget(sock)
            try:
                sock.shutdown(socket.SHUT_RDWR)  # Closing alone says nothing while a forked child has a copy of it.
            except OSError:
                pass  # It has been said, or there is nobody to say it to.
            sock.close()
        self._on_finished(self)
