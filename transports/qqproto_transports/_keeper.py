"""Keeping the sessions of one gateway in a store: what is to be loaded and saved, and when it is due.

Nothing in here waits, and nothing knows of an event loop.
"""

from __future__ import annotations

import math
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from qqproto.config import ShardConfig
from qqproto.events import Event, SessionRefused, StoreFailed
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto_transports._worker import Errand, Worker
from qqproto_transports.stores import SavedSession, SessionStore

_STEP_BACK = 1.0
"""Seconds by which the system's clock may be set back between two processes; so far in the future is now."""
_ENDED = 0.0
"""The ``saved_at`` of a session that was ended: it is not gone on with."""


_Progress: TypeAlias = tuple[str, int, int]


@dataclass(slots=True)
class _Kept:
    """What the store has of a shard, or will have soon: the session, and how far it was; None when it had ended."""

    index: int
    session: Session
    progress: _Progress | None
    at: float


class Keeper(ABC):
    """Loads and saves the sessions of one gateway. A driver's own class keeps the alarm.

    One call of the store at a time, at most one round of saves in ``policy.save_every`` seconds, and none if nothing
    has changed; but a live session is saved from time to time all the same, so that a quiet one does not look old.
    """

    def __init__(self, store: SessionStore, policy: Policy, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._old_after = policy.saved_session_life / 10
        self._kept: dict[int, _Kept] = {}
        self._told: set[tuple[str, str]] = set()
        self._worker = Worker("qqproto-store")
        self._errand: Errand | None = None
        self._tell_back = partial(self._post, self._on_back)
        self._round: list[_Kept] = []
        """What is being saved."""
        self._done: Callable[[list[Any]], None]
        """What is to be done with the outcomes of the errand ..."""
        self._late: Callable[[BaseException], None] | None = None
        """... and if it takes too long; None when that was done ..."""
        self._late_at = math.inf
        """... at that time."""
        self._earliest = -math.inf
        self._at: float | None = None
        self._asked = False
        self._hurried = False
        self._over = False

    def serve(self, shards: Mapping[int, Shard], tell: Callable[[Event], None], changed: Callable[[], object]) -> None:
        """Whose sessions they are: ``shards`` by their index, as they are at any time.

        ``tell`` takes what the application is to know, ``changed`` is called when something is done that is waited for.
        """
        self._shards, self._tell, self._changed = shards, tell, changed

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way, and what :meth:`hurry` asked for is done, or has failed."""
        return self._over or (self._errand is None and not self._hurried)

    # -- what the gateway asks ------------------------------------------------------------------------------------

    def load(self, configs: list[ShardConfig], then: Callable[[dict[int, tuple[Session, float]]], None]) -> None:
        """Load the sessions of these shards; ``then`` gets those that there are, by index, each with its age.

        A store that has not answered after ``policy.store_timeout`` has none.
        """

        def done(outcomes: list[Any]) -> None:
            indexes = [config.shard[0] for config in configs]
            judged = {index: self._judge(index, outcome) for index, outcome in zip(indexes, outcomes, strict=True)}
            then({index: saved for index, saved in judged.items() if saved is not None})

        def late(error: BaseException) -> None:
            self._done = lambda outcomes: None  # When it comes it is too late.
            done([error] * len(configs))

        loads = [partial(self._store.load, config.app_id, config.shard) for config in configs]
        self._send(loads, done, late, self._clock(), awaited=True)

    def going_on_with(self, index: int) -> None:
        """This shard has begun with what was loaded; if it did not refuse it, there is nothing new to be saved yet."""
        session, progress = self._shards[index].session, self._shards[index].progress
        if session is not None and progress is not None:
            self._kept[index] = _Kept(index, session, progress, self._clock())

    def look(self) -> None:
        """Something came or was settled. Takes next to no time where nothing can be due earlier than it is."""
        if self._errand is not None and not self._is_back(self._errand):
            return
        if self._at is None or self._at > self._earliest:
            self._wind()

    def settled(self) -> None:
        """Something was settled, in whatever thread: a :meth:`look` is asked for, some three times a second at most."""
        errand = self._errand
        idle = self._at is None or self._at > self._earliest if errand is None else not errand.awaited
        if idle and not self._asked:
            self._asked = True
            self._post(self._look_as_asked)

    def hurry(self) -> None:
        """Save what has changed at once, whatever the pace; it is :attr:`at_rest` when that is done."""
        self._hurried = not self._over
        if self._errand is None or self._is_back(self._errand):
            self._wind()

    def handle_timer(self) -> None:
        """The time has come to look."""
        self._at = None
        self.look()
        if self._errand is None or self._at is not None or self._late is None:
            return
        if self._clock() < self._late_at:
            self._look_again_at(self._late_at)
            return
        late, self._late = self._late, None
        late(TimeoutError(f"no answer for {self._policy.store_timeout:g} s"))
        self._changed()

    def rest(self) -> threading.Thread | None:
        """Nothing may come for long: no thread is to wait for it. Returns the one that is about to end, if one is."""
        thread = self._worker.dismiss()
        return thread if self.at_rest else None

    def end(self) -> None:
        """The gateway is left: nothing more is saved, nor told."""
        self._over = True
        self._set_alarm(None)
        self._worker.dismiss()

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def _post(self, call: Callable[[], object]) -> None:
        """Have ``call`` made soon where the machines are driven. From any thread."""

    @abstractmethod
    def _set_alarm(self, at: float | None) -> None:
        """Call ``handle_timer`` at ``at``, on the gateway's clock; None: never."""

    # -- steps: one errand at a time ------------------------------------------------------------------------------

    def _look_as_asked(self) -> None:
        self._asked = False
        self.look()

    def _send(
        self,
        calls: Sequence[Callable[[], Any]],
        done: Callable[[list[Any]], None],
        late: Callable[[BaseException], None],
        now: float,
        *,
        awaited: bool,
    ) -> None:
        """Have these calls of the store made; ``done`` gets what each gave or raised, ``late`` may come before it."""
        self._errand = Errand(calls, self._tell_back, awaited=awaited)
        self._done, self._late = done, late
        self._late_at = now + self._policy.store_timeout
        if self._at is None or self._at > self._late_at:  # Else it rings before, and sees: most are back by then.
            self._look_again_at(self._late_at)
        try:
            self._worker.call(self._errand.run)
        except RuntimeError as error:  # The system has no thread to give.
            self._errand = None
            done([error] * len(calls))
            self._wind()
            self._changed()

    def _on_back(self) -> None:
        """The worker says that it is done; it may be that this is known, and that it does the next errand already."""
        if self._errand is not None and self._is_back(self._errand):
            self._wind()
            self._changed()

    def _is_back(self, errand: Errand) -> bool:
        """See whether it is done; if it is not, that will be told."""
        outcomes = errand.outcomes()
        if outcomes is None:
            return False
        self._errand = None
        if not self._over:
            self._done(outcomes)
        return True

    # -- steps: loading -------------------------------------------------------------------------------------------

    def _judge(self, index: int, outcome: Any) -> tuple[Session, float] | None:
        """What was loaded, with its age in seconds; None if it cannot be gone on with, which is told."""
        if outcome is None or (isinstance(outcome, SavedSession) and outcome.saved_at == _ENDED):
            return None
        if isinstance(outcome, SavedSession):
            age = time.time() - outcome.saved_at
            return outcome.session, 0.0 if -_STEP_BACK < age < 0 else age
        if isinstance(outcome, ValueError):
            self._tell(SessionRefused(index, str(outcome)))
        elif isinstance(outcome, BaseException):
            self._fail(index, "load", outcome)
        else:
            self._fail(index, "load", TypeError(f"load() gave a {type(outcome).__name__}"))
        return None

    # -- steps: saving --------------------------------------------------------------------------------------------

    def _wind(self) -> None:
        """Save, or decide when to look again."""
        if self._over:
            return
        now = self._clock()
        due: list[tuple[int, Shard, _Progress | None]] = []
        for index, shard in self._shards.items():
            kept, progress = self._kept.get(index), shard.progress
            if kept is None:
                if progress is not None:
                    due.append((index, shard, progress))
            elif progress != kept.progress or self._old_at(kept) <= now:
                due.append((index, shard, progress))
        hurried, self._hurried = self._hurried, False
        if due and (hurried or self._earliest <= now):
            self._save(due, now, awaited=hurried)
        elif due:
            self._look_again_at(self._earliest)
        elif self._at is None:  # Else it will ring early enough.
            self._look_again_at(min(map(self._old_at, self._kept.values()), default=math.inf))

    def _old_at(self, kept: _Kept) -> float:
        """When a session that is live is saved for no other reason than its age."""
        return kept.at + self._old_after if self._shards[kept.index].phase is Phase.READY else math.inf

    def _look_again_at(self, at: float) -> None:
        self._at = at if at < math.inf else None
        self._set_alarm(self._at)

    def _save(self, due: list[tuple[int, Shard, _Progress | None]], now: float, *, awaited: bool) -> None:
        """Save these in one round. How far each was, was asked first: what another thread settles meanwhile is saved
        next time."""
        round, saves, saved_at = [], [], time.time()
        for index, shard, progress in due:
            session, at = shard.session, saved_at
            if session is None:  # It has ended, and it was kept before, or nothing would be new.
                session, progress, at = self._kept[index].session, None, _ENDED
            round.append(_Kept(index, session, progress, now))
            saves.append(partial(self._store.save, SavedSession(session, at)))
        self._round = round
        self._earliest = now + self._policy.save_every
        self._send(saves, self._on_saved, self._on_save_late, now, awaited=awaited)

    def _on_saved(self, outcomes: list[Any]) -> None:
        failed = False
        for kept, outcome in zip(self._round, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failed = True
                self._fail(kept.index, "save", outcome)
            else:
                self._kept[kept.index] = kept
        if failed:  # It may have taken long, and is not tried again at once.
            self._earliest = self._clock() + self._policy.save_every
        elif self._told:
            self._told.clear()

    def _on_save_late(self, error: BaseException) -> None:
        self._fail(self._round[0].index, "save", error)

    # -- steps: what goes wrong -----------------------------------------------------------------------------------

    def _fail(self, shard: int, operation: Literal["load", "save"], error: BaseException) -> None:
        """Told once for each cause, whatever numbers its sentence may hold."""
        reason = f"{type(error).__name__}: {error}"
        cause = operation, re.sub(r"\d+", "", reason)
        if cause not in self._told:
            self._told.add(cause)
            self._tell(StoreFailed(shard, operation, reason))
