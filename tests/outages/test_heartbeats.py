"""Rows 4, 5, 6, 24, 25 and 26: heartbeats on every connection, dead links are noticed, live ones are left alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from qqproto import Disconnected, Failure, FailureKind, Framing, LoopLag, Token, Verdict
from qqproto.conversation import Conversation
from qqproto.credentials import TokenLife
from qqproto.heartbeat import Beat, Heartbeat
from qqproto.testing import Randomness
from qqproto.timers import LagWatch
from tests.outages.bugs import around, disarm, replaced, together, verdicts, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import HOUR, STABLE, Scene, gaps, many

INTERVALS = (0.25, 1.0, 5.0, 41.25, 120.0)

ENDS: tuple[Callable[[Scene], None], ...] = (
    lambda scene: scene.bot.cut(),
    lambda scene: scene.rotate(0),
    lambda scene: scene.bot.reset(),
    lambda scene: scene.rotate(1),
    lambda scene: scene.bot.black_hole(),
    lambda scene: scene.talk.close(1001, "going away", scene.now),
    lambda scene: scene.talk.mute_acks(),
)


def _the_first_connection_alone(patch: pytest.MonkeyPatch) -> None:
    begin, connections = Heartbeat.begin, iter(range(1000))

    def once(self: Heartbeat, interval: float, now: float, random: float) -> None:
        if next(connections) == 0:
            begin(self, interval, now, random)

    patch.setattr(Heartbeat, "begin", once)


def _once_a_connection(original: Callable[..., None], self: Heartbeat, now: float) -> None:
    original(self, now)
    disarm(self, "_beat_at")


def _at_leisure(original: Callable[..., None], self: Heartbeat, *args: Any) -> None:
    original(self, *args)
    self._period = 1.2 * self._interval


@outage(
    4,
    Bug("only the first connection has heartbeats", _the_first_connection_alone),
    Bug("the first heartbeat is the last", around(Heartbeat.sent, _once_a_connection)),
    Bug("heartbeats that are a little late", around(Heartbeat.begin, _at_leisure)),
)
def test_row_4_five_hundred_reconnects(framing: Framing) -> None:
    scene, random, ends = Scene(framing), Randomness(4), cycle(ENDS)
    for number in range(many(500, framing)):
        interval = scene.behaviour.heartbeat_interval = INTERVALS[number % len(INTERVALS)]
        if number > 0:
            next(ends)(scene)
            scene.comes_back(500.0)
        else:
            scene.run()
        scene.run(4 * interval * random())
        talk = scene.talk
        assert max(gaps([talk.opened_at, *scene.beats(talk.id), scene.now])) <= interval
        scene.forget()
    assert scene.platform.violations == []


def _dead_is_gone(original: Callable[..., None], self: Conversation, failure: Failure) -> None:
    original(self, failure)
    assert self.ending is not None
    self.ending.verdict = Verdict.IDENTIFY


def _probed_and_forgotten(original: Callable[..., Beat | None], self: Heartbeat, now: float) -> Beat | None:
    beat = original(self, now)
    if beat is Beat.PROBE:
        disarm(self, "_silence_at")
    return beat


@outage(
    5,
    Bug("nobody waits for an ACK", without(Heartbeat._judge_from)),
    Bug("silence is not noticed, missing ACKs are", around(Heartbeat._judge_silence, _probed_and_forgotten)),
    Bug("a dead link takes its session with it", around(Conversation._die, _dead_is_gone)),
)
def test_row_5_a_black_hole(framing: Framing) -> None:
    for interval in INTERVALS:
        for phase in (0.0, 0.3, 0.6, 0.9):
            scene = Scene(framing)
            scene.behaviour.heartbeat_interval = interval
            scene.run(STABLE + phase * interval)
            scene.bot.black_hole()
            scene.until_lost(interval + 20.0)
            assert (scene.only(Disconnected).last_receive or 0.0) <= interval + 20.0
            scene.until_ready(1.0)
            assert scene.ops == [2, 6]


def _bytes_are_enough(original: Callable[..., None], self: Heartbeat, now: float) -> None:
    original(self, now)
    disarm(self, "_dead_at")


@outage(5, Bug("any byte is taken for an ACK", around(Heartbeat._judge_from, _bytes_are_enough)))
def test_row_5_a_server_that_talks_and_never_acknowledges(framing: Framing) -> None:
    for interval in INTERVALS:
        scene = Scene(framing)
        scene.behaviour.heartbeat_interval = interval
        scene.run(STABLE)
        talk, muted = scene.talk, scene.now
        talk.mute_acks()
        scene.chatter()
        scene.comes_back(interval + max(2 * interval, 20.0) + 1.0)
        ignored = next(at for at in scene.beats(talk.id) if at > muted)
        assert scene.losses()[0][0] <= ignored + max(2 * interval, 20.0)
        assert scene.ops == [2, 6]


def _no_event_for_five_minutes(original: Callable[..., None], self: Conversation, now: float) -> None:
    if self.live is not None and not self.live.busy and now > 300.0:
        self._die(Failure(FailureKind.TIMEOUT, "no event for five minutes"))
    else:
        original(self, now)


@outage(
    6,
    Bug("the absence of events counts", around(Conversation._send_heartbeat, _no_event_for_five_minutes)),
    Bug("an ACK is no sign of life", without(Heartbeat.acknowledged)),
)
def test_row_6_a_day_of_nothing_but_acks(framing: Framing) -> None:
    scene = Scene.online(framing)
    for _ in range(24):
        scene.run(HOUR)
        assert not scene.told(Disconnected)
    scene.message(1)
    scene.run()
    assert len(scene.dials) == 1
    assert [dispatch.sequence for dispatch in scene.bot.dispatches] == [2]
    assert scene.platform.violations == []


@outage(
    24,
    Bug("a stall is not noticed", replaced(LagWatch.late, lambda self, now: 0.0)),
    Bug("deadlines go on during a stall", without(Heartbeat.start_anew)),
)
def test_row_24_a_blocked_process_whose_ack_is_unread(framing: Framing) -> None:
    for judged_before_read in (False, True):
        for seconds in (35.0, 60.0):
            scene = Scene.online(framing, latency=0.05)
            scene.until_beat()
            if judged_before_read:
                scene.world.after(seconds, scene.bot.handle_timer)
            scene.bot.stall(seconds)
            scene.run(seconds + 60.0)
            assert len(scene.dials) == 1
            assert seconds - 15.0 < scene.only(LoopLag).seconds <= seconds
            assert scene.platform.violations == []


@outage(24, Bug("what a stall leads to costs the session", verdicts(Verdict.IDENTIFY, 4009)))
def test_row_24_a_tool_that_blocks_for_five_minutes(framing: Framing) -> None:
    scene = Scene.online(framing)
    scene.bot.stall(322.0)
    scene.run(10.0)
    scene.message(1)
    scene.run(312.0)
    scene.until_ready(1.0)
    scene.run()
    assert scene.ops == [2, 6]
    assert [dispatch.sequence for dispatch in scene.bot.dispatches] == [2]
    assert scene.platform.violations == []


def _all_from_the_start(original: Callable[..., None], self: Heartbeat, now: float) -> None:
    original(self, now)
    self._beat_at = now + self._period
    self._look()


@outage(
    25,
    Bug("after a sleep everything is waited for anew, and nothing probed",
        together(around(Heartbeat.start_anew, _all_from_the_start), without(Conversation._probe))),
    Bug("a token does not age in its sleep",
        replaced(TokenLife.fresh, lambda self, now: Token(self._value) if self._value else None)),
    Bug("the stall is not told", replaced(LagWatch.late, lambda self, now: 0.0)),
)  # fmt: skip
def test_row_25_a_laptop_sleeps_for_four_hours(framing: Framing) -> None:
    for sleep_after in (0.0, 10.0, 20.0, 30.0):
        scene = Scene.online(framing)
        scene.run(sleep_after)
        scene.bot.black_hole()
        scene.bot.stall(4 * HOUR)
        scene.run(4 * HOUR)
        scene.until_ready(40.0)
        assert [lost.code for lost in scene.told(Disconnected) if lost.code == 4004] == []
        assert [round(lag.seconds / HOUR, 1) for lag in scene.told(LoopLag)] == [4.0]
        assert scene.platform.violations == []


def _heartbeats_wait_for_the_reader(original: Callable[..., None], self: Heartbeat) -> None:
    original(self)
    disarm(self, "_beat_at")


@outage(
    26,
    Bug("silence counts although nothing is read", without(Heartbeat.pause)),
    Bug("heartbeats wait for the reader", around(Heartbeat.pause, _heartbeats_wait_for_the_reader)),
    Bug("silence does not count ever after", without(Heartbeat.resume)),
)
def test_row_26_the_application_reads_nothing_for_ten_minutes(framing: Framing) -> None:
    scene = Scene.online(framing)
    scene.bot.pause_reading()
    for number in range(600):
        scene.message(number)
        scene.run(1.0)
    assert scene.bot.dispatches == []
    scene.bot.resume_reading()
    scene.run(1.0)
    assert [dispatch.sequence for dispatch in scene.bot.dispatches] == list(range(2, 602))
    assert len(scene.dials) == 1
    assert scene.platform.violations == []
    scene.bot.black_hole()
    scene.comes_back(62.25)
