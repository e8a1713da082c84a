"""One connection to the gateway on asyncio: TCP, the bytes of its route, and what is unsent."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from qqproto.actions import OpenConnection
from qqproto.policy import Policy
from qqproto_transports._asyncio_dial import choose_proxy, connect
from qqproto_transports._egress import Egress
from qqproto_transports._route import Route
from qqproto_transports._stream import LINGER, READ_SIZE, Listener, StreamCore


class AsyncioListener(Listener, Protocol):
    """Who is told of a stream, and besides when there is nothing left of it."""

    def stream_finished(self, id: int) -> None: ...


class AsyncioStream(asyncio.Protocol, StreamCore):
    """A stream on an asyncio transport."""

    __slots__ = (
        "_begun", "_closing", "_dialling", "_egress", "_finished", "_loop", "_told_last", "_transport", "_unsent_check",
        "_url", "_written",
    )  # fmt: skip

    def __init__(self, runner: AsyncioListener, action: OpenConnection, egress: Egress, policy: Policy) -> None:
        StreamCore.__init__(self, runner, action.id, policy)
        self._told_last = runner
        self._url = action.url
        self._egress = egress
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._begun = False
        self._written = 0
        self._unsent_check: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None
        self._dialling: asyncio.Task[None] | None = self._loop.create_task(self._dial())
        self._dialling.add_done_callback(self._dialled)

    @property
    def finished(self) -> asyncio.Future[None]:
        """Done when neither task nor socket is left of it."""
        if self._finished is None:
            self._finished = self._loop.create_future()
            self._check_finished()
        return self._finished

    # -- what the runner asks -------------------------------------------------------------------------------------

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
        try:
            self._transport.write_eof()
        except OSError:
            pass  # The connection is gone already, and reading will tell.
        self._transport.resume_reading()
        self._closing = self._loop.call_later(LINGER, self._transport.close)

    def abort(self) -> None:
        """Drop it, dialled or open."""
        self._over = True
        if self._dialling is not None:
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
        if hasattr(transport, "max_size"):  # Not on every event loop, and documented for none.
            transport.max_size = READ_SIZE
        self._transport.set_write_buffer_limits(high=0)  # pause_writing: something is unsent; resume_writing: nothing
        # Not at once: until Python 3.11 the transport begins to read after this, paused or not.
        self._loop.call_soon(self._begin)

    def data_received(self, data: bytes) -> None:
        if not self._begun:
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
        if error is None:
            self._closed()
        else:
            self._fail(error)
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
            proxy = await choose_proxy(self._egress, self._url)
            self._route = Route(self._url, proxy, self._egress.context, self._policy)
            sock = await connect(*self._route.address)
            await self._loop.create_connection(lambda: self, sock=sock)
        except Exception as error:
            self._fail(error)

    def _dialled(self, _: asyncio.Task[None]) -> None:
        """The task is over, and nothing of it is kept."""
        self._dialling = None
        self._check_finished()

    def _begin(self) -> None:
        """TCP is up."""
        if not self._begun and not self._over:
            self._begun = True
            self._take(None)

    def _put(self, data: bytes) -> None:
        if data and self._transport is not None and not self._over:
            self._written += len(data)
            self._transport.write(data)

    def _count_unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _finish(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _taken(self) -> int:
        """How many bytes the system has taken."""
        return self._written - self._count_unsent()

    def _watch_unsent(self, taken: int) -> None:
        self._unsent_check = self._loop.call_later(self._policy.unsent_timeout, self._check_unsent, taken)

    def _check_unsent(self, taken: int) -> None:
        """Something has been unsent for a while; ``taken`` is what was taken when that began."""
        now_taken = self._taken()
        if now_taken > taken:
            self._watch_unsent(now_taken)
        else:
            self._fail_for_want_of_progress()

    def _check_finished(self) -> None:
        if self._dialling is not None or self._transport is not None:
            return
        self._told_last.stream_finished(self.id)
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)
