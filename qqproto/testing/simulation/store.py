"""Where sessions outlive the process: saved at most once a second, as drivers do it, and found again, or not quite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qqproto.session import Session
from qqproto.testing.simulation.reference import Known, Saved

if TYPE_CHECKING:
    from qqproto.testing.simulation.process import Process
    from qqproto.testing.simulation.world import World

_TRY_AGAIN = 10.0
"""Seconds after which a disk that was full may not be so any more."""
_OLD = 4000.0
_FOREIGN = ("another bot", "another layout", "other intents")

ODDITIES = ("gone", "torn", "old", "from the future", *_FOREIGN)
"""What may be wrong with what a process finds in its store."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a process begins with: the session, its age in seconds, and what the observer is told of both."""

    session: Session
    age: float
    seen: Saved


@dataclass(frozen=True, slots=True)
class _Entry:
    session: Session
    at: float
    known: Known


class Store:
    """The sessions of a bot's shards."""

    def __init__(self, world: World, shards: int) -> None:
        self._world = world
        self._entries: list[_Entry | None] = [None] * shards

    def save(self, index: int, session: Session, known: Known) -> None:
        """Keep this session."""
        self._entries[index] = _Entry(session, self._world.now, known)
        self._world.counts["saves"] += 1

    def end(self, index: int) -> None:
        """The application has said goodbye for good: nobody is to go on with this session."""
        self._entries[index] = None

    def load(self, index: int) -> Found | None:
        """What a process finds, None if nothing, or nothing that can be read."""
        entry, fault = self._entries[index], self._world.on("odd store", index)
        what: str = fault.value if fault is not None else ""
        if entry is None or what == "gone":
            return None
        data = entry.session.to_bytes()
        try:
            session = Session.from_bytes(data[: len(data) // 2] if what == "torn" else data)
        except ValueError:
            return None
        age = self._world.now - entry.at
        if what == "old":
            age += _OLD
        elif what == "from the future":
            age = -60.0
        foreign = what in _FOREIGN
        return Found(_made_foreign(session, what) if foreign else session, age, Saved(entry.known, age, foreign))


def _made_foreign(session: Session, how: str) -> Session:
    if how == "another bot":
        return replace(session, app_id="22222222")
    if how == "another layout":
        return replace(session, shard=(session.shard[0], session.shard[1] + 1))
    return replace(session, intents=session.intents ^ 1)


class Keeper:
    """The part of a process that saves one shard's session, as the drivers do: when something was settled, but not more
    often than the policy says; and one that is live from time to time although nothing was, so that it looks not old.
    """

    __slots__ = ("_due", "_index", "_pause", "_process", "_progress", "_refresh", "_saved_at", "_world")

    def __init__(self, world: World, process: Process, index: int) -> None:
        self._world = world
        self._process = process
        self._index = index
        self._pause = world.bot.policy.save_every
        self._refresh = world.bot.policy.saved_session_life / 10.0
        self._due: float | None = None
        self._saved_at = float("-inf")
        self._progress: object = None

    def look(self) -> None:
        """Something came or was settled."""
        progress = self._process.shards[self._index].progress
        if progress is not None and progress != self._progress:
            self._save_at(max(self._world.now, self._saved_at + self._pause))

    def save(self) -> None:
        """Save it now, if there is one and it can be saved."""
        process, index, now = self._process, self._index, self._world.now
        shard, seen = process.shards[index], process.observer.shards[index]
        session, progress = shard.session, shard.progress
        if session is None:
            return
        if self._world.on("full disk"):
            self._save_at(now + _TRY_AGAIN)
            return
        known = seen.saves(process.now, anew=progress != self._progress)
        self._world.store.save(index, session, known)
        self._saved_at, self._progress = now, progress
        self._save_at(now + self._refresh)

    def _save_at(self, when: float) -> None:
        if self._due is None or when < self._due:
            self._due = when
            self._world.at(when, self._save_if_due, when)

    def _save_if_due(self, when: float) -> None:
        if when == self._due and not self._process.puts_off(self._save_if_due, when):
            self._due = None
            self.save()
