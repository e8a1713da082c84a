"""What events are called, and a sequence of such names that grows at one end and is forgotten at the other.

Each state of that sequence is a value, and is free: a session that is saved has two thousand names, and the one that is
saved after the next event has the same ones, but for two. Copying them, or even only working them out, would cost more
than all else that is done for the event; so who wants them does it when it wants them, in its own thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, overload

from qqproto.events import Dispatch
from qqproto.protocol.dispatch_types import EVENT_NAMING_TYPES

Trace: TypeAlias = tuple[float, "str | None", str, "str | None", int]
"""What is kept of a dispatch: when it came, its event id, its type, its ``d.id``, and its sequence, 0 for none."""

Entry: TypeAlias = "tuple[float, tuple[str, ...]] | Trace"
"""A dispatch that is remembered: when it came, and its names or what they are made of."""

_MOST_FORGOTTEN = 256
"""So many dispatches that are forgotten are kept along, before the others are copied once."""


def trace_of(dispatch: Dispatch, now: float) -> Trace:
    """The trace of a dispatch that came at ``now``."""
    data = dispatch.data
    named = data.get("id") if isinstance(data, dict) else None
    return now, dispatch.id, dispatch.type, named if type(named) is str else None, dispatch.sequence or 0


def names_in(entry: Entry) -> tuple[str, ...]:
    """What this very event is called: its event id, and for the types whose ``d.id`` names the event, type and
    ``d.id``.

    The same ``d.id`` under GROUP_AT_MESSAGE_CREATE and under GROUP_MESSAGE_CREATE makes two names: the platform sends
    both where a group lets the bot read along, and a bot may have subscribed to either.
    """
    if len(entry) == 2:
        return entry[1]
    _, id, type, named, _ = entry
    if named and type in EVENT_NAMING_TYPES:
        return (id, f"{type} {named}") if id else (f"{type} {named}",)
    return (id,) if id else ()


def names_of(dispatch: Dispatch) -> tuple[str, ...]:
    """The names of a dispatch."""
    return names_in(trace_of(dispatch, 0.0))


class Names(Sequence[str]):
    """Names, oldest first; immutable, and equal to any tuple or :class:`Names` of the same ones.

    They are those of the dispatches from the ``start``-th to before the ``stop``-th that ``grower`` took, of which
    ``entries`` has all from the ``base``-th on.
    """

    __slots__ = ("_base", "_entries", "_grower", "_start", "_stop")

    def __init__(self, grower: GrowingNames, entries: list[Entry], base: int, start: int, stop: int) -> None:
        self._grower = grower
        self._entries = entries
        """Shared, and only ever added to."""
        self._base = base
        self._start = start
        self._stop = stop

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        names = self._all()
        return names[index] if isinstance(index, int) else tuple(names[index])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (Names, tuple)) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[type[tuple[str, ...]], tuple[tuple[str, ...]]]:
        return tuple, (tuple(self),)  # Without those that are forgotten.

    def growth_since(self, earlier: Sequence[str]) -> tuple[Sequence[str], int] | None:
        """What was added to ``earlier``, and how many of its first names are forgotten since; None if it is not one of
        those that this one has grown from."""
        if not isinstance(earlier, Names) or earlier._grower is not self._grower:
            return None
        start, known, base = self._start, earlier._stop, self._base
        if not earlier._start <= start <= known <= self._stop:
            return None
        forgotten = earlier._entries[earlier._start - earlier._base : start - earlier._base]
        return _names_of_all(self._entries[known - base : self._stop - base]), len(_names_of_all(forgotten))

    def _all(self) -> Sequence[str]:
        return _names_of_all(self._entries[self._start - self._base : self._stop - self._base])


class GrowingNames:
    """What :class:`Names` are taken from: those of the last ``size`` dispatches."""

    __slots__ = ("_base", "_entries", "_size", "_start")

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: list[Entry] = []
        self._base = 0
        """How many were forgotten for good, and how many ..."""
        self._start = 0
        """... no :class:`Names` has any more."""

    def extend(self, entries: Iterable[Entry]) -> None:
        """Dispatches more, the newest last."""
        mine = self._entries
        mine += entries
        over = len(mine) - self._size
        if over > _MOST_FORGOTTEN:
            self._entries = mine[over:]  # Who has the old ones keeps them.
            self._base += over

    def now(self, since: float) -> Names:
        """As they are, without those that came before ``since``."""
        entries, base = self._entries, self._base
        stop = base + len(entries)
        start = max(self._start, stop - self._size)
        while start < stop and entries[start - base][0] < since:
            start += 1
        self._start = start
        return Names(self, entries, base, start, stop)

    def after(self, number: int) -> tuple[list[Entry], int]:
        """What came after the first ``number`` dispatches and is not forgotten for good, and how many there are."""
        return self._entries[max(0, number - self._base) :], self._base + len(self._entries)


def _names_of_all(entries: list[Entry]) -> Sequence[str]:
    if len(entries) == 1:
        return names_in(entries[0])
    names: list[str] = []
    for entry in entries:
        names += names_in(entry)
    return names
