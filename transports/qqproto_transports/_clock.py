"""The clock of the drivers: monotonic, and going on while the system sleeps where the system can say so."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

if sys.platform == "linux":
    # Not a function of ours that calls it: it is asked at every input.
    clock: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    """Seconds on a clock that never goes back and counts the time that the system was suspended."""

elif sys.platform == "darwin":

    def clock() -> float:
        """Seconds on a clock that never goes back and counts the time that the system was suspended.

        ``time.monotonic`` is mach_absolute_time here, which stands still meanwhile; CLOCK_MONOTONIC does not.
        """
        return time.clock_gettime(time.CLOCK_MONOTONIC)

else:

    def clock() -> float:
        """Seconds on a clock that never goes back; on Windows it counts the time that the system was suspended."""
        return time.monotonic()


LONGEST_WAIT = 15.0
"""Seconds. No driver waits longer without looking at the clock: its waits may stand still while the system sleeps."""
