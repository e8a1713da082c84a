from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Policy
from qqproto.heartbeat import Beat, Heartbeat

INTERVAL = 41.25


def beating(interval: float = INTERVAL, *, policy: Policy = Policy()) -> Heartbeat:
    """A heartbeat after a Hello at 0.0 that has just sent its first; nothing is acknowledged."""
    heart = Heartbeat(policy)
    assert heart.interval == 0.0
    heart.begin(interval, 0.0, random=0.0)
    assert heart.interval == interval
    assert heart.due(0.0) is Beat.HEARTBEAT
    heart.sent(0.0)
    return heart


class Pulse:
    """Carries out what is due, as a driver does that is always on time."""

    def __init__(self, heart: Heartbeat) -> None:
        self.heart = heart
        self.beats: list[tuple[float, Beat]] = []

    @property
    def dead(self) -> bool:
        return bool(self.beats) and self.beats[-1][1] in (Beat.SILENT, Beat.UNACKNOWLEDGED)

    def run_until(self, end: float) -> list[tuple[float, Beat]]:
        """What came until ``end``."""
        already = len(self.beats)
        while not self.dead and (due := self.heart.next_timer()) is not None and due <= end:
            while not self.dead and (beat := self.heart.due(due)) is not None:
                self.beats.append((round(due, 6), beat))
                if beat in (Beat.HEARTBEAT, Beat.PROBE):
                    self.heart.sent(due)
            later = self.heart.next_timer()
            assert self.dead or later is None or later > due, "it spins"
        return self.beats[already:]

    def byte(self, at: float) -> list[tuple[float, Beat]]:
        """A byte comes at ``at``; what was due before it."""
        came = self.run_until(at)
        self.heart.received_at = at
        return came

    def ack(self, at: float) -> None:
        self.byte(at)
        self.heart.acknowledged(at)


# -- the period ----------------------------------------------------------------------------------------------------


def test_nothing_is_due_before_hello() -> None:
    heart = Heartbeat(Policy())
    assert not heart.running
    assert heart.next_timer() is None
    assert heart.due(1e9) is None


@pytest.mark.parametrize(
    ("interval", "period"),
    [
        (0.25, 0.1875),
        (1.0, 0.75),
        (4.0, 3.0),
        (5.0, 4.0),
        (20.0, 19.0),
        (41.25, 39.1875),
        (45.0, 42.75),
        (120.0, 114.0),
    ],
)
def test_the_margin_is_five_percent_or_a_second_or_a_quarter(interval: float, period: float) -> None:
    heart = beating(interval)
    heart.acknowledged(0.1)
    assert heart.next_timer() == pytest.approx(period)


@given(st.floats(0.25, 120.0), st.floats(0.0, 1.0, exclude_max=True))
def test_the_first_heartbeat_comes_within_the_first_period(interval: float, random: float) -> None:
    heart = Heartbeat(Policy())
    heart.begin(interval, 100.0, random)
    assert heart.running
    at = heart.next_timer()
    assert at is not None
    assert 100.0 <= at < 100.0 + interval
    assert heart.due(at) is Beat.HEARTBEAT


@given(st.floats(0.25, 120.0), st.floats(0.0, 1.0, exclude_max=True), st.integers(2, 30))
def test_acknowledged_heartbeats_are_one_period_apart(interval: float, random: float, number: int) -> None:
    heart = Heartbeat(Policy())
    heart.begin(interval, 0.0, random)
    pulse = Pulse(heart)
    while len(pulse.beats) < number:
        due = heart.next_timer()
        assert due is not None
        pulse.ack(due)
    assert {beat for _, beat in pulse.beats} == {Beat.HEARTBEAT}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(pulse.beats)]
    assert max(gaps) < interval
    assert min(gaps) >= 0.74 * interval


def test_a_heartbeat_for_another_reason_moves_the_next_one() -> None:
    heart = beating()
    heart.acknowledged(0.1)
    heart.sent(10.0)
    heart.acknowledged(10.1)
    assert heart.next_timer() == pytest.approx(10.0 + 39.1875)


def test_the_latency_is_that_of_the_oldest_heartbeat_without_an_ack() -> None:
    heart = beating()
    assert (heart.latency, heart.acked_at, heart.sent_at) == (None, None, 0.0)
    heart.sent(10.0)
    heart.acknowledged(10.5)
    assert (heart.latency, heart.acked_at, heart.sent_at) == (10.5, 10.5, 10.0)
    heart.sent(30.0)
    heart.acknowledged(30.25)
    assert heart.latency == 0.25


def test_an_ack_that_nobody_asked_for_says_nothing_of_the_latency() -> None:
    heart = beating()
    heart.acknowledged(0.2)
    heart.acknowledged(30.0)
    assert (heart.latency, heart.acked_at) == (0.2, 30.0)


# -- silence -------------------------------------------------------------------------------------------------------


def test_silence_is_probed_after_10_s_and_is_death_after_20() -> None:
    pulse = Pulse(beating())
    assert pulse.heart.next_timer() == 10.0
    assert pulse.run_until(1000.0) == [(10.0, Beat.PROBE), (20.0, Beat.SILENT)]


def test_silence_means_nothing_while_everything_is_acknowledged() -> None:
    pulse = Pulse(beating())
    pulse.ack(0.1)
    assert pulse.run_until(39.0) == []


def test_an_ack_ends_the_silence_whenever_it_comes() -> None:
    pulse = Pulse(beating())
    pulse.ack(19.9)
    assert pulse.beats == [(10.0, Beat.PROBE)]
    assert pulse.run_until(49.0) == []
    assert pulse.run_until(69.0) == [(49.1875, Beat.HEARTBEAT), (59.1875, Beat.PROBE)]


def test_silence_is_counted_from_the_last_byte() -> None:
    pulse = Pulse(beating())
    pulse.byte(7.0)
    assert pulse.run_until(1000.0) == [(17.0, Beat.PROBE), (27.0, Beat.SILENT)]


def test_a_byte_before_the_heartbeat_does_not_count() -> None:
    heart = Heartbeat(Policy())
    heart.begin(INTERVAL, 0.0, 0.5)
    pulse = Pulse(heart)
    pulse.byte(15.0)
    assert pulse.run_until(1000.0)[1:] == [
        (29.59375, Beat.PROBE),
        (39.59375, Beat.SILENT),
    ]


def test_a_second_silence_is_probed_as_well_before_it_is_death() -> None:
    # A server that is busy answers pings and acknowledges late; each probe gives it the chance to show that it lives.
    pulse = Pulse(beating())
    pulse.byte(10.1)
    pulse.byte(20.2)
    assert pulse.beats == [(10.0, Beat.PROBE), (20.1, Beat.PROBE)]
    assert pulse.run_until(1000.0) == [(30.2, Beat.PROBE), (40.2, Beat.SILENT)]


def test_a_byte_at_the_very_moment_of_the_probe_begins_a_new_silence() -> None:
    pulse = Pulse(beating())
    pulse.byte(10.0)
    assert pulse.run_until(1000.0) == [(20.0, Beat.PROBE), (30.0, Beat.SILENT)]


@given(st.floats(0.25, 120.0), st.lists(st.floats(0.01, 9.9), max_size=20))
def test_a_link_that_falls_silent_is_dead_20_s_later(interval: float, gaps: list[float]) -> None:
    pulse = Pulse(beating(interval))
    now = 0.0
    for gap in gaps:
        if now + gap < max(2 * interval, 20.0):
            now += gap
            pulse.byte(now)
    assert Beat.PROBE not in [beat for _, beat in pulse.beats], "no silence was long enough"
    pulse.run_until(1000.0)
    at, beat = pulse.beats[-1]
    assert at == pytest.approx(min(now, max(2 * interval, 20.0) - 20.0) + 20.0)
    assert beat is Beat.SILENT or at == pytest.approx(max(2 * interval, 20.0))


@pytest.mark.parametrize(("interval", "limit"), [(0.25, 20.0), (10.0, 20.0), (41.25, 82.5), (120.0, 240.0)])
def test_a_server_that_talks_and_acknowledges_nothing_is_dead_in_time(interval: float, limit: float) -> None:
    pulse = Pulse(beating(interval))
    for second in range(1, 1000):
        if not pulse.dead:
            pulse.byte(float(second))
    assert pulse.beats[-1] == (limit, Beat.UNACKNOWLEDGED)
    assert Beat.PROBE not in [beat for _, beat in pulse.beats]


def test_any_ack_clears_all_that_was_unacknowledged() -> None:
    pulse = Pulse(beating(10.0))
    for second in range(1, 1000):
        pulse.byte(float(second))
        if second % 19 == 0:
            pulse.heart.acknowledged(float(second))
    assert not pulse.dead


# -- when we do not listen -----------------------------------------------------------------------------------------


def test_nothing_is_judged_while_reading_is_paused_and_heartbeats_go_on() -> None:
    pulse = Pulse(beating())
    pulse.heart.pause()
    beats = pulse.run_until(600.0)
    assert {beat for _, beat in beats} == {Beat.HEARTBEAT}
    assert len(beats) == 15


def test_silence_is_counted_anew_when_reading_goes_on() -> None:
    pulse = Pulse(beating())
    pulse.heart.pause()
    pulse.run_until(600.0)
    pulse.heart.resume(600.0)
    assert [entry for entry in pulse.run_until(1000.0) if entry[1] is not Beat.HEARTBEAT] == [
        (610.0, Beat.PROBE),
        (620.0, Beat.SILENT),
    ]


def test_a_heartbeat_that_goes_out_while_reading_is_paused_is_judged_when_it_goes_on() -> None:
    pulse = Pulse(beating())
    pulse.ack(0.1)
    pulse.heart.pause()
    assert pulse.run_until(100.0) == [(39.1875, Beat.HEARTBEAT), (78.375, Beat.HEARTBEAT)]
    pulse.heart.resume(100.0)
    assert pulse.run_until(110.0) == [(110.0, Beat.PROBE)]


def test_a_pause_with_everything_acknowledged_leaves_nothing_to_judge() -> None:
    pulse = Pulse(beating())
    pulse.ack(0.1)
    pulse.heart.pause()
    pulse.heart.resume(10.0)
    assert pulse.run_until(39.0) == []


def test_a_stall_of_our_own_begins_everything_anew() -> None:
    pulse = Pulse(beating())
    pulse.heart.start_anew(50.0)
    assert [entry for entry in pulse.run_until(1000.0) if entry[1] is not Beat.HEARTBEAT] == [
        (60.0, Beat.PROBE),
        (70.0, Beat.SILENT),
    ]


def test_a_stall_after_a_probe_begins_everything_anew_too() -> None:
    pulse = Pulse(beating())
    pulse.run_until(10.0)
    pulse.heart.start_anew(18.0)
    assert pulse.run_until(1000.0) == [(28.0, Beat.PROBE), (38.0, Beat.SILENT)]


def test_a_stall_gives_the_acknowledgement_its_whole_time_again() -> None:
    pulse = Pulse(beating(10.0))
    pulse.heart.start_anew(19.0)
    for second in range(20, 1000):
        if not pulse.dead:
            pulse.byte(float(second))
    assert pulse.beats[-1] == (39.0, Beat.UNACKNOWLEDGED)


def test_a_stall_with_everything_acknowledged_leaves_nothing_to_judge() -> None:
    pulse = Pulse(beating())
    pulse.ack(0.1)
    pulse.heart.start_anew(30.0)
    assert pulse.run_until(39.0) == []


# -- the optional ping ---------------------------------------------------------------------------------------------


def test_pings_for_an_impatient_proxy_come_at_their_own_pace_and_wait_for_nothing() -> None:
    heart = beating(policy=Policy(keepalive_ping=15.0))
    heart.acknowledged(0.1)
    pulse = Pulse(heart)
    assert pulse.run_until(39.0) == [(15.0, Beat.PING), (30.0, Beat.PING)]
    assert not pulse.dead
