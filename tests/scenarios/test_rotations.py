"""The plain road: a bot connects, hears, moves to another connection when it is asked to, and says goodbye."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qqproto import Disconnected, Dispatch, Offline, Online, Ready, Resumed, Stopped, StopReason
from tests.scenarios.drivers import AnyioDriver
from tests.scenarios.stage import Stage

MORE_DRIVERS = [AnyioDriver]


def test_connects_hears_and_says_goodbye(stage: Stage) -> None:
    bot = stage.bot().start()
    bot.until(Ready)
    stage.say("one", "two", "three")
    bot.until_hears("three")
    bot.close()

    assert bot.end() is None
    assert [type(event) for event in bot.events] == [Online, Ready, Dispatch, Dispatch, Dispatch, Stopped]
    assert bot.stopped is not None
    assert bot.stopped.reason is StopReason.CLOSED
    assert not bot.gateway.connected
    stage.until(lambda: not stage.platform.conversations)
    assert stage.do(lambda: stage.platform.sessions) == {}, "1000 ends the session"
    assert stage.ops() == [2]
    assert stage.platform.violations == []


@pytest.mark.parametrize(
    "rotate",
    [Stage.rotate, lambda stage: stage.close(4009, "session timed out")],
    ids=["op 7", "4009"],
)
def test_a_rotation_costs_one_resume_and_never_shows(stage: Stage, rotate: Callable[[Stage], None]) -> None:
    bot = stage.bot().start()
    bot.until(Ready)
    stage.say("before")
    bot.until(Dispatch)
    for number in range(5):
        rotate(stage)
        bot.until(Resumed)
        stage.say(number)
        bot.until(Dispatch)

    assert stage.ops() == [2, 6, 6, 6, 6, 6]
    assert bot.contents == ["before", "0", "1", "2", "3", "4"]
    assert [gone.planned for gone in bot.heard(Disconnected)] == [True] * 5
    assert bot.heard(Offline) == []
    assert len(bot.heard(Online)) == 1
    assert stage.platform.violations == []


def test_what_is_said_while_the_bot_is_away_is_not_lost(stage: Stage) -> None:
    bot = stage.bot().start()
    bot.until(Ready)
    stage.say(1, 2)
    bot.until_hears("2")
    stage.reset()
    stage.say(3, 4)
    gone = bot.until(Disconnected)
    bot.until(Resumed)
    bot.until_hears(4)

    assert gone.failure is not None
    assert gone.failure.kind.value == "reset"
    assert bot.contents == ["1", "2", "3", "4"]
    assert stage.ops() == [2, 6]
