"""Sessions in a SQLite file, whole and by their changes: what is loaded is what was saved, whatever the file has."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Session, User
from qqproto.event_names import GrowingNames
from qqproto_transports._session_rows import _MOST_CHANGES, VERSION
from qqproto_transports.stores import SavedSession, SQLiteStore, StoreUnusable

KEY = ("11111111", (0, 2))
SESSION = Session("S-1", *KEY, 1 << 25, 1, 1, User("42", "机器人"))

OLD_SCHEMA = """
CREATE TABLE sessions (
    app_id TEXT NOT NULL, shard INTEGER NOT NULL, shards INTEGER NOT NULL,
    session BLOB NOT NULL, saved_at REAL NOT NULL,
    PRIMARY KEY (app_id, shard, shards)
);
PRAGMA user_version = 1;
"""


class Bot:
    """A session that goes on, event by event."""

    def __init__(self, shard: int = 0) -> None:
        self.growing = GrowingNames(1000)
        self.session = replace(SESSION, shard=(shard, 2))

    def handles(self, count: int = 1, *, remembers: int = 20) -> SavedSession:
        """So many events more; returns what is to be saved."""
        first = self.session.settled + 1
        last = first + count - 1
        self.growing.extend((number, (f"C2C_MESSAGE_CREATE {number}",)) for number in range(first, last + 1))
        done = self.growing.now(last - remembers + 1)
        self.session = replace(self.session, received=last + 2, settled=last, done=done)
        return SavedSession(self.session, 1_790_000_000.5 + last)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.sqlite"


@contextmanager
def rows_of(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, as a program of somebody else's has it."""
    with closing(sqlite3.connect(path)) as database, database:
        yield database


def changes_in(path: Path) -> list[tuple[int, str]]:
    with rows_of(path) as database:
        return database.execute("SELECT number, done FROM changes ORDER BY number").fetchall()


def test_an_event_more_is_a_row_with_what_is_new(path: Path) -> None:
    bot = Bot()
    with SQLiteStore(path) as store:
        saved = [bot.handles() for _ in range(3)]
        for each in saved:
            store.save(each)
        assert changes_in(path) == [(0, '["C2C_MESSAGE_CREATE 3"]'), (1, '["C2C_MESSAGE_CREATE 4"]')]
        assert store.load(*KEY) == saved[-1]


def test_the_next_process_has_all_of_it_and_begins_with_the_whole(path: Path) -> None:
    bot = Bot()
    with SQLiteStore(path) as store:
        for _ in range(30):
            store.save(bot.handles(2))
    with SQLiteStore(path) as store:
        assert store.load(*KEY) == SavedSession(bot.session, 1_790_000_000.5 + bot.session.settled)
        assert len(changes_in(path)) == 29
        saved = bot.handles()
        store.save(saved)
        assert changes_in(path) == []
        assert store.load(*KEY) == saved


def test_changes_are_bounded(path: Path) -> None:
    bot = Bot()
    with SQLiteStore(path) as store:
        for _ in range(2 * _MOST_CHANGES + 10):
            store.save(bot.handles())
        # Three times it was written whole.
        assert len(changes_in(path)) == 2 * _MOST_CHANGES + 10 - 2 * _MOST_CHANGES - 3
        loaded = store.load(*KEY)
        assert loaded is not None
        assert loaded.session == bot.session


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("events"), st.integers(0, 8)),
            st.tuples(st.just("forgotten"), st.integers(0, 5)),
            st.tuples(st.sampled_from(["ahead", "missing"]), st.integers(0, 50)),
            st.tuples(st.sampled_from(["other id", "other names", "no names", "ended", "reopened"]), st.just(0)),
        ),
        max_size=25,
    )
)
def test_whatever_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    path, bot = tmp_path_factory.mktemp("store") / "bot.sqlite", Bot()
    saved, store = bot.handles(3), SQLiteStore(path)
    try:
        store.save(saved)
        for step, value in steps:
            session = bot.session
            match step:
                case "events":
                    saved = bot.handles(value)
                case "forgotten":
                    saved = bot.handles(0, remembers=value)
                case "ahead":
                    saved = SavedSession(replace(session, ahead=(value, value + 2)), saved.saved_at + 0.25)
                case "missing":
                    saved = SavedSession(replace(session, missing=(value,)), saved.saved_at + 0.25)
                case "other id":
                    saved = SavedSession(replace(session, id=session.id + "'"), saved.saved_at)
                case "other names":
                    saved = SavedSession(replace(session, done=(*session.done, "x")[1:]), saved.saved_at)
                case "no names":
                    bot.growing = GrowingNames(1000)
                    saved = SavedSession(replace(session, done=()), saved.saved_at)
                case "ended":
                    saved = replace(saved, saved_at=0.0)
                case _:
                    store.close()
                    store = SQLiteStore(path)
            store.save(saved)
            bot.session = saved.session
            assert store.load(*KEY) == saved
        store.close()
        store = SQLiteStore(path)
        assert store.load(*KEY) == saved
    finally:
        store.close()
        shutil.rmtree(path.parent)


def test_shards_have_nothing_to_do_with_each_other(path: Path) -> None:
    first, second = Bot(0), Bot(1)
    with SQLiteStore(path) as store:
        for _ in range(5):
            saved = [first.handles(), second.handles(3)]
            for each in saved:
                store.save(each)
            assert [store.load("11111111", (shard, 2)) for shard in (0, 1)] == saved


def test_a_session_without_a_name_in_it_has_changes_too(path: Path) -> None:
    with SQLiteStore(path) as store:
        for number in range(3):
            store.save(SavedSession(replace(SESSION, settled=number), 1.5 + number))
        assert [done for _, done in changes_in(path)] == ["[]", "[]"]
        assert store.load(*KEY) == SavedSession(replace(SESSION, settled=2), 3.5)


def test_after_a_save_that_failed_the_session_is_written_whole(path: Path) -> None:
    bot = Bot()
    with SQLiteStore(path) as store:
        store.save(bot.handles())
        store.save(bot.handles())
        store._database.execute("PRAGMA query_only = 1")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store.save(bot.handles())
        store._database.execute("PRAGMA query_only = 0")
        saved = bot.handles()
        store.save(saved)
        assert changes_in(path) == []
        assert store.load(*KEY) == saved


def test_a_new_session_is_forced_to_the_disk_and_what_comes_later_may_be_taken_back(path: Path, tmp_path: Path) -> None:
    """The file without its journal is the least that a crash of the machine leaves."""
    bot, copy = Bot(), tmp_path / "copy.sqlite"

    def left() -> SavedSession | None:
        shutil.copy(path, copy)
        with SQLiteStore(copy) as store:
            return store.load(*KEY)

    with SQLiteStore(path) as store:
        first = bot.handles()
        store.save(first)
        assert left() == first
        store.save(bot.handles())
        assert left() == first
        bot.session = replace(bot.session, id="S-2")
        second = bot.handles()
        store.save(second)
        assert left() == second


# -- other files -------------------------------------------------------------------------------------------------------


def test_a_file_of_the_first_version_is_gone_on_with(path: Path) -> None:
    saved = Bot().handles(5)
    with rows_of(path) as database:
        database.executescript(OLD_SCHEMA)
        database.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
            (KEY[0], *KEY[1], saved.session.to_bytes(), saved.saved_at),
        )
    with SQLiteStore(path) as store:
        assert store.load(*KEY) == saved


def test_what_an_older_version_has_written_meanwhile_counts(path: Path) -> None:
    bot = Bot()
    with SQLiteStore(path) as store:
        store.save(bot.handles())
        store.save(bot.handles())
    older = bot.handles(7)
    with rows_of(path) as database:
        database.execute("PRAGMA user_version = 1")
        database.execute("UPDATE sessions SET session = ?, saved_at = ?", (older.session.to_bytes(), older.saved_at))
    with SQLiteStore(path) as store:
        assert store.load(*KEY) == older


def test_a_file_of_a_newer_version_is_told_and_left_alone(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.save(Bot().handles())
    with rows_of(path) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match=f"a newer qqproto has written it, in format {VERSION + 1}"):
        SQLiteStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["users (name TEXT)", "sessions (cookie TEXT, user TEXT)"])
def test_a_database_of_somebody_elses_is_told_and_left_alone(path: Path, table: str) -> None:
    with rows_of(path) as database:
        database.execute(f"CREATE TABLE {table}")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="it is the database of something else"):
        SQLiteStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DELETE FROM changes WHERE number = 1", "without all of its changes"),
        ("DELETE FROM changes WHERE number = 0", "without all of its changes"),
        ("UPDATE changes SET remembered = 1000", "without all of its changes"),
        ("UPDATE changes SET remembered = -1", "without all of its changes"),
        ("UPDATE changes SET remembered = 'all'", "without all of its changes"),
        ("UPDATE changes SET done = '[1]' WHERE number = 1", "a change of the wrong type"),
        ("UPDATE changes SET done = '[' WHERE number = 1", "a change of the wrong type"),
        ("UPDATE changes SET done = x'ff'", "a change of the wrong type"),
        ("UPDATE changes SET received = 'far'", "a change of the wrong type"),
        ("UPDATE changes SET settled = 'near'", "a change of the wrong type"),
        ("UPDATE changes SET received = -1", "a change of the wrong type"),
        ("UPDATE changes SET ahead = '{}'", "a change of the wrong type"),
        ("UPDATE changes SET missing = '[\"1\"]'", "a change of the wrong type"),
        ("UPDATE changes SET saved_at = 'now'", "a change of the wrong type"),
    ],
)
def test_changes_that_are_damaged_are_a_value_error(path: Path, damage: str, what: str) -> None:
    bot = Bot()
    with SQLiteStore(path) as store:
        for _ in range(4):
            store.save(bot.handles())
    with rows_of(path) as database:
        database.execute(damage)
    with SQLiteStore(path) as store:
        with pytest.raises(ValueError, match=what):
            store.load(*KEY)
        saved = bot.handles()
        store.save(saved)
        assert store.load(*KEY) == saved
