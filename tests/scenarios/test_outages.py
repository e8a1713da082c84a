"""The network is gone, or worse: for a long time, in every phase of a connection, a byte at a time; and comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from qqproto import Disconnected, FailureKind, Offline, Online, Phase, Ready, Resumed
from qqproto_transports._network import Network
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.stage import Stage

HASTY = dataclasses.replace(QUICK, dial_timeout=0.3, hello_timeout=0.3, ready_timeout=0.3, backoff=(0.002,))
"""Each phase is given up soon, for links on which nothing comes at all."""


def failures(bot: Bot, count: int) -> list[Disconnected]:
    """The next so many connections that come to nothing."""
    return [bot.until(Disconnected) for _ in range(count)]


def is_there_again(stage: Stage, bot: Bot) -> None:
    """Whatever was, now it hears."""
    stage.say("there again")
    bot.until_hears("there again")
    assert bot.gateway.connected
    assert bot.gateway.online


def test_an_outage_that_outlasts_every_budget_of_tries(stages: Callable[..., Stage]) -> None:
    """Rows 1 and 30: retries that run out after 10, 99 or 100, and nobody is told."""
    stage = stages()
    bot = stage.bot(policy=dataclasses.replace(HASTY, offline_grace=0.1)).start()
    bot.until(Ready)
    bot.events.clear()
    stage.do(stage.wire.refuse)
    stage.say("in the meantime")
    gone = failures(bot, 102)
    bot.until_true(lambda: bot.heard(Offline))
    stage.do(stage.wire.accept)
    bot.until(Resumed)
    is_there_again(stage, bot)

    first, *rest = gone
    assert first.failure is not None
    assert first.failure.kind is FailureKind.RESET
    assert {each.failure.kind for each in rest if each.failure is not None} == {FailureKind.REFUSED}
    assert [each.attempt for each in gone] == list(range(1, 103))
    assert bot.contents == ["in the meantime", "there again"]
    assert len(bot.heard(Offline)) == len(bot.heard(Online)) == 1
    assert stage.ops() == [2, 6]


def test_a_bot_that_is_started_in_an_outage_comes_up_when_it_is_over(stage: Stage) -> None:
    """Row 30: starting is reconnecting."""
    stage.do(stage.wire.refuse)
    stage.do(stage.web.refuse)
    bot = stage.bot(policy=HASTY).start()
    failures(bot, 20)
    stage.do(stage.web.accept)
    failures(bot, 20)
    stage.do(stage.wire.accept)
    bot.until(Ready)
    is_there_again(stage, bot)


def hang(network: Network) -> Callable[[], object]:
    return network.hang


def swallow(network: Network) -> Callable[[], object]:
    return lambda: setattr(network, "swallows", True)


@pytest.mark.parametrize(("fault", "phase"), [(hang, Phase.DIAL), (swallow, Phase.HELLO)], ids=["dial", "upgrade"])
def test_attempts_that_hang_are_given_up_and_made_again(
    stage: Stage, fault: Callable[[Network], Callable[[], object]], phase: Phase
) -> None:
    """Row 7: one attempt that hung for 17 minutes, and nothing after it."""
    bot = stage.bot(policy=HASTY).start()
    bot.until(Ready)
    try:
        stage.do(fault(stage.wire))
    except OSError:
        pytest.skip("this system accepts connections without end")
    stage.reset()
    lost, *gone = failures(bot, 4)
    assert lost.phase is Phase.READY
    assert [each.phase for each in gone] == [phase] * 3
    assert {each.failure.kind for each in gone if each.failure is not None} == {FailureKind.TIMEOUT}
    stage.until(lambda: stage.wire.clients <= 1)

    stage.wire.swallows = False
    stage.do(stage.wire.accept)
    bot.until(Resumed)
    is_there_again(stage, bot)
    assert stage.ops() == [2, 6]


@pytest.mark.parametrize("silent", ["hello", "answers"])
def test_a_gateway_that_takes_connections_and_says_nothing(stage: Stage, silent: str) -> None:
    """Row 8: connected, but Hello, or READY, never comes."""
    setattr(stage.platform.behaviour, silent, False)
    bot = stage.bot(policy=HASTY).start()
    gone = failures(bot, 3)
    assert {each.phase for each in gone} == {Phase.HELLO if silent == "hello" else Phase.AUTH}
    assert not bot.gateway.connected
    setattr(stage.platform.behaviour, silent, True)
    bot.until(Ready)
    is_there_again(stage, bot)


def test_a_connection_may_break_off_at_any_byte(stage: Stage) -> None:
    """In the middle of the upgrade's reply, of a frame's head, of Hello, of READY, of a dispatch."""
    bot = stage.bot(policy=HASTY).start()
    bot.until(Ready)
    whole = stage.do(lambda: len(stage.wire.links[0].to_client))
    assert whole > 200
    for length in range(0, whole, 23):
        stage.wire.cut_after = length
        stage.do(stage.wire.reset)
        failures(bot, 2)
    stage.wire.cut_after = None
    bot.until(lambda event: isinstance(event, (Ready, Resumed)))
    is_there_again(stage, bot)

    assert {gone.phase for gone in bot.heard(Disconnected)} >= {Phase.HELLO, Phase.AUTH, Phase.READY}
    assert {gone.failure.kind for gone in bot.heard(Disconnected) if gone.failure is not None} == {FailureKind.RESET}


@pytest.mark.parametrize("pace", [(1, 0.0005), (20, 0.01)], ids=["one byte at a time", "slow"])
def test_a_slow_network_is_no_fault(stage: Stage, pace: tuple[int, float]) -> None:
    stage.wire.pace = pace
    bot = stage.bot().start()
    bot.until(Ready)
    stage.say("a", "你好", "c")
    bot.until_hears("c")
    stage.rotate()
    bot.until(Resumed)
    bot.close()
    assert bot.end() is None
    stage.until(lambda: not stage.platform.conversations)

    assert bot.contents == ["a", "你好", "c"]
    assert [gone.planned for gone in bot.heard(Disconnected)] == [True]
    assert stage.platform.violations == []


def test_a_name_that_cannot_be_looked_up(stage: Stage) -> None:
    url, stage.platform.gateway_url = stage.platform.gateway_url, "ws://no-such-gateway.invalid/websocket"
    bot = stage.bot(policy=dataclasses.replace(HASTY, gateway_fresh_for=0.0, dial_timeout=10.0)).start()
    gone = failures(bot, 3)
    assert {each.failure.kind for each in gone if each.failure is not None} <= {FailureKind.DNS, FailureKind.TIMEOUT}
    stage.platform.gateway_url = url
    bot.until(Ready)
    is_there_again(stage, bot)


def test_a_flapping_network(stage: Stage) -> None:
    bot = stage.bot(policy=HASTY).start()
    bot.until(Ready)
    for number in range(20):
        stage.say(number)
        stage.do(stage.wire.reset)
        bot.until(Resumed)
    bot.until_hears(19)

    assert bot.contents == [str(number) for number in range(20)]
    assert stage.ops() == [2] + [6] * 20
