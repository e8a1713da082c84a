"""A sequence of names that grows at one end and is forgotten at the other: each state of it is a value, and is free.

A session that is saved has two thousand of them, and the one that is saved after the next event has the same ones, but
for two. Copying them would cost more than all else that is done for the event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

_MOST_FORGOTTEN = 4096
"""So many names that are forgotten are kept along, before the others are copied once."""


class Names(Sequence[str]):
    """Names, oldest first; immutable, and equal to any tuple or :class:`Names` of the same ones."""

    __slots__ = ("_log", "_start", "_stop")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._log = list(names)
        """Shared, and only ever added to."""
        self._start = 0
        self._stop = len(self._log)

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[str]:
        return iter(self._log[self._start : self._stop])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        places = range(self._start, self._stop)
        return self._log[places[index]] if isinstance(index, int) else tuple(self._log[at] for at in places[index])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, (Names, tuple)) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[type[Names], tuple[tuple[str, ...]]]:
        return Names, (tuple(self),)  # Without those that are forgotten.

    def grown_from(self, earlier: Sequence[str]) -> tuple[str, ...] | None:
        """What was added to ``earlier``, whose first names may be forgotten since; None if it is not one of those that
        this one has grown from."""
        if not isinstance(earlier, Names) or earlier._log is not self._log:
            return None
        known = earlier._stop
        if not earlier._start <= self._start <= known <= self._stop:
            return None
        return tuple(self._log[known : self._stop])


class GrowingNames:
    """What :class:`Names` are taken from. ``extend`` takes more, the newest last."""

    __slots__ = ("_log", "_start", "extend")

    def __init__(self, names: Iterable[str]) -> None:
        self._begin(list(names))

    def forget(self, count: int) -> None:
        """So many less, the oldest."""
        self._start += count
        if self._start > _MOST_FORGOTTEN:
            self._begin(self._log[self._start :])  # Those who have the old ones keep them.

    def now(self) -> Names:
        """As they are."""
        names = Names.__new__(Names)
        names._log, names._start, names._stop = self._log, self._start, len(self._log)
        return names

    def _begin(self, log: list[str]) -> None:
        self._log = log
        self._start = 0
        self.extend: Callable[[Iterable[str]], None] = log.extend
