"""When an Identify may be sent, and when an endpoint may be called: counting in windows, without a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

_DAY = 86_400.0


@dataclass(slots=True)
class IdentifySlot:
    """The ``now`` from which an Identify may be sent."""

    at: float


class IdentifyPacer:
    """At most ``max_concurrency`` Identifies in any window, and none beyond the day's budget.

    Each asker has one place in the queue, which it keeps until its time has passed: a shard that is told to come back
    in two minutes finds its place when it does, and sixty-four of them do not race for each slot.
    """

    __slots__ = ("_booked", "_max_concurrency", "_places", "_refill_at", "_remaining", "_total", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._max_concurrency = 1
        self._booked: deque[float] = deque()
        self._places: dict[Hashable, float] = {}
        self._total: int | None = None
        self._remaining: int | None = None
        self._refill_at: float | None = None

    def learn(
        self, *, total: int | None, remaining: int | None, reset_after: float | None, max_concurrency: int, now: float
    ) -> None:
        """What ``/gateway/bot`` said: the budget left, when it is refilled, how many starts a window takes."""
        if self._remaining == 0:
            # Who was put off to the refill may come earlier, if the platform has changed its mind.
            self._places.clear()
            self._booked = deque(at for at in self._booked if at <= now)
        waiting = sum(1 for at in self._places.values() if at > now)
        self._max_concurrency = max(1, max_concurrency)
        self._total, self._remaining = total, None if remaining is None else max(0, remaining - waiting)
        self._refill_at = None if reset_after is None else now + reset_after

    def reserve(self, asker: Hashable, now: float) -> float:
        """From when ``asker`` may send an Identify; the same as before if that time is still to come."""
        place = self._places.get(asker)
        if place is not None and place >= now:
            return place
        self._places = {other: at for other, at in self._places.items() if at >= now}
        if self._refill_at is not None and now >= self._refill_at:
            self._remaining, self._refill_at = self._total, None
        at = max(now, self._window_opens(now))
        if self._remaining == 0:
            # Without a time of its own the refill is at most a day away; the next fetch will know better.
            at = max(at, self._refill_at if self._refill_at is not None else now + _DAY)
        elif self._remaining is not None:
            self._remaining -= 1
        self._places[asker] = at
        self._booked.append(at)
        while len(self._booked) > self._max_concurrency:
            self._booked.popleft()
        return at

    def _window_opens(self, now: float) -> float:
        if len(self._booked) < self._max_concurrency:
            return now
        return self._booked[-self._max_concurrency] + self._window


class Bucket:
    """A token bucket: ``burst`` calls at once, one more every ``refill`` seconds."""

    __slots__ = ("_at", "_burst", "_level", "_refill")

    def __init__(self, *, burst: int, refill: float) -> None:
        self._burst = burst
        self._refill = refill
        self._level = float(burst)
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until the next call is allowed; 0.0 if it is now."""
        self._fill(now)
        return 0.0 if self._level >= 1.0 else (1.0 - self._level) * self._refill

    def take(self, now: float) -> None:
        """Count one call."""
        self._fill(now)
        self._level -= 1.0

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(float(self._burst), self._level + (now - self._at) / self._refill)
        self._at = now
