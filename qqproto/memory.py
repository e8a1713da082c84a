"""A bounded memory of dispatches by their names, to know a repetition when it comes."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import TypeAlias

from qqproto.event_names import GrowingNames, Names
from qqproto.events import Dispatch
from qqproto.protocol.dispatch_types import EVENT_NAMING_TYPES

Trace: TypeAlias = tuple[float, "str | None", str, "str | None", int]
"""What is kept of a dispatch: when it came, its event id, its type, its ``d.id``, and its sequence, 0 for none."""


def trace_of(dispatch: Dispatch, now: float) -> Trace:
    """The trace of a dispatch that came at ``now``."""
    data = dispatch.data
    named = data.get("id") if isinstance(data, dict) else None
    return now, dispatch.id, dispatch.type, named if type(named) is str else None, dispatch.sequence or 0


def names_in(trace: Trace) -> tuple[str, ...]:
    """What this very event is called: its event id, and for the types whose ``d.id`` names the event, type and
    ``d.id``.

    The same ``d.id`` under GROUP_AT_MESSAGE_CREATE and under GROUP_MESSAGE_CREATE makes two names: the platform sends
    both where a group lets the bot read along, and a bot may have subscribed to either.
    """
    _, id, type, named, _ = trace
    names = (id,) if id else ()
    return (*names, f"{type} {named}") if named and type in EVENT_NAMING_TYPES else names


def names_of(dispatch: Dispatch) -> tuple[str, ...]:
    """The names of a dispatch."""
    return names_in(trace_of(dispatch, 0.0))


class Roll:
    """All names that a memory has, oldest first, for who wants them from time to time.

    A dispatch that came later than all of these is none of them: its names are added without a look at the index, which
    is told when it is asked. The same names under another dispatch then stand twice, until the first are forgotten.
    """

    __slots__ = ("_count", "_dispatches", "_growing", "newest", "unindexed")

    def __init__(self, index: OrderedDict[str, float]) -> None:
        self._growing = GrowingNames(index)
        self._dispatches: deque[tuple[float, tuple[str, ...]]] = deque((at, (name,)) for name, at in index.items())
        """The same names, those of each dispatch together, with when it came."""
        self._count = len(index)
        self.newest = max(index.values(), default=-math.inf)
        self.unindexed = 0
        """So many of the last dispatches are not in the index."""

    def add(self, names: tuple[str, ...], at: float) -> None:
        """One dispatch more."""
        self._growing.extend(names)
        self._count += len(names)
        self._dispatches.append((at, names))
        if at > self.newest:
            self.newest = at

    def now(self, most: int, since: float) -> Names:
        """As they are, at most so many, and none that came before ``since``."""
        dispatches = self._dispatches
        while dispatches and (self._count > most or dispatches[0][0] < since):
            count = len(dispatches.popleft()[1])
            self._count -= count
            self._growing.forget(count)
        return self._growing.now()

    def take_unindexed(self) -> list[tuple[float, tuple[str, ...]]]:
        """The last dispatches that are not in the index; they are about to be."""
        count = min(self.unindexed, len(self._dispatches))
        self.unindexed = 0
        return list(self._dispatches)[len(self._dispatches) - count :]


class Memory:
    """Remembers the names of the last ``size`` dispatches for ``life`` seconds.

    Remembering is one append; the names are indexed when somebody asks for one, which is after a gap, in a replay, or
    for a step back, and never in the common case.
    """

    __slots__ = ("_index", "_life", "_log", "_roll", "_size")

    def __init__(self, *, size: int, life: float) -> None:
        self._size = size
        self._life = life
        # Made when there is something to be put there: of a thousand bots most have heard nothing, and empty ones take
        # a kilobyte.
        self._log: deque[tuple[float, tuple[str, ...]] | Trace] | None = None
        self._index: OrderedDict[str, float] | None = None
        self._roll: Roll | None = None
        """The same names once more, if somebody wants all of them from time to time."""

    def remember(self, names: tuple[str, ...], now: float) -> None:
        """One dispatch more; the oldest one beyond ``size`` is forgotten."""
        self.remember_all(((now, names),))

    def remember_all(self, traces: Iterable[tuple[float, tuple[str, ...]] | Trace]) -> None:
        """Dispatches that were traced, or whose names are known, each from when it came."""
        log = self._log
        if log is None:
            log = self._log = deque(maxlen=self._size)
        log.extend(traces)

    def knows(self, names: tuple[str, ...], now: float) -> bool:
        """Whether a dispatch with one of these names was remembered within ``life``."""
        index = self._fold(now)
        return any(name in index for name in names)

    def names(self, now: float) -> Names:
        """Every name that is remembered, oldest first."""
        roll, log = self._roll, self._log
        if roll is not None:
            while log:
                entry = log[0]
                if len(entry) == 2 or entry[0] <= roll.newest:
                    break  # It may be one that is there, settled once more.
                roll.add(names_in(entry), entry[0])
                roll.unindexed += 1
                log.popleft()
        if log or roll is None:
            index = self._fold(now)
            roll = self._roll
            if roll is None:
                roll = self._roll = Roll(index)
        return roll.now(2 * self._size, now - self._life)

    def _fold(self, now: float) -> OrderedDict[str, float]:
        """The index, with all that was noted."""
        if self._index is None:
            self._index = OrderedDict()
        index, roll, log = self._index, self._roll, self._log
        if roll is not None and roll.unindexed:
            for at, names in roll.take_unindexed():
                for name in names:
                    index[name] = at
                    index.move_to_end(name)
        while log:
            entry = log.popleft()
            at = entry[0]
            for name in entry[1] if len(entry) == 2 else names_in(entry):
                if name not in index:
                    if roll is not None:
                        roll.add((name,), at)
                elif index[name] == at:
                    continue  # It is the same dispatch, settled once more.
                else:
                    index.move_to_end(name)
                    roll = self._roll = None  # It is another sequence, and not one that has grown.
                index[name] = at
        # A dispatch has two names at most.
        for _ in range(len(index) - 2 * self._size):
            index.popitem(last=False)
        while index and now - next(iter(index.values())) > self._life:
            index.popitem(last=False)
        return index
