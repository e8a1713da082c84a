"""When to send a heartbeat, and when a link that answers none is dead."""

from __future__ import annotations

import enum
import math

from qqproto.policy import Policy

_NEVER = math.inf


class Beat(enum.Enum):
    """What is due."""

    __hash__ = object.__hash__

    HEARTBEAT = "heartbeat"
    PING = "ping"
    """``policy.keepalive_ping`` has passed: send a ping, whose answer nobody waits for."""
    PROBE = "probe"
    """Silence: send a ping and a heartbeat, and see whether anything comes."""
    SILENT = "silent"
    """Dead: nothing came, not one byte."""
    UNACKNOWLEDGED = "unacknowledged"
    """Dead: bytes come, but no heartbeat is acknowledged."""


# Plain names for what every heartbeat looks up: a member of an enum costs as much as a call.
_HEARTBEAT = Beat.HEARTBEAT


class Heartbeat:
    """The heartbeats of one connection.

    Liveness is never the absence of events: it is judged only while a heartbeat is unacknowledged, by bytes (silence)
    and by ACKs. Any ACK clears it. Deadlines are armed when a heartbeat goes out and looked at again when they are due,
    so that a byte costs one assignment.

    There are four deadlines, each infinite while nobody waits for it; ``earliest`` is the first of them, which is asked
    for after every input and moves with few. A probe and death by silence share one: each silence is probed before it
    is death.
    """

    __slots__ = ("_beat_at", "_dead_at", "_interval", "_judged_from", "_patience", "_paused", "_period", "_ping_at",
                 "_policy", "_probed", "_silence_at", "_unacked_since", "acked_at", "earliest", "latency",
                 "received_at", "sent_at")  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._beat_at = self._ping_at = self._silence_at = self._dead_at = self.earliest = _NEVER
        self._probed = False
        self._interval = 0.0
        self._patience = 0.0
        self._period = 0.0
        self._unacked_since: float | None = None
        self._judged_from = 0.0
        self._paused = False
        self.sent_at: float | None = None
        self.received_at: float | None = None
        self.acked_at: float | None = None
        self.latency: float | None = None

    @property
    def running(self) -> bool:
        """Whether Hello has come."""
        return self._period > 0.0

    @property
    def interval(self) -> float:
        """Hello's, in seconds, as it is kept to; 0.0 before it."""
        return self._interval

    def begin(self, interval: float, now: float, random: float) -> None:
        """Hello came: the first heartbeat is due at a random moment of the first period.

        The margin keeps two heartbeats from ever being further apart than the interval, also with a driver that wakes
        a little late.
        """
        self._interval = interval
        self._patience = max(2 * interval, self._policy.dead_after)
        self._period = interval - max(0.05 * interval, min(1.0, interval / 4))
        self._beat_at = now + random * self._period
        self._arm_ping(now)

    def sent(self, now: float) -> None:
        """A heartbeat went out that was not due; the next one is counted from it."""
        self.sent_at = now
        self._beat_at = now + self._period
        if self._unacked_since is None:
            self._unacked_since = now
            self._judge_from(now)
        else:
            self._look()

    def acknowledged(self, now: float) -> None:
        """Op 11 came."""
        self.acked_at = now
        if self._unacked_since is not None:
            self.latency = now - self._unacked_since
            self._unacked_since = None
            self._only_send()

    def start_anew(self, now: float) -> None:
        """We were stalled, or did not read: what was not heard meanwhile says nothing."""
        if self._unacked_since is not None:
            self._judge_from(now)

    def pause(self) -> None:
        """Nothing is read from now on, so that nothing can be heard."""
        self._paused = True
        self._only_send()

    def resume(self, now: float) -> None:
        """Reading goes on."""
        self._paused = False
        self.start_anew(now)

    def next_timer(self) -> float | None:
        return self.earliest if self.earliest < _NEVER else None

    def due(self, now: float) -> Beat | None:
        """The next thing that is due, None if nothing is. Call until it says None.

        A heartbeat that is due counts as sent. Whichever goes out for another reason, a probe's too, is told to
        :meth:`sent`.
        """
        while (at := self.earliest) <= now:
            if at == self._dead_at:
                self._dead_at = _NEVER
                self._look()
                return Beat.UNACKNOWLEDGED
            if at == self._beat_at:
                self.sent(now)
                return _HEARTBEAT
            if at == self._ping_at:
                self._arm_ping(now)
                return Beat.PING
            if (beat := self._judge_silence(now)) is not None:
                return beat
        return None

    def _arm_ping(self, now: float) -> None:
        if self._policy.keepalive_ping is not None:
            self._ping_at = now + self._policy.keepalive_ping
        self._look()

    def _judge_from(self, now: float) -> None:
        self._judged_from = now
        if not self._paused:
            self._probed = False
            self._silence_at = now + self._policy.probe_after
            self._dead_at = now + self._patience
        self._look()

    def _only_send(self) -> None:
        """Heartbeats, and perhaps pings: nothing is waited for."""
        self._silence_at = self._dead_at = _NEVER
        self.earliest = self._beat_at if self._beat_at <= self._ping_at else self._ping_at

    def _judge_silence(self, now: float) -> Beat | None:
        """What the silence since the last byte comes to; each silence is probed once before it is death."""
        heard = self._judged_from if self.received_at is None else max(self.received_at, self._judged_from)
        probe_at, dead_at = heard + self._policy.probe_after, heard + self._policy.dead_after
        if probe_at > now:
            self._probed = False
            self._silence_at = probe_at
            self._look()
            return None
        if self._probed and dead_at <= now:
            self._silence_at = _NEVER
            self._look()
            return Beat.SILENT
        self._probed = True
        self._silence_at = dead_at
        self._look()
        return Beat.PROBE

    def _look(self) -> None:
        earliest = self._beat_at
        if self._silence_at < earliest:
            earliest = self._silence_at
        if self._dead_at < earliest:
            earliest = self._dead_at
        if self._ping_at < earliest:
            earliest = self._ping_at
        self.earliest = earliest
