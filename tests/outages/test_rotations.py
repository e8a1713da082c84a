"""Rows 12, 19, 42 and 43: a planned rotation costs one Resume, and shows to nobody who does not look."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from qqproto import (
    Conversation,
    Framing,
    Narrator,
    Offline,
    Online,
    Shard,
    Verdict,
    shard,
)
from qqproto.conversation import Ending
from qqproto.heartbeat import Heartbeat
from qqproto.recovery import Plan, Recovery
from qqproto.testing import FakeConversation
from qqproto.testing.network import Cable
from tests.outages.bugs import around, never_armed, policy, verdicts, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import HOUR, MINUTE, STABLE, Scene, many


def _never_planned(original: Callable[..., Plan], self: Recovery, ending: Ending, *args: Any) -> Plan:
    ending.planned = False
    return original(self, ending, *args)


@outage(
    12,
    Bug("4009 ends the session", verdicts(Verdict.IDENTIFY, 4009)),
    Bug("a rotation is a fault", around(Recovery.after_connection, _never_planned)),
    Bug("op 7 is waited out", without(Conversation._leave)),
)
def test_row_12_forty_eight_rotations(framing: Framing) -> None:
    scene, narrator = Scene.online(framing), Narrator()
    for number in range(48):
        scene.rotate(number)
        if number % 4 == 0:
            # Op 7, and the close frame at its heels.
            scene.talk.close(4009, "session timed out", scene.now)
        scene.until_ready(1.0)
        scene.run(30 * MINUTE)
        assert scene.platform.violations == []
    assert scene.ops == [2] + 48 * [6]
    assert len(scene.dials) == 49
    assert not scene.told(Offline)
    lines = [line for at, event in scene.log if (line := narrator.line(event, at))]
    assert [level for level, _, _ in lines] == [20] + 48 * [10]


def _dead_connections_are_kept(patch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    begin = Conversation.start

    def keep(self: Conversation, now: float) -> None:
        begun.append(self)
        begin(self, now)

    patch.setattr(Conversation, "start", keep)


def _census() -> Counter[type]:
    """How many of the things that one connection needs are alive."""
    gc.collect()
    kinds = (Conversation, Heartbeat, Cable, FakeConversation)
    return Counter(type(thing) for thing in gc.get_objects() if isinstance(thing, kinds))


@outage(
    19,
    Bug("op 7 is not heeded", without(Conversation._leave)),
    Bug("dead connections are kept", _dead_connections_are_kept),
)
def test_row_19_a_thousand_op_7_leave_nothing_behind(framing: Framing) -> None:
    before = _census()
    scene = Scene.online(framing)
    for rotations in (50, many(1000, framing) - 50):
        for _ in range(rotations):
            scene.rotate()
            scene.until_ready(1.0)
            scene.run(STABLE)
            scene.forget()
            assert scene.platform.violations == []
        assert set((_census() - before).values()) == {1}


def _five_seconds_later(original: Callable[..., Plan], *args: Any) -> Plan:
    plan = original(*args)
    plan.delay = 5.0
    return plan


@outage(
    42,
    Bug("there is no grace", policy(offline_grace=0.0)),
    Bug("five seconds lie between two connections", around(Recovery.after_connection, _five_seconds_later)),
)
def test_row_42_rotations_and_short_absences_are_nothing_to_the_application(framing: Framing) -> None:
    scene = Scene.online(framing, latency=0.02)
    for number in range(48):
        scene.rotate(number)
        scene.run(0.03)
        assert scene.status.online
        assert not scene.status.connected
        scene.until_ready(1.0)
        scene.run(2 * MINUTE)
    scene.bot.reset()
    scene.net_down()
    scene.run(20.0)
    scene.net_up()
    scene.comes_back(40.0)
    assert len(scene.told(Online)) == 1
    assert not scene.told(Offline)


@outage(42, Bug("there is no end to the grace", never_armed(shard.Timer.GRACE)))
def test_row_42_a_long_absence_is_told_once() -> None:
    scene = Scene.online()
    scene.bot.reset()
    scene.net_down()
    scene.run(59.0)
    assert not scene.told(Offline)
    scene.run(HOUR)
    scene.net_up()
    scene.until_ready(61.0)
    assert len(scene.told(Offline)) == 1
    assert [online.away is None for online in scene.told(Online)] == [True, False]


def _still_connected(original: Callable[..., None], self: Shard, *args: Any) -> None:
    original(self, *args)
    self._session_up = True


def _rotations_are_forgotten(original: Callable[..., None], self: Shard, *args: Any) -> None:
    original(self, *args)
    self._last_rotation = None


@outage(
    43,
    Bug("it calls itself connected while it rotates", around(Shard._disconnected, _still_connected)),
    Bug("rotations are not remembered", around(Shard._on_talk_ended, _rotations_are_forgotten)),
)
def test_row_43_a_host_can_tell_when_to_hold_its_sends(framing: Framing) -> None:
    scene = Scene.online(framing, latency=0.05)
    assert scene.status.last_rotation is None
    for number in range(4):
        scene.rotate(number)
        scene.run(0.06)
        assert not scene.status.connected
        since = scene.status.last_rotation
        assert since is not None
        assert since < 0.05
        scene.until_ready(1.0)
        scene.run(100.0)
        assert scene.status.connected
        assert 100.0 < (scene.status.last_rotation or 0.0) < 101.0
