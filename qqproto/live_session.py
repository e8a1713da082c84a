"""A session in use: its sequences, its settling, and the memories that know a repetition."""

from __future__ import annotations

import math
from typing import Any

from qqproto.config import ShardConfig
from qqproto.events import Dispatch
from qqproto.memory import Memory, Trace, names_in, trace_of
from qqproto.policy import Policy
from qqproto.session import Session, User
from qqproto.settlement import Settlement

_MANY = 256
"""So many entries of the journal are worked in at once, should nobody ask before."""
_NONE = -1
_new = object.__new__


class Recall:
    """The two memories of one shard; they outlive its sessions.

    ``seen`` filters within the process and is never saved. ``done`` enters at settlement and is what is saved: so what
    was received and not settled before a crash comes again, and what was settled does not.
    """

    __slots__ = ("done", "seen")

    def __init__(self, policy: Policy) -> None:
        self.seen = Memory(size=policy.remember_seen, life=policy.remember_for)
        self.done = Memory(size=policy.remember_done, life=policy.remember_for)


class LiveSession:
    """A session in use: it outlives the sockets that it lives on, and its sequences move.

    ``restored``: it was another process's, and has not been resumed in this one yet. ``since``: when Identify began it,
    on the host's clock. ``busy``: a dispatch has come since its last READY or RESUMED.

    In the common case dispatches come in the order of their sequences, and are settled in it. Then a dispatch costs two
    entries in a journal, one when it comes and one when it is settled; what they mean for the settlement and for the
    memories is worked out when somebody asks, or for many at once.
    """

    __slots__ = (
        "_expected", "_journal", "_now", "_recall", "_redelivering", "_replaying", "_settled", "_settlement", "busy",
        "given_up_told", "id", "lag_told", "restored", "since", "user",
    )  # fmt: skip

    def __init__(self, id: str, user: User, *, since: float, policy: Policy, recall: Recall) -> None:
        self.id = id
        self.user = user
        self.since = since
        self.restored = False
        self._replaying = False
        self._redelivering = False
        self.busy = False
        self.given_up_told = 0
        self.lag_told = False
        self._settlement = Settlement(max_open=policy.max_unsettled, max_missing=policy.max_missing)
        self._recall = recall
        self._now = since
        self._journal: list[Trace] = []
        self._settled: list[Trace] = []
        self._expected = _NONE
        """The sequence of a dispatch that is taken in without a look: into the journal with its trace."""

    @classmethod
    def restore(cls, session: Session, *, since: float, policy: Policy, recall: Recall) -> LiveSession:
        """Go on with a saved session, from what was settled: the rest is to come again."""
        live = cls(session.id, session.user, since=since, policy=policy, recall=recall)
        live.settlement.restore(session.settled, session.ahead, session.missing)
        live.restored = True
        # Not one by one: the memory counts dispatches, and a dispatch has two names.
        recall.done.remember(tuple(session.done), since)
        return live

    @property
    def settlement(self) -> Settlement:
        """How far the application is, with all that has happened until now."""
        self._fold()
        self._expected = _NONE
        return self._settlement

    @property
    def all_settled(self) -> int | None:
        """The last sequence if all that came is settled and there is nothing to tell of it, else None."""
        if self._journal or self._settled:
            self._fold()
        settlement = self._settlement
        if self.lag_told or settlement.given_up != self.given_up_told or settlement.unsettled:
            return None
        return settlement.received

    @property
    def progress(self) -> tuple[int, int]:
        """That of the settlement. What only came makes no difference to it, and is left in the journal."""
        if self._settled:
            self._fold()
        return self._settlement.progress

    @property
    def unsettled(self) -> int:
        """How many dispatches came and are not settled."""
        self._fold()
        return self._settlement.unsettled

    def resuming(self) -> None:
        """A Resume was sent: what comes until :meth:`resumed` is replayed."""
        self._fold()
        self._expected = _NONE
        self._replaying = True
        self._redelivering = self.restored

    def resumed(self, sequence: int | None) -> int:
        """RESUMED came; returns how many sequences are missing that were not told as missing before."""
        self._replaying = self._redelivering = self.restored = self.busy = False
        return self.settlement.resumed(sequence)

    def take(self, kind: str, id: Any, sequence: Any, named: Any, shard: int, now: float) -> Dispatch | None:
        """Take in a dispatch with this ``t``, ``id``, ``s`` and ``d.id``, None if it is a repetition. What it is given
        of its message is the caller's affair. In the common case nothing is looked up."""
        # Without the calls that would make it read better: they would be a tenth of what a dispatch costs.
        if type(id) is not str:
            id = None
        if type(sequence) is not int or sequence < 1:
            sequence = None
        trace: Trace = (now, id, kind, named if type(named) is str else None, sequence or 0)
        self._now = now
        if sequence == self._expected:
            journal = self._journal
            journal.append(trace)
            self._expected += 1
            self.busy = True
            if len(journal) >= _MANY:
                self._fold()
        elif not self._judge(trace, now):
            return None
        # Field by field: so a dataclass is made in half the time that its __init__ takes.
        dispatch = _new(Dispatch)
        dispatch.type = kind
        dispatch.id = id
        dispatch.sequence = sequence
        dispatch.shard = shard
        dispatch.redelivered = self._redelivering
        dispatch.session_id = self.id
        dispatch.trace = trace
        return dispatch

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread; another session's is ignored."""
        if dispatch.session_id == self.id:
            self._settled.append(dispatch.trace or trace_of(dispatch, self._now))

    def _judge(self, trace: Trace, now: float) -> bool:
        """Take in what is not simply the next one, or refuse it."""
        self._fold()
        self._now = now
        settlement, recall, sequence = self._settlement, self._recall, trace[-1]
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
        self.busy = True
        if not (self._replaying or settlement.out_of_order):
            self._expected = settlement.received + 1
        return True

    def _fold(self) -> None:
        """Work the journal into the settlement and the memories."""
        if not self._journal and not self._settled:
            return
        settlement, recall, came = self._settlement, self._recall, self._journal
        count = len(self._settled)
        settled = self._settled[:count]
        # Another thread may have added to it meanwhile.
        del self._settled[:count]
        recall.seen.remember_all(came)
        recall.done.remember_all(settled)
        if settled == came and not settlement.unsettled:
            settlement.run_through(came[-1][-1], count)
            came.clear()
            return
        # Nearly always this is the last one of the journal before, if anything.
        first = came[0][-1] if came else math.inf
        earlier = 0
        while earlier < count and settled[earlier][-1] < first:
            settlement.settle(settled[earlier][-1] or None)
            earlier += 1
        within = settled[earlier:]
        many = len(within)
        if within and within == came[:many] and not settlement.unsettled:
            settlement.run_through(came[many - 1][-1], many)
            del came[:many]
            within = []
        numbers = {trace[-1] for trace in within}
        for trace in within:
            if trace[-1] < first:
                settlement.settle(trace[-1] or None)
        for trace in came:
            settlement.receive(trace[-1], trace[0])
            if trace[-1] in numbers:
                settlement.settle(trace[-1])
        came.clear()

    def give_up(self) -> None:
        """Nothing more is heard of this session; what it brought stays known."""
        self._fold()

    def value(self, config: ShardConfig) -> Session:
        """What may be saved of it now."""
        self._fold()
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
