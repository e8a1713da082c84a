from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Dispatch
from qqproto.memory import Memory, Trace, names_in, names_of
from qqproto.protocol.dispatch_types import EVENT_NAMING_TYPES


@pytest.mark.parametrize(
    ("type", "data", "id", "names"),
    [
        ("CHANNEL_UPDATE", {"id": "7"}, "CHANNEL_UPDATE:1", ("CHANNEL_UPDATE:1",)),
        ("CHANNEL_UPDATE", {"id": "7"}, None, ()),
        ("C2C_MESSAGE_CREATE", {"id": "m"}, "e", ("e", "C2C_MESSAGE_CREATE m")),
        ("C2C_MESSAGE_CREATE", {"id": "m"}, None, ("C2C_MESSAGE_CREATE m",)),
        ("C2C_MESSAGE_CREATE", {"id": 5}, "e", ("e",)),
        ("C2C_MESSAGE_CREATE", {"id": ""}, "e", ("e",)),
        ("C2C_MESSAGE_CREATE", {}, "e", ("e",)),
        ("C2C_MESSAGE_CREATE", "text", "e", ("e",)),
        ("INTERACTION_CREATE", {"id": "i"}, None, ("INTERACTION_CREATE i",)),
    ],
)
def test_what_an_event_is_called(type: str, data: Any, id: str | None, names: tuple[str, ...]) -> None:
    assert names_of(Dispatch(type, data, id)) == names


def test_the_same_message_read_along_and_addressed_is_two_events() -> None:
    addressed = names_of(Dispatch("GROUP_AT_MESSAGE_CREATE", {"id": "m"}, "a"))
    read_along = names_of(Dispatch("GROUP_MESSAGE_CREATE", {"id": "m"}, "b"))
    assert not set(addressed) & set(read_along)


def test_every_message_type_names_its_event() -> None:
    assert {name for name in EVENT_NAMING_TYPES if not name.endswith("MESSAGE_CREATE")} == {"INTERACTION_CREATE"}
    assert len(EVENT_NAMING_TYPES) == 7


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
    assert memory.names(90.0) == ("b",)
    assert memory.names(90.1) == ()


def test_what_comes_again_is_remembered_anew() -> None:
    memory = Memory(size=10, life=60.0)
    memory.remember(("a",), 0.0)
    assert memory.knows(("a",), 50.0)
    memory.remember(("a",), 50.0)
    assert memory.knows(("a",), 110.0)


def test_its_names_grow_from_one_time_to_the_next() -> None:
    memory = Memory(size=2, life=60.0)
    states = []
    for number in range(4):
        memory.remember((f"e-{number}", f"m-{number}"), float(number))
        states.append(memory.names(float(number)))
    assert states[-1] == ("e-2", "m-2", "e-3", "m-3")
    assert [now.grown_from(before) for before, now in pairwise(states)] == [
        ("e-1", "m-1"), ("e-2", "m-2"), ("e-3", "m-3")
    ]  # fmt: skip
    assert memory.names(100.0).grown_from(states[-1]) == ()


def test_the_same_dispatch_once_more_changes_nothing() -> None:
    memory = Memory(size=10, life=60.0)
    memory.remember(("a",), 0.0)
    memory.remember(("b",), 1.0)
    before = memory.names(1.0)
    memory.remember(("a",), 0.0)
    assert memory.names(1.0).grown_from(before) == ()


def test_what_comes_again_is_among_the_newest_and_nothing_has_grown() -> None:
    memory = Memory(size=10, life=60.0)
    memory.remember(("a",), 0.0)
    memory.remember(("b",), 1.0)
    before = memory.names(1.0)
    memory.remember(("a",), 2.0)
    assert memory.names(2.0) == ("b", "a")
    assert memory.names(2.0).grown_from(before) is None
    assert memory.names(60.5) == ("b", "a")
    assert memory.names(61.5) == ("a",)


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 8))
def test_it_is_bounded_and_keeps_the_newest(numbers: list[int], size: int) -> None:
    memory = Memory(size=size, life=1e9)
    for time, number in enumerate(numbers):
        memory.remember((f"e-{number}", f"m-{number}"), float(time))
        if number % 3 == 0:
            memory.knows((), 0.0)
    names = memory.names(0.0)
    assert len(names) <= 2 * size
    if numbers:
        assert memory.knows((f"e-{numbers[-1]}",), 0.0)


# -- dispatches that were traced, and are saved ------------------------------------------------------------------------


def trace(number: int, at: float) -> Trace:
    return at, f"e-{number}", "C2C_MESSAGE_CREATE", f"m-{number}", number


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(name for number in numbers for name in names_in(trace(number, 0.0)))


def test_what_came_later_is_saved_and_indexed_when_it_is_asked_for() -> None:
    memory = Memory(size=10, life=60.0)
    states = [memory.names(0.0)]
    for number in range(1, 4):
        memory.remember_all([trace(number, float(number))])
        states.append(memory.names(float(number)))
    assert states[-1] == names(1, 2, 3)
    assert [now.grown_from(before) for before, now in pairwise(states)] == [names(1), names(2), names(3)]
    assert all(memory.knows(names(number), 3.0) for number in (1, 2, 3))
    assert not memory.knows(names(4), 3.0)
    assert not memory.knows(names(1), 61.5)


def test_a_dispatch_that_is_settled_once_more_is_saved_once() -> None:
    memory = Memory(size=10, life=60.0)
    memory.names(0.0)
    memory.remember_all([trace(1, 1.0), trace(2, 1.0), trace(3, 2.0)])
    before = memory.names(2.0)
    memory.remember_all([trace(2, 1.0), trace(3, 2.0), trace(1, 1.0)])
    memory.remember_all([trace(4, 3.0)])
    assert memory.names(3.0).grown_from(before) == names(4)


def test_the_same_names_under_a_later_dispatch_are_saved_until_the_later_is_forgotten() -> None:
    memory = Memory(size=2, life=60.0)
    memory.names(0.0)
    for number, at in ((1, 1.0), (2, 2.0), (1, 3.0)):
        memory.remember_all([trace(number, at)])
        memory.names(at)
    assert memory.names(3.0) == names(2, 1)
    assert memory.knows(names(2), 3.0)
    assert memory.names(62.5) == names(1)
    assert memory.knows(names(1), 62.5)
    assert not memory.knows(names(2), 62.5)


def test_what_was_forgotten_before_anybody_asked_is_not_known() -> None:
    memory = Memory(size=2, life=60.0)
    memory.names(0.0)
    for number in range(1, 4):
        memory.remember_all([trace(number, float(number))])
        memory.names(float(number))
    assert [number for number in range(1, 4) if memory.knows(names(number), 3.0)] == [2, 3]
    assert memory.names(100.0) == ()
    memory.remember_all([trace(4, 101.0)])
    assert memory.names(101.0) == names(4)
    memory.names(200.0)
    assert not memory.knows(names(4), 200.0)


_COMES, _AGAIN, _SAVED, _ASKED, _LATER = range(5)


@given(st.lists(st.tuples(st.integers(_COMES, _LATER), st.integers(0, 12)), max_size=80), st.integers(1, 5))
def test_what_is_saved_is_what_is_known_however_seldom_anybody_asks(steps: list[tuple[int, int]], size: int) -> None:
    """Next to one that is never saved, and so has but its index."""
    saved, asked = Memory(size=size, life=60.0), Memory(size=size, life=60.0)
    now, settled = 0.0, []

    def settle(settling: Trace) -> None:
        for memory in (saved, asked):
            memory.remember_all([settling])
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
    # One that is settled once more is not moved: it counts from the first time.
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
