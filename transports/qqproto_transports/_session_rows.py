"""Sessions as rows of a SQLite database: each whole from time to time, and between that what each save has changed.

Whole, a session has the names of a thousand events, and an event changes little of it. So a save is one row more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from qqproto.event_names import Names
from qqproto.session import Session

VERSION = 2
"""Of the tables; in version 1 there were no changes."""

_MOST_CHANGES = 500
"""So many rows of changes, and then the session is written whole again."""

_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS sessions (
    app_id TEXT NOT NULL, shard INTEGER NOT NULL, shards INTEGER NOT NULL,
    session BLOB NOT NULL, saved_at REAL NOT NULL,
    PRIMARY KEY (app_id, shard, shards)
)
""",
    """
CREATE TABLE IF NOT EXISTS changes (
    app_id TEXT NOT NULL, shard INTEGER NOT NULL, shards INTEGER NOT NULL, number INTEGER NOT NULL,
    received INTEGER NOT NULL, settled INTEGER NOT NULL, ahead TEXT NOT NULL, missing TEXT NOT NULL,
    done TEXT NOT NULL, remembered INTEGER NOT NULL, saved_at REAL NOT NULL
)
""",
)
_WHERE = "WHERE app_id = ? AND shard = ? AND shards = ?"
_LOAD = f"SELECT session, saved_at FROM sessions {_WHERE}"
_LOAD_CHANGES = f"""
SELECT number, received, settled, ahead, missing, done, remembered, saved_at FROM changes {_WHERE} ORDER BY number
"""
_SAVE = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)"
_SAVE_CHANGE = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET_CHANGES = f"DELETE FROM changes {_WHERE}"


Key: TypeAlias = tuple[str, int, int]
"""A bot, and one of its shards: index and count."""


@dataclass(slots=True)
class _Written:
    """What a shard's rows come to, with how many names, and how many of them are changes."""

    session: Session
    remembered: int
    changes: int


class SessionRows:
    """Sessions in a database, which is in autocommit mode. One call at a time."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._execute = database.cursor().execute
        """For what returns no rows, and is not worth a cursor of its own."""
        self._written: dict[Key, _Written] = {}

    def load(self, app_id: str, shard: tuple[int, int]) -> tuple[Session, float] | None:
        """What was saved last for this shard, and when. ValueError says what is wrong with it."""
        key = app_id, *shard
        row = self._database.execute(_LOAD, key).fetchone()
        if row is None:
            return None
        data, saved_at = row
        if not isinstance(data, bytes) or not isinstance(saved_at, float):
            raise ValueError("a saved session of the wrong type")
        return _with_changes(Session.from_bytes(data), saved_at, self._database.execute(_LOAD_CHANGES, key).fetchall())

    def save(self, session: Session, saved_at: float) -> None:
        """Replace what was saved for this session's shard, in one transaction.

        A session that was not saved before is forced to the disk. Of what is saved later a crash of the machine may
        take something back: what was settled then comes again.
        """
        shard, shards = session.shard
        key = session.app_id, shard, shards
        written = self._written.get(key)
        growth = None if written is None or written.changes == _MOST_CHANGES else _growth(written.session, session)
        try:
            if written is None or growth is None:
                self._save_whole(key, session, saved_at)
                if written is None or written.session.id != session.id:
                    self._database.execute("PRAGMA wal_checkpoint").close()
                self._written[key] = _Written(session, len(session.done), 0)
                return
            added, forgotten = growth
            remembered = written.remembered + len(added) - forgotten
            ahead, missing = session.ahead, session.missing
            self._execute(
                _SAVE_CHANGE,
                (
                    session.app_id, shard, shards, written.changes, session.received, session.settled,
                    _numbers(ahead) if ahead else "[]", _numbers(missing) if missing else "[]",
                    # As JSON, for which an encoder would be a detour: nearly always it is a name or two.
                    f"[{','.join(map(encode_basestring, added))}]", remembered, saved_at,
                ),
            )  # fmt: skip
        except BaseException:
            self._written.pop(key, None)  # Nobody knows what there is.
            raise
        written.session, written.remembered = session, remembered
        written.changes += 1

    def _save_whole(self, key: Key, session: Session, saved_at: float) -> None:
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(_SAVE, (*key, session.to_bytes(), saved_at))
            self._database.execute(_FORGET_CHANGES, key)


def prepare(database: sqlite3.Connection) -> None:
    """Let there be tables. ValueError says why the file is not ours to write into."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    columns = [row[1] for row in database.execute("PRAGMA table_info(sessions)")]
    if tables and columns != ["app_id", "shard", "shards", "session", "saved_at"]:
        raise ValueError("it is the database of something else")
    if version > VERSION:
        raise ValueError(f"a newer qqproto has written it, in format {version}; this one knows {VERSION}")
    database.execute("PRAGMA page_size = 1024")  # Of a new file: a change is small, and its page is what is written.
    # A crash of the process takes nothing back in this mode; one of the machine may, but leaves the file whole.
    database.execute("PRAGMA journal_mode = WAL").close()
    database.execute("PRAGMA synchronous = NORMAL")
    with database:
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            database.execute(statement)
        if version < VERSION:
            database.execute("DELETE FROM changes")  # An older qqproto knew nothing of them, and wrote a session.
        database.execute(f"PRAGMA user_version = {VERSION}")  # Whether it can be written is to be known now.


def _growth(written: Session, session: Session) -> tuple[Sequence[str], int] | None:
    """The names that are new, and how many of the oldest are forgotten; None if more than a change's fields has
    changed."""
    if (session.id, session.intents, session.user) != (written.id, written.intents, written.user):
        return None
    done = session.done
    if isinstance(done, Names):
        growth = done.growth_since(written.done)
        if growth is not None:
            return growth
    return None if done or written.done else ((), 0)


def _with_changes(session: Session, saved_at: float, changes: list[tuple[Any, ...]]) -> tuple[Session, float]:
    """What was saved last. ValueError if a change is missing, or is not what was written."""
    if not changes:
        return session, saved_at
    done = list(session.done)
    for place, (number, *_, added, remembered, _) in enumerate(changes):
        done += _items(added, str)
        if number != place or type(remembered) is not int or not 0 <= remembered <= len(done):
            raise ValueError("a saved session without all of its changes")
    _, received, settled, ahead, missing, _, _, at = changes[-1]
    if not (type(received) is type(settled) is int and 0 <= min(received, settled) and type(at) is float):
        raise ValueError("a saved session with a change of the wrong type")
    return replace(
        session,
        received=received,
        settled=settled,
        ahead=tuple(_items(ahead, int)),
        missing=tuple(_items(missing, int)),
        done=tuple(done[len(done) - remembered :]),
    ), at


def _items(text: Any, kind: type[Any]) -> list[Any]:
    try:
        items = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(type(item) is kind for item in items):
        raise ValueError("a saved session with a change of the wrong type")
    return items


def _numbers(numbers: Sequence[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"
