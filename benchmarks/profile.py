"""What a dispatch costs layer by layer, from the socket to the application, next to the floor: read and JSON alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from benchmarks import in_memory, peers
from benchmarks.figures import Figure
from benchmarks.loopback.figures import BURST, SINGLE
from benchmarks.loopback.processes import in_turn, server
from benchmarks.peers import Run, live_shard
from benchmarks.race import Times
from qqproto.decoding import standard

SIZE = 700
IN_MEMORY = "JSON alone, in memory"
_ROUNDS_OVER_SOCKETS = 3


def profile(rounds: int) -> list[Figure]:
    """The layers in memory, then the whole over loopback sockets, in bursts and one event a wake-up."""
    layers = dict(_layers())
    times = in_memory.run_all({IN_MEMORY: peers.floor(), **layers}, SIZE, rounds)
    floor = times[IN_MEMORY]
    rows = []
    nothing = Times([0.0] * rounds)
    for before, name in pairwise([None, *layers]):
        assert name is not None
        less = nothing if before is None else times[before]
        own = Times([more - less for more, less in zip(times[name].rounds, less.rounds, strict=True)])
        rows.append(_row(name, own, times[name].best - less.best, floor, IN_MEMORY))
    last = times[next(reversed(layers))]
    return [*rows, _row("all of it in memory", last, last.best, floor, IN_MEMORY), *_over_sockets(last.best)]


def _row(what: str, own: Times, seconds: float, floor: Times, peer: str) -> Figure:
    _, low, high = own.ratio(floor)
    ratio = seconds / floor.best
    return Figure("profile", what, peer, "µs", seconds * 1e6, floor.best * 1e6, ratio, low, high)


# -- in memory: each goes one layer further than the one before ------------------------------------------------------


def _layers() -> Iterator[tuple[str, Run]]:
    yield "a call with the chunk", _each(lambda chunk: None)
    yield "UTF-8 and JSON, by our decoder", _each(lambda chunk: standard(chunk[4:]))
    yield "the conversation and the session: judged, noted, a Dispatch made, settled", _conversation()
    yield "the connection: the frame, when bytes came, whether the driver was late", _connection()
    yield "the shard: whose connection it is, what follows", _shard()
    yield "handing it out, and the end of the queue", _handed_out(timer=False)
    yield "the next timer", _handed_out(timer=True)


def _each(step: Callable[[bytes], object]) -> Run:
    def run(chunks: Sequence[bytes]) -> int:
        for chunk in chunks:
            step(chunk)
        return len(chunks)

    return run


def _conversation() -> Run:
    shard, _ = live_shard()
    receive_value = shard._talk.receive_value  # type: ignore[union-attr]  # it is live
    return _taken(shard, lambda chunk: receive_value(standard(payload := chunk[4:]), payload, 1.0))


def _connection() -> Run:
    shard, _ = live_shard()
    receive_data = shard._stream.receive_data  # type: ignore[union-attr]  # it is live
    return _taken(shard, lambda chunk: receive_data(chunk, 1.0))


def _taken(shard: Any, step: Callable[[bytes], object]) -> Run:
    """What comes out is taken from the queue by hand, and settled."""
    queue, settle = shard._queue, shard._live.settle

    def run(chunks: Sequence[bytes]) -> int:
        for chunk in chunks:
            step(chunk)
            settle(queue.popleft())
        return len(chunks)

    return run


def _shard() -> Run:
    shard, connection = live_shard()
    receive_data = shard.receive_data
    return _taken(shard, lambda chunk: receive_data(connection, chunk, 1.0))


def _handed_out(*, timer: bool) -> Run:
    shard, connection = live_shard()

    def run(chunks: Sequence[bytes]) -> int:
        for chunk in chunks:
            shard.receive_data(connection, chunk, 1.0)
            while shard.next_output() is not None:
                pass
            if timer:
                shard.next_timer()
        return len(chunks)

    return run


# -- over sockets ----------------------------------------------------------------------------------------------------


def _over_sockets(in_memory: float) -> Iterator[Figure]:
    """What the driver adds, with the operating system: the clients of T4 and T5, each a process of its own."""
    clients, peer = ("floor", "aiohttp", "asyncio-json"), "read and JSON alone"
    with server() as there:
        for mode, what, count in (("burst", "in bursts", BURST), ("single", "one event a wake-up", SINGLE)):
            costs: dict[str, list[float]] = {name: [] for name in clients}
            for number in range(_ROUNDS_OVER_SOCKETS):
                for name in in_turn(clients, number):
                    costs[name].append(there.cost(name, mode, count)["each"])
            floor, whole, other = (Times(costs[name]) for name in ("floor", "asyncio-json", "aiohttp"))
            driver = Times([seconds - in_memory for seconds in whole.rounds])
            yield _row(f"{what}: the driver and the system", driver, driver.best, floor, peer)
            yield _row(f"{what}: all of it", whole, whole.best, floor, peer)
            yield _row(f"{what}: aiohttp and json.loads", other, other.best, floor, peer)
