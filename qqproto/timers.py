"""A small table of named deadlines, and the watch that notices a driver who came late."""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Enum)


class Timers(Generic[Name]):
    """Deadlines by name; at most one each. All times are on the host's monotonic clock, in seconds."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[Name, float] = {}

    def set(self, name: Name, at: float) -> None:
        self._due[name] = at

    def stop(self, *names: Name) -> None:
        for name in names:
            self._due.pop(name, None)

    def clear(self) -> None:
        self._due.clear()

    def at(self, name: Name) -> float | None:
        """When ``name`` is due, None if it is not set."""
        return self._due.get(name)

    def next(self) -> float | None:
        """The earliest deadline, None if there is none."""
        return min(self._due.values()) if self._due else None

    def pop_due(self, now: float) -> Name | None:
        """Take out the earliest deadline that has passed, None if none has."""
        due = self._due
        if not due:
            return None
        name = min(due, key=due.__getitem__)
        if due[name] > now:
            return None
        del due[name]
        return name


class LagWatch:
    """Notices inputs that come long after the deadline that the machine last showed: a stall on our side.

    A blocked event loop, a suspended laptop and a stopped process all look like this, and none of them says anything
    about the link.
    """

    __slots__ = ("_due", "_tolerance")

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._due: float | None = None

    def shown(self, due: float | None) -> float | None:
        """The machine showed ``due`` as its next deadline; returns it."""
        self._due = due
        return due

    def late(self, now: float) -> float:
        """How many seconds late this input is if that is more than the tolerance, else 0.0; told once a deadline."""
        due = self._due
        if due is None or now - due <= self._tolerance:
            return 0.0
        self._due = None
        return now - due
