"""Links that die without a word: found out, dropped, and gone on from with a Resume (FAILURES.md, row 5)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from qqproto import Disconnected, Dispatch, FailureKind, Offline, Ready, Resumed
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.drivers import eventually
from tests.scenarios.stage import Stage

WATCHFUL = dataclasses.replace(QUICK, probe_after=0.75, dead_after=1.5)
"""Silence is noticed soon, and not so soon that a busy machine would pass for one."""

HEARTBEAT = 0.25


def ready(stage: Stage) -> Bot:
    bot = stage.bot(policy=WATCHFUL).start()
    bot.until(Ready)
    return bot


def comes_back(stage: Stage, bot: Bot) -> Disconnected:
    """The link is given up, the session goes on, and what is said then arrives."""
    stage.say("is anybody there?")
    gone = bot.until(Disconnected)
    bot.until(Resumed)
    bot.until_hears("is anybody there?")
    assert stage.ops() == [2, 6]
    assert bot.heard(Offline) == []
    return gone


def test_zombie_a_server_that_talks_and_acknowledges_nothing(stages: Callable[..., Stage]) -> None:
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage)
    stage.mute()
    number = 0
    while bot.heard(Disconnected) == []:
        number += 1
        stage.say(number)
        bot.until(lambda event: isinstance(event, (Dispatch, Disconnected)))
    bot.until(Resumed)
    bot.until_hears(number)

    (gone,) = bot.heard(Disconnected)
    assert gone.failure is not None
    assert "acknowledges no heartbeat" in gone.failure.message
    assert gone.last_receive is not None
    assert gone.last_receive < WATCHFUL.dead_after, "it was no silence"
    assert bot.contents == [str(each) for each in range(1, number + 1)]
    assert stage.ops() == [2, 6]


def test_black_hole_nothing_passes_and_nobody_is_told(stages: Callable[..., Stage]) -> None:
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage)
    stage.talk(lambda talk, now: talk.excuse())
    stage.do(stage.wire.lose)

    gone = comes_back(stage, bot)
    assert gone.failure is not None
    assert gone.failure.kind is FailureKind.TIMEOUT
    assert gone.last_receive is not None
    assert gone.last_receive >= WATCHFUL.dead_after


def test_an_idle_link_that_is_cut_in_silence(stages: Callable[..., Stage]) -> None:
    """A proxy that forgets what has been quiet for half a minute, as fast as a test has the time for."""
    stage = stages(heartbeat=41.25)
    bot = ready(stage)
    stage.platform.behaviour.heartbeat_interval = HEARTBEAT
    stage.wire.idle_cut = 0.05
    stage.rotate()
    bot.until(Resumed)
    stage.until(lambda: stage.wire.links[-1].lost)
    stage.wire.idle_cut = None

    gone = bot.until(lambda event: isinstance(event, Disconnected) and not event.planned)
    bot.until(Resumed)
    assert isinstance(gone, Disconnected)
    assert gone.failure is not None
    assert gone.failure.kind is FailureKind.TIMEOUT
    assert stage.ops() == [2, 6, 6]


def test_half_closed_the_server_says_no_more_and_still_listens(stages: Callable[..., Stage]) -> None:
    """CLOSE_WAIT, in which sockets have been left for good."""
    stage = stages()
    bot = ready(stage)
    stage.do(stage.wire.hang_up)

    gone = comes_back(stage, bot)
    assert gone.failure is not None
    assert gone.failure.kind is FailureKind.EOF
    stage.until(lambda: stage.wire.clients == 1)


def test_a_link_that_is_only_quiet_is_left_alone(stages: Callable[..., Stage]) -> None:
    """Row 6: no event for a long time, and every heartbeat acknowledged."""
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage)
    beyond = time.monotonic() + WATCHFUL.dead_after + 2 * HEARTBEAT
    eventually(lambda: time.monotonic() > beyond)
    stage.say("good morning")
    bot.until(Dispatch)

    assert bot.heard(Disconnected) == []
    assert bot.count("connections") == 1
    assert bot.count("acks") >= 3
