from __future__ import annotations

import math

import pytest

from qqproto.testing import Randomness, VirtualClock


def test_time_passes_when_it_is_told_to() -> None:
    clock = VirtualClock(100.0)
    assert clock.now == 100.0
    assert clock.advance(0.25) == 100.25
    assert clock.advance(0.0) == 100.25
    assert clock.advance_to(200.0) == 200.0
    assert clock.now == 200.0


@pytest.mark.parametrize("seconds", [-0.001, -math.inf, math.nan])
def test_time_does_not_go_back(seconds: float) -> None:
    clock = VirtualClock(100.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(seconds)
    assert clock.now == 100.0


def test_randomness_is_the_same_for_the_same_seed_and_spread_over_the_unit_interval() -> None:
    one, same, other = Randomness(7), Randomness(7), Randomness(8)
    numbers = [one() for _ in range(2000)]
    assert numbers == [same() for _ in range(2000)]
    assert numbers != [other() for _ in range(2000)]
    assert all(0.0 <= number < 1.0 for number in numbers)
    for tenth in range(10):
        assert 150 < sum(tenth <= number * 10 < tenth + 1 for number in numbers) < 250
