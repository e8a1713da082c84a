"""A clock that moves when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Seconds that pass only by :meth:`advance`; monotonic, like the clock that every ``now`` is read from.

    >>> clock = VirtualClock()
    >>> clock.advance(41.25)
    41.25
    >>> clock.now
    41.25
    """

    __slots__ = ("_now",)

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` pass; returns the new time. Raises ValueError for a negative span."""
        return self.advance_to(self._now + seconds)

    def advance_to(self, at: float) -> float:
        """Let time pass until ``at``; returns it. Raises ValueError if that is over already (or not a time at all)."""
        if not at >= self._now:
            raise ValueError(f"the clock stands at {self._now} and does not go back to {at}")
        self._now = at
        return at
