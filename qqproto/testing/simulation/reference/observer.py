"""One process as it looks from outside: its Account and its shards."""

from __future__ import annotations

from collections.abc import Sequence

from qqproto.policy import Policy
from qqproto.session import Session
from qqproto.testing.simulation.reference.purse import Purse
from qqproto.testing.simulation.reference.shard import ShardObserver


class Observer:
    """Watches one process, by its own clock. ``lateness`` is by how much its driver comes late at every deadline."""

    __slots__ = ("_watched", "purse", "shards")

    def __init__(
        self, saved: Sequence[Session | None], age: float, policy: Policy, lateness: float, now: float
    ) -> None:
        slack = 0.002 + 2.0 * lateness
        self.purse = Purse(policy, slack, now)
        self.shards = [ShardObserver(i, len(saved), policy, self.purse, slack, now) for i in range(len(saved))]
        for shard, session in zip(self.shards, saved, strict=True):
            if session is not None:
                shard.restore(session, age, now)

    def asks(self, id: int, endpoint: str, now: float) -> None:
        """The Account sends a request to the "token" or the "gateway" endpoint."""
        self.purse.asked(id, endpoint, now)
        for shard in self.shards:
            shard.pace.asks()

    def goes_on(self, now: float) -> None:
        """The process runs again after a stall."""
        self.purse.begin_anew(now)
        for shard in self.shards:
            shard.goes_on(now)

    def check(self, now: float) -> None:
        """Raise :class:`Broken` if something should have happened by now. Call while the process runs, before each
        step."""
        if self.purse.busy:
            self.purse.check(now)
        for shard in self.shards:
            if now > shard.alarm:
                shard.check(now)
