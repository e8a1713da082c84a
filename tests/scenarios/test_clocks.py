"""A laptop that slept for hours: noticed, and told; a link that lived through it is kept (FAILURES.md, row 25)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from qqproto import Disconnected, LoopLag, Ready, Resumed
from qqproto_transports._clock import clock
from tests.scenarios.bots import QUICK
from tests.scenarios.stage import Stage

WATCHFUL = dataclasses.replace(QUICK, probe_after=1.0, dead_after=2.0, lag_tolerance=1.0)
FOUR_HOURS = 4 * 3600.0
TOKEN = "/app/getAppAccessToken"


class Clock:
    """The system's, which can be told that the lid was shut for a while."""

    def __init__(self) -> None:
        self.slept = 0.0

    def __call__(self) -> float:
        return clock() + self.slept


def test_a_link_that_lived_through_it_is_kept(stages: Callable[..., Stage]) -> None:
    stage, time = stages(heartbeat=0.25), Clock()
    bot = stage.bot(account=stage.account(policy=WATCHFUL, clock=time)).start()
    bot.until(Ready)
    time.slept += FOUR_HOURS
    lag = bot.until(LoopLag)
    stage.say("good morning")
    bot.until_hears("good morning")

    assert FOUR_HOURS - 1.0 < lag.seconds < FOUR_HOURS + 60.0
    assert bot.count("connections") == 1
    assert bot.heard(Disconnected) == []

    stage.rotate()
    bot.until(Resumed)
    assert [request.path for request in stage.platform.requests].count(TOKEN) == 2, "the old one has expired"


def test_a_link_that_died_meanwhile_is_given_up_soon(stages: Callable[..., Stage]) -> None:
    """Row 25: eleven hours of nothing after a night's sleep."""
    stage, time = stages(heartbeat=0.25), Clock()
    bot = stage.bot(account=stage.account(policy=WATCHFUL, clock=time)).start()
    bot.until(Ready)
    stage.talk(lambda talk, now: talk.excuse())
    stage.do(stage.wire.lose)
    time.slept += FOUR_HOURS
    bot.until(LoopLag)
    bot.until(Disconnected)
    bot.until(lambda event: isinstance(event, (Ready, Resumed)))
    stage.say("good morning")
    bot.until_hears("good morning")
