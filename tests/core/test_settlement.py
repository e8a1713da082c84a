from __future__ import annotations

from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from qqproto.settlement import Settlement


def received(*sequences: int) -> Settlement:
    settlement = Settlement()
    for sequence in sequences:
        settlement.receive(sequence)
    return settlement


def test_nothing_came_and_nothing_is_settled() -> None:
    settlement = Settlement()
    assert (settlement.received, settlement.settled, settlement.unsettled) == (0, 0, 0)


def test_what_is_settled_stands_just_below_the_oldest_that_is_not() -> None:
    settlement = received(1, 2, 3, 4, 5)
    for sequence in (1, 2, 4):
        settlement.settle(sequence)
    assert (settlement.received, settlement.settled, settlement.unsettled) == (5, 2, 2)
    settlement.settle(3)
    assert (settlement.settled, settlement.unsettled) == (4, 1)
    settlement.settle(5)
    assert (settlement.settled, settlement.unsettled) == (5, 0)


def test_ready_and_resumed_settle_themselves() -> None:
    settlement = Settlement()
    settlement.receive_settled(1)
    assert (settlement.received, settlement.settled) == (1, 1)
    settlement.receive(2)
    settlement.receive_settled(3)
    assert (settlement.received, settlement.settled) == (3, 1)


def test_a_resumed_with_an_old_sequence_takes_nothing_back() -> None:
    settlement = received(7)
    settlement.receive_settled(3)
    assert settlement.received == 7


def test_a_gap_is_not_waited_for() -> None:
    settlement = received(1, 5)
    settlement.settle(1)
    assert settlement.settled == 4
    settlement.settle(5)
    assert settlement.settled == 5


def test_one_that_comes_late_is_not_passed_over() -> None:
    settlement = received(5, 3)
    assert (settlement.received, settlement.settled) == (5, 2)
    settlement.settle(5)
    assert settlement.settled == 2, "3 would be lost if the next process asked for what comes after 5"
    settlement.settle(3)
    assert settlement.settled == 5


def test_settling_twice_or_what_never_came_does_nothing() -> None:
    settlement = received(1, 2)
    for sequence in (1, 1, 99):
        settlement.settle(sequence)
    assert (settlement.received, settlement.settled, settlement.unsettled) == (2, 1, 1)


def test_handlers_in_other_threads_may_settle() -> None:
    settlement = received(*range(1, 4001))

    def settle(part: range) -> None:
        for sequence in part:
            settlement.settle(sequence)

    threads = [Thread(target=settle, args=(part,)) for part in (range(1, 2001), range(2001, 4001))]
    for thread in threads:
        thread.start()
    watermarks = []
    while any(thread.is_alive() for thread in threads):
        watermarks.append(settlement.settled)
    for thread in threads:
        thread.join()
    assert watermarks == sorted(watermarks)
    assert (settlement.settled, settlement.unsettled) == (4000, 0)


STEP = st.tuples(st.sampled_from(["receive", "settle", "receive_settled"]), st.integers(1, 12))


@given(st.lists(STEP, max_size=40))
def test_the_watermark_is_never_above_something_unsettled(steps: list[tuple[str, int]]) -> None:
    settlement = Settlement()
    unsettled: set[int] = set()
    highest = 0
    for step, sequence in steps:
        if step == "receive":
            settlement.receive(sequence)
            unsettled.add(sequence)
            highest = max(highest, sequence)
        elif step == "settle":
            settlement.settle(sequence)
            unsettled.discard(sequence)
        else:
            settlement.receive_settled(sequence)
            highest = max(highest, sequence)
        assert settlement.received == highest
        assert settlement.unsettled == len(unsettled)
        assert settlement.settled == min(unsettled, default=highest + 1) - 1
