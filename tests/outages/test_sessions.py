"""Rows 10, 18, 23 and 36: a session is kept while it holds, and let go when it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qqproto import (
    ConflictSuspected,
    Conversation,
    Disconnected,
    Event,
    Framing,
    Ready,
    Resumed,
    Shard,
    Verdict,
)
from qqproto.conversation import Ending, Timer
from qqproto.recovery import Recovery
from qqproto.testing import Refusal
from tests.outages.bugs import around, never_armed, policy, replaced, verdicts, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, HOUR, MINUTE, STABLE, Scene

DEAD = (4006, 4007, *range(4900, 4914))
"""The codes after which the platform keeps no session (openapi/error/error.html)."""


@outage(
    10,
    Bug("these codes are resumed", verdicts(Verdict.RESUME, *DEAD)),
    Bug("op 9 is not heeded", without(Conversation._on_invalid_session)),
)
def test_row_10_a_refused_resume_is_followed_by_an_identify(framing: Framing) -> None:
    for code in (*DEAD, None):
        for op9 in (None, False) if code else (False,):
            scene = Scene.online(framing)
            scene.behaviour.resume = [Refusal(code, op9=op9, hangs=code is None)]
            scene.bot.reset()
            scene.comes_back(15.0)
            assert scene.ops == [2, 6, 2], code
            assert scene.platform.violations == []


@outage(10, Bug("these codes are resumed", verdicts(Verdict.RESUME, *DEAD)))
def test_row_10_a_session_that_is_closed_as_dead_is_not_resumed(framing: Framing) -> None:
    for code in DEAD:
        scene = Scene.online(framing)
        scene.talk.close(code, "", scene.now)
        scene.comes_back(2.0)
        assert scene.ops == [2, 2], code
        assert scene.platform.violations == []


@outage(10, Bug("it may be tried for ever", without(Recovery._judge_resume)))
def test_row_10_a_resume_on_which_the_link_dies_is_tried_three_times(framing: Framing) -> None:
    for code in (None, 4000, 4008, 4009):
        scene = Scene.online(framing)
        scene.behaviour.resume = [Refusal(code, op9=None, times=math.inf)]
        scene.bot.reset()
        scene.comes_back(240.0)
        assert scene.ops == [2, 6, 6, 6, 2], code
        assert scene.platform.violations == []


def _each_on_its_own(
    original: Callable[..., None], self: Shard, talk: Conversation, ending: Ending, now: float
) -> None:
    original(self, talk, ending, now)
    if ending.code == 4903:
        original(self, talk, ending, now)


def _any_object_is_true(
    original: Callable[..., None], self: Conversation, opcode: int, envelope: Any, *args: Any
) -> None:
    if opcode == 9:
        self._on_invalid_session(bool(envelope.get("d")), *args[1:])
    else:
        original(self, opcode, envelope, *args)


@outage(
    18,
    Bug("op 9 is not heeded", without(Conversation._on_invalid_session)),
    Bug("op 9 and the close frame are two causes", around(Shard._on_talk_ended, _each_on_its_own)),
    Bug("without a close frame nothing follows", never_armed(Timer.CAUSE)),
    Bug("any d that is not empty is true", around(Conversation._on_envelope, _any_object_is_true)),
)
def test_row_18_op_9_and_the_close_frame_are_one_end(framing: Framing) -> None:
    for data, closed, op in (
        (False, True, 2),
        (False, False, 2),
        (True, True, 6),
        (True, False, 6),
        ({"can_resume": False}, True, 2),
        (None, True, 2),
    ):
        scene = Scene.online(framing)
        if isinstance(data, bool):
            scene.talk.invalidate(scene.now, resumable=data)
        else:
            scene.talk.say({"op": 9, "d": data})
        if closed:
            scene.talk.close(4903 if data is not True else 4009, "", scene.now)
        scene.run(30.0)
        assert scene.ready
        assert scene.ops == [2, op], data
        assert len(scene.dials) == 2
        assert scene.only(Disconnected).code == (4903 if closed and op == 2 else None)
        assert scene.platform.violations == []


def _calm(framing: Framing) -> Scene:
    """Online, with the rarest heartbeats there are: days pass more quickly."""
    scene = Scene(framing)
    scene.behaviour.heartbeat_interval = 120.0
    scene.run(STABLE)
    return scene


@outage(23, Bug("a session is good for ever", replaced(Shard._session_is_rotten, lambda self, now: False)))
def test_row_23_a_session_silent_for_a_day_is_renewed(framing: Framing) -> None:
    scene = _calm(framing)
    for _ in range(50):
        scene.run(30 * MINUTE)
        scene.rotate()
        scene.until_ready(1.0)
    # Renewed once, at the first rotation after a day.
    assert scene.ops == [2] + 47 * [6] + [2] + 2 * [6]
    assert scene.platform.violations == []


@outage(23, Bug("age alone counts", replaced(Shard._session_is_rotten, lambda self, now: now - self._live.since > DAY)))
def test_row_23_a_busy_session_is_never_renewed_for_its_age(framing: Framing) -> None:
    scene = _calm(framing)
    for number in range(60):
        scene.run(15 * MINUTE)
        scene.message(number)
        scene.run(15 * MINUTE)
        scene.rotate()
        scene.until_ready(1.0)
    assert scene.ops == [2] + 60 * [6]
    assert scene.platform.violations == []


@outage(
    36,
    Bug("a conflict is a fault like any other", without(Recovery._judge_conflict)),
    Bug("a conflict is the end", policy(conflict_pause=math.inf)),
)
def test_row_36_two_processes_fight_for_one_bot() -> None:
    one = Scene.online()
    other = Scene(world=one.world)

    def takes_over_from(loser: Scene) -> Callable[[Event], None]:
        def handle(event: Event) -> None:
            if isinstance(event, (Ready, Resumed)):
                loser.taken_over()

        return handle

    one.handler, other.handler = takes_over_from(other), takes_over_from(one)
    one.run(2 * HOUR)
    # Half of what the platform grants in two hours.
    assert len(one.ops) <= 1500 / 12 / 2
    for scene in (one, other):
        assert len(scene.told(ConflictSuspected)) > 1
        assert not scene.bot.ended
    other.bot.close()
    one.until(lambda: one.bot.connected, 601.0)
    one.run(HOUR)
    assert one.bot.connected
