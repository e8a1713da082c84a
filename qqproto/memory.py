"""A bounded memory of dispatches by their names, to know a repetition when it comes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence

from qqproto.event_names import Entry, GrowingNames, Names, names_in


class _Index(ABC):
    """Remembers the names of the last ``size`` dispatches for ``life`` seconds.

    Remembering is one append; the names are indexed when somebody asks for one, which is after a gap, in a replay, or
    for a step back, and never in the common case.
    """

    __slots__ = ("_index", "_life", "_size")

    def __init__(self, *, size: int, life: float) -> None:
        self._size = size
        self._life = life
        # Made when there is something to be put there: of a thousand bots most have heard nothing, and empty ones take
        # a kilobyte.
        self._index: OrderedDict[str, float] | None = None

    @abstractmethod
    def remember_all(self, entries: Iterable[Entry]) -> None:
        """Dispatches that were traced, or whose names are known, each from when it came."""

    @abstractmethod
    def _take_unindexed(self) -> Sequence[Entry]:
        """What was remembered since this was asked before."""

    def remember(self, names: tuple[str, ...], now: float) -> None:
        """One dispatch more; the oldest one beyond ``size`` is forgotten."""
        self.remember_all(((now, names),))

    def knows(self, names: tuple[str, ...], now: float) -> bool:
        """Whether a dispatch with one of these names was remembered within ``life``."""
        index = self._fold()
        while index and now - next(iter(index.values())) > self._life:
            index.popitem(last=False)
        return any(name in index for name in names)

    def _fold(self) -> OrderedDict[str, float]:
        """The index, with all that is remembered."""
        if self._index is None:
            self._index = OrderedDict()
        index = self._index
        for entry in self._take_unindexed():
            at = entry[0]
            for name in names_in(entry):
                if index.get(name) != at:  # Else it is the same dispatch, settled once more.
                    index[name] = at
                    index.move_to_end(name)
        # A dispatch has two names at most.
        for _ in range(len(index) - 2 * self._size):
            index.popitem(last=False)
        return index


class Memory(_Index):
    """A memory that lives and ends with its process."""

    __slots__ = ("_log",)

    def __init__(self, *, size: int, life: float) -> None:
        super().__init__(size=size, life=life)
        self._log: deque[Entry] | None = None

    def remember_all(self, entries: Iterable[Entry]) -> None:
        log = self._log
        if log is None:
            log = self._log = deque(maxlen=self._size)
        log.extend(entries)

    def _take_unindexed(self) -> Sequence[Entry]:
        log = self._log
        if not log:
            return ()
        entries = tuple(log)
        log.clear()
        return entries


class SavedMemory(_Index):
    """A memory whose names are saved from time to time, and go on in another process."""

    __slots__ = ("_growing", "_indexed")

    def __init__(self, *, size: int, life: float) -> None:
        super().__init__(size=size, life=life)
        self._growing: GrowingNames | None = None
        self._indexed = 0

    def restore(self, names: Sequence[str], now: float) -> None:
        """Names that were saved, as of dispatches that came ``now``; of two names each, for whose they are is not
        known."""
        self.remember_all([(now, tuple(names[at : at + 2])) for at in range(0, len(names), 2)])

    def remember_all(self, entries: Iterable[Entry]) -> None:
        if self._growing is None:
            self._growing = GrowingNames(self._size)
        self._growing.extend(entries)

    def has(self, entry: Entry) -> bool:
        """Whether all the names of this dispatch are there, however old they are."""
        index, names = self._fold(), names_in(entry)
        return bool(names) and all(name in index for name in names)

    def names(self, now: float) -> Names:
        """Every name that is remembered, oldest first."""
        if self._growing is None:
            self._growing = GrowingNames(self._size)
        return self._growing.now(now - self._life)

    def _take_unindexed(self) -> Sequence[Entry]:
        if self._growing is None:
            return ()
        entries, self._indexed = self._growing.after(self._indexed)
        return entries
