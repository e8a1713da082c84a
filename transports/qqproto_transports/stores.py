"""Where sessions outlive a process: a two-method protocol, SQLite as the default, and one in memory."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import dataclass
from typing import Protocol

from qqproto.session import Session
from qqproto_transports._session_rows import SessionRows, prepare

__all__ = ["MemoryStore", "SQLiteStore", "SavedSession", "SessionStore", "StoreInUse", "StoreUnusable"]

_BUSY_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session and when it was saved, in Unix seconds; at 0 it had ended, and is not gone on with."""

    session: Session
    saved_at: float


class SessionStore(Protocol):
    """What a driver needs of a store. A gateway calls both methods in a worker thread, never two at a time.

    ``load`` gives what was saved last for a bot's shard (index and count), None if nothing was, and raises ValueError
    that says why if it cannot be read. ``save`` replaces it. Whatever else they raise is told, and the bot goes on. One
    that hangs is told after ``policy.store_timeout``, and is asked for nothing more until it answers; the bot does not
    wait for it any longer than that when it starts, nor than its ``aclose`` takes when it ends.
    """

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None: ...

    def save(self, saved: SavedSession, /) -> None: ...


class StoreInUse(Exception):
    """Another process has this store open; two processes would resume each other's sessions."""


class StoreUnusable(Exception):
    """The store's file cannot be opened as what it should be; the sentence says why."""


class SQLiteStore:
    """Sessions in one SQLite file, whose name the user gives; one process at a time.

    A write that is cut off, by a crash or a full disk, leaves what was there before. A second process is told with
    :class:`StoreInUse` when it opens the store; what guards it is a lock of the system's, which a killed process does
    not leave behind. The file holds no secret. Close it, or use it as a context manager.

    Raises :class:`StoreUnusable` for a file that is no database, cannot be written, or lies in no directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._mutex = threading.Lock()
        self._guard = self._lock()
        try:
            self._database = self._open()
        except BaseException:
            self._guard.close()
            raise
        self._rows = SessionRows(self._database)

    def __repr__(self) -> str:
        return f"SQLiteStore({self._path!r})"

    def __enter__(self) -> SQLiteStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        """What was saved last for this shard; ValueError says what is wrong with it."""
        with self._mutex:
            found = self._rows.load(app_id, shard)
        return None if found is None else SavedSession(*found)

    def save(self, saved: SavedSession, /) -> None:
        """Replace what was saved for this session's shard, in one transaction."""
        with self._mutex:
            self._rows.save(saved.session, saved.saved_at)

    def close(self) -> None:
        """Close the file, and let another process have it. Any number of times."""
        with self._mutex:
            self._database.close()
            self._guard.close()

    def _lock(self) -> sqlite3.Connection:
        """An exclusive transaction on a file beside ours, held until the process ends."""
        path = f"{self._path}.lock"
        try:
            guard = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise StoreUnusable(f"the session store {self._path} cannot be opened: {error}") from None
        try:
            guard.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            guard.close()
            if "locked" in str(error):
                raise StoreInUse(
                    f"the session store {self._path} is in use by another process: stop it, or give each its own file"
                ) from None
            raise StoreUnusable(f"the session store {self._path} cannot be locked: {error}") from None
        except sqlite3.Error as error:
            guard.close()
            raise StoreUnusable(f"the lock of the session store, {path}, is no lock: {error}; delete it") from None
        return guard

    def _open(self) -> sqlite3.Connection:
        database: sqlite3.Connection | None = None
        try:
            database = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            prepare(database)
        except (sqlite3.Error, ValueError) as error:
            if database is not None:
                database.close()
            raise StoreUnusable(f"the session store {self._path} cannot be used: {error}") from None
        return database


class MemoryStore:
    """Sessions for as long as the process lives: for a gateway that is closed and opened again, and for tests."""

    def __init__(self) -> None:
        self._saved: dict[tuple[str, tuple[int, int]], SavedSession] = {}

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        """What was saved last for this shard."""
        return self._saved.get((app_id, shard))

    def save(self, saved: SavedSession, /) -> None:
        """Replace what was saved for this session's shard."""
        self._saved[saved.session.app_id, saved.session.shard] = saved
