"""Bots that are killed on real sockets, with a real store: the short form of `make crash`, and bots that fail it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qqproto import SettleMode
from qqproto_transports.stores import SQLiteStore, StoreInUse
from tests.crash.__main__ import summary
from tests.crash.bot import Bot, Orders
from tests.crash.campaign import Campaign, Plan, Result, plans
from tests.crash.journal import Journal
from tests.crash.planted import Forgets, GivesUp, SettlesFirst, TellsNobody
from tests.scenarios.drivers import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process is not killed on Windows as it is elsewhere")


def campaign(
    folder: Path, next_plan: Callable[[], Plan], kills: int, make: Callable[[Orders, Journal], Bot] = Bot
) -> Result:
    return asyncio.run(Campaign(folder, next_plan, make=make).run(kills))


def always(word: str, count: int, settle: SettleMode = "iteration") -> Callable[[], Plan]:
    """The same plan again and again."""
    return lambda: Plan(word, count, settle, 0.05, 1)


def in_turn(*plans: Plan) -> Callable[[], Plan]:
    order: Iterator[Plan] = iter(plans)
    return lambda: next(order)


@pytest.mark.long
def test_what_bots_that_are_killed_at_any_moment_have_lost_is_nothing(tmp_path: Path) -> None:
    result = campaign(tmp_path, plans(seed=7), 8)
    assert result.kept, summary(result)
    figures = result.judge.figures
    assert (figures.kills, figures.lives, figures.lost) == (8, 10, [])
    assert figures.sent > 100
    assert figures.in_flight + figures.unsaved > 0
    assert summary(result).endswith("every promise was kept")


def test_in_the_middle_of_a_save_and_of_a_load_and_of_a_replay(tmp_path: Path) -> None:
    moments = [("saving", 2), ("loading", 1), ("up", 1), ("loaded", 1), ("begin", 2), ("saved", 1), ("resumed", 1)]
    result = campaign(tmp_path, in_turn(*[Plan(*moment, "manual", 0.05, 1) for moment in moments]), len(moments))
    assert result.kept, summary(result)
    assert set(result.moments) == {word for word, _ in moments}


CAMPAIGN = """
import asyncio, sys
from qqproto import Credentials, Endpoints
from tests.crash.bot import Orders
from tests.crash.nursery import born
from tests.crash.planted import Idles

async def main():
    orders = Orders(Credentials("1", "secret"), Endpoints(), sys.argv[1], "iteration", 1.0, 1)
    async with born(Idles, orders, lambda entry: print(entry.word, flush=True)):
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_campaign_that_is_killed_leaves_no_bot_behind(tmp_path: Path) -> None:
    store = tmp_path / "bot.sqlite"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.Popen(
        [sys.executable, "-c", CAMPAIGN, str(store)], stdout=subprocess.PIPE, env=environment, text=True
    )
    with killed:
        assert killed.stdout is not None
        assert [killed.stdout.readline() for _ in range(2)] == ["up\n", "open\n"]
        assert not _is_free(store)
        killed.kill()
    eventually(lambda: _is_free(store))


def _is_free(store: Path) -> bool:
    try:
        SQLiteStore(store).close()
    except StoreInUse:
        return False
    return True


def test_the_same_seed_kills_at_the_same_moments() -> None:
    first, second, other = plans(1), plans(1), plans(2)
    assert [first() for _ in range(20)] == [second() for _ in range(20)] != [other() for _ in range(20)]


def test_a_bot_that_settles_before_it_has_handled_loses_events_and_is_noticed(tmp_path: Path) -> None:
    result = campaign(tmp_path, always("saved", 2, "manual"), 2, SettlesFirst)
    assert result.judge.figures.lost
    assert "no handler has finished with it" in result.judge.complaints[0]
    assert f"BROKEN: {result.judge.complaints[0]}" in summary(result)


def test_a_store_that_forgets_is_noticed(tmp_path: Path) -> None:
    result = campaign(tmp_path, always("saved", 3), 2, Forgets)
    assert result.judge.figures.lost == []
    assert any("though it had been settled and saved" in complaint for complaint in result.judge.complaints)


def test_a_repetition_without_a_mark_is_noticed(tmp_path: Path) -> None:
    result = campaign(tmp_path, always("begin", 5), 2, TellsNobody)
    assert any("without a mark" in complaint for complaint in result.judge.complaints)


def test_a_bot_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    result = campaign(tmp_path, always("saved", 1000), 1, GivesUp)
    assert any("it ended by itself" in complaint for complaint in result.judge.complaints)
