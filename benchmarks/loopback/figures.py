"""T4, T5, T6, T7, T9: over sockets, each client in a process of its own, in turn."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.figures import Figure, Missing
from benchmarks.loopback.processes import SDKS, Refused, Server, in_turn, server

PAIRS = 9
BURST = 20_000
SINGLE = 1_500
SLOW_BURST = 1_000
"""For who takes a hundred times as long."""
IDLE = (1_000, 5_000)
HELD = 1_000
WINDOW = 41.25
"""Seconds: one interval, in which each connection has one heartbeat."""

Costs = Mapping[str, Sequence[float]]
"""Of each client, round by round."""


def burst(rounds: int) -> list[Figure]:
    """T4: as fast as they come."""
    peers = ["floor", "floor-msgspec", "aiohttp", "aiohttp-uvloop", "websockets"]
    ours = ["asyncio-json", "asyncio-msgspec", "uvloop-json", "trio-json", "sync-json"]
    with server() as there:
        costs = _costs(there, peers + ours, "burst", BURST, rounds)
    return [
        _compared("T4", "burst, asyncio, json", costs, "asyncio-json", "aiohttp", target=1.0, floor="floor"),
        _compared("T4", "burst, asyncio, json", costs, "asyncio-json", "websockets", target=0.75, floor="floor"),
        _compared("T4", "burst, asyncio, msgspec", costs, "asyncio-msgspec", "aiohttp", 0.55, "floor-msgspec"),
        _compared("T4", "burst, uvloop, json", costs, "uvloop-json", "aiohttp-uvloop"),
        _compared("T4", "burst, trio, json", costs, "trio-json", "aiohttp"),
        _compared("T4", "burst, threads, json", costs, "sync-json", "aiohttp"),
    ]


def single(rounds: int) -> list[Figure]:
    """T5: one event a wake-up, a bot's real traffic."""
    clients = ["floor", "aiohttp", "asyncio-json", "trio-json"]
    with server() as there:
        plain = _costs(there, [*clients, "sync-json", "aiohttp-uvloop", "uvloop-json"], "single", SINGLE, rounds)
    with server(tls=True) as there:
        tls = _costs(there, clients, "single", SINGLE, rounds)
    return [
        _compared("T5", "one a wake-up, asyncio", plain, "asyncio-json", "aiohttp", target=0.95, floor="floor"),
        _compared("T5", "one a wake-up, asyncio, TLS", tls, "asyncio-json", "aiohttp", target=0.85, floor="floor"),
        _compared("T5", "one a wake-up, trio", plain, "trio-json", "aiohttp", target=1.2),
        _compared("T5", "one a wake-up, trio, TLS", tls, "trio-json", "aiohttp"),
        _compared("T5", "one a wake-up, threads", plain, "sync-json", "aiohttp"),
        _compared("T5", "one a wake-up, uvloop", plain, "uvloop-json", "aiohttp-uvloop"),
    ]


def sdks(rounds: int) -> list[Figure | Missing]:
    """T6: against whole SDKs, on the same burst."""
    figures: list[Figure | Missing] = []
    for sdk in SDKS:
        slow = sdk == "nonebot-adapter-qq"
        count, most = (SLOW_BURST, 3) if slow else (BURST, PAIRS)
        ours = {"asyncio-json": None if slow else 0.45, "asyncio-msgspec": None if slow else 0.25}
        with server() as there:
            try:
                version = there.cost(sdk, "burst", 10)["version"]
                costs = _costs(there, [sdk, *ours], "burst", count, min(rounds, most))
            except Refused as why:
                figures.append(Missing("T6", "burst", sdk, str(why)))
                continue
        for name, target in ours.items():
            figure = _compared("T6", f"burst, {name.replace('-', ', ')}", costs, name, sdk, target)
            figure.peer = f"{sdk} {version}"
            figures.append(figure)
    return figures


def memory() -> list[Figure]:
    """T7: what an idle connection takes, beyond what the first ten took."""
    figures = []
    for tls, target in ((False, 0.75), (True, 0.2)):
        for count in IDLE:
            took = {}
            for name in ("qqproto", "aiohttp", "websockets"):
                with server(tls=tls) as there:
                    took[name] = _idle(there, name, count)["bytes"] / 1000
            what = f"{count:,} idle connections{', TLS' if tls else ''}"
            figures += [_once("T7", what, took, peer, "KB", target) for peer in ("aiohttp", "websockets")]
    return figures


def held(rounds: int) -> list[Figure]:
    """T9: what a thousand live connections take of a processor, in percent."""
    costs: dict[str, list[float]] = {"qqproto": [], "aiohttp": []}
    with server() as there:
        for number in range(min(rounds, 2)):
            for name in in_turn(list(costs), number):
                costs[name].append(_idle(there, name, HELD, "--seconds", str(WINDOW))["share"])
    return [_compared("T9", f"{HELD:,} connections, a heartbeat each 41 s", costs, "qqproto", "aiohttp", 1.0, unit="%")]


def _costs(there: Server, clients: Sequence[str], mode: str, count: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of the processor for one event, by client; each round runs every client once, in turn."""
    costs: dict[str, list[float]] = {name: [] for name in clients}
    for number in range(min(rounds, PAIRS)):
        for name in in_turn(clients, number):
            costs[name].append(there.cost(name, mode, count)["each"])
    return costs


def _idle(there: Server, name: str, count: int, *options: str) -> dict[str, float]:
    path = "/qq/idle" if name == "qqproto" else "/raw/idle"
    return there.run("idle", name, path, "--count", str(count), *options)


def _compared(
    name: str,
    what: str,
    costs: Costs,
    ours: str,
    peer: str,
    target: float | None = None,
    floor: str | None = None,
    *,
    unit: str = "µs",
) -> Figure:
    """The median of the pairs: of each the two ran one soon after the other."""
    scale = {"µs": 1e6, "%": 100.0}[unit]
    mine, theirs = costs[ours], costs[peer]
    ratios = _ratios(mine, theirs)
    return Figure(
        name, what, peer, unit, statistics.median(mine) * scale, statistics.median(theirs) * scale,
        statistics.median(ratios), ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10], target,
        None if floor is None else statistics.median(_ratios(costs[floor], theirs)),
    )  # fmt: skip


def _ratios(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return sorted(one / other for one, other in zip(mine, theirs, strict=True))


def _once(name: str, what: str, took: Mapping[str, float], peer: str, unit: str, target: float) -> Figure:
    ratio = took["qqproto"] / took[peer]
    return Figure(name, what, peer, unit, took["qqproto"], took[peer], ratio, ratio, ratio, target)
