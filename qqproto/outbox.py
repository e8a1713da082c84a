"""The one queue of the outermost machine, with its ids and its counters; the machines inside append to it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TypeAlias

from qqproto.actions import (
    Abort,
    Cancel,
    CloseConnection,
    FetchGateway,
    FetchToken,
    OpenConnection,
    ReserveIdentify,
    ShardAction,
)
from qqproto.errors import LocalProtocolError
from qqproto.events import Dispatch, Event

Output: TypeAlias = ShardAction | Event


class Outbox:
    """Actions and events in the order in which they came to be; and how often things happened.

    What happens to every bot has a number of its own; what seldom does, or never, is counted by :meth:`count`.
    """

    __slots__ = ("_issued", "_seldom", "_settle", "acks", "connections", "dispatches", "emit", "heartbeats",
                 "identifies", "queue")  # fmt: skip

    def __init__(self, settle: Callable[[Dispatch], None] | None) -> None:
        """``settle`` is called with each dispatch as it is handed out; None if handing out does not settle."""
        self.queue: deque[Output] = deque()
        self.emit = self.queue.append
        """Adds one more; kept, because a bound method is made anew whenever it is asked for."""
        self.connections = self.identifies = self.heartbeats = self.acks = self.dispatches = 0
        self._seldom: Counter[str] | None = None
        self._settle = settle
        self._issued = 0

    def next(self) -> Output | None:
        """Take out the oldest output, None if there is none."""
        if not self.queue:
            return None
        output = self.queue.popleft()
        if self._settle is not None and isinstance(output, Dispatch):
            self._settle(output)
        return output

    def counts(self) -> dict[str, int]:
        """How often things happened, those that never did left out."""
        often = {
            "connections": self.connections,
            "identifies": self.identifies,
            "heartbeats": self.heartbeats,
            "acks": self.acks,
            "dispatches": self.dispatches,
        }
        return {**{name: count for name, count in often.items() if count}, **(self._seldom or {})}

    def count(self, what: str) -> None:
        """It happened once more."""
        if self._seldom is None:
            self._seldom = Counter()
        self._seldom[what] += 1

    def new_id(self) -> int:
        self._issued += 1
        return self._issued

    def stale(self, id: int) -> None:
        """An input named an id that is not in force: counted if it is over, misuse if it was never issued."""
        if not 1 <= id <= self._issued:
            raise LocalProtocolError(f"id {id} was never issued by this machine")
        self.count("stale_inputs")

    def withdraw(self) -> set[int]:
        """Take back all that was not handed out yet, but for the endings of what was begun before.

        Returns the ids of what the driver was never asked to begin.
        """
        begun: set[int] = set()
        kept: list[Output] = []
        for output in self.queue:
            if isinstance(output, (FetchToken, FetchGateway, ReserveIdentify, OpenConnection)):
                begun.add(output.id)
            elif isinstance(output, (Abort, Cancel, CloseConnection)) and output.id not in begun:
                kept.append(output)
        self.queue.clear()
        self.queue.extend(kept)
        return begun
