"""Promises G3 and G4 for one connection: heartbeats in time, dead links dropped in time, living ones never.

How the wording is read: what is late while the process stands still or does not read is not held against it; all
deadlines then begin anew when it goes on (a stall of a few seconds may count on either side). A link may be dropped by
our side for silence only after 20 s without a byte with a heartbeat unacknowledged that long, or for missing ACKs only
after max(2 intervals, 20 s) from the oldest unacknowledged heartbeat; any earlier is a living link dropped.
"""

from __future__ import annotations

from typing import Any

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.verdict import Broken

_EPSILON = 1e-6


class Pulse:
    """One connection from its opening on, as its heartbeats and bytes show it."""

    __slots__ = ("_acked_at", "_ignored_since", "_policy", "_slack", "base", "heard_at", "interval", "last_beat",
                 "unacked_since")  # fmt: skip

    def __init__(self, policy: Policy, slack: float, now: float) -> None:
        self._policy = policy
        self._slack = slack
        self.base = now
        self.heard_at = now
        self.interval: float | None = None
        self.last_beat = now
        self.unacked_since: float | None = None
        self._ignored_since: float | None = None
        self._acked_at = float("-inf")

    def hello(self, data: Any, now: float) -> None:
        """Hello came, with this ``d``; the wait for the first heartbeat begins."""
        self.interval = usable_interval(data, self._policy)
        self.last_beat = now

    def beat(self, now: float) -> None:
        self.last_beat = now
        if self.unacked_since is None:
            self.unacked_since = now
        # An ACK that was read at the very moment at which a heartbeat went out may count for it.
        if self._ignored_since is None and now > self._acked_at:
            self._ignored_since = now

    def acked(self, now: float) -> None:
        self.heard_at = self._acked_at = now
        self.unacked_since = self._ignored_since = None

    def begin_anew(self, now: float) -> None:
        """The process goes on after a stall, or reads again."""
        self.base = now

    @property
    def patience(self) -> float:
        """How long a server may leave heartbeats unacknowledged."""
        return max(2.0 * (self.interval or 0.0), self._policy.dead_after)

    def alarm(self, reading: bool) -> float:
        """Until when nothing can be wrong if nothing happens."""
        interval, base = self.interval or 0.0, self.base
        beat_by = self._beat_by(interval)
        if not reading:
            return beat_by
        quiet_by = (self.heard_at if self.heard_at > base else base) + interval + self._policy.dead_after + self._slack
        due = beat_by if beat_by < quiet_by else quiet_by
        since = self._ignored_since
        if since is None:
            return due
        acked_by = (since if since > base else base) + self.patience + self._slack
        return acked_by if acked_by < due else due

    def check(self, now: float, reading: bool) -> None:
        """Raise if something should have happened by now. Call while the process runs."""
        interval = self.interval
        if interval is None or now <= self.alarm(reading) + _EPSILON:
            return
        if now > self._beat_by(interval) + _EPSILON:
            raise Broken("G3", f"no heartbeat for {now - self.last_beat:.3f} s at an interval of {interval:g} s")
        heard = max(self.heard_at, self.base)
        if now > heard + interval + self._policy.dead_after + self._slack:
            raise Broken("G4", f"a link that has carried nothing for {now - heard:.3f} s is still there")
        since = max(self._ignored_since or self.base, self.base)
        raise Broken("G4", f"a server that acknowledges nothing is put up with for {now - since:.3f} s")

    def _beat_by(self, interval: float) -> float:
        """When the next heartbeat has to be out; on waking up the process has to catch up at once."""
        due = self.last_beat + interval
        return due if due >= self.base else self.base + self._slack

    def may_give_up(self, now: float, forgiven: float) -> bool:
        """Whether the link may be dropped for silence or missing ACKs; what was before ``forgiven`` does not count."""
        since = self.unacked_since
        if since is None:
            return False
        since = max(since, forgiven)
        silent = now - max(since, self.heard_at) >= self._policy.dead_after - _EPSILON
        return silent or now - since >= self.patience - _EPSILON


def usable_interval(data: Any, policy: Policy) -> float:
    """Hello's interval in seconds, as it is to be kept: between 0.25 and 120 s; 0.25 s where there is no number."""
    value: Any = data.get("heartbeat_interval") if isinstance(data, dict) else None
    if type(value) not in (int, float) or value != value:
        return policy.min_interval
    if value > policy.max_interval * 1000.0:
        return policy.max_interval
    return max(policy.min_interval, float(value) / 1000.0)
