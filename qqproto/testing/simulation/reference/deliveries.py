"""Promise G7 in one process: which dispatches its application is given, in which order, and with which mark.

How the wording is read:

- A dispatch is a repetition if its sequence came before in this session, or was settled when the session was saved. In
  a replay, and where it is not the next in order, it is one also if it is known by name: as one of the last that this
  process was given, or as one of the last that were settled. Everything else is handed out, once, in the order in which
  it came. So is one whose sequence was jumped over before, if it is not too long ago.
- Marked are those that come between the Resume of a saved session and the first RESUMED of it.
- Settled is what lies below everything that came and is open. The heartbeat names it, and a Resume in a next process.
  What lay below it stays settled when one comes late: a repetition's number too, and what an earlier process settled.
- ``policy.max_unsettled`` bounds what is open, what came in order since the oldest of it, and how far back one that
  came late may lie. What is beyond it is given up: for what is saved it counts as settled.
- ``Resumed.missing`` counts the sequences that were jumped over since the last RESUMED, or before the session was
  saved, and have not come. Whether RESUMED has a number of its own or repeats that of the last dispatch, nobody says:
  it is not among them, and a dispatch with that number is not a repetition.
- Of dispatches without a sequence there is no more than that to say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.names import Names, Past, names_of
from qqproto.testing.simulation.reference.verdict import Broken, demand


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of a shard's session when it was saved. ``done`` is what was settled, by its names."""

    session: str
    settled: int
    ahead: frozenset[int]
    missing: frozenset[int]
    done: Past

    def differs_from(self, other: Known) -> bool:
        """Whether more was settled than there."""
        mine = (self.session, self.settled, self.done.length)
        return mine != (other.session, other.settled, other.done.length)


@dataclass(slots=True)
class _Due:
    """A dispatch that came. Not ``certain``: whether it is a repetition depends on how long memory lasts."""

    sequence: int | None
    session: str
    names: tuple[str, ...]
    marked: bool
    replayed: bool
    certain: bool
    late: bool


class Deliveries:
    """What one shard hands out in one process; ``by_delivery``: handing out settles."""

    def __init__(self, policy: Policy, *, by_delivery: bool) -> None:
        self._policy = policy
        self.by_delivery = by_delivery
        self._session = ""
        self._due: deque[_Due] = deque()
        self._open: dict[int, tuple[str, ...]] = {}
        self._span: deque[int] = deque()
        self._late: set[int] = set()
        self._finished: set[int] = set()
        self._ahead: frozenset[int] = frozenset()
        self._left_out: dict[int, None] = {}
        self._resumed_at: set[int] = set()
        self._told_up_to = 0
        self._untold = 0
        self._seen = Names(policy.remember_seen, policy.remember_for)
        self._done = Names(policy.remember_done, policy.remember_for)
        self._heard_at = 0.0
        self._restored = False
        self._replayed = 0
        self._resumption: tuple[int, bool] | None = None
        self._settled_before: int | None = None
        self.received = 0
        self.resumed_up_to = 0
        self.given_up = 0
        self._names_of_abandoned: dict[int, tuple[str, ...]] = {}
        self.abandoned: list[int] = []
        """What was given up, for the ledger."""
        self.jumped: list[Container[int]] = []
        """What was jumped over in this session."""

    # -- the session ----------------------------------------------------------------------------------------------

    def restore(self, known: Known, age: float, now: float) -> None:
        """The process begins with a session that was saved ``age`` seconds ago."""
        self._session, self.received = known.session, known.settled
        self._ahead = known.ahead
        self._left_out = dict.fromkeys(sorted(known.missing))
        self._untold = len(known.missing)
        self.jumped.append(known.missing)
        self._restored = True
        self._heard_at = now - age
        self._done.recall(known.done, age, now)

    def begins(self, session: str) -> None:
        """READY came."""
        self._session, self.received = session, 0
        self._told_up_to = self._untold = self.given_up = 0
        self._open.clear()
        self._span.clear()
        self._late.clear()
        self._names_of_abandoned.clear()
        self._finished.clear()
        self._left_out.clear()
        self._resumed_at.clear()
        self.jumped.clear()
        self._ahead = frozenset()
        self._restored = False
        self._settled_before = 0

    def resumes(self) -> None:
        """A Resume is sent."""
        self._replayed = 0

    def known(self, now: float) -> Known:
        """What is saved now, while there is a session."""
        settled = self.settled
        ahead = {number for number in range(settled + 1, self.received + 1) if number in self._finished}
        ahead.update(number for number in self._ahead if number > settled)
        in_order = min((number for number in self._open if number not in self._late), default=self.received + 1)
        passed = (number for number in range(settled + 1, in_order) if number not in self._left_out)
        ahead.update(number for number in passed if number not in self._open)
        missing = frozenset(number for number in self._left_out if number <= settled) - self._resumed_at
        return Known(self._session, settled, frozenset(ahead), missing, self._done.as_of(now))

    @property
    def settled(self) -> int:
        """Up to where everything that came is settled."""
        return min(self._open) - 1 if self._open else self.received

    # -- what comes -----------------------------------------------------------------------------------------------

    def came(self, message: dict[str, Any], now: float, *, replaying: bool) -> None:
        """A dispatch of the session came."""
        self._note_change()
        sequence = message.get("s")
        if type(sequence) is not int or sequence <= 0:
            sequence = None
        names = names_of(message)
        repetition = self._is_repetition(sequence, names, now, replaying=replaying)
        self._heard_at = now
        late = sequence is not None and sequence <= self.received
        if sequence is not None:
            self._count(sequence)
        if repetition is not True:
            due = _Due(sequence, self._session, names, self._restored, replaying, repetition is False, late)
            self._due.append(due)
            if due.certain:
                self._take_in(due)

    def counted(self, sequence: Any) -> None:
        """READY came; it may have a sequence."""
        self._note_change()
        if type(sequence) is int and sequence > 0:
            self._count(sequence)

    def resumed(self, sequence: Any) -> None:
        """RESUMED came; it may have a sequence."""
        self._note_change()
        if type(sequence) is int and sequence > self.received:
            self._count(sequence)
            self._resumed_at.add(sequence)
            self._left_out[sequence] = None
            self.jumped.append((sequence,))
        self._resumption = self._untold, self._restored
        self._untold = 0
        self._told_up_to = self.resumed_up_to = self.received
        self._restored = False

    def _is_repetition(
        self, sequence: int | None, names: tuple[str, ...], now: float, *, replaying: bool
    ) -> bool | None:
        """Whether the dispatch is one, None if it may be taken for one."""
        if sequence is not None:
            if sequence in self._ahead:
                return True
            if sequence <= self.received and sequence not in self._left_out:
                return True
        if not replaying and sequence == self.received + 1:
            return False
        known = self._seen.knows(names, now), self._done.knows(names, now)
        return True if True in known else None if None in known else False

    def _take_in(self, due: _Due) -> None:
        """It is to be handed out, and open until it is settled."""
        self._seen.add(due.names, self._heard_at)
        if due.sequence is None:
            return
        self._open[due.sequence] = due.names
        if due.late:
            self._late.add(due.sequence)
        else:
            self._span.append(due.sequence)
        most = self._policy.max_unsettled
        while len(self._open) > most:
            self._give_up(min(self._open))
        while len(self._span) > most:
            self._give_up(self._span[0])
        while self._late and self.received - min(self._late) > most:
            self._give_up(min(self._late))

    def _give_up(self, sequence: int) -> None:
        """It may still be settled, which is then remembered by its names."""
        self._names_of_abandoned[sequence] = self._open[sequence]
        self._finish(sequence)
        self.given_up += 1
        self.abandoned.append(sequence)

    def _count(self, sequence: int) -> None:
        """The number came, in whatever it was."""
        if sequence <= self.received:
            if sequence in self._left_out:
                del self._left_out[sequence]
                self._untold -= sequence > self._told_up_to
            return
        jumped = range(self.received + 1, sequence)
        if jumped:
            remembered = jumped[-self._policy.max_missing :]
            self._left_out.update((number, None) for number in remembered if number not in self._ahead)
            while len(self._left_out) > self._policy.max_missing:
                del self._left_out[next(iter(self._left_out))]
            self._untold += len(jumped) - sum(number in jumped for number in self._ahead)
            self.jumped.append(jumped)
        self.received = sequence

    def _note_change(self) -> None:
        """What a heartbeat names is as of its own place in a read, which is somewhere between before it and now."""
        if self._settled_before is None:
            self._settled_before = self.settled

    # -- what is handed out and settled ---------------------------------------------------------------------------

    def told(self, sequence: int | None, session: str | None, *, marked: bool) -> None:
        """A dispatch was handed out."""
        while self._due and not self._due[0].certain and self._due[0].sequence != sequence:
            self._due.popleft()
        if not self._due or self._due[0].sequence != sequence:
            due = self._due[0].sequence if self._due else None
            raise Broken("G7", f"dispatch {sequence} was handed out, where {due} was due")
        due_now = self._due.popleft()
        demand(session == due_now.session, "G7", f"dispatch {sequence} is said to be of session {session}")
        wrong = "is not marked" if due_now.marked else "is marked"
        demand(marked is due_now.marked, "G7", f"dispatch {sequence} {wrong} as redelivered")
        self._replayed += due_now.replayed
        if not due_now.certain:
            self._take_in(due_now)
        if self.by_delivery:
            self.settles(sequence, session)

    def told_resumed(self, replayed: int, missing: int, *, restored: bool) -> None:
        """``Resumed`` was told."""
        expected, self._resumption = self._resumption, None
        if expected is None:
            raise Broken("G7", "Resumed was told, and no RESUMED came")
        demand(restored is expected[1], "G7", f"Resumed says restored={restored}")
        demand(replayed == self._replayed, "G7", f"Resumed says {replayed} replayed, and {self._replayed} were")
        demand(missing == expected[0], "G7", f"Resumed says {missing} missing, and {expected[0]} are")

    def settles(self, sequence: int | None, session: str | None) -> None:
        """The application has finished with a dispatch."""
        if session != self._session or sequence is None:
            return
        if sequence in self._open:
            self._done.add(self._open[sequence], self._heard_at)
            self._finish(sequence)
        elif sequence in self._names_of_abandoned:
            self._done.add(self._names_of_abandoned.pop(sequence), self._heard_at)

    def beats(self, sequence: Any) -> None:
        """A heartbeat was sent: it names the settled sequence, null before there is one."""
        number = 0 if sequence is None else sequence
        demand(type(number) is int and (number > 0 or sequence is None), "G7", f"a heartbeat names {sequence!r}")
        now = self.settled
        before = now if self._settled_before is None else self._settled_before
        right = min(before, now) <= number <= max(before, now)
        demand(right, "G7", f"a heartbeat names sequence {sequence}, and everything up to {now} is settled")

    def drained(self) -> None:
        """The machine has said all that it had to say."""
        self._settled_before = None
        for due in self._due:
            demand(not due.certain, "G7", f"dispatch {due.sequence} was not handed out")
        self._due.clear()
        demand(self._resumption is None, "G7", "RESUMED came, and no Resumed was told")

    def _finish(self, sequence: int) -> None:
        del self._open[sequence]
        self._late.discard(sequence)
        self._finished.add(sequence)
        while self._span and self._span[0] not in self._open:
            self._span.popleft()
