"""When to send a heartbeat, and when a link that answers none is dead."""

from __future__ import annotations

import enum

from qqproto.policy import Policy
from qqproto.timers import Timers


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


class Heartbeat:
    """The heartbeats of one connection.

    Liveness is never the absence of events: it is judged only while a heartbeat is unacknowledged, by bytes (silence)
    and by ACKs. Any ACK clears it. Deadlines are armed when a heartbeat goes out and looked at again when they are due,
    so that a byte costs one assignment.
    """

    __slots__ = ("_interval", "_judged_from", "_patience", "_paused", "_period", "_policy", "_unacked_since",
                 "acked_at", "latency", "received_at", "sent_at", "timers")  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.timers: Timers[Beat] = Timers()
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
        self.timers.set(Beat.HEARTBEAT, now + random * self._period)
        self._arm_ping(now)

    def sent(self, now: float) -> None:
        """A heartbeat went out, for whatever reason; the next one is counted from it."""
        self.sent_at = now
        self.timers.set(Beat.HEARTBEAT, now + self._period)
        if self._unacked_since is None:
            self._unacked_since = now
            self._judge_from(now)

    def acknowledged(self, now: float) -> None:
        """Op 11 came."""
        self.acked_at = now
        if self._unacked_since is not None:
            self.latency = now - self._unacked_since
            self._unacked_since = None
            self.timers.stop(Beat.PROBE, Beat.SILENT, Beat.UNACKNOWLEDGED)

    def start_anew(self, now: float) -> None:
        """We were stalled, or did not read: what was not heard meanwhile says nothing."""
        if self._unacked_since is not None:
            self.timers.stop(Beat.SILENT)
            self._judge_from(now)

    def pause(self) -> None:
        """Nothing is read from now on, so that nothing can be heard."""
        self._paused = True
        self.timers.stop(Beat.PROBE, Beat.SILENT, Beat.UNACKNOWLEDGED)

    def resume(self, now: float) -> None:
        """Reading goes on."""
        self._paused = False
        self.start_anew(now)

    def next_timer(self) -> float | None:
        return self.timers.next()

    def due(self, now: float) -> Beat | None:
        """The next thing that is due, None if nothing is. Call until it says None."""
        while (beat := self.timers.pop_due(now)) is not None:
            if beat is Beat.PING:
                self._arm_ping(now)
            elif beat in (Beat.PROBE, Beat.SILENT):
                silence = self._judge_silence(beat, now)
                if silence is None:
                    continue
                return silence
            return beat
        return None

    def _arm_ping(self, now: float) -> None:
        if self._policy.keepalive_ping is not None:
            self.timers.set(Beat.PING, now + self._policy.keepalive_ping)

    def _judge_from(self, now: float) -> None:
        self._judged_from = now
        if not self._paused:
            self.timers.set_all({
                Beat.PROBE: now + self._policy.probe_after, Beat.UNACKNOWLEDGED: now + self._patience,
            })  # fmt: skip

    def _judge_silence(self, beat: Beat, now: float) -> Beat | None:
        """What the silence since the last byte comes to; each silence is probed once before it is death."""
        heard = self._judged_from if self.received_at is None else max(self.received_at, self._judged_from)
        probe_at, dead_at = heard + self._policy.probe_after, heard + self._policy.dead_after
        if probe_at > now:
            self.timers.set(Beat.PROBE, probe_at)
            return None
        if beat is Beat.PROBE or dead_at > now:
            self.timers.set(Beat.SILENT, dead_at)
            return Beat.PROBE
        return Beat.SILENT
