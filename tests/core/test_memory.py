from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto.event_names import Trace, names_in
from qqproto.memory import Memory, SavedMemory


def test_any_of_its_names_is_enough() -> None:
    memory = Memory(size=10, life=60.0)
    memory.remember(("e-1", "m-1"), 0.0)
    assert memory.knows(("e-1",), 1.0)
    assert memory.knows(("other", "m-1"), 1.0)
    assert not memory.knows(("other",), 1.0)
    assert not memory.knows((), 1.0)


def test_it_forgets_with_time() -> None:
    memory = Memory(size=10, life=60.0)
    memory.remember(("a",), 0.0)
    memory.remember(("b",), 30.0)
    assert memory.knows(("a",), 60.0)
    assert not memory.knows(("a",), 60.1)
    assert memory.knows(("b",), 90.0)
    assert not memory.knows(("b",), 90.1)


def test_what_comes_again_is_remembered_anew() -> None:
    memory = Memory(size=10, life=60.0)
    memory.remember(("a",), 0.0)
    assert memory.knows(("a",), 50.0)
    memory.remember(("a",), 50.0)
    assert memory.knows(("a",), 110.0)


def test_what_was_forgotten_before_anybody_asked_is_not_known() -> None:
    memory = Memory(size=2, life=60.0)
    for number in range(1, 4):
        memory.remember_all([trace(number, float(number))])
    assert [number for number in range(1, 4) if memory.knows(names(number), 3.0)] == [2, 3]
    for number in range(4, 7):
        memory.remember_all([trace(number, float(number))])
        assert [each for each in range(1, 7) if memory.knows(names(each), 6.0)] == [number - 1, number]


def trace(number: int, at: float) -> Trace:
    return at, f"e-{number}", "C2C_MESSAGE_CREATE", f"m-{number}", number


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(name for number in numbers for name in names_in(trace(number, 0.0)))


def test_the_same_dispatch_once_more_changes_nothing() -> None:
    memory = Memory(size=2, life=60.0)
    memory.remember_all([trace(1, 1.0), trace(2, 2.0)])
    assert memory.knows((), 2.0) is False
    memory.remember_all([trace(1, 1.0), trace(3, 3.0)])
    assert [number for number in (1, 2, 3) if memory.knows(names(number), 3.0)] == [2, 3]


# -- one that is saved -------------------------------------------------------------------------------------------------


def test_its_names_grow_from_one_time_to_the_next() -> None:
    memory = SavedMemory(size=2, life=60.0)
    assert memory.names(0.0) == ()
    states = []
    for number in range(4):
        memory.remember_all([trace(number, float(number))])
        states.append(memory.names(float(number)))
    assert states[-1] == names(2, 3)
    assert [now.growth_since(before) for before, now in pairwise(states)] == [
        (names(1), 0), (names(2), 2), (names(3), 2)
    ]  # fmt: skip
    assert memory.names(62.0) == names(2, 3)
    assert memory.names(62.5) == names(3)
    assert memory.names(100.0).growth_since(states[-1]) == ([], 4)


def test_what_is_saved_is_known_whoever_asks_first() -> None:
    memory = SavedMemory(size=10, life=60.0)
    assert not memory.knows(names(1), 0.0)
    for number in range(1, 4):
        memory.remember_all([trace(number, float(number))])
        memory.names(float(number))
    assert all(memory.knows(names(number), 3.0) for number in (1, 2, 3))
    assert not memory.knows(names(4), 3.0)
    assert not memory.knows(names(1), 61.5)
    memory.remember_all([trace(4, 62.0)])
    assert memory.knows(names(4), 62.0)
    assert memory.names(62.0) == names(2, 3, 4)


def test_it_has_a_dispatch_whose_names_are_all_there_however_old() -> None:
    memory = SavedMemory(size=10, life=60.0)
    assert not memory.has(trace(1, 1.0))
    memory.remember_all([trace(1, 1.0), (2.0, None, "CHANNEL_UPDATE", None, 2), (100.0, ("e-2",))])
    assert memory.has(trace(1, 1.0))
    assert not memory.has(trace(2, 1.0)), "one of its names is another's"
    assert not memory.has((2.0, None, "CHANNEL_UPDATE", None, 2)), "nobody can tell"


def test_what_was_saved_is_remembered_as_of_now() -> None:
    memory = SavedMemory(size=2, life=60.0)
    memory.restore(("a", "b", "c"), 10.0)
    assert memory.names(70.0) == ("a", "b", "c")
    assert memory.knows(("a",), 70.0)
    memory.remember_all([trace(1, 70.0)])
    assert memory.names(70.0) == ("c", *names(1))
    assert memory.names(70.5) == names(1)
    assert not memory.knows(("c",), 70.5)


def test_no_more_than_it_is_to_remember_is_restored_and_the_newest_of_it() -> None:
    memory = SavedMemory(size=2, life=60.0)
    memory.restore([str(number) for number in range(10)], 0.0)
    assert memory.names(0.0) == ("6", "7", "8", "9")
    assert [number for number in range(10) if memory.knows((str(number),), 0.0)] == [6, 7, 8, 9]


def test_the_same_names_under_a_later_dispatch_are_saved_until_the_later_is_forgotten() -> None:
    memory = SavedMemory(size=2, life=60.0)
    for number, at in ((1, 1.0), (2, 2.0), (1, 3.0)):
        memory.remember_all([trace(number, at)])
        memory.names(at)
    assert memory.names(3.0) == names(2, 1)
    assert memory.knows(names(2), 3.0)
    assert memory.names(62.5) == names(1)
    assert memory.knows(names(1), 62.5)
    assert not memory.knows(names(2), 62.5)


@pytest.mark.parametrize("kind", [Memory, SavedMemory])
@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 8))
def test_it_is_bounded_and_keeps_the_newest(
    kind: type[Memory] | type[SavedMemory], numbers: list[int], size: int
) -> None:
    memory = kind(size=size, life=1e9)
    for time, number in enumerate(numbers):
        memory.remember((f"e-{number}", f"m-{number}"), float(time))
        if number % 3 == 0:
            memory.knows((), 0.0)
    known = [name for number in range(41) for name in (f"e-{number}", f"m-{number}") if memory.knows((name,), 0.0)]
    assert len(known) <= 2 * size
    if isinstance(memory, SavedMemory):
        assert len(memory.names(0.0)) <= 2 * size
    if numbers:
        assert {f"e-{numbers[-1]}", f"m-{numbers[-1]}"} <= set(known)


_COMES, _AGAIN, _SAVED, _ASKED, _LATER = range(5)


@given(st.lists(st.tuples(st.integers(_COMES, _LATER), st.integers(0, 12)), max_size=80), st.integers(1, 5))
def test_what_is_saved_is_what_is_known_however_seldom_anybody_asks(steps: list[tuple[int, int]], size: int) -> None:
    """Next to one that is never saved."""
    saved, asked = SavedMemory(size=size, life=60.0), Memory(size=size, life=60.0)
    now, settled = 0.0, []

    def settle(settling: Trace) -> None:
        saved.remember_all([settling])
        asked.remember_all([settling])
        asked.knows((), now)
        settled.append(settling)

    for step, value in steps:
        if step == _COMES:
            settle(trace(value, now))
        elif step == _AGAIN and settled:
            settle(settled[-1 - value % len(settled)])
        elif step == _SAVED:
            saved.names(now)
        elif step == _ASKED:
            saved.knows((), now)
        else:
            now += value
    last = {each[-1]: each[0] for each in settled if len(settled) - settled.index(each) <= size}
    kept = saved.names(now)
    assert len(kept) <= 2 * size
    assert saved.names(now) == kept
    for number, at in last.items():
        if now - at < 60.0:
            assert set(names(number)) <= set(kept)
            assert saved.knows(names(number), now)
            assert asked.knows(names(number), now)
    assert set(kept) <= {name for *_, number in settled for name in names(number)}
