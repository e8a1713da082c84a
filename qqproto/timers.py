"""A small table of named deadlines, and the watch that notices a driver who came late."""

from __future__ import annotations

import math
from enum import Enum
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Enum)


class Timers(Generic[Name]):
    """Deadlines by name; at most one each. All times are on the host's monotonic clock, in seconds.

    Give the enum of the names ``__hash__ = object.__hash__``: one's own is a call, and is called for everything here.

    ``earliest`` is the first of them, infinity if there is none: it is asked for after every input, and moves with few.
    """

    __slots__ = ("_due", "earliest")

    def __init__(self) -> None:
        self._due: dict[Name, float] = {}
        self.earliest = math.inf

    def set(self, name: Name, at: float) -> None:
        moved = self._due.get(name) == self.earliest
        self._due[name] = at
        if at < self.earliest:
            self.earliest = at
        elif moved:
            self._look()

    def stop(self, *names: Name) -> None:
        due, moved = self._due, False
        for name in names:
            moved |= due.pop(name, None) == self.earliest
        if moved:
            self._look()

    def clear(self) -> None:
        self._due.clear()
        self.earliest = math.inf

    def at(self, name: Name) -> float | None:
        """When ``name`` is due, None if it is not set."""
        return self._due.get(name)

    def next(self) -> float | None:
        """The earliest deadline, None if there is none."""
        return self.earliest if self._due else None

    def pop_due(self, now: float) -> Name | None:
        """Take out the earliest deadline that has passed, None if none has."""
        due = self._due
        if not due or self.earliest > now:
            return None
        name = min(due, key=due.__getitem__)
        del due[name]
        self._look()
        return name

    def _look(self) -> None:
        if self._due:
            self.earliest = min(self._due.values())
        else:
            self.clear()  # A dictionary that was emptied one by one keeps the room, and timers are idle for hours.


class LagWatch:
    """Notices inputs that come long after the deadline that the machine last showed: a stall on our side.

    A blocked event loop, a suspended laptop and a stopped process all look like this, and none of them says anything
    about the link. ``due`` is the deadline that was shown last, infinity if there is none; ``tolerance`` what an input
    may be late.
    """

    __slots__ = ("due", "tolerance")

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.due = math.inf

    def late(self, now: float) -> float:
        """How many seconds late this input is if that is more than the tolerance, else 0.0; told once a deadline."""
        late = now - self.due
        if late <= self.tolerance:
            return 0.0
        self.due = math.inf
        return late
