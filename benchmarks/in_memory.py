"""T1, T2, T3: from bytes to dispatches, in memory, one frame a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from benchmarks import peers
from benchmarks.figures import Figure
from benchmarks.peers import Run
from benchmarks.race import Times, figure, race
from benchmarks.work import dispatch, frame
from qqproto import lazy

_BYTES_A_ROUND = 1 << 18


def run_all(entrants: Mapping[str, Run], size: int, rounds: int) -> dict[str, Times]:
    """Everybody gets the same new dispatches, a round's worth of them."""
    count = max(40, _BYTES_A_ROUND // size)

    def prepare(number: int) -> Mapping[str, Callable[[], object]]:
        first = 2 + number * count
        chunks = [frame(dispatch(size, sequence)) for sequence in range(first, first + count)]

        def checked(name: str, run: Run) -> None:
            if (came := run(chunks)) != count:
                raise SystemExit(f"{name} gave {came} of {count} dispatches")

        return {name: partial(checked, name, run) for name, run in entrants.items()}

    return race(rounds, prepare, count)


def messages(size: int, rounds: int) -> list[Figure]:
    """T1 and T2: through the whole library, from bytes to the Dispatch handed out, settled and counted."""
    times = run_all(
        {
            "floor": peers.floor(),
            "msgspec alone": peers.msgspec_floor(),
            "aiohttp + json.loads": peers.aiohttp(),
            "websockets + json.loads": peers.websockets(),
            "wsproto + json.loads": peers.wsproto(),
            "json": peers.qqproto(),
            "msgspec": peers.qqproto(msgspec.json.decode),
            "skipped by msgspec": peers.unread_floor(),
            "unread": peers.qqproto(lazy.loads),
        },
        size,
        rounds,
    )
    what, aiohttp, websockets = f"{size} B, json", "aiohttp + json.loads", "websockets + json.loads"
    return [
        figure("T1", what, times, "json", aiohttp, target=0.85, floor="floor"),
        figure("T1", what, times, "json", websockets, target=0.70, floor="floor"),
        figure("T1", what, times, "json", "wsproto + json.loads", floor="floor"),
        figure("T2", f"{size} B, msgspec", times, "msgspec", aiohttp, target=0.45, floor="msgspec alone"),
        figure("T2", f"{size} B, left unread", times, "unread", aiohttp, target=0.35, floor="skipped by msgspec"),
    ]


def codec(size: int, rounds: int) -> list[Figure]:
    """T3: the WebSocket alone, to texts; and to bytes, which is how far it goes in the library."""
    times = run_all(
        {
            "floor": peers.codec_floor(),
            "wsproto": peers.wsproto_codec(),
            "lane": peers.lane(),
            "lane, bytes": peers.lane(decoded=False),
        },
        size,
        rounds,
    )
    return [
        figure("T3", f"{size} B, WebSocket alone, to texts", times, "lane", "wsproto", target=0.20, floor="floor"),
        figure("T3", f"{size} B, WebSocket alone, to bytes", times, "lane, bytes", "wsproto"),
    ]
