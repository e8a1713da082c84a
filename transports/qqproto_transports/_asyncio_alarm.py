"""When it is time for a machine's timer, on asyncio."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush

from qqproto_transports._clock import LONGEST_WAIT

_NOT_WORTH_IT = 5.0
"""Seconds by which an alarm may be put off without its timer: to look too early now and then costs less."""
_ON_TIME = 0.02
"""Seconds. Whoever rings no later than this after the time has not been kept from reading for longer either."""


class Watch:
    """Rings alarms when the clock has reached their times, and looks at the clock at least every 15 s until then: the
    loop's own may stand still while the system sleeps.

    A connection sets two deadlines for each of its heartbeats, one of which its ACK takes away. So however many alarms
    there are, they have one timer of the loop, and a heap in which what was taken away lies until it comes to the top.
    """

    __slots__ = ("_clock", "_due", "_handle", "_looks_at", "_loop", "_numbers", "_reads_first", "_ringing")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reads_first = False
        self._handle: asyncio.Handle | None = None
        self._looks_at = 0.0
        """When the timer goes off, if there is one."""
        self._ringing = False

    def add(self, at: float, alarm: Alarm) -> None:
        """Have ``alarm`` look at ``at``, if it still means to by then."""
        heappush(self._due, (at, next(self._numbers), alarm))
        self.plan()

    def plan(self) -> None:
        """See that the timer goes off for the first of them, and for nothing else."""
        if self._ringing:
            return  # It is done when all have rung.
        first = self._first()
        if first == math.inf:
            self._drop_timer()
            return
        loop = self._loop
        if loop is None or not loop.is_running():
            self._drop_timer()
            loop = self._begin()
        elif self._handle is not None and self._looks_at <= first < self._looks_at + _NOT_WORTH_IT:
            return  # It looks then, and sees.
        now = self._clock()
        wanted = min(first, now + LONGEST_WAIT)
        if self._handle is not None and self._looks_at <= wanted < self._looks_at + _NOT_WORTH_IT:
            return
        self._drop_timer()
        self._looks_at = wanted
        self._handle = loop.call_later(max(wanted - now, 0.0), self._on_time)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _begin(self) -> asyncio.AbstractEventLoop:
        """On the loop that runs. It is asked for once: on CPython 3.11 each time is a system call."""
        loop = self._loop = asyncio.get_running_loop()
        # Before it calls what is due, asyncio's own loop has looked at its sockets in the same turn. Others promise
        # nothing: uvloop may call it at the end of a turn in which something has taken long.
        self._reads_first = type(loop).__module__.partition(".")[0] == "asyncio"
        return loop

    def _first(self) -> float:
        """When the first of them is to look; infinity if there is none."""
        due = self._due
        while due:
            at, _, alarm = due[0]
            if alarm.looks_at == at:
                return at
            heappop(due)  # It was set to another time.
        return math.inf

    def _drop_timer(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _on_time(self) -> None:
        """Time may be up. What has arrived meanwhile goes first: it may be what a deadline waits for.

        If this comes on time, and after a look at the sockets, nothing has: no callback has kept the loop from looking
        for longer than we are late. Else the loop gets two turns more, which uvloop needs to read it all.
        """
        self._handle = None
        now, first = self._clock(), self._first()
        if first > now:
            self.plan()
        elif self._reads_first and now - first <= _ON_TIME:
            self._ring()
        else:
            self._looks_at = first
            self._handle = asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        self._handle = asyncio.get_running_loop().call_soon(self._ring)

    def _ring(self) -> None:
        self._handle = None
        self._ringing = True
        now = self._clock()
        try:
            for _ in range(len(self._due)):  # What is set meanwhile, even to this very moment, rings in another turn.
                if self._first() > now:
                    break
                heappop(self._due)[2].look(now)
        finally:
            self._ringing = False
            self.plan()


class Alarm:
    """Rings when the clock has reached a time: by a ``watch`` that it shares with others, or by one of its own."""

    __slots__ = ("_at", "_ring", "_watch", "looks_at")

    def __init__(self, clock: Callable[[], float], ring: Callable[[], None], watch: Watch | None = None) -> None:
        self._ring = ring
        self._watch = Watch(clock) if watch is None else watch
        self._at = math.inf
        self.looks_at = math.inf
        """When the watch is to let it look; never later than it is to ring."""

    def set(self, at: float | None) -> None:
        """Ring at ``at``, and not at what was set before; None: not at all."""
        if at is None:
            self._at = self.looks_at = math.inf
            self._watch.plan()
            return
        self._at = at
        if not self.looks_at <= at < self.looks_at + _NOT_WORTH_IT:
            self.looks_at = at
            self._watch.add(at, self)

    def look(self, now: float) -> None:
        """It may be time."""
        at, self.looks_at = self._at, math.inf
        if at <= now:
            self._at = math.inf
            self._ring()
        else:
            self.set(at)
