"""When an Identify may be sent, and when an endpoint may be called: counting in windows, without a clock."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
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
    in two minutes finds its place when it does, or a better one, and sixty-four of them do not race for each slot.
    """

    __slots__ = (
        "_booked",
        "_counted_from",
        "_max_concurrency",
        "_places",
        "_refill_at",
        "_remaining",
        "_total",
        "_window",
    )

    def __init__(self, window: float) -> None:
        self._window = window
        self._max_concurrency = 1
        self._booked: list[float] = []
        self._places: dict[Hashable, float] = {}
        self._total: int | None = None
        self._remaining: int | None = None
        self._counted_from = 0.0
        self._refill_at = math.inf

    def learn(
        self, *, total: int | None, remaining: int | None, reset_after: float | None, max_concurrency: int, now: float
    ) -> None:
        """What ``/gateway/bot`` said: the budget left, when it is refilled, how many starts a window takes."""
        self._max_concurrency = max(1, max_concurrency)
        self._total, self._remaining = total, remaining
        # What is booked for later is not in the platform's count yet.
        self._counted_from = now
        self._refill_at = now + (_DAY if reset_after is None else reset_after)

    def reserve(self, asker: Hashable, now: float) -> float:
        """From when ``asker`` may send an Identify. Asked again before that time, it gives the place up for this."""
        self._forget(now)
        place = self._places.pop(asker, None)
        if place is not None:
            self._booked.remove(place)
        at = self._opens(self._refill_at if self._spent() else now)
        self._places[asker] = at
        insort(self._booked, at)
        return at

    def _opens(self, at: float) -> float:
        """The first moment from ``at`` on that has fewer than ``max_concurrency`` booked within a window of it."""
        booked = self._booked
        while True:
            first = bisect_right(booked, at, key=self._window.__add__)
            last = bisect_left(booked, at + self._window)
            if last - first < self._max_concurrency:
                return at
            at = booked[last - self._max_concurrency] + self._window

    def _spent(self) -> bool:
        if self._remaining is None:
            return False
        return self._remaining <= sum(self._counted_from <= at < self._refill_at for at in self._booked)

    def _forget(self, now: float) -> None:
        """Let go of what is too long ago to matter, and of the budget of yesterday."""
        if now >= self._refill_at:
            self._remaining, self._counted_from, self._refill_at = self._total, self._refill_at, now + _DAY
        gone = bisect_right(self._booked, now, key=self._window.__add__)
        if self._remaining is not None:
            self._remaining -= sum(at >= self._counted_from for at in self._booked[:gone])
        del self._booked[:gone]
        self._places = {asker: at for asker, at in self._places.items() if at >= now}


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
