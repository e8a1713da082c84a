from __future__ import annotations

import enum
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto.timers import LagWatch, Timers


class Name(enum.Enum):
    A = "a"
    B = "b"
    C = "c"


def timers(**deadlines: float) -> Timers[Name]:
    table: Timers[Name] = Timers()
    for name, at in deadlines.items():
        table.set(Name[name], at)
    return table


def test_an_empty_table_waits_for_nothing() -> None:
    table = timers()
    assert table.next() is None
    assert table.pop_due(1e9) is None
    assert table.at(Name.A) is None


def test_deadlines_come_out_in_their_order_once_they_have_passed() -> None:
    table = timers(A=3.0, B=1.0, C=2.0)
    assert table.next() == 1.0
    assert table.pop_due(0.9) is None
    assert table.pop_due(2.0) is Name.B
    assert table.pop_due(2.0) is Name.C
    assert table.pop_due(2.0) is None
    assert table.next() == 3.0


def test_a_deadline_that_is_set_again_moves() -> None:
    table = timers(A=1.0)
    table.set(Name.A, 5.0)
    assert table.at(Name.A) == 5.0
    assert table.pop_due(4.0) is None


def test_stopped_deadlines_never_come() -> None:
    table = timers(A=1.0, B=2.0, C=3.0)
    table.stop(Name.A, Name.C)
    table.stop(Name.A)
    assert table.pop_due(9.0) is Name.B
    assert table.pop_due(9.0) is None


def test_a_cleared_table_is_empty() -> None:
    table = timers(A=1.0, B=2.0)
    table.clear()
    assert table.next() is None


@given(st.dictionaries(st.sampled_from(Name), st.floats(0.0, 100.0)), st.floats(0.0, 100.0))
def test_what_is_left_is_later_than_now(deadlines: dict[Name, float], now: float) -> None:
    table: Timers[Name] = Timers()
    for name, at in deadlines.items():
        table.set(name, at)
    came = []
    while (due := table.pop_due(now)) is not None:
        came.append(deadlines[due])
    assert came == sorted(at for at in deadlines.values() if at <= now)
    assert table.next() == min((at for at in deadlines.values() if at > now), default=None)


def test_a_driver_that_is_on_time_is_not_late() -> None:
    watch = LagWatch(5.0)
    watch.due = 100.0
    assert watch.late(100.0) == 0.0
    assert watch.late(103.0) == 0.0
    assert watch.late(105.0) == 0.0


def test_a_stall_is_told_once() -> None:
    watch = LagWatch(5.0)
    watch.due = 100.0
    assert watch.late(105.1) == pytest.approx(5.1)
    assert watch.late(200.0) == 0.0
    watch.due = 210.0
    assert watch.late(220.0) == 10.0


def test_who_waits_for_nothing_cannot_be_late() -> None:
    watch = LagWatch(5.0)
    assert watch.late(1e9) == 0.0
    watch.due = 100.0
    watch.due = math.inf
    assert watch.late(1e9) == 0.0
