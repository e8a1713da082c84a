"""One bot after another, many beside each other, and a process that is not theirs (FAILURES.md, rows 20, 35, 45)."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from types import ModuleType

import pytest

from qqproto import Credentials, Disconnected, Dispatch, Ready, Resumed, Stopped, StopReason
from qqproto.testing import FakeBot, c2c_message
from tests.scenarios.bots import INTENTS, QUICK, Bot
from tests.scenarios.drivers import DRIVERS, Driver, eventually
from tests.scenarios.stage import Stage

# -- one after another -------------------------------------------------------------------------------------------------


def test_a_bot_that_is_switched_off_and_on_is_one_bot(stage: Stage) -> None:
    """Row 20: a closed client that still answers, beside the new one; every reply comes twice."""
    account = stage.account()
    bots: list[Bot] = []
    for number in range(5):
        bot = stage.bot(account=account).start()
        bots.append(bot)
        bot.until(Ready)
        stage.say(f"to number {number}")
        bot.until_hears(f"to number {number}")
        assert stage.do(lambda: len(stage.platform.conversations)) == 1
        session = stage.do(stage.platform.session)
        bot.close()
        stage.say("too late", to=session)
        assert bot.end() is None
        stage.until(lambda: not stage.platform.conversations)
        stage.until(lambda: stage.wire.clients == 0)

    assert [bot.contents for bot in bots] == [[f"to number {number}"] for number in range(5)]
    assert [type(bot.events[-1]) for bot in bots] == [Stopped] * 5
    assert stage.ops() == [2] * 5
    assert len([request for request in stage.platform.requests if "AccessToken" in request.path]) == 1
    assert stage.platform.violations == []


def test_a_bot_that_is_switched_off_at_every_moment_of_its_start(stage: Stage) -> None:
    account = stage.account()
    for moment in range(12):
        bot = stage.bot(account=account).start()
        eventually(lambda bot=bot, moment=moment: bot.handed >= moment % 3)  # type: ignore[misc]  # it takes nothing
        bot.close()
        assert bot.end() is None
        assert [type(event) for event in bot.events][-1:] == [Stopped]
        stage.until(lambda: stage.wire.clients == stage.web.clients == 0)


# -- beside each other -------------------------------------------------------------------------------------------------


def test_twenty_bots_in_one_process_know_nothing_of_each_other(stage: Stage) -> None:
    """Row 35, on one loop, where there is one."""
    ids = [str(1000 + number) for number in range(20)]
    for id in ids:
        stage.platform.bots[id] = FakeBot(id, f"the-secret-of-{id}")

    def account_of(id: str) -> object:
        return stage.account(credentials=Credentials(id, f"the-secret-of-{id}"))

    bots = [stage.bot(account=account_of(id)).start() for id in ids]
    users = [bot.until(Ready).user.id for bot in bots]
    assert users == [f"9{id}" for id in ids]

    def say(about: str) -> None:
        for session in stage.platform.sessions.values():
            message = c2c_message(f"{about} {session.app_id}", id=f"{about}-{session.app_id}")
            session.dispatch("C2C_MESSAGE_CREATE", message, stage.local.now)

    stage.do(lambda: say("to"))
    for id, bot in zip(ids, bots, strict=True):
        bot.until_hears(f"to {id}")
    bots[3].close()
    assert bots[3].end() is None
    bots[4].handler = lambda event: 1 // 0
    stage.do(lambda: say("and to"))
    assert type(bots[4].end()) is ZeroDivisionError
    for id, bot in zip(ids, bots, strict=True):
        if bot not in (bots[3], bots[4]):
            bot.until_hears(f"and to {id}")
            assert bot.contents == [f"to {id}", f"and to {id}"]
            assert bot.gateway.connected
            assert bot.heard(Disconnected) == []


def test_two_gateways_of_one_bot_share_its_token(stage: Stage) -> None:
    stage.platform.bot.max_concurrency = 2
    account = stage.account()
    first = stage.bot(account=account, shards=[(0, 2)]).start()
    second = stage.bot(account=account, shards=[(1, 2)]).start()
    first.until(Ready)
    second.until(Ready)
    stage.say("to the second", shard=1)
    second.until_hears("to the second")
    first.close()
    assert first.end() is None
    stage.say("still to the second", shard=1)
    second.until_hears("still to the second")

    assert first.contents == []
    assert len([request for request in stage.platform.requests if "AccessToken" in request.path]) == 1


def test_several_shards_in_one_stream(stage: Stage) -> None:
    stage.platform.bot.max_concurrency = 3
    bot = stage.bot(shards=3).start()
    assert sorted(bot.until(Ready).shard for _ in range(3)) == [0, 1, 2]
    assert bot.gateway.connected
    stage.say("to the third", shard=2)
    assert bot.until(Dispatch).shard == 2
    stage.talk(lambda talk, now: talk.reset(now), shard=1)
    assert bot.until(Disconnected).shard == 1
    assert bot.until(Resumed).shard == 1
    assert [status.counters["connections"] for status in bot.gateway.status()] == [1, 2, 1]
    bot.close()
    assert bot.end() is None

    assert sorted(stopped.shard for stopped in bot.heard(Stopped)) == [0, 1, 2]
    assert stage.platform.violations == []


# -- in somebody else's process ----------------------------------------------------------------------------------------


every_module = pytest.mark.parametrize("module", [driver.module for driver in DRIVERS], ids=lambda it: it.__name__)


@every_module
def test_made_outside_of_any_loop(module: ModuleType) -> None:
    """Row 45: asyncio.get_event_loop() in a constructor."""
    account = module.BotAccount(Credentials("11111111", "s"))
    gateway = module.open_gateway(account, intents=INTENTS)
    assert account.current_token is None
    assert gateway.stopped is None
    assert not gateway.connected
    gateway.close()

    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.CLOSED


def test_made_in_one_thread_and_used_in_another(stage: Stage) -> None:
    made: list[Bot] = []
    thread = threading.Thread(target=lambda: made.append(stage.bot()))
    thread.start()
    thread.join()
    (bot,) = made
    bot.start().until(Ready)
    stage.say("hello")
    bot.until_hears("hello")


def test_entered_after_it_was_closed_it_ends_at_once(stage: Stage) -> None:
    bot = stage.bot()
    bot.close()
    bot.start()
    assert bot.end() is None

    assert [type(event) for event in bot.events] == [Stopped]
    assert stage.platform.requests == []


def test_a_whole_life_leaves_the_process_as_it_was(stage: Stage) -> None:
    """Row 35: a library that replaced handlers, and the host's logging with them."""
    before = state_of_the_process(stage.driver)
    bot = stage.bot().start()
    bot.until(Ready)
    during = state_of_the_process(stage.driver)
    stage.reset()
    bot.until(Resumed)
    bot.close()
    bot.end()

    assert during == before
    assert state_of_the_process(stage.driver) == before


def state_of_the_process(driver: Driver) -> object:
    """What belongs to the host."""

    def of_the_loop() -> object:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        return loop.get_exception_handler(), loop.get_task_factory(), loop.get_debug()

    return (
        driver.call(of_the_loop),
        {number: signal.getsignal(number) for number in signal.valid_signals()},
        (logging.root.level, list(logging.root.handlers), logging.getLogger("qqproto").level),
        (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.getswitchinterval()),
    )


@every_module
def test_importing_changes_nothing(module: ModuleType) -> None:
    script = f"""
import asyncio, logging, signal, warnings, threading
def state():
    policy = asyncio.get_event_loop_policy() if hasattr(asyncio, "get_event_loop_policy") else None
    return (
        logging.root.level, list(logging.root.handlers), logging.lastResort, logging.getLogger("qqproto").level,
        {{number: signal.getsignal(number) for number in signal.valid_signals()}}, threading.active_count(), policy,
    )
warnings.simplefilter("ignore")
before = state()
import {module.__name__}
assert state() == before
import sys
assert not {{"httpx", "httpcore", "websockets", "aiohttp"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_policy_of_these_stories_keeps_the_houses_limits() -> None:
    """In a hurry, and otherwise the same: a scenario says nothing about a bot that is allowed everything."""
    assert QUICK.max_message == 16 << 20
    assert QUICK.dead_after == 20.0
