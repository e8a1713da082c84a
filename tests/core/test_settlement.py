from __future__ import annotations

from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from qqproto.settlement import Settlement


def settlement_of(*sequences: int, max_open: int = 10_000, max_missing: int = 1000) -> Settlement:
    settlement = Settlement(max_open=max_open, max_missing=max_missing)
    for sequence in sequences:
        settlement.receive(sequence, float(sequence))
    return settlement


def settle(settlement: Settlement, *sequences: int | None) -> None:
    for sequence in sequences:
        settlement.settle(sequence)


def test_nothing_came_and_nothing_is_settled() -> None:
    settlement = settlement_of()
    assert (settlement.received, settlement.settled, settlement.unsettled, settlement.ahead) == (0, 0, 0, ())
    assert settlement.oldest(100.0) is None


def test_what_is_settled_stands_just_below_the_oldest_that_is_not() -> None:
    settlement = settlement_of(1, 2, 3, 4, 5)
    settle(settlement, 1, 2, 4)
    assert (settlement.received, settlement.settled, settlement.unsettled, settlement.ahead) == (5, 2, 2, (4,))
    assert settlement.oldest(10.0) == 7.0
    settle(settlement, 3)
    assert (settlement.settled, settlement.unsettled, settlement.ahead) == (4, 1, ())
    settle(settlement, 5)
    assert (settlement.settled, settlement.unsettled) == (5, 0)


def test_ready_resumed_and_repetitions_have_nothing_to_settle() -> None:
    settlement = settlement_of()
    settlement.pass_over(1)
    assert (settlement.received, settlement.settled) == (1, 1)
    settlement.receive(2, 0.0)
    settlement.pass_over(3)
    assert (settlement.received, settlement.settled) == (3, 1)
    settlement.pass_over(2)
    assert (settlement.received, settlement.settled) == (3, 1)


def test_a_gap_is_not_waited_for_and_told_once() -> None:
    settlement = settlement_of(1, 5)
    settle(settlement, 1)
    assert settlement.settled == 4
    assert settlement.missing == (2, 3, 4)
    assert settlement.resumed(5) == 3
    assert settlement.resumed(5) == 0
    settlement.receive(8, 0.0)
    assert settlement.resumed(None) == 2


def test_one_that_comes_late_is_no_repetition_and_not_passed_over() -> None:
    settlement = settlement_of(1, 5)
    settle(settlement, 1)
    assert not settlement.came_before(3)
    settlement.receive(3, 6.0)
    assert settlement.came_before(3)
    assert (settlement.received, settlement.settled, settlement.unsettled) == (5, 2, 2)
    assert settlement.resumed(None) == 2
    settle(settlement, 5)
    assert settlement.settled == 2, "3 would be lost if the next process asked for what comes after 5"
    assert settlement.oldest(10.0) == 4.0
    settle(settlement, 3)
    assert settlement.settled == 5
    assert settlement.oldest(10.0) is None


def test_a_repetition_that_fills_a_gap_closes_it() -> None:
    settlement = settlement_of(1, 3)
    settlement.pass_over(2)
    assert settlement.resumed(None) == 0
    assert settlement.came_before(2)


def test_what_came_is_a_repetition_when_it_comes_again() -> None:
    settlement = settlement_of(1, 2)
    assert settlement.came_before(1)
    assert settlement.came_before(2)
    assert not settlement.came_before(3)


def test_only_so_many_missing_ones_are_remembered() -> None:
    settlement = settlement_of(1, 1_000_000, max_missing=10)
    assert settlement.resumed(None) == 999_998, "they are counted all"
    assert settlement.came_before(5), "too long ago to tell it from a repetition"
    assert not settlement.came_before(999_999)
    settlement.receive(1_000_006, 0.0)
    assert settlement.came_before(999_990)
    assert not settlement.came_before(999_995)


def test_settling_twice_or_what_never_came_does_nothing() -> None:
    settlement = settlement_of(1, 2, 3)
    settle(settlement, 1, 1, 99, 3, 3)
    assert (settlement.received, settlement.settled, settlement.unsettled) == (3, 1, 1)
    settle(settlement, 2, 2)
    assert (settlement.settled, settlement.unsettled, settlement.ahead) == (3, 0, ())


def test_the_oldest_is_given_up_beyond_the_limit() -> None:
    settlement = settlement_of(1, 2, 3, max_open=2)
    assert (settlement.given_up, settlement.settled, settlement.unsettled) == (1, 1, 2)
    settle(settlement, 2)
    settlement.receive(4, 4.0)
    assert settlement.given_up == 1


def test_a_late_one_may_be_the_oldest_that_is_given_up() -> None:
    settlement = settlement_of(1, 4, max_open=3)
    settlement.receive(2, 5.0)
    settle(settlement, 1)
    settlement.receive(5, 5.0)
    assert (settlement.given_up, settlement.settled) == (0, 1)
    settlement.receive(6, 5.0)
    assert (settlement.given_up, settlement.settled, settlement.unsettled) == (1, 3, 3)


def test_one_that_is_never_settled_is_given_up_when_so_many_came_after_it() -> None:
    settlement = settlement_of(1, max_open=10)
    for sequence in range(2, 11):
        settlement.receive(sequence, 0.0)
        settle(settlement, sequence)
    assert (settlement.given_up, settlement.settled, len(settlement.ahead)) == (0, 0, 9)
    settlement.receive(11, 0.0)
    assert (settlement.given_up, settlement.settled, settlement.ahead) == (1, 10, ())


def test_one_that_comes_too_late_is_not_waited_for() -> None:
    settlement = settlement_of(1, 3, max_open=10)
    settlement.receive(20, 0.0)
    settlement.receive(2, 0.0)
    assert (settlement.given_up, settlement.unsettled) == (1, 3)
    assert settlement.came_before(2)


def test_late_ones_that_are_settled_ahead_are_remembered_up_to_the_limit() -> None:
    settlement = settlement_of(1, 8, max_open=3)
    for sequence in range(3, 8):
        settlement.receive(sequence, 0.0)
        settle(settlement, sequence)
    assert settlement.settled == 0
    assert settlement.ahead == (3, 4, 5)


def test_a_restored_one_goes_on_from_what_was_settled() -> None:
    settlement = settlement_of()
    settlement.restore(10, (10, 12, 14))
    assert (settlement.received, settlement.settled, settlement.ahead) == (10, 10, (12, 14))
    assert settlement.came_before(12)
    settlement.receive(11, 0.0)
    settlement.pass_over(12)
    assert settlement.came_before(12)
    assert settlement.ahead == (12, 14), "it is so still, should this process die as well"
    settlement.receive(15, 0.0)
    assert settlement.resumed(None) == 1, "13 is missing; 14 was settled before"
    settle(settlement, 11, 15)
    assert settlement.settled == 15
    assert not settlement.ahead


def test_what_was_settled_before_a_crash_is_known_although_resumed_has_its_number() -> None:
    settlement = settlement_of()
    settlement.restore(10, (12,))
    assert settlement.resumed(12) == 1
    assert settlement.came_before(12)
    assert not settlement.came_before(11)


def test_a_restored_one_knows_what_was_missing() -> None:
    settlement = settlement_of()
    settlement.restore(10, (), (3, 7, 99))
    assert settlement.missing == (3, 7)
    assert not settlement.came_before(7)
    settlement.receive(7, 0.0)
    assert settlement.resumed(None) == 1
    assert settlement.settled == 6
    assert list(settlement.missing) == [3]


def test_a_late_one_does_not_bring_back_what_was_settled_above_it() -> None:
    settlement = settlement_of(1, 5, 6)
    settle(settlement, 1, 5, 6)
    settlement.receive(3, 7.0)
    assert (settlement.settled, settlement.ahead) == (2, (5, 6))
    settlement.receive(8, 8.0)
    settlement.receive(9, 8.0)
    settlement.receive(4, 9.0)
    settle(settlement, 9)
    assert (settlement.settled, settlement.ahead) == (2, (5, 6, 9))
    settle(settlement, 3, 4, 8)
    assert (settlement.settled, settlement.ahead) == (9, ())


def test_a_late_one_may_be_settled_ahead_of_others() -> None:
    settlement = settlement_of(1, 2, 5)
    settle(settlement, 1, 5)
    settlement.receive(4, 6.0)
    settle(settlement, 4)
    assert (settlement.settled, settlement.ahead) == (1, (4, 5))


def test_resumed_may_have_a_number_of_its_own_or_that_of_a_dispatch() -> None:
    settlement = settlement_of(1, 2)
    settle(settlement, 1, 2)
    assert settlement.resumed(3) == 0
    assert (settlement.settled, settlement.missing) == (3, ())
    assert not settlement.came_before(3)
    settlement.receive(3, 4.0)
    assert settlement.came_before(3)
    assert settlement.settled == 2
    assert settlement.resumed(2) == 0


def test_handlers_in_other_threads_may_settle() -> None:
    settlement = settlement_of(*range(1, 4001))

    def settle_all(part: range) -> None:
        settle(settlement, *part)

    threads = [Thread(target=settle_all, args=(part,)) for part in (range(1, 2001), range(2001, 4001))]
    for thread in threads:
        thread.start()
    watermarks = []
    while any(thread.is_alive() for thread in threads):
        watermarks.append(settlement.settled)
    for thread in threads:
        thread.join()
    assert watermarks == sorted(watermarks)
    assert (settlement.settled, settlement.unsettled) == (4000, 0)


STEP = st.tuples(st.sampled_from(["come", "settle", "pass over"]), st.integers(1, 30))


@given(st.lists(STEP, max_size=80))
def test_it_agrees_with_a_plain_account_of_the_same(steps: list[tuple[str, int]]) -> None:
    """The model keeps every number; the machine may not differ from it in what it says."""
    settlement = settlement_of()
    open_: set[int] = set()
    came: set[int] = set()
    handed_out: set[int] = set()
    highest = watermark = 0
    for step, sequence in steps:
        if step == "settle":
            settlement.settle(sequence)
            open_.discard(sequence)
        elif step == "pass over":
            settlement.pass_over(sequence)
            came.add(sequence)
            highest = max(highest, sequence)
        else:
            assert settlement.came_before(sequence) == (sequence in came)
            if sequence not in came:
                settlement.receive(sequence, 0.0)
                came.add(sequence)
                handed_out.add(sequence)
                open_.add(sequence)
                highest = max(highest, sequence)
        watermark = min(open_, default=highest + 1) - 1
        assert (settlement.received, settlement.settled, settlement.unsettled) == (highest, watermark, len(open_))
        settled_ahead = set(settlement.ahead)
        assert settled_ahead <= came
        assert settled_ahead >= {number for number in handed_out - open_ if number > watermark}
        assert not settled_ahead & open_
    assert settlement.missing == tuple(sorted(set(range(1, watermark + 1)) - came))
    assert settlement.resumed(None) == len(set(range(1, highest)) - came)


def test_progress_is_equal_as_long_as_there_is_nothing_new_to_be_saved() -> None:
    settlement = settlement_of(1)
    settle(settlement, 1)
    before = settlement.progress
    settlement.receive(2, 0.0)
    settlement.receive(3, 0.0)
    assert settlement.progress == before
    settle(settlement, 3)
    ahead = settlement.progress
    assert ahead != before
    assert ahead[0] == before[0] == 1
    settle(settlement, None)
    settle(settlement, 3)
    nameless = settlement.progress
    assert nameless != ahead, "it has no number, but a name that is saved"
    settlement.pass_over(4)
    assert settlement.progress == nameless
    settle(settlement, 2)
    assert settlement.progress != nameless


def test_what_came_is_open_until_it_is_settled() -> None:
    settlement = settlement_of(1, 2)
    settle(settlement, 2)
    assert [settlement.is_open(number) for number in (1, 2, 3, None)] == [True, False, False, False]
