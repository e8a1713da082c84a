"""Promise G5's "no Offline": the application's two levels, Online and Offline, and the grace between them."""

from __future__ import annotations

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.verdict import demand


class Presence:
    """What one shard's application was told of being there.

    A shard is away from its start on, and from the end of every connection on which its session was live, or on which
    the replay had begun that ``Online`` comes before. ``Offline`` comes when that has lasted for the grace, not sooner,
    not later, and alternates with ``Online``.
    """

    __slots__ = ("_away_since", "_grace", "_online", "_slack", "_told_offline")

    def __init__(self, policy: Policy, slack: float, now: float) -> None:
        self._grace = policy.offline_grace
        self._slack = slack
        self._online = False
        self._told_offline = False
        self._away_since: float | None = now

    def comes(self) -> None:
        """The session is live, or its replay has begun."""
        self._away_since = None

    def goes(self, now: float) -> None:
        """Such a connection has ended."""
        self._away_since = now

    def online(self) -> None:
        demand(not self._online, "G5", "Online was told twice")
        self._online, self._told_offline = True, False

    def offline(self, now: float) -> None:
        demand(not self._told_offline, "G5", "Offline was told twice")
        away = None if self._away_since is None else now - self._away_since
        demand(away is not None, "G5", "Offline was told, and the session is live")
        assert away is not None
        demand(away >= self._grace - self._slack, "G5", f"Offline was told after {away:.3f} s away")
        self._online, self._told_offline = False, True

    def check(self, now: float, disturbed_at: float) -> None:
        """Raise if Offline is overdue; the process may have stood still until ``disturbed_at``."""
        if self._away_since is None or self._told_offline:
            return
        away = now - max(self._away_since, disturbed_at)
        demand(away <= self._grace + self._slack, "G5", f"no Offline after {away:.3f} s away")
