"""A session in use: its sequences, its settling, and the memories that know a repetition."""

from __future__ import annotations

import math

from qqproto.config import ShardConfig
from qqproto.event_names import Trace, names_in, trace_of
from qqproto.events import Dispatch
from qqproto.memory import Memory, SavedMemory
from qqproto.policy import Policy
from qqproto.session import Session, User
from qqproto.settlement import Settlement

MANY = 256
"""So many entries of the journal are worked in at once, should nobody ask before."""


class Recall:
    """The two memories of one shard; they outlive its sessions.

    ``seen`` filters within the process and is never saved. ``done`` enters at settlement and is what is saved: so what
    was received and not settled before a crash comes again, and what was settled does not.
    """

    __slots__ = ("done", "seen")

    def __init__(self, policy: Policy) -> None:
        self.seen = Memory(size=policy.remember_seen, life=policy.remember_for)
        self.done = SavedMemory(size=policy.remember_done, life=policy.remember_for)


class LiveSession:
    """A session in use: it outlives the sockets that it lives on, and its sequences move.

    ``restored``: it was another process's, and has not been resumed in this one yet. ``since``: when Identify began it,
    on the host's clock.

    In the common case dispatches come in the order of their sequences, and are settled in it. Then a dispatch costs two
    entries in journals, one when it comes and one when it is settled; what they mean for the settlement and for the
    memories is worked out when somebody asks, or for many at once. Who reads dispatches takes one in by himself if it
    has the sequence that is :attr:`expected`: its trace goes into the :attr:`journal`, the next is expected, and after
    each of :data:`MANY` it is to :meth:`fold`. All others go through :meth:`take`.
    """

    __slots__ = (
        "_busy", "_highest", "_now", "_recall", "_replaying", "_settled", "_settlement", "expected", "given_up_told",
        "id", "journal", "lag_told", "redelivering", "restored", "since", "user",
    )  # fmt: skip

    def __init__(self, id: str, user: User, *, since: float, policy: Policy, recall: Recall) -> None:
        self.id = id
        self.user = user
        self.since = since
        self.restored = False
        self._replaying = False
        self.redelivering = False
        """Whether what :meth:`take` takes in may have been seen by an earlier process."""
        self._busy = False
        self.given_up_told = 0
        self.lag_told = False
        self._settlement = Settlement(max_open=policy.max_unsettled, max_missing=policy.max_missing)
        self._recall = recall
        self._now = since
        self._highest = 0
        """The highest sequence that was settled in this process."""
        self.journal: list[Trace] = []
        self._settled: list[Trace] = []
        self.expected: int | None = None
        """The sequence of a dispatch that is taken in without a look; None if no dispatch is."""

    @classmethod
    def restore(cls, session: Session, *, since: float, policy: Policy, recall: Recall) -> LiveSession:
        """Go on with a saved session, from what was settled: the rest is to come again."""
        live = cls(session.id, session.user, since=since, policy=policy, recall=recall)
        live.settlement.restore(session.settled, session.ahead, session.missing)
        live.restored = True
        recall.done.restore(session.done, since)
        return live

    @property
    def settlement(self) -> Settlement:
        """How far the application is, with all that has happened until now."""
        self.fold()
        self.expected = None
        return self._settlement

    @property
    def all_settled(self) -> int | None:
        """The last sequence if all that came is settled and there is nothing to tell of it, else None."""
        if self.journal or self._settled:
            self.fold()
        settlement = self._settlement
        if self.lag_told or settlement.given_up != self.given_up_told or settlement.unsettled:
            return None
        return settlement.received

    @property
    def progress(self) -> tuple[int, int]:
        """That of the settlement. What only came makes no difference to it, and is left in the journal."""
        if self._settled:
            self.fold()
        return self._settlement.progress

    @property
    def unsettled(self) -> int:
        """How many dispatches came and are not settled."""
        self.fold()
        return self._settlement.unsettled

    @property
    def busy(self) -> bool:
        """Whether a dispatch has come since its last READY or RESUMED."""
        return self._busy or bool(self.journal)

    def resuming(self) -> None:
        """A Resume was sent: what comes until :meth:`resumed` is replayed."""
        self.fold()
        self.expected = None
        self._replaying = True
        self.redelivering = self.restored

    def resumed(self, sequence: int | None) -> int:
        """RESUMED came; returns how many sequences are missing that were not told as missing before."""
        missing = self.settlement.resumed(sequence)
        self._replaying = self.redelivering = self.restored = self._busy = False
        return missing

    def take(self, trace: Trace) -> bool:
        """Take in a dispatch that is not simply the next one; False if it is a repetition."""
        self.fold()
        now, *_, sequence = trace
        self._now = now
        settlement, recall = self._settlement, self._recall
        if self._replaying or sequence != settlement.received + 1:
            names = names_in(trace)
            if (
                (sequence and settlement.came_before(sequence))
                or recall.seen.knows(names, now)
                or recall.done.knows(names, now)
            ):
                if sequence:
                    settlement.pass_over(sequence)
                return False
        elif sequence in settlement.out_of_order:
            settlement.pass_over(sequence)
            return False
        recall.seen.remember_all((trace,))
        if sequence:
            settlement.receive(sequence, now)
        self._busy = True
        if not (self._replaying or settlement.out_of_order):
            self.expected = settlement.received + 1
        return True

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread; another session's is ignored."""
        if dispatch.session_id == self.id:
            self._settled.append(dispatch.trace or trace_of(dispatch, self._latest))

    @property
    def _latest(self) -> float:
        """When the last dispatch came, as far as is known. From any thread."""
        try:
            return self.journal[-1][0]
        except IndexError:  # Whoever has just folded it has noted that first.
            return self._now

    def fold(self) -> None:
        """Work the journal into the settlement and the memories."""
        came, count = self.journal, len(self._settled)
        if not came and not count:
            return
        settlement, recall = self._settlement, self._recall
        settled = self._settled[:count]
        # Another thread may have added to it meanwhile.
        del self._settled[:count]
        if came:
            self._now, self._busy = came[-1][0], True
            recall.seen.remember_all(came)
        if settled == came and not settlement.unsettled:
            recall.done.remember_all(settled)
            self._highest = came[-1][-1]
            settlement.run_through(self._highest, count)
            came.clear()
            return
        # Nearly always this is the last one of the journal before, if anything.
        first = came[0][-1] if came else math.inf
        earlier, in_order, highest = 0, True, self._highest
        while earlier < count and settled[earlier][-1] < first:
            number = settled[earlier][-1]
            in_order = in_order and number > highest
            highest = number
            settlement.settle(number or None)
            earlier += 1
        within = settled[earlier:]
        many = len(within)
        if within and within == came[:many] and not settlement.unsettled:
            highest = came[many - 1][-1]
            settlement.run_through(highest, many)
            del came[:many]
            within = []
        if in_order and not within:
            recall.done.remember_all(settled)
            self._highest = highest
        else:
            self._remember_done(settled)
        numbers = {trace[-1] for trace in within}
        for trace in within:
            if trace[-1] < first:
                settlement.settle(trace[-1] or None)
        for trace in came:
            settlement.receive(trace[-1], trace[0])
            if trace[-1] in numbers:
                settlement.settle(trace[-1])
        came.clear()

    def _remember_done(self, settled: list[Trace]) -> None:
        """Remember these, each but once: an application may settle a dispatch again, or late. What has a higher number
        than all that were settled before is none of them."""
        done, highest = self._recall.done, self._highest
        numbers: set[int] = set()
        new = []
        for trace in settled:
            number = trace[-1]
            if number not in numbers and (number > highest or not done.has(trace)):
                new.append(trace)
            if number:
                numbers.add(number)
        done.remember_all(new)
        self._highest = max(highest, *numbers) if numbers else highest

    def give_up(self) -> None:
        """Nothing more is heard of this session; what it brought stays known."""
        self.fold()

    def value(self, config: ShardConfig) -> Session:
        """What may be saved of it now."""
        if self.journal or self._settled:
            self.fold()
        settlement = self._settlement
        settled, ahead, missing = settlement.standing
        return Session(
            id=self.id,
            app_id=config.app_id,
            shard=config.shard,
            intents=int(config.intents),
            received=settlement.received,
            settled=settled,
            user=self.user,
            ahead=ahead,
            missing=missing,
            done=self._recall.done.names(self._now),
        )
