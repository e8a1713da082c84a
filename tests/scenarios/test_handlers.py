"""Handlers that take their time: heartbeats go on, nothing is dropped, no healthy link is lost (rows 24 and 26)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest

from qqproto import Disconnected, Dispatch, Event, LoopLag, Phase, ReadingPaused, Ready, Resumed, Stopped
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.drivers import eventually
from tests.scenarios.stage import Stage

HEARTBEAT = 0.25
WATCHFUL = dataclasses.replace(QUICK, probe_after=0.75, dead_after=1.5, lag_tolerance=0.5)


def ready(stage: Stage, **changes: float) -> Bot:
    bot = stage.bot(policy=dataclasses.replace(WATCHFUL, **changes)).start()  # type: ignore[arg-type]  # numbers alone
    bot.until(Ready)
    return bot


def pass_time(seconds: float) -> None:
    """Let it take so long, and rather more."""
    beyond = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > beyond)


def heartbeats(bot: Bot, count: int) -> None:
    """Wait until it has sent so many more."""
    enough = bot.count("heartbeats") + count
    eventually(lambda: bot.count("heartbeats") >= enough)


def test_heartbeats_go_on_while_a_handler_takes_its_time(stages: Callable[..., Stage]) -> None:
    """It awaits, or, without a loop, blocks."""
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage)
    bot.busy = True
    stage.say("a question that takes an hour to answer", "the next one")
    bot.until(Dispatch)
    heartbeats(bot, 8)
    handed = bot.handed
    bot.busy = False
    bot.until_hears("the next one")

    assert handed == len(bot.events) - 1, "one at a time"
    assert bot.count("connections") == 1
    assert bot.heard(LoopLag) == []
    assert bot.heard(Disconnected) == []


def test_a_handler_that_blocks_its_thread_costs_no_healthy_link(stages: Callable[..., Stage]) -> None:
    """With a loop that is a LoopLag; with threads it is nothing at all."""
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage)
    stage.talk(lambda talk, now: talk.excuse())
    bot.block()
    stage.say("a tool that takes 322 seconds")
    bot.until(Dispatch)
    beats = stage.ops(heartbeats=True).count(1)
    stage.say("hello?", "is anybody there?")
    pass_time(WATCHFUL.dead_after + WATCHFUL.lag_tolerance + HEARTBEAT)
    meanwhile = stage.ops(heartbeats=True).count(1) - beats
    bot.go_on()
    bot.until_hears("is anybody there?")
    heartbeats(bot, 3)
    stage.say("the end")
    bot.until_hears("the end")

    assert bot.count("connections") == 1
    assert bot.heard(Disconnected) == []
    if stage.driver.has_loop:
        assert meanwhile <= 1, "one may have been on its way"
        assert bot.heard(LoopLag)[0].seconds >= WATCHFUL.lag_tolerance
    else:
        assert meanwhile >= 4
        assert bot.heard(LoopLag) == []


def test_a_link_that_died_during_a_stall_is_found_out_afterwards(stages: Callable[..., Stage]) -> None:
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage)
    stage.talk(lambda talk, now: talk.excuse())
    bot.block()
    stage.say("something that blocks")
    bot.until(Dispatch)
    stage.do(stage.wire.lose)
    pass_time(WATCHFUL.dead_after + WATCHFUL.lag_tolerance + HEARTBEAT)
    bot.go_on()
    bot.until_true(lambda: bot.heard(Disconnected))
    bot.until_true(lambda: bot.heard(Resumed))
    stage.say("there again")
    bot.until_hears("there again")

    assert stage.ops() == [2, 6]


def test_a_full_buffer_pauses_reading_and_nothing_is_lost(stages: Callable[..., Stage]) -> None:
    """Ten minutes behind: reading stops, so that the platform has to wait, and heartbeats go on."""
    total = 1000
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage, max_buffered=50)
    bot.busy = True
    for start in range(0, total, 50):  # A gateway that did it in one go would be silent meanwhile.
        stage.say(*(f"{number} {'x' * 2000}" for number in range(start, start + 50)))
    eventually(lambda: bot.count("dispatches") >= 50)
    heartbeats(bot, 1)
    before = bot.count("dispatches")
    heartbeats(bot, 8)  # well beyond `dead_after`: silence says nothing while nothing is read
    assert bot.count("dispatches") == before < total / 2
    assert bot.gateway.connected, bot.status().last_disconnect
    bot.busy = False
    bot.until_true(lambda: len(bot.contents) == total)

    assert [int(content.split()[0]) for content in bot.contents] == list(range(total))
    assert stage.ops() == [2], "on one connection"
    assert bot.heard(ReadingPaused)[0].buffered >= 50


def test_a_new_connection_is_not_read_either_while_the_buffer_is_full(stages: Callable[..., Stage]) -> None:
    stage = stages(heartbeat=HEARTBEAT)
    bot = ready(stage, max_buffered=5, dead_after=20.0)
    bot.busy = True
    stage.say(*range(10))
    eventually(lambda: bot.count("dispatches") == 10)
    stage.reset()  # unseen until the next heartbeat
    eventually(lambda: bot.count("connections") == 2)
    stage.say(*range(10, 20))
    assert bot.status().phase in (Phase.DIAL, Phase.HELLO)
    bot.busy = False
    bot.until_hears(19)

    assert bot.contents == [str(number) for number in range(20)]


def test_an_event_is_settled_when_the_next_one_is_asked_for(stages: Callable[..., Stage]) -> None:
    stage = stages()
    bot = ready(stage)
    seen: list[tuple[int | None, int]] = []

    def look(event: Event) -> None:
        if isinstance(event, Dispatch):
            seen.append((event.sequence, bot.gateway.session.settled))

    bot.handler = look
    stage.say("two", "three", "four")
    bot.until_hears("four")
    eventually(lambda: bot.gateway.session.settled == 4)

    assert seen == [(2, 1), (3, 2), (4, 3)]


@pytest.mark.parametrize("twice", [False, True])
def test_closing_from_a_handler(stages: Callable[..., Stage], twice: bool) -> None:
    """Row 28: a callback that waited for a task that waited for the callback."""
    stage = stages()
    bot = ready(stage)

    def close(event: Event) -> object:
        if isinstance(event, Stopped):
            return None
        if twice:
            bot.close()
        return stage.driver.closing(bot.gateway, 5.0)

    bot.handler = close
    stage.say(*range(100))

    assert bot.end() is None
    assert [type(event) for event in bot.events[2:]] == [Dispatch, Stopped]
    stage.until(lambda: stage.wire.clients == 0)


def test_an_exception_of_a_handlers_leaves_the_block_as_it_is(stage: Stage) -> None:
    bot = stage.bot().start()
    bot.until(Ready)
    bot.handler = lambda event: 1 // 0
    stage.say("divide")
    error = bot.end()

    assert type(error) is ZeroDivisionError
    stage.until(lambda: stage.wire.clients == 0)
    assert stage.do(lambda: stage.platform.sessions) == {}, "it has said goodbye"
