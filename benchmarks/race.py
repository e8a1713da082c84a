"""How times are compared: in turn, in one process, by the processor's clock, each at its best."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.figures import Figure


@dataclass
class Times:
    """Seconds of the processor for one unit of the work, round by round."""

    rounds: list[float]

    @property
    def best(self) -> float:
        """The least disturbed round."""
        return min(self.rounds)

    def ratio(self, other: Times) -> tuple[float, float, float]:
        """Best against best; and the 10th and 90th percentile of the rounds, each against its own."""
        ratios = sorted(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))
        return self.best / other.best, ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]


def race(rounds: int, prepare: Callable[[int], Mapping[str, Callable[[], object]]], units: int) -> dict[str, Times]:
    """Each round runs everybody once, in turn, so that a slow moment of the machine hits all alike.

    ``prepare`` makes the runners of a round, which is not counted; ``units`` is how much work each of them does. Who
    begins changes from round to round. The first round is thrown away. The garbage collector waits meanwhile.
    """
    times: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        runners = list(prepare(number).items())
        shift = number % len(runners)
        for name, run in runners[shift:] + runners[:shift]:
            gc.collect()
            gc.disable()
            begin = time.process_time()
            run()
            elapsed = time.process_time() - begin
            gc.enable()
            if number:
                times.setdefault(name, []).append(elapsed / units)
    return {name: Times(rounds) for name, rounds in times.items()}


def figure(
    name: str,
    what: str,
    times: Mapping[str, Times],
    ours: str,
    peer: str,
    *,
    target: float | None = None,
    floor: str | None = None,
    unit: str = "µs",
) -> Figure:
    """One line about two that ran in the same race."""
    ratio, low, high = times[ours].ratio(times[peer])
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    return Figure(
        name, what, peer, unit, times[ours].best * scale, times[peer].best * scale, ratio, low, high, target,
        None if floor is None else times[floor].best / times[peer].best,
    )  # fmt: skip
