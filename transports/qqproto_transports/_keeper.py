"""Keeping the sessions of one gateway in a store: what is to be loaded and saved, and when it is due.

Nothing in here waits, and nothing knows of an event loop.
"""

from __future__ import annotations

import math
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from qqproto.config import ShardConfig
from qqproto.events import Event, SessionRefused, StoreFailed
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto_transports.stores import SavedSession, SessionStore

_STEP_BACK = 1.0
"""Seconds by which the system's clock may be set back between two processes; so far in the future is now."""
_ENDED = 0.0
"""The ``saved_at`` of a session that was ended: it is not gone on with."""


@dataclass(slots=True)
class _Kept:
    """What the store has of a shard: the session, and how far it was; None when it had ended by then."""

    session: Session
    progress: tuple[str, int, int] | None
    at: float


class Keeper(ABC):
    """Loads and saves the sessions of one gateway. A driver's own class has a worker thread and keeps the alarm.

    One call of the store at a time, at most one round of saves in ``policy.save_every`` seconds, and none if nothing
    has changed; but a live session is saved from time to time all the same, so that a quiet one does not look old.
    """

    def __init__(self, store: SessionStore, policy: Policy, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._told: set[tuple[str, str]] = set()
        self._waiting: deque[tuple[list[Callable[[], Any]], Callable[[list[Any]], None]]] = deque()
        self._busy = False
        self._earliest = -math.inf
        self._at: float | None = None
        self._hurried = False
        self._over = False

    def serve(self, shards: Mapping[int, Shard], tell: Callable[[Event], None], changed: Callable[[], object]) -> None:
        """Whose sessions they are: ``shards`` by their index, as they are at any time.

        ``tell`` takes what the application is to know, ``changed`` is called when something is done.
        """
        self._shards, self._tell, self._changed = shards, tell, changed

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way, and what :meth:`hurry` asked for is done, or has failed."""
        return not self._busy and not self._hurried

    # -- what the gateway asks ------------------------------------------------------------------------------------

    def load(self, configs: list[ShardConfig], then: Callable[[dict[int, tuple[Session, float]]], None]) -> None:
        """Load the sessions of these shards; ``then`` gets those that there are, by index, each with its age."""

        def done(outcomes: list[Any]) -> None:
            indexes = [config.shard[0] for config in configs]
            judged = {index: self._judge(index, outcome) for index, outcome in zip(indexes, outcomes, strict=True)}
            then({index: saved for index, saved in judged.items() if saved is not None})

        self._do([partial(self._store.load, config.app_id, config.shard) for config in configs], done)

    def going_on_with(self, index: int) -> None:
        """This shard has begun with what was loaded; if it did not refuse it, there is nothing new to be saved yet."""
        session, progress = self._shards[index].session, self._shards[index].progress
        if session is not None and progress is not None:
            self._kept[index] = _Kept(session, progress, self._clock())

    def look(self) -> None:
        """Something came or was settled. Takes next to no time where nothing can be due earlier than it is."""
        if not self._busy and (self._at is None or self._at > self._earliest):
            self._wind()

    def hurry(self) -> None:
        """Save what has changed at once, whatever the pace; it is :attr:`at_rest` when that is done."""
        self._hurried = not self._over
        self._wind()

    def handle_timer(self) -> None:
        """The time has come to look."""
        self._at = None
        self.look()

    def end(self) -> None:
        """The gateway is left: nothing more is saved, nor told."""
        self._over = True
        self._waiting.clear()
        self._set_alarm(None)

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def _in_thread(self, job: Callable[[], list[Any]], done: Callable[[list[Any]], None]) -> None:
        """Call ``job``, which raises nothing, in a worker thread, then ``done`` with what it gave, where the machines
        are driven. Raises RuntimeError if there is no thread to be had."""

    @abstractmethod
    def _set_alarm(self, at: float | None) -> None:
        """Call ``handle_timer`` at ``at``, on the gateway's clock; None: never."""

    # -- steps: one thing at a time -------------------------------------------------------------------------------

    def _do(self, calls: list[Callable[[], Any]], done: Callable[[list[Any]], None]) -> None:
        """Make these calls of the store one after the other; ``done`` gets what each gave or raised."""
        self._waiting.append((calls, done))
        if not self._busy:
            self._do_next()

    def _do_next(self) -> None:
        calls, done = self._waiting.popleft()
        self._busy = True
        self._at = None
        self._set_alarm(None)

        def finish(outcomes: list[Any]) -> None:
            self._busy = False
            if self._over:
                return
            done(outcomes)
            if self._waiting:
                self._do_next()
            else:
                self.look()
            self._changed()

        try:
            self._in_thread(lambda: [_attempt(call) for call in calls], finish)
        except RuntimeError as error:  # The system has no thread to give.
            finish([error] * len(calls))

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
        if self._busy or self._over:
            return
        now = self._clock()
        due = [index for index in self._shards if self._has_changed(index) or self._old_at(index) <= now]
        if due and (self._hurried or self._earliest <= now):
            self._hurried = False
            self._save(due, now)
            return
        self._hurried = False
        if due:
            self._at = self._earliest
        elif any(shard.unsettled for shard in self._shards.values()):
            self._at = now + self._policy.save_every  # It may be settled by any thread, and nobody is woken by it.
        else:
            old_at = min(map(self._old_at, self._shards), default=math.inf)
            self._at = old_at if old_at < math.inf else None
        self._set_alarm(self._at)

    def _has_changed(self, index: int) -> bool:
        kept, progress = self._kept.get(index), self._shards[index].progress
        return progress is not None if kept is None else progress != kept.progress

    def _old_at(self, index: int) -> float:
        """When a session that is live is saved for no other reason than its age."""
        if index not in self._kept or self._shards[index].phase is not Phase.READY:
            return math.inf
        return self._kept[index].at + self._policy.saved_session_life / 10

    def _save(self, indexes: list[int], now: float) -> None:
        """Save these in one round."""
        round = {index: self._snapshot(index, now) for index in indexes}
        saved_at = time.time()
        self._earliest = now + self._policy.save_every

        def done(outcomes: list[Any]) -> None:
            failed = False
            for (index, kept), outcome in zip(round.items(), outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    failed = True
                    self._fail(index, "save", outcome)
                else:
                    self._kept[index] = kept
            if failed:  # It may have taken long, and is not tried again at once.
                self._earliest = self._clock() + self._policy.save_every
            else:
                self._told.clear()

        saves = [
            SavedSession(kept.session, saved_at if kept.progress is not None else _ENDED) for kept in round.values()
        ]
        self._do([partial(self._store.save, saved) for saved in saves], done)

    def _snapshot(self, index: int, now: float) -> _Kept:
        progress = self._shards[index].progress  # First: what another thread settles meanwhile is saved next time.
        session = self._shards[index].session
        if session is None:  # It has ended, and it was kept before, or nothing would be new.
            return _Kept(self._kept[index].session, None, now)
        return _Kept(session, progress, now)

    # -- steps: what goes wrong -----------------------------------------------------------------------------------

    def _fail(self, shard: int, operation: Literal["load", "save"], error: BaseException) -> None:
        """Told once for each cause, whatever numbers its sentence may hold."""
        reason = f"{type(error).__name__}: {error}"
        cause = operation, re.sub(r"\d+", "", reason)
        if cause not in self._told:
            self._told.add(cause)
            self._tell(StoreFailed(shard, operation, reason))


def in_thread(job: Callable[[], list[Any]], deliver: Callable[[list[Any]], object]) -> None:
    """Call ``job`` in a thread of its own, and there ``deliver`` with what it gave.

    The interpreter's end does not wait for it, as it would for a pool's: a store may hang. Raises RuntimeError if the
    system has no thread to give.
    """
    threading.Thread(target=lambda: deliver(job()), name="qqproto-store", daemon=True).start()


def _attempt(call: Callable[[], Any]) -> Any:
    """What ``call`` gives or raises. Whatever a host's store raises: its thread must not end without a word."""
    try:
        return call()
    except BaseException as error:
        return error
