"""`qqproto listen --session`: a bot that is stopped, or killed, and started again misses nothing."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from qqproto.testing import FakeSession
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import say
from tests.transports.commands import run, running, settings_of
from tests.transports.loops import eventually, on_loop
from tests.transports.test_cli_listen import ENDS, ends_cleanly

if sys.platform == "win32":
    pytest.skip("a process is not killed there as it is elsewhere", allow_module_level=True)


def contents(records: list[dict[str, object]]) -> list[tuple[object, object]]:
    """What was printed of messages, and whether each may have been printed before."""
    dispatches = [record for record in records if record["event"] == "dispatch"]
    return [(record["d"]["content"], record["redelivered"]) for record in dispatches]  # type: ignore[index]


async def away(gateway: LocalGateway) -> FakeSession:
    """The session that a bot has left, and may come back to."""
    session = gateway.platform.session()
    await eventually(lambda: session.live is None)
    return session


@pytest.mark.parametrize("number", ENDS)
@on_loop
async def test_the_next_start_gets_what_came_in_between(number: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bot") / "bot.session"
    options = ("listen", "--json", "--session", str(path))
    async with LocalGateway() as gateway:
        async with running(*options, settings=settings_of(gateway)) as command:
            await command.record(lambda record: record["event"] == "ready")
            say(gateway, "one", "two")
            await command.record(lambda record: record["event"] == "dispatch" and record["d"]["content"] == "two")
            await ends_cleanly(command, number)  # type: ignore[arg-type]  # a parameter of pytest's
            assert contents(command.records()) == [("one", False), ("two", False)]
        session = await away(gateway)
        say(gateway, "in between")
        async with running(*options, settings=settings_of(gateway)) as command:
            resumed = await command.record(lambda record: record["event"] == "resumed")
            assert (resumed["session_id"], resumed["replayed"], resumed["restored"]) == (session.id, 1, True)
            say(gateway, "after")
            await command.record(lambda record: record["event"] == "dispatch" and record["d"]["content"] == "after")
            await ends_cleanly(command)
            assert contents(command.records()) == [("in between", True), ("after", False)]
        assert [frame.op for frame in gateway.platform.frames if frame.op != 1] == [2, 6]
        assert gateway.platform.violations == []


@on_loop
async def test_people_see_what_was_replayed(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = ("listen", "--session", str(tmp_path_factory.mktemp("bot") / "bot.session"))
    async with LocalGateway() as gateway:
        async with running(*options, settings=settings_of(gateway)) as command:
            await command.line("ready: fake bot")
            await ends_cleanly(command)
        await away(gateway)
        say(gateway, "in between")
        async with running(*options, settings=settings_of(gateway)) as command:
            assert "private message (replayed) from" in await command.line("in between")
            assert "1 replayed" in await command.line("resumed: session")
            await ends_cleanly(command)


@on_loop
async def test_a_killed_one_misses_nothing_either(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = ("listen", "--json", "--session", str(tmp_path_factory.mktemp("bot") / "bot.session"))
    async with LocalGateway() as gateway:
        async with running(*options, settings=settings_of(gateway)) as command:
            await command.record(lambda record: record["event"] == "ready")
            say(gateway, "one")
            await command.record(lambda record: record["event"] == "dispatch")
            await command.abandon()
        await away(gateway)
        say(gateway, "two")
        async with running(*options, settings=settings_of(gateway)) as command:
            await command.record(lambda record: record["event"] == "resumed")
            await ends_cleanly(command)
            printed = contents(command.records())
        assert printed[-1] == ("two", True)
        assert set(printed[:-1]) <= {("one", True)}


@on_loop
async def test_a_file_that_another_one_uses_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bot") / "bot.session"
    options = ("listen", "--session", str(path))
    async with LocalGateway() as gateway, running(*options, settings=settings_of(gateway)) as command:
        await command.line("ready: fake bot")
        async with running(*options, settings=settings_of(gateway)) as second:
            assert await second.end() == 2
        assert second.lines == []
        assert second.errors == [
            f"qqproto: the session store {path} is in use by another process: stop it, or give each its own file"
        ]
        await ends_cleanly(command)


SETTINGS = {"QQ_APP_ID": "1", "QQ_SECRET": "s", "QQ_API_BASE": "http://127.0.0.1:9"}


def test_a_file_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes, " * 1000)
    for path, why in (
        (notes, "cannot be used: file is not a database"),
        (tmp_path, "cannot be used: unable to open database file"),
        (tmp_path / "nowhere" / "bot.session", "cannot be opened: unable to open database file"),
    ):
        done = run("listen", "--session", str(path), settings=SETTINGS)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"qqproto: the session store {path} {why}\n"


@on_loop
async def test_a_session_of_other_intents_is_refused_with_a_reason(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bot") / "bot.session"
    async with LocalGateway() as gateway:
        gateway.platform.bot.max_concurrency = 2
        async with running("listen", "--session", str(path), settings=settings_of(gateway)) as command:
            await command.line("ready: fake bot")
            await ends_cleanly(command)
        options = ("listen", "--session", str(path), "--intents", "INTERACTION")
        async with running(*options, settings=settings_of(gateway)) as command:
            line = await command.line("the saved session is not resumed")
            assert "it was made with intents 33554432, not with 67108864" in line
            await command.line("ready: fake bot")
            await ends_cleanly(command)


@on_loop
async def test_a_store_that_fails_while_it_runs_is_told_and_the_bot_stays(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("bot") / "bot.session"
    async with LocalGateway() as gateway:
        async with running("listen", "--json", "--session", str(path), settings=settings_of(gateway)) as command:
            await command.record(lambda record: record["event"] == "ready")
            await eventually(lambda: _rows(path))
            database = sqlite3.connect(path, timeout=30.0)
            database.execute("DROP TABLE changes")
            database.close()
            say(gateway, "hello")
            failed = await command.record(lambda record: record["event"] == "store_failed")
            assert (failed["operation"], failed["reason"]) == ("save", "OperationalError: no such table: changes")
            say(gateway, "still there")
            await command.record(lambda record: record["event"] == "dispatch" and record["d"]["content"] != "hello")
            await ends_cleanly(command)


def _rows(path: Path) -> int:
    database = sqlite3.connect(path, timeout=30.0)
    try:
        return int(database.execute("SELECT count(*) FROM sessions").fetchone()[0])
    finally:
        database.close()
