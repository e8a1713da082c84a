"""When an Identify may be sent, and when an endpoint may be called: counting in windows, without a clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class IdentifySlot:
    """The ``now`` from which an Identify may be sent."""

    at: float


class IdentifyPacer:
    """At most ``max_concurrency`` Identifies in any window, and none beyond the day's budget."""

    __slots__ = ("_booked", "_max_concurrency", "_refill_at", "_remaining", "_total", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._max_concurrency = 1
        self._booked: deque[float] = deque()
        self._total: int | None = None
        self._remaining: int | None = None
        self._refill_at: float | None = None

    def learn(
        self, *, total: int | None, remaining: int | None, reset_after: float | None, max_concurrency: int, now: float
    ) -> None:
        """What ``/gateway/bot`` said: the budget left, when it is refilled, how many starts a window takes."""
        self._max_concurrency = max(1, max_concurrency)
        self._total, self._remaining = total, remaining
        self._refill_at = None if reset_after is None else now + reset_after

    def reserve(self, now: float, horizon: float) -> float:
        """From when one more Identify may be sent; booked if that is at most ``horizon`` seconds away."""
        at = max(now, self._window_opens(now))
        if self._spent(at):
            # Without a refill time the budget is asked for again by the next fetch of the gateway information.
            at = max(at, self._refill_at if self._refill_at is not None else now + horizon * 2)
        if at - now <= horizon:
            self._book(at)
        return at

    def _book(self, at: float) -> None:
        self._booked.append(at)
        while len(self._booked) > self._max_concurrency:
            self._booked.popleft()
        if self._refill_at is not None and at >= self._refill_at:
            self._remaining, self._refill_at = self._total, None
        if self._remaining is not None:
            self._remaining -= 1

    def _window_opens(self, now: float) -> float:
        if len(self._booked) < self._max_concurrency:
            return now
        return self._booked[-self._max_concurrency] + self._window

    def _spent(self, at: float) -> bool:
        if self._remaining is None or self._remaining > 0:
            return False
        return self._refill_at is None or at < self._refill_at


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
