"""T10: what it takes to import the library, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.figures import Figure
from benchmarks.race import Times, figure

WSPROTO, AIOHTTP = "import wsproto", "import aiohttp"
PAIRS = [
    ("import qqproto", WSPROTO, 1.5),
    ("from qqproto import Shard", WSPROTO, None),
    ("from qqproto import *", WSPROTO, None),
    ("import qqproto_transports.asyncio", AIOHTTP, 1.0),
]
"""Ours, whose it is compared with, and the target. A name of qqproto's is imported when it is asked for."""

_PROGRAM = "import time; begin = time.process_time(); {}; print(time.process_time() - begin)"


def imports(rounds: int) -> list[Figure]:
    names = dict.fromkeys(name for ours, peer, _ in PAIRS for name in (ours, peer))
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            times[name].append(_seconds(name))
    best = {name: Times(rounds) for name, rounds in times.items()}
    return [figure("T10", ours, best, ours, peer, target=target, unit="ms") for ours, peer, target in PAIRS]


def _seconds(name: str) -> float:
    """Of the processor, with the bytecode cached."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM.format(name)], capture_output=True, text=True, check=True)
    return float(done.stdout)
