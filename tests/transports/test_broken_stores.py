"""SQLite files that are torn, full, read-only or locked: a clear event or error, and the bot stays online."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from qqproto import Dispatch, Event, Ready, Resumed, SessionRefused, StoreFailed
from qqproto_transports.asyncio import Gateway
from qqproto_transports.local_gateway import LocalGateway
from qqproto_transports.stores import SavedSession, SQLiteStore, StoreUnusable
from tests.transports.bots import QUICK, bot_at, say, until
from tests.transports.commands import launched, settings_of
from tests.transports.loops import eventually, on_loop
from tests.transports.test_stores import SAVED, SESSION

KEY = ("11111111", (0, 2))
OFTEN = replace(QUICK, save_every=0.02)


def is_failure(event: Event) -> bool:
    return isinstance(event, StoreFailed)


async def still_hears(gateway: Gateway, local: LocalGateway) -> None:
    """The bot is online, and hears what is said."""
    say(local, "are you there?")
    await until(gateway, lambda event: isinstance(event, Dispatch) and event.data["content"] == "are you there?")
    assert gateway.connected


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.sqlite"


# -- torn --------------------------------------------------------------------------------------------------------------


def big(number: int) -> SavedSession:
    """A session that takes several pages of the file."""
    names = tuple(f"GROUP_AT_MESSAGE_CREATE:{number}-{name:030d}" for name in range(1000))
    return SavedSession(replace(SESSION, settled=number, ahead=(), done=names), float(number))


def overwritten(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def tear_the_header(path: Path) -> None:
    overwritten(path, 0, b"\0" * 50)


def tear_the_schema(path: Path) -> None:
    overwritten(path, 100, b"\xff" * 400)


def tear_the_rows(path: Path) -> None:
    size = path.stat().st_size
    overwritten(path, 4096, b"\xff" * (size - 4096))


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


TORN_BEFORE_IT_IS_OPENED = [
    (tear_the_header, "file is not a database"),
    (tear_the_schema, "malformed"),
    (cut_in_half, "malformed"),
]


@pytest.mark.parametrize(("tear", "why"), TORN_BEFORE_IT_IS_OPENED, ids=["header", "schema", "half"])
def test_a_file_that_is_torn_where_it_says_what_it_is_is_told_at_once(path: Path, tear: object, why: str) -> None:
    with SQLiteStore(path) as store:
        store.save(big(1))
    tear(path)  # type: ignore[operator]  # one of the functions above
    with pytest.raises(StoreUnusable, match=why):
        SQLiteStore(path)


@on_loop
async def test_a_file_that_is_torn_further_on_is_told_when_it_is_read(path: Path) -> None:
    async with LocalGateway() as local:
        with SQLiteStore(path) as store:
            store.save(replace(big(1), session=replace(big(1).session, shard=(0, 1))))
        tear_the_rows(path)
        with SQLiteStore(path) as store:
            async with bot_at(local, store=store, policy=OFTEN) as gateway:
                failed = await until(gateway, lambda event: True)
                assert failed == StoreFailed(0, "load", "DatabaseError: database disk image is malformed")
                await until(gateway, lambda event: isinstance(event, Ready))
                await still_hears(gateway, local)


def test_a_file_that_was_cut_to_nothing_is_an_empty_store(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.save(SAVED)
    cut_to_nothing(path)
    with SQLiteStore(path) as store:
        assert store.load(*KEY) is None


@on_loop
async def test_a_row_that_is_half_written_is_refused_with_a_reason(path: Path) -> None:
    async with LocalGateway() as local:
        with SQLiteStore(path) as store:
            async with bot_at(local, store=store) as gateway:
                await until(gateway, lambda event: isinstance(event, Ready))
        database = sqlite3.connect(path)
        with database:
            database.execute("UPDATE sessions SET session = CAST(substr(session, 1, 80) AS BLOB)")
        database.close()
        local.platform.bot.max_concurrency = 2
        with SQLiteStore(path) as store:
            async with bot_at(local, store=store) as gateway:
                refused = await until(gateway, lambda event: True)
                assert refused == SessionRefused(0, "a saved session that is no JSON object")
                await until(gateway, lambda event: isinstance(event, Ready))


def test_a_journal_that_is_cut_in_its_last_write_leaves_what_was_saved_before(tmp_path: Path) -> None:
    """What a crash of the machine may leave: the newest pages of the journal are not all there."""
    path, copy = tmp_path / "bot.sqlite", tmp_path / "copy.sqlite"
    journal = Path(f"{path}-wal")
    with SQLiteStore(path) as store:
        store.save(big(0))
        store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.save(big(1))
        before = journal.stat().st_size
        store.save(big(2))
        after = journal.stat().st_size
        shutil.copy(path, copy)
        whole = journal.read_bytes()
    assert after > before
    cuts = {before: 1, (before + after) // 2: 1, after - 1: 1, after: 2}
    for size, settled in cuts.items():
        torn = tmp_path / f"torn-{size}.sqlite"
        shutil.copy(copy, torn)
        Path(f"{torn}-wal").write_bytes(whole[:size])
        with SQLiteStore(torn) as store:
            saved = store.load(*KEY)
        assert saved is not None
        assert saved.session.settled == settled


# -- full --------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_full_disk_is_told_the_bot_stays_and_later_it_is_saved_again(path: Path) -> None:
    async with LocalGateway() as local:
        with SQLiteStore(path) as store:
            store.save(SAVED)
            # SQLite's own "disk full": the file may not grow.
            (pages,) = store._database.execute("PRAGMA page_count").fetchone()
            store._database.execute(f"PRAGMA max_page_count = {pages}")
            async with bot_at(local, store=store, policy=OFTEN) as gateway:
                await until(gateway, lambda event: isinstance(event, Ready))
                say(local, *range(300))
                failed = await until(gateway, is_failure)
                assert failed == StoreFailed(0, "save", "OperationalError: database or disk is full")
                await still_hears(gateway, local)
                store._database.execute("PRAGMA max_page_count = 10000")
                await eventually(lambda: (saved := store.load("11111111", (0, 1))) and saved.session.settled > 300)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no process's files")
@on_loop
async def test_a_process_that_may_write_no_more_says_so_and_goes_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bot") / "bot.sqlite"
    program = (
        "import resource, sys\n"
        "sys.dont_write_bytecode = True\n"  # Half of it would be written, and kept.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        f"sys.argv = ['qqproto', 'listen', '--json', '--session', {str(path)!r}]\n"
        "from qqproto_transports.cli import main\n"
        "main()\n"
    )
    async with LocalGateway() as local:
        async with launched(sys.executable, "-c", program, settings=settings_of(local)) as command:
            await command.record(lambda record: record["event"] == "ready")
            # So many names do not fit into what it may write.
            say(local, *range(2000))
            failed = await command.record(lambda record: record["event"] == "store_failed")
            assert failed["operation"] == "save"
            assert failed["reason"].endswith(("disk I/O error", "database or disk is full"))
            say(local, "are you there?")
            await command.record(lambda record: record.get("d", {}).get("content") == "are you there?")
            command.ask_to_end()
            assert await command.end() == 0
            assert [record["event"] for record in command.records()].count("store_failed") == 1


# -- read-only ---------------------------------------------------------------------------------------------------------


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The file may not be written, not even by root."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        if (
            shutil.which("chattr") is None
            or subprocess.run(["chattr", "+i", str(path)], capture_output=True).returncode
        ):
            pytest.skip("root may write every file here: no chattr, or a file system without it")
        try:
            yield
        finally:
            subprocess.run(["chattr", "-i", str(path)], check=True)
    else:
        path.chmod(0o444)
        try:
            yield
        finally:
            path.chmod(0o644)


def test_a_read_only_file_is_told_at_once(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.save(SAVED)
    with read_only(path):
        with pytest.raises(StoreUnusable, match=r"bot\.sqlite cannot be used: (attempt to write a readonly|unable to)"):
            SQLiteStore(path)
    with SQLiteStore(path) as store:
        assert store.load(*KEY) == SAVED


@on_loop
async def test_a_file_that_becomes_read_only_is_told_and_the_bot_stays(path: Path) -> None:
    async with LocalGateway() as local:
        with SQLiteStore(path) as store:
            async with bot_at(local, store=store, policy=OFTEN) as gateway:
                await until(gateway, lambda event: isinstance(event, Ready))
                store._database.execute("PRAGMA query_only = 1")  # What a mount that became read-only looks like.
                say(local, "news")
                failed = await until(gateway, is_failure)
                assert failed == StoreFailed(0, "save", "OperationalError: attempt to write a readonly database")
                await still_hears(gateway, local)
                store._database.execute("PRAGMA query_only = 0")
                await eventually(lambda: (saved := store.load("11111111", (0, 1))) and saved.session.settled >= 2)


# -- locked ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_file_that_another_program_has_locked_is_told_and_saved_when_it_lets_go(path: Path) -> None:
    async with LocalGateway() as local:
        with SQLiteStore(path) as store:
            store._database.execute("PRAGMA busy_timeout = 20")
            async with bot_at(local, store=store, policy=OFTEN) as gateway:
                await until(gateway, lambda event: isinstance(event, Ready))
                await eventually(lambda: store.load("11111111", (0, 1)))
                other = sqlite3.connect(path, isolation_level=None, timeout=30.0)
                other.execute("BEGIN IMMEDIATE")
                say(local, "news")
                failed = await until(gateway, is_failure)
                assert failed == StoreFailed(0, "save", "OperationalError: database is locked")
                await still_hears(gateway, local)
                other.close()
                await eventually(lambda: (saved := store.load("11111111", (0, 1))) and saved.session.settled >= 2)


def test_a_file_that_another_program_has_for_itself_is_told_when_it_is_opened(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.save(SAVED)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnusable, match="cannot be used: database is locked"):
            SQLiteStore(path)
    finally:
        other.close()
    with SQLiteStore(path) as store:
        assert store.load(*KEY) == SAVED


# -- after all that ----------------------------------------------------------------------------------------------------


@on_loop
async def test_a_store_that_was_mended_is_gone_on_with(path: Path) -> None:
    async with LocalGateway() as local:
        with SQLiteStore(path) as store:
            store._database.execute("PRAGMA query_only = 1")
            async with bot_at(local, store=store, policy=OFTEN) as gateway:
                await until(gateway, is_failure)
                store._database.execute("PRAGMA query_only = 0")
                await eventually(lambda: store.load("11111111", (0, 1)))
            async with bot_at(local, store=store, policy=OFTEN) as gateway:
                await until(gateway, lambda event: isinstance(event, Resumed))
