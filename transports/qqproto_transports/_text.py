"""Shards in text messages over a WebSocket client of the host's: what is unsent, who says goodbye, what is told.

Nothing in here knows of an event loop; what is awaited is the host's, or a verb of the driver's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol

from qqproto.actions import Abort, CloseConnection, OpenConnection, SendText, ShardAction
from qqproto.events import Event
from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto_transports._common import Closed, TextDialer, TextSocket
from qqproto_transports._failures import Failed
from qqproto_transports._shard_runner import ShardRunner

_NO_CLOSE_FRAME = 1006
"""What WebSocket clients say in place of a code when none came (RFC 6455 §7.4.1)."""

LEAVE_WITHIN = 0.9
"""Seconds in which a client that is not wanted any more has to say its close code and to be gone."""

_CLOSE_WITHIN = 0.7
"""Of these, how many it gets for the close code."""


class TextRunner(ShardRunner):
    """Drives a Shard in framing TEXT; what a driver's own class dials is a :class:`TextStreamCore`."""

    __slots__ = ()

    def message_received(self, id: int, message: str | bytes) -> None:
        """A whole message came."""
        self._guard(self.shard.receive_message, id, message, self.clock())

    def stream_ended(self, id: int, end: Closed | Failure) -> None:
        """The WebSocket is gone, with a close frame of the server's or without."""
        self._let_go(id)
        if isinstance(end, Closed) and end.code in (None, _NO_CLOSE_FRAME):
            end = Failure(FailureKind.EOF, "the WebSocket ended without a close frame")
        if isinstance(end, Closed):
            self._guard(self.shard.connection_closed, id, int(end.code or 0), end.reason, self.clock())
        else:
            self._guard(self.shard.connection_lost, id, end, self.clock())

    def _perform(self, output: ShardAction | Event) -> None:
        if isinstance(output, (SendText, CloseConnection, Abort)):
            stream = self._stream(output.id)
            if not isinstance(stream, TextStreamCore):
                return
            if isinstance(output, SendText):
                stream.send_text(output.text)
            elif isinstance(output, CloseConnection):
                stream.say_goodbye(output.code, output.reason)
            else:
                self._let_go(output.id)
                stream.leave(output.code)
        else:
            super()._perform(output)


class TextListener(Protocol):
    """Who is told of a stream; a :class:`TextRunner`, as a rule."""

    def stream_opened(self, id: int) -> None: ...
    def message_received(self, id: int, message: str | bytes) -> None: ...
    def stream_ended(self, id: int, end: Closed | Failure) -> None: ...
    def bug(self, error: BaseException) -> None: ...


class TextStreamCore(ABC):
    """One WebSocket of the host's client, from its dial to its end; a driver's own class has it live in a task.

    One writer sends in order; a goodbye is its last item. The client's context is not left on a link that may be alive
    before a close code was said: most clients would say 1000, which ends the session.
    """

    def __init__(self, runner: TextListener, opening: OpenConnection, dialer: TextDialer, policy: Policy) -> None:
        self._runner = runner
        self._opening = opening
        self.id = opening.id
        self._dialer = dialer
        self._policy = policy
        self._unsent: deque[str] = deque()
        self._unsent_bytes = 0
        self._goodbye: tuple[int, str] | None = None
        self._parted = False
        """Whether the goodbye was said."""
        self._opened = False
        self._left = False
        self._leave_code: int | None = None
        self._over = False
        """Whether nothing more is told of it."""

    # -- what the runner asks -------------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send, in order, without waiting; the link is lost if too much is unsent."""
        self._unsent.append(text)
        self._unsent_bytes += _size(text)
        limit = self._policy.max_unsent
        if self._unsent_bytes > max(limit, _size(text)):
            self._tell(Failure(FailureKind.OTHER, f"more than {limit} bytes could not be sent"))
            self.leave(self._policy.leave_code)
        self._wake_writer()

    def say_goodbye(self, code: int, reason: str) -> None:
        """Send what is unsent, then close with this code."""
        self._goodbye = code, reason
        self._wake_writer()

    def leave(self, code: int | None) -> None:
        """Drop it, dialled or open, and tell nothing more: close with ``code``, and be gone within a second."""
        self._over = True
        if self._left:
            return
        self._left = True
        self._leave_code = code
        if self._opened:
            self._hurry()
        else:
            self._hang_up()

    def send(self, data: bytes) -> None:
        raise TypeError("a WebSocket of the host's takes text messages")

    def close(self) -> None:
        self.say_goodbye(1000, "")

    def abort(self) -> None:
        self.leave(self._policy.leave_code)

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def pause_reading(self) -> None:
        """Take no message but one that is being waited for."""

    @abstractmethod
    def resume_reading(self) -> None: ...

    @abstractmethod
    def _wake_writer(self) -> None:
        """End :meth:`_await_work`."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Cancel the dial."""

    @abstractmethod
    def _hurry(self) -> None:
        """End :meth:`_talk`, and cancel what is left in :data:`LEAVE_WITHIN` seconds."""

    @abstractmethod
    async def _await_leave_to_read(self) -> None:
        """Wait until reading is not paused."""

    @abstractmethod
    async def _await_work(self) -> None:
        """Wait until :meth:`_has_work`."""

    @abstractmethod
    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> bool:
        """Whether ``work`` was done in time; else it is cancelled. Raises what it raises."""

    @abstractmethod
    async def _talk(self, socket: TextSocket) -> list[Exception]:
        """:meth:`_read` and :meth:`_write` until one of them ends; what they raised, the reader's first."""

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        try:
            async with self._dialer.dial(self._opening) as socket:
                self._opened = True
                if not self._over:
                    self._runner.stream_opened(self.id)
                if not self._left:
                    for error in await self._talk(socket):
                        self._explain(error)
                if not self._parted:
                    await self._part(socket)
        except Exception as error:
            self._explain(error)
        else:
            self._tell(_EOF)

    async def _read(self, socket: TextSocket) -> None:
        while True:
            await self._await_leave_to_read()
            message = await socket.receive()
            if not self._over:
                self._runner.message_received(self.id, message)

    async def _write(self, socket: TextSocket) -> None:
        """Returns after the goodbye."""
        while True:
            await self._await_work()
            while self._unsent:
                seconds = self._policy.unsent_timeout
                if not await self._within(seconds, socket.send(self._unsent[0])):
                    raise Failed(Failure(FailureKind.TIMEOUT, f"nothing could be sent for {seconds:g} s"))
                self._unsent_bytes -= _size(self._unsent.popleft())
            if self._goodbye is not None:
                await socket.close(*self._goodbye)
                self._parted = True
                return

    def _has_work(self) -> bool:
        """Whether there is something to send, or the goodbye to say."""
        return bool(self._unsent) or self._goodbye is not None

    async def _part(self, socket: TextSocket) -> None:
        """Say that we may be back, before the client's context says something else."""
        self._tell(_EOF)
        self.leave(self._policy.leave_code)
        if self._leave_code is not None:
            try:
                await self._within(_CLOSE_WITHIN, socket.close(self._leave_code, ""))
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
            self._runner.stream_ended(self.id, end)


_EOF = Failure(FailureKind.EOF, "the stream was closed")


def _size(text: str) -> int:
    """Bytes that ``text`` has in a WebSocket message."""
    return len(text.encode())
