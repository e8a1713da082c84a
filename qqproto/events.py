"""What a shard tells the application; a closed union, in the order in which things happened.

``shard`` is the shard's index. Ages and ``retry_in`` are spans in seconds, not times. Treat events as immutable. A
match over them ends with ``case _``: minor versions may add events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from qqproto.decoding import Unread
from qqproto.failures import Failure
from qqproto.protocol.close_codes import Phase, StopReason, Verdict
from qqproto.session import User


@dataclass(slots=True)
class Dispatch:
    """Something happened on the platform: a message, a new member, a pressed button.

    ``type`` is the envelope's ``t``, ``data`` its ``d`` as decoded, ``id`` the event id (usable as ``event_id`` in
    passive replies), ``sequence`` its number in the session. ``redelivered``: it may be one that an earlier process has
    seen. ``envelope`` is the whole message as decoded, unknown keys included. ``session_id`` says which session it
    belongs to, for settling.
    """

    type: str
    data: Any
    id: str | None = None
    sequence: int | None = None
    shard: int = 0
    redelivered: bool = False
    envelope: dict[str, Any] = field(default_factory=dict, repr=False)
    session_id: str | None = field(default=None, repr=False)
    trace: tuple[Any, ...] | None = field(default=None, init=False, repr=False, compare=False)
    """What its session keeps of it; of no use to others."""
    unread: Unread | None = field(default=None, init=False, repr=False, compare=False)
    """The message by itself, until ``data`` or ``envelope`` is looked at; only with a decoder that leaves it unread."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Python asks here for what a slot does not have.
            unread = self.unread if name in ("data", "envelope") else None
            if unread is not None:
                envelope = unread.read()
                self.envelope, self.data = envelope, envelope.get("d")
                self.unread = None
            return object.__getattribute__(self, name)


@dataclass(slots=True)
class Ready:
    """A new session is live. ``dispatch`` is the READY as it came; it settles itself."""

    shard: int
    session_id: str
    user: User
    dispatch: Dispatch


@dataclass(slots=True)
class Resumed:
    """The session goes on over a new connection.

    ``replayed`` dispatches came again for it before this; ``missing`` sequences between them did not come.
    ``restored``: the session was another process's. ``dispatch`` is the RESUMED as it came; it settles itself.
    """

    shard: int
    session_id: str
    user: User
    dispatch: Dispatch
    replayed: int
    missing: int
    restored: bool


@dataclass(slots=True)
class Disconnected:
    """A connection, or an attempt at one, is over, with its whole diagnosis.

    ``code`` and ``reason`` are the close frame's, None and empty without one. ``failure`` is what the driver or the
    machine saw instead. ``phase`` is where it happened, ``verdict`` what is done next. ``planned``: a rotation.
    ``last_send``, ``last_receive``, ``last_ack`` are ages in seconds, None if there was none on that connection;
    ``lag`` is the longest stall of our own during it. The next dial comes in ``retry_in`` seconds, None if there is
    none. ``attempt`` counts the failures since the connection was last stable.
    """

    shard: int
    code: int | None
    reason: str
    verdict: Verdict
    phase: Phase
    failure: Failure | None
    planned: bool
    last_send: float | None
    last_receive: float | None
    last_ack: float | None
    lag: float
    retry_in: float | None
    attempt: int


@dataclass(slots=True)
class Online:
    """The shard is there again, or for the first time; comes before the first dispatch that follows an ``Offline``.

    ``away``: seconds since the session was last live, None at the first time.
    """

    shard: int
    away: float | None


@dataclass(slots=True)
class Offline:
    """The shard has been away for longer than the grace. ``cause`` is the last thing that went wrong, if anything did
    yet."""

    shard: int
    cause: Disconnected | None


@dataclass(slots=True)
class Malformed:
    """The server sent something that cannot be understood. ``sample`` is its beginning; the link stays."""

    shard: int
    what: str
    sample: str


@dataclass(slots=True)
class LoopLag:
    """The driver came ``seconds`` too late: the event loop was blocked, or the machine was suspended."""

    shard: int
    seconds: float


@dataclass(slots=True)
class IdentifyBudgetLow:
    """Few sessions may still be started today: ``remaining`` of ``total``, refilled in ``reset_after`` seconds."""

    shard: int
    remaining: int
    total: int
    reset_after: float


@dataclass(slots=True)
class ConflictSuspected:
    """Another process seems to run the same bot and shard: the session was taken over again and again."""

    shard: int
    hint: str


@dataclass(slots=True)
class ConfigurationError:
    """The platform refuses us for a reason that a person can mend; told once, and tried again every few minutes."""

    shard: int
    hint: str
    failure: Failure | None
    code: int | None


@dataclass(slots=True)
class SettlementLagging:
    """The application does not finish what it was given: ``unsettled`` dispatches are open, the ``oldest`` for so many
    seconds, and ``given_up`` were given up since the session began. What a next process resumes from stands still."""

    shard: int
    unsettled: int
    oldest: float
    given_up: int


@dataclass(slots=True)
class SessionRefused:
    """A saved session was not resumed, and why; a new one is started. What came for the old one meanwhile is lost."""

    shard: int
    reason: str


@dataclass(slots=True)
class StoreFailed:
    """The session store could not ``"load"`` or ``"save"``; a driver tells it, once for each reason.

    After a load that failed a new session is started, and what came for the old one meanwhile is lost. A save is tried
    again, and until one succeeds a next process resumes from what was saved last.
    """

    shard: int
    operation: Literal["load", "save"]
    reason: str


@dataclass(slots=True)
class ReadingPaused:
    """The application is behind: ``buffered`` events wait for it, the limit of ``policy.max_buffered``.

    Nothing more is read, by any shard, until it has taken half of them; nothing is lost, and heartbeats go on. The log
    has this at once, the application after the events that wait.
    """

    shard: int
    buffered: int


@dataclass(slots=True)
class Stopped:
    """The shard has ended; exactly once, and last. ``retryable``: a restart may help without anything being changed."""

    shard: int
    reason: StopReason
    retryable: bool
    hint: str
    code: int | None = None
    failure: Failure | None = None


Event: TypeAlias = (
    Dispatch
    | Ready
    | Resumed
    | Disconnected
    | Online
    | Offline
    | Malformed
    | LoopLag
    | IdentifyBudgetLow
    | ConflictSuspected
    | ConfigurationError
    | SettlementLagging
    | SessionRefused
    | StoreFailed
    | ReadingPaused
    | Stopped
)
"""Everything a shard tells the application. Works with ``isinstance``."""
