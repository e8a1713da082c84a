from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Dispatch
from qqproto.event_names import _MOST_FORGOTTEN, Entry, GrowingNames, Names, names_in, names_of, trace_of
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


def test_what_is_remembered_by_its_names_has_these() -> None:
    assert names_in((1.0, ("a", "b", "c"))) == ("a", "b", "c")
    dispatch = Dispatch("C2C_MESSAGE_CREATE", {"id": "m"}, "e", 7)
    assert trace_of(dispatch, 1.5) == (1.5, "e", "C2C_MESSAGE_CREATE", "m", 7)
    assert names_in(trace_of(dispatch, 1.5)) == names_of(dispatch)


# -- the sequence that grows -------------------------------------------------------------------------------------------


def entries(names: Iterable[str], at: float = 0.0) -> list[Entry]:
    """Dispatches with one name each."""
    return [(at, (name,)) for name in names]


def growing(names: Iterable[str] = (), *, size: int = 10) -> GrowingNames:
    grower = GrowingNames(size)
    grower.extend(entries(names))
    return grower


def names_like(names: Iterable[str]) -> Names:
    return growing(names).now(0.0)


def test_names_are_a_sequence_like_any_other() -> None:
    names = names_like("abc")
    assert isinstance(names, Sequence)
    assert (len(names), list(names), names[0], names[-1], names[1:]) == (3, ["a", "b", "c"], "a", "c", ("b", "c"))
    assert "b" in names
    assert names.index("c") == 2
    with pytest.raises(IndexError):
        names[3]
    assert not names_like("")


def test_they_equal_a_tuple_of_the_same_ones_and_nothing_else() -> None:
    names = names_like("ab")
    assert names == ("a", "b") == names
    assert names == names_like("ab")
    assert names != ("a", "c")
    assert names != ["a", "b"]
    assert hash(names) == hash(("a", "b"))
    assert repr(names) == "('a', 'b')"


def test_they_are_those_of_the_last_dispatches_however_many_each_has() -> None:
    grower = GrowingNames(3)
    grower.extend(
        [
            (0.0, ("a",)),
            (1.0, ("b", "c")),
            (2.0, ()),
            (3.0, "d", "C2C_MESSAGE_CREATE", "e", 4),
            (4.0, None, "X", None, 5),
        ]
    )
    assert grower.now(0.0) == ("d", "C2C_MESSAGE_CREATE e")
    grower.extend([])
    assert grower.now(3.0) == ("d", "C2C_MESSAGE_CREATE e")
    assert grower.now(3.5) == ()


def test_each_state_is_a_value() -> None:
    grower = growing("ab", size=2)
    first = grower.now(0.0)
    grower.extend(entries("c"))
    second = grower.now(0.0)
    assert first == ("a", "b")
    assert second == ("b", "c")
    assert (second[0], second[-1], len(second)) == ("b", "c", 2)


def test_what_was_forgotten_does_not_come_back() -> None:
    grower = growing("ab")
    grower.extend(entries("c", 5.0))
    assert grower.now(1.0) == ("c",)
    assert grower.now(0.0) == ("c",)


def test_a_copy_is_but_the_names() -> None:
    names = growing((f"name-{number}" for number in range(100)), size=1).now(0.0)
    for other in (copy.deepcopy(names), pickle.loads(pickle.dumps(names))):
        assert type(other) is tuple
        assert other == names == ("name-99",)


def test_what_was_added_is_known_of_those_it_has_grown_from() -> None:
    grower = GrowingNames(2)
    grower.extend([(0.0, ("a", "b")), (0.0, ("c",))])
    first = grower.now(0.0)
    assert first.growth_since(first) == ([], 0)
    grower.extend(entries("d"))
    second = grower.now(0.0)
    assert second.growth_since(first) == (("d",), 2)
    grower.extend([])
    grower.extend([(0.0, ("e", "f")), (0.0, ())])
    third = grower.now(0.0)
    assert third.growth_since(second) == (["e", "f"], 2)
    assert third.growth_since(first) is None, "nothing of it is left"
    assert first.growth_since(second) is None
    assert second.growth_since(("a", "b", "c")) is None
    assert second.growth_since(names_like("abc")) is None


def test_what_is_forgotten_is_not_kept_for_ever_and_those_who_have_it_keep_it() -> None:
    grower = GrowingNames(10)
    states: list[tuple[int, Names]] = []
    for number in range(10 * _MOST_FORGOTTEN):
        grower.extend(entries([f"name-{number}"]))
        assert len(grower._entries) <= 10 + _MOST_FORGOTTEN
        states.append((number, grower.now(0.0)))
        if number:
            assert states[-1][1].growth_since(states[-2][1]) == ((f"name-{number}",), int(number >= 10))
    for number, names in states[:: _MOST_FORGOTTEN // 3]:
        assert names == tuple(f"name-{each}" for each in range(max(0, number - 9), number + 1))


def test_what_came_after_so_many_is_there_until_it_is_forgotten_for_good() -> None:
    grower = growing("ab", size=1)
    assert grower.after(0) == (entries("ab"), 2)
    assert grower.after(1) == (entries("b"), 2)
    assert grower.after(2) == ([], 2)
    grower.extend(entries(str(number) for number in range(_MOST_FORGOTTEN)))
    assert grower.after(1) == (entries([str(_MOST_FORGOTTEN - 1)]), 2 + _MOST_FORGOTTEN)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.integers(1, 6))
def test_what_was_before_and_what_was_added_make_what_is_now(steps: list[tuple[int, int]], size: int) -> None:
    grower, number, oldest = growing(["first"], size=size), 0, 0
    before = grower.now(0.0)
    for added, forgotten in steps:
        for _ in range(added):
            grower.extend([(float(number), (f"name-{number}",) * (number % 3))])
            number += 1
        oldest += forgotten
        names = grower.now(float(oldest))
        growth = names.growth_since(before)
        if growth is not None:
            new, gone = growth
            assert (*before, *new)[gone:] == names
        before = names
