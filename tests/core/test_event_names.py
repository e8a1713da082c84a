from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto.event_names import _MOST_FORGOTTEN, GrowingNames, Names


def test_names_are_a_sequence_like_any_other() -> None:
    names = Names(["a", "b", "c"])
    assert isinstance(names, Sequence)
    assert (len(names), list(names), names[0], names[-1], names[1:]) == (3, ["a", "b", "c"], "a", "c", ("b", "c"))
    assert "b" in names
    assert names.index("c") == 2
    with pytest.raises(IndexError):
        names[3]
    assert not Names()


def test_they_equal_a_tuple_of_the_same_ones_and_nothing_else() -> None:
    names = Names("ab")
    assert names == ("a", "b") == names
    assert names == Names("ab")
    assert names != ("a", "c")
    assert names != ["a", "b"]
    assert hash(names) == hash(("a", "b"))
    assert repr(names) == "('a', 'b')"


def test_each_state_is_a_value() -> None:
    growing = GrowingNames(["a", "b"])
    first = growing.now()
    growing.extend(["c"])
    growing.forget(1)
    second = growing.now()
    assert first == ("a", "b")
    assert second == ("b", "c")
    assert (second[0], second[-1], len(second)) == ("b", "c", 2)


def test_a_copy_has_nothing_of_what_is_forgotten() -> None:
    growing = GrowingNames(f"name-{number}" for number in range(100))
    for _ in range(99):
        growing.forget(1)
    names = growing.now()
    for other in (copy.deepcopy(names), pickle.loads(pickle.dumps(names))):
        assert other == names
        assert len(other._log) == 1


def test_what_was_added_is_known_of_those_it_has_grown_from() -> None:
    growing = GrowingNames(["a", "b"])
    first = growing.now()
    assert first.grown_from(first) == ()
    growing.extend(["c"])
    growing.extend(["d"])
    growing.forget(1)
    second = growing.now()
    assert second.grown_from(first) == ("c", "d")
    assert first.grown_from(second) is None
    assert second.grown_from(("a", "b")) is None
    assert second.grown_from(Names(["a", "b"])) is None


def test_nothing_has_grown_from_what_is_forgotten_altogether() -> None:
    growing = GrowingNames(["a"])
    first = growing.now()
    for name in "bc":
        growing.extend([name])
        growing.forget(1)
    assert growing.now().grown_from(first) is None


def test_what_is_forgotten_is_not_kept_for_ever_and_those_who_have_it_keep_it() -> None:
    growing = GrowingNames([])
    states: list[tuple[int, Names]] = []
    for number in range(3 * _MOST_FORGOTTEN):
        growing.extend([f"name-{number}"])
        if number >= 10:
            growing.forget(1)
        if number % 1000 == 0:
            states.append((number, growing.now()))
    assert len(growing.now()._log) < _MOST_FORGOTTEN + 20
    for number, names in states:
        assert names == tuple(f"name-{each}" for each in range(max(0, number - 9), number + 1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_what_was_before_and_what_was_added_make_what_is_now(steps: list[tuple[int, int]]) -> None:
    growing, number = GrowingNames(["first"]), 0
    before = growing.now()
    for added, forgotten in steps:
        for _ in range(added):
            growing.extend([f"name-{number}"])
            number += 1
        for _ in range(min(forgotten, len(growing.now()))):
            growing.forget(1)
        names = growing.now()
        new = names.grown_from(before)
        if new is not None:
            assert (*before, *new)[len(before) + len(new) - len(names) :] == names
        before = names
