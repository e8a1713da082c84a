"""``make bench``: qqproto next to named peers on the same work, as ratios within one run."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterable

from benchmarks import in_memory
from benchmarks.figures import Figure, Missing, as_json, as_table
from benchmarks.imports import imports
from benchmarks.linear import linear
from benchmarks.loopback import figures as loopback
from benchmarks.profile import profile
from benchmarks.sessions import saving
from benchmarks.simulated import simulated
from benchmarks.work import SIZES

_FEW = 3
"""Rounds of what takes long."""

Measurement = Callable[[int], Iterable[Figure | Missing]]
"""Takes how many rounds to run."""


def _each_size(measure: Callable[[int, int], list[Figure]]) -> Measurement:
    return lambda rounds: (figure for size in SIZES for figure in measure(size, rounds))


MEASUREMENTS: dict[str, Measurement] = {
    "T1": _each_size(in_memory.messages),
    "T3": _each_size(in_memory.codec),
    "T4": loopback.burst,
    "T5": loopback.single,
    "T6": loopback.sdks,
    "T7": lambda rounds: loopback.memory(),
    "T8": lambda rounds: linear(min(rounds, 2 * _FEW)),
    "T9": loopback.held,
    "T10": imports,
    "T11": lambda rounds: simulated(min(rounds, _FEW)),
    "profile": profile,
    "saving": lambda rounds: saving(min(rounds, _FEW)),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"what to measure: {', '.join(MEASUREMENTS)}; everything by default")
    parser.add_argument("--rounds", type=int, default=31, help="rounds a measurement (default 31)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    figures: list[Figure | Missing] = []
    for name in options.names or MEASUREMENTS:
        if name not in MEASUREMENTS:
            parser.error(f"there is no {name}")
        print(f"measuring {name} ...", file=sys.stderr)
        figures += MEASUREMENTS[name](options.rounds)
    if options.json:
        print(as_json(figures))
    else:
        print(
            f"CPython {platform.python_version()}. ratio = ours / the peer's, as benchmarks/README.md has it; *: missed"
        )
        print(as_table(figures))


if __name__ == "__main__":
    main()
