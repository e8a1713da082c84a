"""Rows 15 and 34: the budget of session starts is kept, and shards leave each other alone."""

from __future__ import annotations

import math

import pytest

from qqproto import Disconnected, Dispatch, Framing, IdentifyBudgetLow, Shard, Stopped, shard
from qqproto.live_session import LiveSession
from qqproto.pacing import IdentifyPacer
from qqproto.recovery import Recovery
from qqproto.testing import FakeBot, FakeConversation, FakePlatform, Refusal, World
from tests.outages.bugs import never_armed, replaced, together, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import HOUR, Scene, most_within

_NOT_LOOKED_AT = replaced(Shard._budget_is_spent, lambda self, info, now: False)


@outage(
    15,
    Bug("the guards can never strike", together(_NOT_LOOKED_AT, replaced(IdentifyPacer._spent, lambda self: False))),
)
def test_row_15_a_process_that_is_restarted_every_second() -> None:
    world = World(FakePlatform(FakeBot(total=15)))
    for _ in range(300):
        bot = world.bot()
        world.run(1.0)
        # Killed: it says nothing, and the system ends its connections.
        bot.stall(math.inf)
        bot.cut()
        world.bots.remove(bot)
    assert world.platform.ops() == 15 * [2]


@outage(15, Bug("the budget is looked at when a socket is there", _NOT_LOOKED_AT))
def test_row_15_an_empty_budget_is_waited_for_without_a_socket(framing: Framing) -> None:
    world = World()
    world.platform.bot.set_remaining(0, HOUR, 0.0)
    scene = Scene(framing, world=world)
    scene.run(HOUR - 1.0)
    assert scene.dials == []
    assert scene.only(IdentifyBudgetLow).remaining == 0
    scene.until_ready(2.0)
    assert scene.platform.violations == []


@outage(15, Bug("a refused Identify is tried again at the pace of a network", without(Recovery._judge_identify)))
def test_row_15_an_hour_of_4903_costs_few_identifies(framing: Framing) -> None:
    world = World()
    world.platform.behaviour.identify = [Refusal(times=math.inf)]
    scene = Scene(framing, world=world)
    scene.run(HOUR)
    # Five at the pace of the backoff, then one every five minutes.
    assert 12 <= len(scene.ops) <= 5 + 12


def _one_session_for_all(patch: pytest.MonkeyPatch) -> None:
    """What the other shards began is resumed."""
    begin, up = Shard._begin, Shard._on_session_up
    known: list[LiveSession | None] = [None]

    def remember(self: Shard, now: float) -> None:
        known.append(self._live)
        up(self, now)

    def begin_with_the_newest(self: Shard, now: float) -> None:
        self._live = known[-1]
        begin(self, now)

    patch.setattr(Shard, "_on_session_up", remember)
    patch.setattr(Shard, "_begin", begin_with_the_newest)


@outage(
    34,
    Bug("each shard is paced on its own", replaced(IdentifyPacer.reserve, lambda self, asker, now: now)),
    Bug("the shards share one session", _one_session_for_all),
    Bug("a dead shard waits for the others to die", never_armed(shard.Timer.RETRY)),
)
def test_row_34_eight_shards_two_at_a_time(framing: Framing) -> None:
    world = World(FakePlatform(FakeBot(max_concurrency=2)))
    scene = Scene(framing, world=world, shards=8)
    scene.until_ready(16.0)
    started = [frame for frame in scene.platform.frames if frame.op == 2]
    assert sorted(frame.payload["d"]["shard"][0] for frame in started) == list(range(8))
    assert most_within([frame.at for frame in started], 4.999) == 2
    # The last two waited for their slot without a socket.
    before = len(scene.told(Disconnected))
    scene.run(100.0)

    _talk(scene, 3).reset(scene.now)
    scene.comes_back(1.0)
    assert scene.ops == 8 * [2] + [6]
    assert _resumed_sessions(scene) == [scene.platform.session(3).id]
    assert {lost.shard for lost in scene.told(Disconnected)[before:]} == {3}

    _talk(scene, 5).close(4011, "sharding required", scene.now)
    scene.run(HOUR)
    assert scene.only(Stopped).shard == 5
    assert [shard.status(scene.now).connected for shard in scene.bot.shards] == [index != 5 for index in range(8)]
    for index in (0, 7):
        scene.platform.session(index).dispatch("GUILD_CREATE", {"id": str(index)}, scene.now)
    scene.run()
    assert [(event.shard, event.data["id"]) for event in scene.told(Dispatch)] == [(0, "0"), (7, "7")]
    assert {lost.shard for lost in scene.told(Disconnected)[before:]} == {3, 5}
    assert scene.platform.violations == []


def _talk(scene: Scene, index: int) -> FakeConversation:
    talk = scene.platform.session(index).live
    assert talk is not None
    return talk


def _resumed_sessions(scene: Scene) -> list[str]:
    return [frame.payload["d"]["session_id"] for frame in scene.platform.frames if frame.op == 6]
