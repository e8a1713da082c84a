"""Driving a Shard, as every driver does it: drain it, begin what it asks, hand its events out, end loudly on a bug.

Nothing in here waits, and nothing knows of an event loop.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ParamSpec, Protocol

from qqproto.actions import (
    Abort,
    Cancel,
    CloseConnection,
    FetchGateway,
    FetchToken,
    OpenConnection,
    ReserveIdentify,
    SendData,
    SendText,
    ShardAction,
)
from qqproto.credentials import Token
from qqproto.events import Dispatch, Event, Stopped
from qqproto.failures import Failure, FailureKind
from qqproto.pacing import IdentifySlot
from qqproto.protocol.close_codes import Phase
from qqproto.protocol.rest import GatewayInfo
from qqproto.shard import Shard
from qqproto_transports._account_runner import AccountRunner
from qqproto_transports._failures import failure_of
from qqproto_transports._journal import Journal

P = ParamSpec("P")

MOST_SHARDS = 512
"""More than this is no recommendation to one process, which by default may open 1024 files."""


class Stream(Protocol):
    """One connection, being dialled or open. No verb waits; after :meth:`abort` nothing more is told of it."""

    @property
    def id(self) -> int: ...

    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class ShardRunner(ABC):
    """Drives one Shard. A driver's own class dials and keeps the alarm.

    ``tell`` is called with each event, ``drained`` when all that one input brought is told and begun.
    """

    __slots__ = (
        "_drained", "_draining", "_due", "_journal", "_paused", "_streams", "_tell", "account", "census", "clock",
        "error", "shard", "stopped_at",
    )  # fmt: skip

    def __init__(
        self,
        shard: Shard,
        account: AccountRunner,
        journal: Journal,
        tell: Callable[[Event], None],
        drained: Callable[[], None],
    ) -> None:
        self.shard = shard
        self.account = account
        self.clock = account.clock
        self.error: BaseException | None = None
        """The bug that ended it, if one did."""
        self.stopped_at = math.inf
        """When it said its last, on the runner's clock."""
        self.census: Callable[[int], bool] | None = None
        """How many shards there are is not known yet: called once with the platform's recommendation, it puts others
        in the place of this one, or says False: this one is right."""
        self._journal = journal
        self._tell = tell
        self._drained = drained
        self._streams: tuple[Stream, ...] = ()
        """One, as a rule; two while one says goodbye and the next is dialled."""
        self._due: float | None = None
        """What the alarm is set to."""
        self._draining = False
        self._paused = False

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the session is live on an open link."""
        return self.shard.phase is Phase.READY

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.shard.ended or self.error is not None

    # -- what the driver and the application tell -----------------------------------------------------------------

    def attach(self) -> None:
        """It is going to start. Raises RuntimeError if the account cannot serve it."""
        self.account.attach(self)

    def replace(self, shard: Shard) -> None:
        """``shard`` takes the place of the one that was here."""
        self.shard = shard
        if self._paused:
            shard.reading_paused(self.clock())

    def start(self) -> None:
        """Begin, unless it was closed before."""
        self.attach()
        if self.shard.ended:
            self._guard(self.account.detach, self)
        else:
            self._guard(self.shard.start, self.clock())

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        if self.census is not None and isinstance(value, GatewayInfo) and not self.ended:
            self._guard(self._take_census, self.census, id, value)
        else:
            self._guard(self.shard.answer, id, value, self.clock())

    def stream_opened(self, id: int) -> None:
        """The stream is up."""
        if self._paused and (stream := self._stream(id)) is not None:
            stream.pause_reading()
        self._guard(self.shard.connection_opened, id, self.clock())

    def data_received(self, id: int, data: bytes) -> None:
        """Bytes came; ``b""`` is the end of the stream."""
        if self.error is not None:
            return
        try:  # As _guard does it, at what it costs to call it: of all inputs this is the one that comes often.
            self.shard.receive_data(id, data, self.clock())
            self._drain()
        except Exception as error:
            self.bug(error)

    def stream_failed(self, id: int, error: BaseException) -> None:
        """The dial or the stream ended with an exception: the one seam at which it becomes a Failure, or a bug."""
        self._let_go(id)
        try:
            failure = failure_of(error)
        except BaseException as bug:
            self.bug(bug)
        else:
            self._guard(self.shard.connection_lost, id, failure, self.clock())

    def stream_closed(self, id: int) -> None:
        """The stream was closed, as ``CloseConnection`` asked or by its peer."""
        self._let_go(id)
        failure = Failure(FailureKind.EOF, "the stream was closed")
        self._guard(self.shard.connection_lost, id, failure, self.clock())

    def handle_timer(self) -> None:
        self._due = None  # It has rung.
        self._guard(self.shard.handle_timer, self.clock())

    def pause_reading(self) -> None:
        """The application has enough to do."""
        self._paused = True
        for stream in self._streams:
            stream.pause_reading()
        self._guard(self.shard.reading_paused, self.clock())

    def resume_reading(self) -> None:
        self._paused = False
        for stream in self._streams:
            stream.resume_reading()
        self._guard(self.shard.reading_resumed, self.clock())

    def close(self, *, keep_session: bool = False) -> None:
        """Say goodbye; from any state, any number of times, of which the first counts."""
        self._guard(self.shard.close, self.clock(), keep_session=keep_session)

    def hurry(self) -> None:
        """The goodbye takes too long: drop what is left."""
        for stream in self._streams:
            self._let_go(stream.id)
            stream.abort()
            failure = Failure(FailureKind.TIMEOUT, "the goodbye took too long")
            self._guard(self.shard.connection_lost, stream.id, failure, self.clock())

    def bug(self, error: BaseException) -> None:
        """Something raised what is no failure of the network: end loudly."""
        if self.error is not None:
            return
        self.error = error
        self._journal.bug(self.shard.status(self.clock()).shard, error)
        self.shard.fail(f"a bug in the driver or in its host: {type(error).__name__}", self.clock())
        while (output := self.shard.next_output()) is not None:
            try:
                if isinstance(output, (Abort, Cancel, Event)):
                    self._perform(output)
            except Exception:
                continue  # The first bug is the one that is told.
        self._due = None
        self._set_alarm(None)
        self._drained()

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def _dial(self, action: OpenConnection) -> Stream:
        """Begin to open a stream; then tell ``stream_opened``, ``data_received``, and last of all ``stream_failed`` or
        ``stream_closed``."""

    @abstractmethod
    def _set_alarm(self, at: float | None) -> None:
        """Call ``handle_timer`` at ``at``, on the runner's clock; None: never."""

    # -- steps ----------------------------------------------------------------------------------------------------

    def _guard(self, step: Callable[P, None], *args: P.args, **options: P.kwargs) -> None:
        """Give the machine one input and drain it; what is raised is a bug."""
        if self.error is not None:
            return
        try:
            step(*args, **options)
            self._drain()
        except Exception as error:
            self.bug(error)

    def _drain(self) -> None:
        if self._draining:
            return  # An answer came while its question was being asked, or a handler closes; the drain goes on.
        self._draining = True
        try:
            tell = self._tell
            while (output := self.shard.next_output()) is not None:  # The census may put another one there.
                if type(output) is Dispatch:
                    tell(output)
                else:
                    self._perform(output)
        finally:
            self._draining = False
        if self.error is None:
            due = self.shard.next_timer()
            if due != self._due:
                self._due = due
                self._set_alarm(due)
            self._drained()

    def _stream(self, id: int) -> Stream | None:
        """The stream ``id``, None if it is gone."""
        for stream in self._streams:
            if stream.id == id:
                return stream
        return None

    def _let_go(self, id: int) -> None:
        """The stream ``id`` is gone."""
        self._streams = tuple(stream for stream in self._streams if stream.id != id)

    def _take_census(self, census: Callable[[int], bool], id: int, info: GatewayInfo) -> None:
        """The platform has said how many shards there should be."""
        if info.shards > MOST_SHARDS:
            failure = Failure(FailureKind.OTHER, f"{info.shards} shards are recommended, too many for a process")
            self.shard.answer(id, failure, self.clock())
            return
        self.census = None
        if not census(info.shards):
            self.shard.answer(id, info, self.clock())

    def _perform(self, output: ShardAction | Event) -> None:
        if isinstance(output, Event):
            if type(output) is Stopped:
                self.stopped_at = self.clock()
                self.account.detach(self)
            if self.error is None:  # Else the bug is in the log, and this is what it led to.
                self._journal.event(output)
            self._tell(output)
            return
        match output:
            case SendData():
                if (stream := self._stream(output.id)) is not None:
                    stream.send(output.data)
            case FetchToken() | FetchGateway() | ReserveIdentify():
                self.account.ask(self, output)
            case OpenConnection():
                stream = self._dial(output)
                self._streams = (*self._streams, stream)
            case CloseConnection():
                if (stream := self._stream(output.id)) is not None:
                    stream.close()
            case Abort():
                if (stream := self._stream(output.id)) is not None:
                    self._let_go(output.id)
                    stream.abort()
            case Cancel():
                self.account.withdraw(self, output.id)
            case SendText():
                raise TypeError("this driver opens sockets itself: give it a shard in framing BYTES")
