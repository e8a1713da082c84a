"""A bounded memory of dispatches by their names, to know a repetition when it comes."""

from __future__ import annotations

from collections import OrderedDict, deque

from qqproto.events import Dispatch
from qqproto.protocol.dispatch_types import EVENT_NAMING_TYPES


def names_of(dispatch: Dispatch) -> tuple[str, ...]:
    """What this very event is called: its event id, and for the types whose ``d.id`` names the event, type and
    ``d.id``.

    The same ``d.id`` under GROUP_AT_MESSAGE_CREATE and under GROUP_MESSAGE_CREATE makes two names: the platform sends
    both where a group lets the bot read along, and a bot may have subscribed to either.
    """
    names = (dispatch.id,) if dispatch.id else ()
    if dispatch.type in EVENT_NAMING_TYPES and isinstance(dispatch.data, dict):
        id = dispatch.data.get("id")
        if type(id) is str and id:
            return (*names, f"{dispatch.type} {id}")
    return names


class Memory:
    """Remembers the names of the last ``size`` dispatches for ``life`` seconds.

    Remembering is one append; the names are indexed when somebody asks, which is after a gap, in a replay or for a step
    back, and never in the common case.
    """

    __slots__ = ("_index", "_life", "_log", "_size")

    def __init__(self, *, size: int, life: float) -> None:
        self._size = size
        self._life = life
        self._log: deque[tuple[float, tuple[str, ...]]] = deque(maxlen=size)
        self._index: OrderedDict[str, float] = OrderedDict()

    def remember(self, names: tuple[str, ...], now: float) -> None:
        """One dispatch more; the oldest one beyond ``size`` is forgotten."""
        self._log.append((now, names))

    def knows(self, names: tuple[str, ...], now: float) -> bool:
        """Whether a dispatch with one of these names was remembered within ``life``."""
        self._fold(now)
        return any(name in self._index for name in names)

    def names(self, now: float) -> tuple[str, ...]:
        """Every name that is remembered, oldest first."""
        self._fold(now)
        return tuple(self._index)

    def _fold(self, now: float) -> None:
        index = self._index
        while self._log:
            at, names = self._log.popleft()
            for name in names:
                index[name] = at
                index.move_to_end(name)
        # A dispatch has two names at most.
        while index and (len(index) > 2 * self._size or now - next(iter(index.values())) > self._life):
            index.popitem(last=False)
