from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto.pacing import Bucket, IdentifyPacer

WINDOW = 5.0


def pacer(
    max_concurrency: int = 1,
    *,
    total: int | None = 1000,
    remaining: int | None = 1000,
    reset_after: float | None = 3600.0,
    now: float = 0.0,
) -> IdentifyPacer:
    result = IdentifyPacer(WINDOW)
    result.learn(total=total, remaining=remaining, reset_after=reset_after, max_concurrency=max_concurrency, now=now)
    return result


def slots(machine: IdentifyPacer, count: int, now: float = 0.0) -> list[float]:
    """The places of ``count`` shards that have not asked before."""
    return [machine.reserve(object(), now) for _ in range(count)]


def test_before_anything_is_known_one_session_a_window_is_started() -> None:
    assert slots(IdentifyPacer(WINDOW), 3) == [0.0, 5.0, 10.0]


@pytest.mark.parametrize(
    ("max_concurrency", "expected"),
    [(1, [0.0, 5.0, 10.0, 15.0]), (2, [0.0, 0.0, 5.0, 5.0]), (3, [0.0, 0.0, 0.0, 5.0]), (0, [0.0, 5.0, 10.0, 15.0])],
)
def test_a_window_takes_as_many_as_the_platform_says(max_concurrency: int, expected: list[float]) -> None:
    assert slots(pacer(max_concurrency), 4) == expected


def test_a_slot_is_now_once_the_window_has_passed() -> None:
    machine = pacer()
    assert machine.reserve("a", 100.0) == 100.0
    assert machine.reserve("b", 103.0) == 105.0
    assert machine.reserve("a", 200.0) == 200.0


def test_who_comes_back_before_its_time_finds_its_place() -> None:
    machine = pacer()
    assert [machine.reserve(shard, 0.0) for shard in range(64)] == [5.0 * shard for shard in range(64)]
    assert [machine.reserve(shard, 5.0) for shard in (63, 1, 40)] == [315.0, 5.0, 200.0]


def test_who_comes_back_after_its_time_has_none_any_more() -> None:
    machine = pacer()
    assert [machine.reserve(shard, 0.0) for shard in "abc"] == [0.0, 5.0, 10.0]
    assert machine.reserve("b", 5.1) == 15.0


def test_nothing_is_booked_beyond_what_remains_before_the_refill() -> None:
    machine = pacer(2, remaining=1, reset_after=100.0)
    assert slots(machine, 4) == [0.0, 100.0, 100.0, 105.0]
    assert slots(machine, 1, now=99.0) == [105.0]


def test_the_refill_brings_the_whole_budget_less_what_is_booked_for_it() -> None:
    machine = pacer(2, total=3, remaining=0, reset_after=10.0)
    assert slots(machine, 2) == [10.0, 10.0]
    assert slots(machine, 2, now=16.0) == [16.0, 16.0 + 86_400.0], "spent again, until the next day"


def test_a_spent_budget_whose_refill_is_unknown_is_a_day_away_until_more_is_known() -> None:
    machine = pacer(remaining=0, reset_after=None)
    assert machine.reserve("a", 7.0) == 86_400.0
    machine.learn(total=1000, remaining=5, reset_after=None, max_concurrency=1, now=8.0)
    assert machine.reserve("b", 8.0) == 8.0
    assert machine.reserve("a", 8.0) == 13.0, "the place in tomorrow is given up for a better one"


def test_an_unknown_budget_is_no_limit() -> None:
    assert slots(pacer(5, total=None, remaining=None, reset_after=None), 5) == [0.0] * 5


def test_after_the_refill_of_an_unknown_total_there_is_no_limit() -> None:
    assert slots(pacer(5, total=None, remaining=0, reset_after=1.0), 5, now=1.0) == [1.0] * 5


def test_what_is_booked_for_later_is_not_in_the_platforms_count_yet() -> None:
    machine = pacer(remaining=3)
    assert slots(machine, 2) == [0.0, 5.0]
    # The platform has seen the first Identify and says that two are left; one of them is booked for 5.0.
    machine.learn(total=1000, remaining=2, reset_after=3600.0, max_concurrency=1, now=1.0)
    assert slots(machine, 2, now=1.0) == [10.0, 3601.0]


def test_a_shard_that_waits_on_its_socket_keeps_its_place_when_the_budget_is_learnt_anew() -> None:
    machine = pacer(remaining=2)
    assert slots(machine, 2) == [0.0, 5.0]
    machine.learn(total=1000, remaining=2, reset_after=3600.0, max_concurrency=1, now=1.0)
    assert slots(machine, 1, now=1.0) == [10.0], "5.0 is taken, though the budget was spent when it was"


def test_an_identify_that_was_sent_is_counted_until_the_platform_says_so() -> None:
    machine = pacer(remaining=2)
    assert slots(machine, 1) == [0.0]
    assert slots(machine, 1, now=60.0) == [60.0]
    assert slots(machine, 1, now=120.0) == [3600.0]


def test_a_concurrency_that_changes_holds_for_what_was_booked_before() -> None:
    machine = pacer(1)
    assert slots(machine, 3) == [0.0, 5.0, 10.0]
    machine.learn(total=1000, remaining=900, reset_after=3600.0, max_concurrency=2, now=0.0)
    assert slots(machine, 3) == [0.0, 5.0, 10.0]
    machine.learn(total=1000, remaining=900, reset_after=3600.0, max_concurrency=1, now=6.0)
    assert slots(machine, 1, now=6.0) == [15.0]


class Fleet:
    """Shards that ask for slots and use them in their time."""

    def __init__(self, machine: IdentifyPacer) -> None:
        self.machine = machine
        self.waiting: dict[int, float] = {}
        self.used: list[float] = []

    def ask(self, shard: int, now: float) -> float:
        for other, at in list(self.waiting.items()):
            if at < now:
                self.used.append(self.waiting.pop(other))
        self.waiting.pop(shard, None)
        at = self.waiting[shard] = self.machine.reserve(shard, now)
        assert at >= now
        return at

    def slots(self) -> list[float]:
        return sorted([*self.used, *self.waiting.values()])


SHARD = st.integers(0, 7)
WAIT = st.sampled_from([0.0, 0.1, 1.0, 4.9, 5.0, 5.1, 12.0, 30.0])
LEARN = st.tuples(st.integers(1, 4), st.none() | st.integers(0, 6), st.none() | st.floats(0.0, 40.0))


@given(st.integers(1, 4), st.lists(st.tuples(SHARD, WAIT), max_size=60))
def test_no_window_ever_holds_more_than_its_number(limit: int, asks: list[tuple[int, float]]) -> None:
    fleet, now = Fleet(pacer(limit)), 0.0
    for shard, wait in asks:
        now += wait
        fleet.ask(shard, now)
    booked = fleet.slots()
    for at, later in zip(booked, booked[limit:], strict=False):
        assert later >= at + WINDOW


@given(st.lists(st.tuples(SHARD, WAIT, st.none() | LEARN), max_size=60))
def test_each_slot_keeps_to_what_was_known_when_it_was_given(
    asks: list[tuple[int, float, tuple[int, int | None, float | None] | None]],
) -> None:
    fleet, now, limit = Fleet(IdentifyPacer(WINDOW)), 0.0, 1
    for shard, wait, learnt in asks:
        now += wait
        if learnt is not None:
            limit, remaining, reset_after = learnt
            fleet.machine.learn(total=6, remaining=remaining, reset_after=reset_after, max_concurrency=limit, now=now)
        at = fleet.ask(shard, now)
        booked = fleet.slots()
        booked.remove(at)
        assert sum(other + WINDOW > at and other < at + WINDOW for other in booked) < limit


@given(st.integers(0, 6), st.sampled_from([0.0, 10.0, 40.0, 1e9]), st.lists(st.tuples(SHARD, WAIT), max_size=60))
def test_before_the_refill_no_more_are_given_than_remain(
    remaining: int, reset_after: float, asks: list[tuple[int, float]]
) -> None:
    fleet, now = Fleet(pacer(4, total=1000, remaining=remaining, reset_after=reset_after)), 0.0
    for shard, wait in asks:
        now += wait
        fleet.ask(shard, now)
    assert sum(at < reset_after for at in fleet.slots()) <= remaining


# -- the bucket ----------------------------------------------------------------------------------------------------


def bucket() -> Bucket:
    return Bucket(burst=10, refill=30.0)


def test_ten_calls_at_once_then_one_each_half_minute() -> None:
    machine = bucket()
    for _ in range(10):
        assert machine.wait(0.0) == 0.0
        machine.take(0.0)
    assert machine.wait(0.0) == 30.0
    assert machine.wait(20.0) == pytest.approx(10.0)
    assert machine.wait(30.0) == 0.0
    assert machine.wait(45.0) == 0.0
    machine.take(45.0)
    assert machine.wait(45.0) == pytest.approx(15.0)


def test_a_long_rest_fills_the_bucket_and_no_more() -> None:
    machine = bucket()
    for _ in range(10):
        machine.take(0.0)
    for _ in range(10):
        assert machine.wait(1e6) == 0.0
        machine.take(1e6)
    assert machine.wait(1e6) == pytest.approx(30.0)


@given(st.lists(st.floats(0.0, 40.0), max_size=60))
def test_no_span_of_time_holds_more_calls_than_the_burst_and_what_it_refills(waits: list[float]) -> None:
    machine, now, calls = bucket(), 0.0, []
    for wait in waits:
        now += wait
        if machine.wait(now) == 0.0:
            machine.take(now)
            calls.append(now)
        else:
            assert 0.0 < machine.wait(now) <= 30.0
    for first, start in enumerate(calls):
        for last, end in enumerate(calls[first:], start=1):
            assert last <= 10 + (end - start) / 30.0 + 1e-6
