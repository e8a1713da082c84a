"""One connection to the gateway on asyncio: TCP, the bytes of its route, and what is unsent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from qqproto.actions import OpenConnection
from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto_transports._asyncio_dial import connect
from qqproto_transports._failures import Failed
from qqproto_transports._route import Route
from qqproto_transports._shard_runner import ShardRunner

_LINGER = 1.0
"""Seconds that a peer gets to close its half after our goodbye."""


class AsyncioStream(asyncio.Protocol):
    """A connection from its dial to its end, told to ``runner``; a :class:`~qqproto_transports._shard_runner.Stream`.

    ``finished`` is done when neither task nor socket is left of it.
    """

    def __init__(
        self, runner: ShardRunner, action: OpenConnection, make_context: Callable[[], ssl.SSLContext], policy: Policy
    ) -> None:
        self._runner = runner
        self._id = action.id
        self._url = action.url
        self._make_context = make_context
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._route: Route | None = None
        self._transport: asyncio.Transport | None = None
        self._begun = False
        self._opened = False
        self._over = False
        """Whether nothing more is told of it."""
        self._written = 0
        self._unsent_check: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self._dialling = self._loop.create_task(self._dial())
        self._dialling.add_done_callback(lambda _: self._check_finished())

    # -- what the runner asks -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send, in order, without waiting; the link is lost if too much is unsent."""
        assert self._route is not None, "a shard sends when it was told that the stream is open"
        try:
            self._route.send_data(data)
            self._write(self._route.data_to_send())
        except Exception as error:
            self._fail(error)

    def close(self) -> None:
        """Flush, say close_notify, close; ``stream_closed`` is told when it is done.

        The peer gets a moment to close first. Closing with something of its unread would be a reset, which takes with
        it what is still on its way: the goodbye.
        """
        if self._transport is None or self._transport.is_closing() or self._closing is not None:
            return  # It is told when it is done, which it will be soon.
        if self._route is not None:
            self._route.close()
            self._put(self._route.data_to_send())
        self._transport.write_eof()
        self._transport.resume_reading()
        self._closing = self._loop.call_later(_LINGER, self._transport.close)

    def abort(self) -> None:
        """Drop it, dialled or open."""
        self._over = True
        self._dialling.cancel()
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Read nothing, once it is open: a TLS handshake goes on."""
        if self._opened and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._opened and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- what asyncio tells ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._over:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=0)  # pause_writing: something is unsent; resume_writing: nothing
        # Not at once: until Python 3.11 the transport begins to read after this, paused or not.
        self._loop.call_soon(self._begin)

    def data_received(self, data: bytes) -> None:
        self._begin()
        if not self._over and self._closing is None:
            self._take(data)

    def eof_received(self) -> None:
        """The transport closes itself after this."""
        self.data_received(b"")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.resume_writing()
        if self._closing is not None:
            self._closing.cancel()
        if not self._over:
            self._over = True
            if error is None:
                self._runner.stream_closed(self._id)
            else:
                self._runner.stream_failed(self._id, error)
        self._check_finished()

    def pause_writing(self) -> None:
        self._watch_unsent(self._taken())

    def resume_writing(self) -> None:
        if self._unsent_check is not None:
            self._unsent_check.cancel()
            self._unsent_check = None

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _dial(self) -> None:
        await asyncio.sleep(0)  # An eager task factory would begin it while the machine is being drained.
        try:
            self._route = Route(self._url, None, self._make_context)
            sock = await connect(*self._route.address)
            await self._loop.create_connection(lambda: self, sock=sock)
        except Exception as error:
            self._fail(error)

    def _begin(self) -> None:
        """TCP is up."""
        if not self._begun and not self._over:
            self._begun = True
            self._take(None)

    def _take(self, data: bytes | None) -> None:
        """Take what came along the route, and send what the route answers; None begins it."""
        route = self._route
        assert route is not None, "it was made before it was connected"
        said = b""
        try:
            if data is None:
                route.start()
            else:
                said = route.receive_data(data)
            self._write(route.data_to_send())
        except Exception as error:
            # The peer is told what is wrong with its TLS; what the system does not take at once is dropped.
            self._put(route.data_to_send())
            self._fail(error)
            return
        if route.established:
            self._open()
        if said and not self._over:
            self._runner.data_received(self._id, said)
        if route.ended and not self._over:
            self._runner.data_received(self._id, b"")
            if self._transport is not None:
                self._transport.close()

    def _open(self) -> None:
        if not self._opened and not self._over:
            self._opened = True
            self._runner.stream_opened(self._id)

    def _write(self, data: bytes) -> None:
        self._put(data)
        limit = self._policy.max_unsent
        if self._transport is not None and self._transport.get_write_buffer_size() > limit:
            raise Failed(Failure(FailureKind.OTHER, f"more than {limit} bytes could not be sent"))

    def _put(self, data: bytes) -> None:
        if data and self._transport is not None and not self._over:
            self._written += len(data)
            self._transport.write(data)

    def _taken(self) -> int:
        """How many bytes the system has taken."""
        return self._written - (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def _watch_unsent(self, taken: int) -> None:
        self._unsent_check = self._loop.call_later(self._policy.unsent_timeout, self._check_unsent, taken)

    def _check_unsent(self, taken: int) -> None:
        """Something has been unsent for a while; ``taken`` is what was taken when that began."""
        now_taken = self._taken()
        if now_taken > taken:
            self._watch_unsent(now_taken)
            return
        seconds = self._policy.unsent_timeout
        self._fail(Failed(Failure(FailureKind.TIMEOUT, f"nothing could be sent for {seconds:g} s")))

    def _fail(self, error: BaseException) -> None:
        if self._transport is not None:
            self._transport.abort()
        if not self._over:
            self._over = True
            self._runner.stream_failed(self._id, error)

    def _check_finished(self) -> None:
        if self._dialling.done() and self._transport is None and not self.finished.done():
            self.finished.set_result(None)
