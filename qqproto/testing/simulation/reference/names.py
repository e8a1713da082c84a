"""Which dispatches may be known by name, which must be, and which cannot be: the memories of promise G7."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from qqproto.testing.simulation.reference.table import NAMING

_MARGIN = 1.0
"""Seconds around the end of a memory's life in which both are right."""


def names_of(message: dict[str, Any]) -> tuple[str, ...]:
    """What a dispatch is called: its event id, and type and ``d.id`` where the type says that it names the event."""
    event, kind, data = message.get("id"), message.get("t"), message.get("d")
    names: tuple[str, ...] = (f"event {event}",) if isinstance(event, str) else ()
    if kind in NAMING and isinstance(data, dict) and isinstance(data.get("id"), str) and data["id"]:
        names += (f"{kind} with {data['id']}",)
    return names


class Names:
    """Remembers at least the last ``size`` dispatches for at least ``life`` seconds, and perhaps more."""

    __slots__ = ("_known", "_life", "_log", "_size")

    def __init__(self, size: int, life: float) -> None:
        self._size = size
        self._life = life
        self._log: list[tuple[tuple[str, ...], float]] = []
        self._known: dict[str, int] = {}

    def add(self, names: tuple[str, ...], at: float) -> None:
        """One dispatch more."""
        for name in names:
            self._known[name] = len(self._log)
        self._log.append((names, at))

    def knows(self, names: Iterable[str], now: float) -> bool | None:
        """Whether one with such a name is remembered; None: it may be."""
        found: bool | None = False
        for name in names:
            if name in self._known:
                place = self._known[name]
                _, at = self._log[place]
                if now - at < self._life - _MARGIN and len(self._log) - place <= self._size:
                    return True
                found = None
        return found

    def as_of(self, now: float) -> Past:
        """What is remembered now; it stays as it is, whatever is added."""
        return Past(self._log, len(self._log), now)

    def recall(self, past: Past, age: float, now: float) -> None:
        """What was remembered ``age`` seconds ago, in another process."""
        for names, at in past.log[max(0, past.length - 2 * self._size) : past.length]:
            self.add(names, now - age - (past.at - at))


@dataclass(frozen=True, slots=True)
class Past:
    """A memory as it was ``at`` that time: the first ``length`` entries of a log that only grows."""

    log: list[tuple[tuple[str, ...], float]] = field(repr=False)
    length: int
    at: float
