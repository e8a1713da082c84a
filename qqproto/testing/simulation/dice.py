"""Chance out of one seed: the few ways in which a simulation draws from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from qqproto.testing.randomness import Randomness

Item = TypeVar("Item")


class Dice:
    """Draws of all shapes from a :class:`~qqproto.testing.Randomness`."""

    __slots__ = ("random",)

    def __init__(self, seed: int) -> None:
        self.random = Randomness(seed)

    def happens(self, probability: float) -> bool:
        return self.random() < probability

    def between(self, low: float, high: float) -> float:
        """Evenly, rounded to milliseconds so that it prints well."""
        return round(low + (high - low) * self.random(), 3)

    def scale(self, low: float, high: float) -> float:
        """Evenly over the orders of magnitude."""
        span: float = low * (high / low) ** self.random()
        return round(span, 3)

    def wait(self, mean: float) -> float:
        """As long as one waits for what happens once in ``mean`` seconds, whenever one begins to wait."""
        return round(-mean * math.log(1.0 - self.random()), 3)

    def whole(self, low: int, high: int) -> int:
        """One of ``low`` to ``high``, both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self.random() * len(items))]

    def weighted(self, items: Sequence[tuple[float, Item]]) -> Item:
        """One of ``(weight, item)``."""
        left = self.random() * sum(weight for weight, _ in items)
        for weight, item in items[:-1]:
            left -= weight
            if left < 0.0:
                return item
        return items[-1][1]
