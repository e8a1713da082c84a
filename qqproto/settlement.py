"""How far the application is in a session: what came, and below what it has finished with everything."""

from __future__ import annotations

from collections import deque


class Settlement:
    """The two sequences of one session; it outlives the sockets that the session lives on.

    ``settle`` may be called from any thread: it only appends to a deque, which the machine's own thread folds in.
    """

    __slots__ = ("_done", "_open", "received")

    def __init__(self) -> None:
        self.received = 0
        self._open: set[int] = set()
        self._done: deque[int] = deque()

    def receive(self, sequence: int) -> None:
        """A dispatch with this sequence came and is not settled yet."""
        self._open.add(sequence)
        if sequence > self.received:
            self.received = sequence

    def receive_settled(self, sequence: int) -> None:
        """READY or RESUMED came: they have a sequence, and settle themselves."""
        if sequence > self.received:
            self.received = sequence

    def settle(self, sequence: int) -> None:
        """The application has finished with this sequence. Idempotent; from any thread."""
        self._done.append(sequence)

    @property
    def settled(self) -> int:
        """The highest sequence up to which everything that came is settled."""
        self._fold()
        # Not the first that came: one that fills a gap late is older than those before it.
        return min(self._open, default=self.received + 1) - 1

    @property
    def unsettled(self) -> int:
        """How many dispatches came and are not settled."""
        self._fold()
        return len(self._open)

    def _fold(self) -> None:
        while self._done:
            self._open.discard(self._done.popleft())
