"""How far the application is in a session: what came, what is missing, and below what it has finished with all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set

_NONE: frozenset[int] = frozenset()


class Settlement:
    """The sequences of one session; it outlives the sockets that the session lives on.

    Two of them matter: ``received``, the highest that came, and ``settled``, below which nothing is open. Dispatches
    that are settled ahead of an open one are kept aside until it is. Each step costs constant time, settling in any
    order included. ``settle`` may be called from any thread: it only appends to a list, which the machine's own thread
    folds in.

    ``out_of_order`` has the numbers above ``settled`` that are settled and did not come in their order: in an earlier
    process, or late. Besides, whatever came in order since the oldest that is open is kept, and no more than
    ``max_open`` of them: an application that holds one back for longer has it given up.
    """

    __slots__ = ("_count", "_done", "_late", "_max_missing", "_max_open", "_missing", "_open", "_order", "_told",
                 "_untold", "given_up", "out_of_order", "received")  # fmt: skip

    def __init__(self, *, max_open: int, max_missing: int) -> None:
        self._max_open = max_open
        self._max_missing = max_missing
        self._open: dict[int, float] = {}
        # Made when they are needed: empty they take a kilobyte, and a bot that waits has nothing in them.
        self._order: deque[int] | None = None
        self._late: set[int] | None = None
        self._missing: dict[int, bool] = {}
        """Whether it surely is missing: RESUMED's number may be its own, or that of a dispatch."""
        self._told = 0
        self._untold = 0
        self._done: list[int | None] = []
        self._count = 0
        self.out_of_order: Set[int] = _NONE
        self.received = 0
        self.given_up = 0

    def restore(self, settled: int, ahead: Iterable[int], missing: Iterable[int] = ()) -> None:
        """Begin where an earlier process was: everything up to ``settled`` is done, and so is what is ``ahead``; but
        what was ``missing`` then is so still, and may come late."""
        self.received = settled
        self.out_of_order = {sequence for sequence in ahead if sequence > settled}
        self._missing.update((sequence, True) for sequence in missing if sequence <= settled)
        self._untold = len(self._missing)

    # -- what comes -----------------------------------------------------------------------------------------------

    def came_before(self, sequence: int) -> bool:
        """Whether this sequence is a repetition: received in this session, and not one that was missing."""
        if sequence > self.received:
            return sequence in self.out_of_order
        return sequence not in self._missing

    def receive(self, sequence: int, now: float) -> None:
        """A dispatch came that is no repetition; it is open until it is settled."""
        self._open[sequence] = now
        order = self._order
        if order is None:
            order = self._order = deque()
        if sequence <= self.received:
            self._fill(sequence)
            if self._late is None:
                self._late = set()
            self._late.add(sequence)
        else:
            if sequence != self.received + 1:
                self._note_gap(sequence)
            self.received = sequence
            order.append(sequence)
        if len(order) > self._max_open or self._late:
            self._keep_bounded(order)

    def run_through(self, sequence: int, count: int) -> None:
        """So many dispatches came in their order, up to this one, and were settled in it, while nothing was open."""
        self.received = sequence
        self._count += count

    def pass_over(self, sequence: int) -> None:
        """READY or a repetition came: nothing to settle."""
        if sequence <= self.received:
            self._fill(sequence)
            return
        if sequence != self.received + 1:
            self._note_gap(sequence)
        self.received = sequence

    def resumed(self, sequence: int | None) -> int:
        """RESUMED came; returns how many sequences are missing that were not told before, and are told with this.

        Whether its number is its own or repeats the last dispatch's is documented nowhere. So it is not counted, and a
        dispatch with that number is welcome.
        """
        if sequence is not None and sequence > self.received:
            self.pass_over(sequence)
            if sequence not in self.out_of_order:
                self._missing[sequence] = False
        untold, self._untold, self._told = self._untold, 0, self.received
        return untold

    def _fill(self, sequence: int) -> None:
        if self._missing.pop(sequence, False) and sequence > self._told:
            self._untold -= 1

    def _note_gap(self, sequence: int) -> None:
        first, known = self.received + 1, self.out_of_order
        self._untold += sequence - first - sum(first <= number < sequence for number in known)
        for missing in range(max(first, sequence - self._max_missing), sequence):
            if missing not in known:
                self._missing[missing] = True
        while len(self._missing) > self._max_missing:
            del self._missing[next(iter(self._missing))]

    # -- what is finished -----------------------------------------------------------------------------------------

    def settle(self, sequence: int | None) -> None:
        """The application has finished with this sequence, or with one that has none. Idempotent; from any thread."""
        self._done.append(sequence)

    @property
    def progress(self) -> tuple[int, int]:
        """Equal as long as nothing was passed over and nothing was settled."""
        if self._done:
            self._fold()
        return (self._first() - 1 if self._order or self._late else self.received), self._count

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
        if not (self.out_of_order or self._order or self._late):
            return ()
        settled, open_ = self.settled, self._open
        self.out_of_order = frozenset(number for number in self.out_of_order if number > settled)
        ahead = set(self.out_of_order)
        ahead.update(number for number in self._order or () if number not in open_)
        if self._late:
            # Below what came in order, all was settled when the late one came.
            end = self._order[0] if self._order else self.received + 1
            came = (number for number in range(settled + 1, end) if number not in self._missing)
            ahead.update(number for number in came if number not in open_)
        return tuple(sorted(ahead))

    @property
    def missing(self) -> tuple[int, ...]:
        """What is missing up to ``settled``; the replay that a next process asks for begins above it."""
        if not self._missing:
            return ()
        settled = self.settled
        return tuple(sequence for sequence, surely in self._missing.items() if surely and sequence <= settled)

    @property
    def standing(self) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """``settled``, ``ahead`` and ``missing``, where nearly always there is only the first."""
        if self._done:
            self._fold()
        if not (self._order or self._late or self.out_of_order or self._missing):
            return self.received, (), ()
        return self.settled, self.ahead, self.missing

    @property
    def unsettled(self) -> int:
        """How many dispatches came and are not settled."""
        if self._done:
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
        count = len(self._done)
        if count:
            done = self._done[:count]
            # Another thread may have added to it meanwhile.
            del self._done[:count]
            for sequence in done:
                self._finish(sequence)

    def _finish(self, sequence: int | None) -> None:
        if sequence is None:
            self._count += 1
            return
        if self._open.pop(sequence, None) is None:
            return
        self._count += 1
        order, open_, late = self._order, self._open, self._late
        if late and sequence in late:
            late.discard(sequence)
            known = self.out_of_order
            if order and order[0] < sequence and len(known) < self._max_open:
                if not isinstance(known, set):
                    known = self.out_of_order = set(known)
                known.add(sequence)
        while order and order[0] not in open_:
            order.popleft()

    def _keep_bounded(self, order: deque[int]) -> None:
        """Give up the oldest: whoever has it does not settle, and memory is bounded, as is what is saved."""
        self._fold()
        limit = self._max_open
        while len(self._open) > limit:
            self._give_up(self._first())
        while len(order) > limit:
            self._give_up(order[0])
        while self._late and self.received - min(self._late) > limit:
            self._give_up(min(self._late))

    def _give_up(self, sequence: int) -> None:
        self._finish(sequence)
        self.given_up += 1
