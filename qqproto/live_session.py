"""A session in use: its sequences, its settling, and the memories that know a repetition."""

from __future__ import annotations

from qqproto.config import ShardConfig
from qqproto.events import Dispatch
from qqproto.memory import Memory, names_of
from qqproto.policy import Policy
from qqproto.session import Session, User
from qqproto.settlement import Settlement


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
    """

    __slots__ = (
        "_now", "_recall", "busy", "given_up_told", "id", "lag_told", "restored", "settlement", "since", "user",
    )  # fmt: skip

    def __init__(self, id: str, user: User, *, since: float, policy: Policy, recall: Recall) -> None:
        self.id = id
        self.user = user
        self.since = since
        self.settlement = Settlement(max_open=policy.max_unsettled, max_missing=policy.max_missing)
        self.restored = False
        self.busy = False
        self.given_up_told = 0
        self.lag_told = False
        self._recall = recall
        self._now = since

    @classmethod
    def restore(cls, session: Session, *, since: float, policy: Policy, recall: Recall) -> LiveSession:
        """Go on with a saved session, from what was settled: the rest is to come again."""
        live = cls(session.id, session.user, since=since, policy=policy, recall=recall)
        live.settlement.restore(session.settled, session.ahead, session.missing)
        live.restored = True
        # Not one by one: the memory counts dispatches, and a dispatch has two names.
        recall.done.remember(session.done, since)
        return live

    def admit(self, dispatch: Dispatch, now: float, *, replaying: bool) -> bool:
        """Take a dispatch in, False if it is a repetition. In the common case nothing is looked up."""
        settlement, sequence = self.settlement, dispatch.sequence
        names = names_of(dispatch)
        self._now = now
        if replaying or sequence != settlement.received + 1:
            recall = self._recall
            if (
                (sequence is not None and settlement.came_before(sequence))
                or recall.seen.knows(names, now)
                or recall.done.knows(names, now)
            ):
                if sequence is not None:
                    settlement.pass_over(sequence)
                return False
        elif sequence in settlement.out_of_order:
            settlement.pass_over(sequence)
            return False
        self._recall.seen.remember(names, now)
        if sequence is not None:
            settlement.receive(sequence, now)
        self.busy = True
        return True

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread; another session's is ignored."""
        if dispatch.session_id != self.id:
            return
        self._recall.done.remember(names_of(dispatch), self._now)
        self.settlement.settle(dispatch.sequence)

    def value(self, config: ShardConfig) -> Session:
        """What may be saved of it now."""
        settlement = self.settlement
        return Session(
            id=self.id,
            app_id=config.app_id,
            shard=config.shard,
            intents=int(config.intents),
            received=settlement.received,
            settled=settlement.settled,
            user=self.user,
            ahead=settlement.ahead,
            missing=settlement.missing,
            done=self._recall.done.names(self._now),
        )
