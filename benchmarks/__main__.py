"""``make bench``: qqproto against named peers on the same bytes, as ratios within one run."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import sessions
from benchmarks.peers import PEERS, Run
from benchmarks.work import SIZES, dispatch, frame

_BYTES_A_ROUND = 1 << 20
_SESSION_ROUNDS = 3


@dataclass
class Row:
    """One peer at one size: µs a dispatch, and our time divided by its time, with the spread over the rounds."""

    size: int
    peer: str
    microseconds: float
    ratio: float
    low: float
    high: float


def measure(size: int, rounds: int) -> list[Row]:
    """Each round runs every peer once, in turn, so that a slow moment of the machine hits all alike."""
    count = max(20, _BYTES_A_ROUND // size)
    sequence = 2
    runs: dict[str, Run] = {}
    times: dict[str, list[float]] = {name: [] for name in PEERS}
    first = [frame(dispatch(size, number)) for number in range(2, 2 + count)]
    for name, make in PEERS.items():
        runs[name] = make(first)
    for _ in range(rounds + 1):
        chunks = [frame(dispatch(size, number)) for number in range(sequence, sequence + count)]
        sequence += count
        for name, run in runs.items():
            times[name].append(_time(run, chunks))
    ours = times["qqproto"][1:]
    return [_row(size, name, times[name][1:], ours, count) for name in PEERS]


def _time(run: Run, chunks: Sequence[bytes]) -> float:
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        count = run(chunks)
        elapsed = time.perf_counter() - begin
    finally:
        gc.enable()
    if count != len(chunks):
        raise SystemExit(f"{run.__qualname__} gave {count} of {len(chunks)} dispatches")
    return elapsed


def _row(size: int, name: str, theirs: Sequence[float], ours: Sequence[float], count: int) -> Row:
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Row(
        size=size,
        peer=name,
        microseconds=statistics.median(theirs) / count * 1e6,
        ratio=statistics.median(ratios),
        low=ratios[len(ratios) // 10],
        high=ratios[-1 - len(ratios) // 10],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds a size (default 15)")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="bytes of a dispatch")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        print(f"measuring {size}-byte dispatches, {options.rounds} rounds …", file=sys.stderr)
        rows += measure(size, options.rounds)
    print(f"measuring settlement and saving, {_SESSION_ROUNDS} rounds …", file=sys.stderr)
    costs = sessions.measure(_SESSION_ROUNDS)
    if options.json:
        about = {"python": platform.python_version(), "machine": platform.machine(), "rounds": options.rounds}
        print(json.dumps({**about, "rows": _plain(rows), "sessions": _plain(costs)}, indent=1))
        return
    print(f"In memory, one frame a chunk, CPython {platform.python_version()}, medians of {options.rounds} rounds.")
    print("ratio = qqproto's time ÷ the peer's; spread = its 10th to 90th percentile.\n")
    print(f"{'bytes':>6}  {'peer':<26} {'µs':>8}  {'ratio':>6}  spread")
    for row in rows:
        print(
            f"{row.size:>6}  {row.peer:<26} {row.microseconds:>8.2f}  {row.ratio:>6.2f}  {row.low:.2f}-{row.high:.2f}"
        )
    print("\nOn loopback sockets, the asyncio driver: µs of CPU time an event, all threads of the bot's process.")
    print("ratio = with a SQLite store ÷ without.\n")
    print(sessions.table(costs))


def _plain(rows: Sequence[Row] | Sequence[sessions.Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


if __name__ == "__main__":
    main()
