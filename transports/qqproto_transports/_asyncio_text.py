"""Shards in text messages on asyncio, over a WebSocket client of the host's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from qqproto.actions import Abort, CloseConnection, OpenConnection, SendText, ShardAction
from qqproto.events import Event
from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._account_runner import AccountRunner
from qqproto_transports._asyncio_runners import AsyncioShardRunner, Unfinished
from qqproto_transports._common import Closed, TextDialer, TextSocket
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed
from qqproto_transports._journal import Journal

_NO_CLOSE_FRAME = 1006
"""What WebSocket clients say in place of a code when none came (RFC 6455 §7.4.1)."""

_LEAVE_WITHIN = 0.9
"""Seconds in which a client that is not wanted any more has to say its close code and to be gone."""


class AsyncioTextRunner(AsyncioShardRunner):
    """Drives a Shard in framing TEXT; each connection is a :class:`TextStream`."""

    def __init__(
        self,
        shard: Shard,
        account: AccountRunner,
        journal: Journal,
        tell: Callable[[Event], None],
        drained: Callable[[], None],
        egress: Egress,
        policy: Policy,
        *,
        dialer: TextDialer,
    ) -> None:
        super().__init__(shard, account, journal, tell, drained, egress, policy)
        self._dialer = dialer

    def message_received(self, id: int, message: str | bytes) -> None:
        """A whole message came."""
        self._guard(self.shard.receive_message, id, message, self.clock())

    def stream_ended(self, id: int, end: Closed | Failure) -> None:
        """The WebSocket is gone, with a close frame of the server's or without."""
        self._streams.pop(id, None)
        if isinstance(end, Closed) and end.code in (None, _NO_CLOSE_FRAME):
            end = Failure(FailureKind.EOF, "the WebSocket ended without a close frame")
        if isinstance(end, Closed):
            self._guard(self.shard.connection_closed, id, int(end.code or 0), end.reason, self.clock())
        else:
            self._guard(self.shard.connection_lost, id, end, self.clock())

    def _open_stream(self, action: OpenConnection) -> TextStream:
        return TextStream(self, action, self._dialer, self._policy)

    def _perform(self, output: ShardAction | Event) -> None:
        if isinstance(output, (SendText, CloseConnection, Abort)):
            stream = self._streams.get(output.id)
            if not isinstance(stream, TextStream):
                return
            if isinstance(output, SendText):
                stream.send_text(output.text)
            elif isinstance(output, CloseConnection):
                stream.say_goodbye(output.code, output.reason)
            else:
                del self._streams[output.id]
                stream.leave(output.code)
        else:
            super()._perform(output)


class TextStream(Unfinished):
    """One WebSocket of the host's client, from its dial to its end, in a task of its own.

    One writer sends in order; a goodbye is its last item. The client's context is not left on a link that may be alive
    before a close code was said: most clients would say 1000, which ends the session.
    """

    def __init__(self, runner: AsyncioTextRunner, opening: OpenConnection, dialer: TextDialer, policy: Policy) -> None:
        loop = asyncio.get_running_loop()
        self._runner = runner
        self._opening = opening
        self._id = opening.id
        self._dialer = dialer
        self._policy = policy
        self._unsent: deque[str] = deque()
        self._goodbye: tuple[int, str] | None = None
        self._news = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._left: asyncio.Future[int | None] = loop.create_future()
        self._opened = False
        self._over = False
        """Whether nothing more is told of it."""
        self.finished: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._live())
        self._task.add_done_callback(lambda _: self.finished.set_result(None))

    # -- what the runner asks -------------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send, in order, without waiting; the link is lost if too much is unsent."""
        self._unsent.append(text)
        if sum(map(len, self._unsent)) > max(self._policy.max_unsent, len(text)):
            what = f"more than {self._policy.max_unsent} characters could not be sent"
            self._tell(Failure(FailureKind.OTHER, what))
            self.leave(self._policy.leave_code)
        self._news.set()

    def say_goodbye(self, code: int, reason: str) -> None:
        """Send what is unsent, then close with this code."""
        self._goodbye = code, reason
        self._news.set()

    def leave(self, code: int | None) -> None:
        """Drop it, dialled or open, and tell nothing more: close with ``code``, and be gone within a second."""
        self._over = True
        if self._left.done():
            return
        self._left.set_result(code)
        if self._opened:
            timer = asyncio.get_running_loop().call_later(_LEAVE_WITHIN, self._task.cancel)
            self._task.add_done_callback(lambda _: timer.cancel())
        else:
            self._task.cancel()

    def send(self, data: bytes) -> None:
        raise TypeError("a WebSocket of the host's takes text messages")

    def close(self) -> None:
        self.say_goodbye(1000, "")

    def abort(self) -> None:
        self.leave(self._policy.leave_code)

    def pause_reading(self) -> None:
        """Take no message but one that is being waited for."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        await asyncio.sleep(0)  # An eager task factory would begin it while the machine is being drained.
        try:
            async with self._dialer.dial(self._opening) as socket:
                self._opened = True
                if not self._over:
                    self._runner.stream_opened(self._id)
                await self._talk(socket)
        except Exception as error:
            self._explain(error)
        else:
            self._tell(Failure(FailureKind.EOF, "the stream was closed"))

    async def _talk(self, socket: TextSocket) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = loop.create_task(self._read(socket)), loop.create_task(self._write(socket))
        ends: list[asyncio.Task[None] | asyncio.Future[int | None]] = [reader, writer, self._left]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.wait([reader, writer])
        for task in (reader, writer):
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                self._explain(error)
        if writer.cancelled() or writer.exception() is not None:
            await self._close(socket)

    async def _read(self, socket: TextSocket) -> None:
        while True:
            await self._may_read.wait()
            message = await socket.receive()
            if not self._over:
                self._runner.message_received(self._id, message)

    async def _write(self, socket: TextSocket) -> None:
        """Returns after the goodbye."""
        while True:
            self._news.clear()
            while self._unsent:
                await self._send(socket, self._unsent[0])
                self._unsent.popleft()
            if self._goodbye is not None:
                await socket.close(*self._goodbye)
                return
            await self._news.wait()

    async def _send(self, socket: TextSocket, text: str) -> None:
        seconds = self._policy.unsent_timeout
        sending = asyncio.get_running_loop().create_task(socket.send(text))
        try:
            await asyncio.wait([sending], timeout=seconds)
        finally:
            sending.cancel()
        if not sending.done():
            raise Failed(Failure(FailureKind.TIMEOUT, f"nothing could be sent for {seconds:g} s"))
        sending.result()

    async def _close(self, socket: TextSocket) -> None:
        """Say that we may be back, before the client's context says something else."""
        code = self._left.result() if self._left.done() else self._policy.leave_code
        if code is not None:
            try:
                await asyncio.wait_for(socket.close(code, ""), _LEAVE_WITHIN)
            except Exception:
                pass  # It was gone already, or is now.

    def _explain(self, error: Exception) -> None:
        if self._over:
            return
        try:
            end = error.failure if isinstance(error, Failed) else self._dialer.explain(error)
        except Exception as bug:
            self._over = True
            self._runner.bug(bug)
        else:
            self._tell(end)

    def _tell(self, end: Closed | Failure) -> None:
        if not self._over:
            self._over = True
            self._runner.stream_ended(self._id, end)
