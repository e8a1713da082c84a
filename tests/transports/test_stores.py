from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qqproto import Session, User
from qqproto_transports.stores import MemoryStore, SavedSession, SessionStore, SQLiteStore, StoreInUse, StoreUnusable

SESSION = Session("S-1", "11111111", (0, 2), 1 << 25, 41, 38, User("42", "机器人"), ahead=(40,), done=("e-1",))
SAVED = SavedSession(SESSION, 1_790_000_000.5)
OTHER_SHARD = SavedSession(replace(SESSION, id="S-2", shard=(1, 2)), 1_790_000_001.5)

HOLDER = """
import sys
from qqproto_transports.stores import SQLiteStore
store = SQLiteStore(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        with SQLiteStore(tmp_path / "sessions.db") as sqlite:
            yield sqlite


def test_what_is_saved_is_loaded_shard_by_shard(store: SessionStore) -> None:
    assert store.load("11111111", (0, 2)) is None
    store.save(SAVED)
    store.save(OTHER_SHARD)
    later = SavedSession(replace(SESSION, settled=41, ahead=()), SAVED.saved_at + 1.0)
    store.save(later)
    assert store.load("11111111", (0, 2)) == later
    assert store.load("11111111", (1, 2)) == OTHER_SHARD
    assert store.load("11111111", (0, 1)) is None
    assert store.load("22222222", (0, 2)) is None


def test_the_next_process_finds_it(tmp_path: Path) -> None:
    for _ in range(2):
        with SQLiteStore(tmp_path / "sessions.db") as store:
            store.save(SAVED)
            store.close()
    with SQLiteStore(tmp_path / "sessions.db") as store:
        assert store.load("11111111", (0, 2)) == SAVED
        assert repr(store) == f"SQLiteStore({str(tmp_path / 'sessions.db')!r})"


def test_a_second_process_is_told_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"open"
        with pytest.raises(StoreInUse, match="in use by another process"):
            SQLiteStore(path)
        holder.kill()
        holder.wait(30)
    with SQLiteStore(path) as store:
        store.save(SAVED)


def test_the_same_process_may_not_open_it_twice_either(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "sessions.db"), pytest.raises(StoreInUse):
        SQLiteStore(tmp_path / "sessions.db")


def test_a_write_that_is_cut_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SQLiteStore(path) as store:
        store.save(SAVED)
    with sqlite3.connect(path) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE sessions SET session = x'7b'")
        database.rollback()
    database.close()
    with SQLiteStore(path) as store:
        assert store.load("11111111", (0, 2)) == SAVED


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("session = x'7b'", "no JSON object"),
        ("session = 'text'", "wrong type"),
        ("saved_at = 'yesterday'", "wrong type"),
    ],
)
def test_a_torn_row_is_a_value_error(tmp_path: Path, change: str, what: str) -> None:
    path = tmp_path / "sessions.db"
    with SQLiteStore(path) as store:
        store.save(SAVED)
        database = sqlite3.connect(path)
        with database:
            database.execute(f"UPDATE sessions SET {change}")
        database.close()
        with pytest.raises(ValueError, match=what):
            store.load("11111111", (0, 2))
        store.save(SAVED)
        assert store.load("11111111", (0, 2)) == SAVED


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, " * 1000)
    with pytest.raises(StoreUnusable, match=r"notes\.txt cannot be used: file is not a database"):
        SQLiteStore(path)
    assert path.read_text() == "my notes, " * 1000
    (tmp_path / "sessions.db.lock").write_text("somebody's file " * 1000)
    with pytest.raises(StoreUnusable, match="is no lock"):
        SQLiteStore(tmp_path / "sessions.db")


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        SQLiteStore(tmp_path / "nowhere" / "sessions.db")


def test_a_full_disk_is_an_error_and_what_was_saved_stays(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SQLiteStore(path) as store:
        store.save(SAVED)
        store._database.execute("PRAGMA max_page_count = 1")  # the database may not grow: SQLite's own "disk full"
        big = SavedSession(replace(SESSION, done=tuple(f"event-{number:060d}" for number in range(5000))), 1.0)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.save(big)
        assert store.load("11111111", (0, 2)) == SAVED


def test_a_stores_file_holds_what_it_should_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SQLiteStore(path) as store:
        store.save(SAVED)
    database = sqlite3.connect(path)
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert tables == ["sessions", "changes"]
    database.close()
