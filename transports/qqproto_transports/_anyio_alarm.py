"""When it is time for a machine's timer, on anyio."""

from __future__ import annotations

import math
from collections.abc import Callable

from anyio import CancelScope, current_time, sleep_forever
from anyio.lowlevel import checkpoint

from qqproto_transports._clock import LONGEST_WAIT

_TURNS = 3
"""Turns of the loop within which a task that waits for a socket takes what has arrived; trio needs one of them."""


class Alarm:
    """Rings when the clock has reached a time, and looks at the clock at least every 15 s until then.

    Somebody has to keep it: :meth:`keep` is for a task. With several keepers the first who wakes rings.
    """

    def __init__(self, clock: Callable[[], float], ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._at: float | None = None
        self._naps: dict[CancelScope, float] = {}
        """Those who sleep, and when each will look at the clock."""

    def set(self, at: float | None) -> None:
        """Ring at ``at``, and not at what was set before; None: not at all."""
        self._at = at
        if at is None:
            return
        for nap, looks_at in self._naps.items():
            if at < looks_at:
                self._naps[nap], nap.deadline = self._next_look()

    async def keep(self) -> None:
        """Sleep and ring, for ever."""
        while True:
            looks_at, deadline = self._next_look()
            with CancelScope(deadline=deadline) as nap:
                self._naps[nap] = looks_at
                try:
                    await sleep_forever()
                finally:
                    del self._naps[nap]
            for _ in range(_TURNS):  # Time may be up. What has arrived meanwhile goes first.
                await checkpoint()
            if self._at is not None and self._at <= self._clock():
                self._at = None
                self._ring()

    def _next_look(self) -> tuple[float, float]:
        """When to look at the clock, on the clock and on the loop's own."""
        if self._at is None:
            return math.inf, math.inf
        now = self._clock()
        wait = min(max(self._at - now, 0.0), LONGEST_WAIT)
        return now + wait, current_time() + wait
