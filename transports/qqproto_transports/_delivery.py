"""What an application is handed, event by event, and what settles it; how it is waited for is a driver's business."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Literal, TypeVar

from qqproto.config import SettleMode
from qqproto.events import Dispatch, Event, Stopped

Told = TypeVar("Told", bound=Event)


class Hand:
    """What somebody who iterates was given last, until he asks for the next."""

    dispatch: Dispatch | None = None


class Delivery(Generic[Told]):
    """A buffer between what brings events and the application that iterates over them.

    Whoever makes one fills :attr:`_buffer`, says in :meth:`settle` what settling is, and puts a task, or a thread, into
    :attr:`_reader` when the next event is asked for. When :attr:`_paused` is set nothing more is to be put into the
    buffer, until :meth:`_relieved`.
    """

    def __init__(self, settle: SettleMode, max_buffered: int) -> None:
        self._settle_on = settle
        self._max_buffered = max_buffered
        self._buffer: deque[Told] = deque()
        self._hand = Hand()
        self._reader: object = None
        """Who asked for an event last."""
        self._handled: dict[object, list[Dispatch]] = {}
        """What each task, or thread, handles in a block of its own."""
        self._paused = False
        self._draining = False
        self._closing = False

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread."""
        raise NotImplementedError

    # -- steps ----------------------------------------------------------------------------------------------------

    def _settle_here(self, dispatch: Dispatch) -> None:
        """What the iteration settles."""
        self.settle(dispatch)

    def _relieved(self) -> None:
        """There is room in the buffer again."""
        self._paused = False

    def _settle_in_hand(self) -> None:
        """The next event is asked for."""
        hand = self._hand
        dispatch = hand.dispatch
        if dispatch is not None:
            hand.dispatch = None
            if self._settle_on == "iteration":
                self._settle_here(dispatch)

    def _take(self) -> Told | None:
        """The next event to hand out, None if there is none now; after ``close`` only the last one is."""
        buffer = self._buffer
        while buffer:
            event = buffer.popleft()
            if self._paused and not self._draining and len(buffer) <= self._max_buffered // 2:
                self._relieved()
            if self._closing and not isinstance(event, Stopped):
                continue
            if isinstance(event, Dispatch):
                self._hand.dispatch = event
                if self._settle_on == "delivery":
                    self._settle_here(event)
            return event
        return None

    def _held_by(self, caller: object) -> list[Dispatch]:
        """What ``caller`` has in hand, and as long as it waits nobody will settle.

        If it is also who asks for the events, it will not ask for those in the buffer meanwhile.
        """
        mine = list(self._handled.get(caller, ()))
        if caller is self._reader:
            mine += [event for event in self._buffer if isinstance(event, Dispatch)]
            in_hand = self._hand.dispatch
            if in_hand is not None and all(in_hand is not other for other in mine):
                mine.append(in_hand)
        return mine

    @contextmanager
    def _handling(self, who: object, dispatch: Dispatch, on_error: Literal["settle", "keep"]) -> Iterator[None]:
        """The block in which ``who``, a task or thread, handles ``dispatch``."""
        mine = self._handled.setdefault(who, [])
        mine.append(dispatch)
        try:
            yield
        except Exception:
            if on_error == "settle":
                self.settle(dispatch)
            raise
        else:
            self.settle(dispatch)
        finally:
            mine[:] = [other for other in mine if other is not dispatch]
            if not mine:
                del self._handled[who]
