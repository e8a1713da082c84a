"""T8: odd pieces and floods; what a byte costs when there are many of them, next to when there are few."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.figures import Figure
from benchmarks.race import Times, figure, race
from benchmarks.streams import STREAMS, Stream, hear

FEW, MANY = 4 << 10, 256 << 10
_TIMES = 8
"""How often the few are heard, each time by another connection, because they are heard so fast."""


def linear(rounds: int) -> list[Figure]:
    return [_growth(stream, rounds) for stream in STREAMS]


def _growth(stream: Stream, rounds: int) -> Figure:
    few, many = stream.chunks(FEW), stream.chunks(MANY)

    def prepare(number: int) -> Mapping[str, Callable[[], object]]:
        small, large = [hear(few) for _ in range(_TIMES)], hear(many)

        def hear_many() -> None:
            if not (outcome := large()).startswith(stream.outcome):
                raise SystemExit(f"{stream.name} ended in {outcome}, not in {stream.outcome}")

        return {"4 KiB": lambda: [run() for run in small], "256 KiB": hear_many}

    times = race(rounds, prepare, 1)
    each = {"4 KiB": FEW * _TIMES / 1024, "256 KiB": MANY / 1024}
    by_kib = {name: Times([seconds / each[name] for seconds in found.rounds]) for name, found in times.items()}
    return figure("T8", f"{stream.name}: {stream.outcome}", by_kib, "256 KiB", "4 KiB", target=1.6)
