"""Promises G1 and G2 between two connections: never sooner than the backoff allows, never later than it says.

How the wording is read: an attempt is a run from the first request to the end of the connection, and what it failed at
does not matter. The policy's delay lies between the end of one attempt and the next dial (so it lies between two dials
as well). Attempts are counted since a session last lived for a stable minute; the end of one that was stable is the
first. Exempt is the end of a *stable* connection by op 7 or 4009, which costs up to 250 ms, and is not counted. Leaving
a socket because the identify slot is far away is not counted either.
"""

from __future__ import annotations

from math import inf

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.verdict import demand

_EPSILON = 1e-6


class Pace:
    """The attempts of one shard."""

    __slots__ = ("_earliest", "_latest", "_policy", "_slack", "failures", "sign_by", "waits_for_budget")

    def __init__(self, policy: Policy, slack: float, now: float) -> None:
        self._policy = policy
        self._slack = slack
        self.failures = 0
        self._earliest = now
        self._latest: float | None = None
        self.sign_by = inf
        self.waits_for_budget = False
        self._expect_sign(now)

    def stable(self) -> None:
        """A session has lived for long enough."""
        self.failures = 0

    def attempt_ended(self, now: float, retry_in: float, *, least: float = 0.0, most: float = 0.0) -> None:
        """An attempt failed, or an unplanned end; the reason asks for ``least`` seconds, and allows up to ``most``."""
        self.failures += 1
        base = self._base()
        self._promise(now, retry_in, max(base / 2.0, least), max(base, least, most))

    def rotated(self, now: float, retry_in: float) -> None:
        """A planned end of a stable connection."""
        self._promise(now, retry_in, 0.0, self._policy.rotation_jitter)
        self._latest = now + self._policy.rotation_jitter

    def left_for_slot(self, now: float, retry_in: float, most: float) -> None:
        """The socket was left because the identify slot is too far away."""
        least = self._base() / 2.0 if self.failures else 0.0
        self._promise(now, retry_in, least, max(most, self._base()))
        self.waits_for_budget = retry_in > self._base()

    def budget_spent(self, now: float, reset_after: float) -> None:
        """Nothing is left of the identify budget."""
        self._expect_sign(now + max(reset_after, self._base(), 1.0))
        self.waits_for_budget = True

    def asks(self) -> None:
        """A request goes out; the time that it takes is not the shard's."""
        self._latest = None

    def dialled(self, now: float) -> None:
        self.waits_for_budget = False
        late = 0.0 if self._latest is None else now - self._latest
        demand(late <= self._slack, "G5", f"dialled {late:.3f} s too late after a planned rotation")
        self._latest = None
        early = self._earliest - now
        demand(early <= _EPSILON, "G2", f"dialled {early:.3f} s sooner than the delay after {self.failures} failures")
        self.sign_by = inf

    def check(self, now: float) -> None:
        """Raise if the next attempt should have shown itself by now."""
        late = now - self.sign_by
        demand(late <= self._slack, "G1", f"the next attempt is {late:.3f} s overdue: no dial, no word about one")

    def begin_anew(self, now: float) -> None:
        """The process goes on after a stall."""
        self._latest = None
        self.sign_by = max(self.sign_by, now + 2.0 * self._policy.http_timeout)

    def _base(self) -> float:
        """The policy's delay after this many failures; half of it is jitter."""
        table = self._policy.backoff
        return table[min(max(self.failures, 1), len(table)) - 1]

    def _promise(self, now: float, retry_in: float, least: float, most: float) -> None:
        after = f"after {self.failures} failures"
        demand(retry_in >= least - _EPSILON, "G2", f"the next dial is to be in {retry_in:.3f} s {after}")
        demand(retry_in <= most + _EPSILON, "G1", f"the next dial is to be only in {retry_in:.3f} s {after}")
        self._earliest = now + least
        self._expect_sign(now + retry_in)

    def _expect_sign(self, begins: float) -> None:
        """Two requests, each with its deadline, may come before the dial."""
        self.sign_by = begins + 2.0 * self._policy.http_timeout
