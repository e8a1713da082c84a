"""The table of DESIGN's rules for heartbeats and silence: no false kill and no late detection, at every interval."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import pytest

from qqproto import CloseConnection, Dispatch, LoopLag, SendText
from tests.core.hosts import ACK, Talk, dispatch, hello, ready

pytestmark = pytest.mark.untraced

INTERVALS = [0.25, 1.0, 5.0, 41.25, 120.0]
PHASES = [0.0, 0.13, 0.29, 0.5, 0.71, 0.999]

every_interval = pytest.mark.parametrize("interval", INTERVALS)
every_phase = pytest.mark.parametrize("phase", PHASES)


class Link(Talk):
    """A live talk with a server whose words take their time; the first heartbeat is at ``phase`` of the period."""

    def __init__(self, interval: float, phase: float) -> None:
        super().__init__(random=lambda: phase)
        self.interval = interval
        self.began = self.now
        self.words: list[tuple[float, int, str]] = []
        self.order = itertools.count()
        self.heartbeats: list[float] = []
        self.heard_at = self.now
        self.on_heartbeat: Callable[[int], None] = lambda number: self.acknowledge()
        self.say(hello(round(interval * 1000)))
        self.allow_identify()
        self.say(ready())
        self._listen()

    def acknowledge(self, after: float = 0.01) -> None:
        self.later(after, ACK)

    def later(self, after: float, text: str) -> None:
        heapq.heappush(self.words, (self.now + after, next(self.order), text))

    def talk_every(self, gap: float, until: float) -> None:
        """Dispatches, ``gap`` seconds apart, from now on."""
        for number in range(1, int(until / gap) + 1):
            self.later(number * gap, dispatch(number + 1))

    def go_on(self, seconds: float) -> None:
        """Let time pass, with a driver that is on time and feeds what has come before it looks at a deadline."""
        end = self.now + seconds
        while not self.machine.ended:
            due = self.machine.next_timer()
            assert due is not None
            word = self.words[0][0] if self.words else float("inf")
            if min(due, word) > end:
                self.now = end
                return
            self.now = max(self.now, min(due, word))
            if word <= due:
                self.heard_at = self.now
                self.say(heapq.heappop(self.words)[2])
            else:
                self.machine.handle_timer(self.now)
                self.drain()
            self._listen()

    def _listen(self) -> None:
        self.take(Dispatch)
        for output in self.take(SendText):
            if '"op":1' in output.text:
                self.heartbeats.append(self.now)
                self.on_heartbeat(len(self.heartbeats))


@every_interval
@every_phase
def test_two_heartbeats_are_never_further_apart_than_the_interval(interval: float, phase: float) -> None:
    link = Link(interval, phase)
    link.go_on(20 * interval)
    gaps = [later - earlier for earlier, later in itertools.pairwise([link.began, *link.heartbeats])]
    assert max(gaps) < interval
    assert len(gaps) >= 20
    assert min(gaps[1:]) >= interval / 2


@every_interval
@every_phase
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_ack_costs_nothing(interval: float, phase: float, lost: int) -> None:
    link = Link(interval, phase)
    link.on_heartbeat = lambda number: None if number == lost else link.acknowledge()
    link.go_on(10 * interval + 60.0)
    assert not link.machine.ended


@every_interval
@every_phase
def test_acks_one_and_a_half_intervals_late_cost_nothing_on_a_link_that_carries_bytes(
    interval: float, phase: float
) -> None:
    link = Link(interval, phase)
    link.on_heartbeat = lambda number: link.acknowledge(1.5 * interval)
    link.talk_every(min(5.0, interval), until=10 * interval + 60.0)
    link.go_on(10 * interval + 60.0)
    assert not link.machine.ended


@every_interval
def test_acks_alone_keep_a_link_for_a_day(interval: float) -> None:
    link = Link(interval, 0.5)
    link.go_on(86_400.0 if interval > 1 else 3600.0)
    assert not link.machine.ended


@every_interval
@every_phase
def test_a_flood_costs_nothing(interval: float, phase: float) -> None:
    link = Link(interval, phase)
    link.talk_every(0.05, until=3 * interval)
    link.go_on(3 * interval)
    assert not link.machine.ended


@every_interval
@every_phase
def test_an_ack_25_s_behind_a_backlog_costs_nothing_where_two_intervals_are_longer(
    interval: float, phase: float
) -> None:
    """Where they are not, 20 s without an ACK is the rule's limit, whatever else the link carries."""
    link = Link(interval, phase)
    link.on_heartbeat = lambda number: link.acknowledge(25.0)
    link.talk_every(0.5, until=200.0)
    link.go_on(200.0)
    survives = max(2 * interval, 20.0) > 25.0
    assert link.machine.ended is not survives
    if not survives:
        assert link.now - link.heartbeats[0] == pytest.approx(20.0, abs=0.01)


@every_interval
@every_phase
def test_a_stall_with_the_ack_buffered_costs_nothing(interval: float, phase: float) -> None:
    link = Link(interval, phase)
    link.go_on(2.3 * interval)
    link.words.clear()
    due = link.machine.next_timer()
    assert due is not None
    link.now = due + 35.0
    link.heard_at = link.now
    link.say(ACK)
    link._listen()
    assert [lag.seconds for lag in link.take(LoopLag)] == [pytest.approx(35.0)]
    link.go_on(5 * interval + 60.0)
    assert not link.machine.ended


@every_interval
@every_phase
@pytest.mark.parametrize("after", [0.0, 0.3, 0.8, 1.7])
def test_a_black_hole_right_after_a_byte_is_noticed_in_time(interval: float, phase: float, after: float) -> None:
    link = Link(interval, phase)
    link.go_on((2 + after) * interval)
    link.words.clear()
    link.say(dispatch(2))
    link.heard_at = link.now
    link.on_heartbeat = lambda number: None
    link.go_on(1000.0)
    assert link.machine.ended
    assert link.now - link.heard_at <= interval + 20.0
    assert link.take(CloseConnection) == []


@every_interval
@every_phase
@pytest.mark.parametrize("ignored_from", [1, 2, 3])
@pytest.mark.parametrize("gap", [0.5, 9.0, 15.0])
def test_a_server_that_talks_and_never_acknowledges_is_noticed_in_time(
    interval: float, phase: float, ignored_from: int, gap: float
) -> None:
    link = Link(interval, phase)
    link.on_heartbeat = lambda number: link.acknowledge() if number < ignored_from else None
    link.talk_every(gap, until=2000.0)
    link.go_on(2000.0)
    assert link.machine.ended
    assert link.now - link.heartbeats[ignored_from - 1] <= max(2 * interval, 20.0) + 0.001
    assert link.now - link.heartbeats[ignored_from - 1] >= 20.0 - 0.001
