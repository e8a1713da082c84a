"""One process as it looks from outside: its Account and its shards."""

from __future__ import annotations

from collections.abc import Sequence

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.deliveries import Deliveries
from qqproto.testing.simulation.reference.ledger import Ledger
from qqproto.testing.simulation.reference.purse import Purse
from qqproto.testing.simulation.reference.shard import Saved, ShardObserver


class Observer:
    """Watches one process, by its own clock. ``saved`` and ``ledgers`` are the shards', ``lateness`` is by how much its
    driver comes late at every deadline, ``by_delivery`` says that handing out settles."""

    __slots__ = ("_watched", "purse", "shards")

    def __init__(
        self,
        saved: Sequence[Saved | None],
        ledgers: Sequence[Ledger],
        policy: Policy,
        lateness: float,
        now: float,
        *,
        by_delivery: bool,
    ) -> None:
        slack, count = 0.002 + 2.0 * lateness, len(saved)
        self.purse = Purse(policy, slack, now)
        self.shards: list[ShardObserver] = []
        for index, (found, ledger) in enumerate(zip(saved, ledgers, strict=True)):
            deliveries = Deliveries(policy, by_delivery=by_delivery)
            shard = ShardObserver(index, count, policy, self.purse, slack, now, deliveries, ledger)
            self.shards.append(shard)
            ledger.process_begins()
            if found is not None:
                shard.restore(found, now)

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
