"""How far the application is in a session: what came, what is missing, and below what it has finished with all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Settlement:
    """The sequences of one session; it outlives the sockets that the session lives on.

    Two of them matter: ``received``, the highest that came, and ``settled``, below which nothing is open. Dispatches
    that are settled ahead of an open one are kept aside until it is. Each step costs constant time, settling in any
    order included. ``settle`` may be called from any thread: it only appends to a deque, which the machine's own thread
    folds in.
    """

    __slots__ = ("_done", "_finished", "_late", "_max_missing", "_max_open", "_missing", "_open", "_order",
                 "_restored", "_told", "given_up", "received")  # fmt: skip

    def __init__(self, *, max_open: int, max_missing: int) -> None:
        self._max_open = max_open
        self._max_missing = max_missing
        self._open: dict[int, float] = {}
        self._order: deque[int] = deque()
        self._late: set[int] = set()
        self._restored: set[int] = set()
        self._missing: dict[int, None] = {}
        self._told = 0
        self._done: deque[int | None] = deque()
        self._finished = 0
        self.received = 0
        self.given_up = 0

    def restore(self, settled: int, ahead: Iterable[int]) -> None:
        """Begin where an earlier process was: everything up to ``settled`` is done, and so is what is ``ahead``."""
        self.received = settled
        self._told = settled
        self._restored.update(sequence for sequence in ahead if sequence > settled)

    # -- what comes -----------------------------------------------------------------------------------------------

    def came_before(self, sequence: int) -> bool:
        """Whether this sequence is a repetition: received in this session, and not one that was missing."""
        if sequence > self.received:
            return sequence in self._restored
        return sequence not in self._missing

    def receive(self, sequence: int, now: float) -> None:
        """A dispatch came that is no repetition; it is open until it is settled."""
        self._open[sequence] = now
        if sequence <= self.received:
            self._missing.pop(sequence, None)
            self._late.add(sequence)
            return
        if sequence != self.received + 1:
            self._note_gap(sequence)
        self.received = sequence
        self._order.append(sequence)
        if len(self._open) > self._max_open:
            self._give_up()

    def pass_over(self, sequence: int) -> None:
        """READY, RESUMED or a repetition came: nothing to settle."""
        if sequence <= self.received:
            self._missing.pop(sequence, None)
            return
        if sequence != self.received + 1:
            self._note_gap(sequence)
        self.received = sequence
        self._restored.discard(sequence)

    def missing(self) -> int:
        """How many sequences are missing that were not told as missing before; told with this."""
        told, self._told = self._told, self.received
        return sum(1 for sequence in self._missing if sequence > told)

    def _note_gap(self, sequence: int) -> None:
        first = max(self.received + 1, sequence - self._max_missing)
        for missing in range(first, sequence):
            if missing not in self._restored:
                self._missing[missing] = None
        while len(self._missing) > self._max_missing:
            del self._missing[next(iter(self._missing))]

    # -- what is finished -----------------------------------------------------------------------------------------

    def settle(self, sequence: int | None) -> None:
        """The application has finished with this sequence, or with one that has none. Idempotent; from any thread."""
        self._done.append(sequence)

    @property
    def progress(self) -> tuple[int, int]:
        """Equal as long as nothing was passed over and nothing was settled."""
        return self.settled, self._finished

    def is_open(self, sequence: int | None) -> bool:
        """Whether this sequence came and is not settled."""
        self._fold()
        return sequence in self._open

    @property
    def settled(self) -> int:
        """The highest sequence up to which everything that came is settled."""
        self._fold()
        return self._first() - 1

    @property
    def ahead(self) -> tuple[int, ...]:
        """What is settled above ``settled``, in order."""
        self._fold()
        return tuple(sorted(self._restored.union(number for number in self._order if number not in self._open)))

    @property
    def unsettled(self) -> int:
        """How many dispatches came and are not settled."""
        self._fold()
        return len(self._open)

    def oldest(self, now: float) -> float | None:
        """The age of the unsettled dispatch with the lowest sequence, None if there is none."""
        self._fold()
        return now - self._open[self._first()] if self._open else None

    def _first(self) -> int:
        """The lowest open sequence, or the one after the highest that came."""
        first = self._order[0] if self._order else self.received + 1
        return min(first, *self._late) if self._late else first

    def _fold(self) -> None:
        while self._done:
            self._finish(self._done.popleft())

    def _finish(self, sequence: int | None) -> None:
        if sequence is None:
            self._finished += 1
            return
        if self._open.pop(sequence, None) is None:
            return
        self._finished += 1
        self._late.discard(sequence)
        order, open_ = self._order, self._open
        while order and order[0] not in open_:
            order.popleft()

    def _give_up(self) -> None:
        """Forget the oldest: whoever has it does not settle, and memory is bounded."""
        self._fold()
        if len(self._open) > self._max_open:
            self._finish(self._first())
            self.given_up += 1
