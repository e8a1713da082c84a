"""What a client's heartbeats should be: never late, with a sequence that it was sent and that never falls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qqproto.testing.behaviour import Behaviour
from qqproto.testing.sessions import FakeSession


class Pulse:
    """Judges the heartbeats of one connection; ``blame`` is told what is wrong with them.

    Two heartbeats may not be further apart than Hello's interval, Hello counting as the first. It is the interval that
    matters, not whether something else came meanwhile. ``early`` is the last sequence heard before a session was there.
    """

    __slots__ = ("_behaviour", "_blame", "_blamed", "_last", "early", "excused", "interval")

    def __init__(self, blame: Callable[[float, str], None], behaviour: Behaviour) -> None:
        self._blame = blame
        self._behaviour = behaviour
        self._last: float | None = None
        self._blamed = False
        self.interval = 0.0
        self.early: int | None = None
        self.excused = False

    def begin(self, interval: float, now: float) -> None:
        """Hello was said."""
        self.interval = interval
        self._last = now

    def stop(self) -> None:
        """The connection is over, or about to be."""
        self._last = None

    def start_anew(self, now: float) -> None:
        """What was late until now is forgiven."""
        self.excused = False
        if self._last is not None:
            self._last = now

    def watch(self, now: float) -> None:
        """See whether the next heartbeat is late by now; told once for each."""
        if self._last is None or self._blamed or self.excused:
            return
        gap = now - self._last
        if gap > self.interval + self._behaviour.slack + 1e-6:
            self._blamed = True
            self._blame(now, f"no heartbeat for {gap:.3f} s, where the interval is {self.interval:g} s")

    def beat(self, sequence: Any, session: FakeSession | None, now: float) -> None:
        """A heartbeat came with this ``d``. Call :meth:`watch` before."""
        if self._last is not None:
            self._last = now
        self._blamed = False
        if sequence is not None and (type(sequence) is not int or sequence < 0):
            self._blame(now, f"a heartbeat with {sequence!r} for a sequence")
        elif session is not None:
            self._judge(sequence, session, now)
        elif sequence is not None:
            if self.early is not None and sequence < self.early:
                self._blame(now, f"a heartbeat with sequence {sequence} after one with {self.early}")
            self.early = sequence

    def adopt(self, session: FakeSession, resumed_from: int, now: float) -> None:
        """A Resume was granted. A new process may go on from an older sequence than the last one heard was."""
        if session.heartbeat is not None:
            session.heartbeat = min(session.heartbeat, resumed_from)
        if self.early is not None:
            self._judge(self.early, session, now)

    def _judge(self, sequence: int | None, session: FakeSession, now: float) -> None:
        if sequence is None:
            if session.heartbeat is not None:
                self._blame(now, f"a heartbeat without a sequence after one with {session.heartbeat}")
            return
        if sequence > session.sent:
            self._blame(now, f"a heartbeat with sequence {sequence}, where {session.sent} was the last one sent")
            return
        if session.heartbeat is not None and sequence < session.heartbeat:
            self._blame(now, f"a heartbeat with sequence {sequence} after one with {session.heartbeat}")
        session.heartbeat = sequence
