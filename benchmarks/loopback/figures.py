"""T4, T5, T7, T9: over sockets, each client in a process of its own, in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from benchmarks.figures import Figure

SIZE = 700
BURST = 20_000
SINGLE = 3_000
PAIRS = 9


class Server:
    """The server's process, and where it is."""

    def __init__(self, port: int, ca: Path | None) -> None:
        self._port = port
        self._ca = ca

    def run(self, module: str, name: str, path: str, *options: str) -> dict[str, float]:
        """One client's process; what it printed."""
        scheme, trust = ("ws", []) if self._ca is None else ("wss", ["--ca", str(self._ca)])
        command = [sys.executable, "-m", f"benchmarks.loopback.{module}", name]
        command += [f"{scheme}://localhost:{self._port}{path}", *options, *trust]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return values


@contextmanager
def server(*, tls: bool) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        options, ca = [], None
        if tls:
            authority = trustme.CA()
            ca, certificate = Path(folder, "ca.pem"), Path(folder, "certificate.pem")
            authority.cert_pem.write_to_path(ca)
            authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
            options = ["--certificate", str(certificate)]
        command = [sys.executable, "-m", "benchmarks.loopback.server", *options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield Server(int(process.stdout.readline()), ca)
            finally:
                process.kill()


def burst(rounds: int) -> list[Figure]:
    """T4: as fast as they come."""
    clients = ["aiohttp", "websockets", "asyncio-json", "asyncio-msgspec", "aiohttp-uvloop", "uvloop-json",
               "trio-json", "sync-json"]  # fmt: skip
    with server(tls=False) as there:
        costs = _costs(there, clients, "burst", BURST)
    return [
        _compared("T4", "burst, asyncio, json", costs, "asyncio-json", "aiohttp", 1.0),
        _compared("T4", "burst, asyncio, json", costs, "asyncio-json", "websockets", 0.75),
        _compared("T4", "burst, asyncio, msgspec", costs, "asyncio-msgspec", "aiohttp", 0.55),
        _compared("T4", "burst, uvloop, json", costs, "uvloop-json", "aiohttp-uvloop", None),
        _compared("T4", "burst, trio, json", costs, "trio-json", "aiohttp", None),
        _compared("T4", "burst, sync, json", costs, "sync-json", "aiohttp", None),
    ]


def single(rounds: int) -> list[Figure]:
    """T5: one event a wake-up, a bot's real traffic."""
    clients = ["aiohttp", "asyncio-json", "trio-json", "sync-json", "aiohttp-uvloop", "uvloop-json"]
    with server(tls=False) as there:
        plain = _costs(there, clients, "single", SINGLE)
    with server(tls=True) as there:
        tls = _costs(there, clients[:3], "single", SINGLE)
    return [
        _compared("T5", "one a wake-up, asyncio", plain, "asyncio-json", "aiohttp", 0.95),
        _compared("T5", "one a wake-up, asyncio, TLS", tls, "asyncio-json", "aiohttp", 0.85),
        _compared("T5", "one a wake-up, trio", plain, "trio-json", "aiohttp", 1.2),
        _compared("T5", "one a wake-up, trio, TLS", tls, "trio-json", "aiohttp", None),
        _compared("T5", "one a wake-up, sync", plain, "sync-json", "aiohttp", None),
        _compared("T5", "one a wake-up, uvloop", plain, "uvloop-json", "aiohttp-uvloop", None),
    ]


def _costs(there: Server, clients: list[str], mode: str, count: int) -> dict[str, list[float]]:
    """Seconds of the processor for one event, by client; each round runs every client once, in turn."""
    costs: dict[str, list[float]] = {name: [] for name in clients}
    with tempfile.NamedTemporaryFile() as pace:
        for number in range(PAIRS):
            shift = number % len(clients)
            for name in clients[shift:] + clients[:shift]:
                pace.seek(0)
                pace.write(bytes(8))
                pace.flush()
                talk = "raw" if name.startswith(("aiohttp", "websockets")) else "qq"
                path = f"/{talk}/{mode}?size={SIZE}&count={count}&pace={pace.name}"
                options = ["--count", str(count), *(["--pace", pace.name] if mode == "single" else [])]
                costs[name].append(there.run("clients", name, path, *options)["each"])
    return costs


def _compared(
    name: str, what: str, costs: dict[str, list[float]], ours: str, peer: str, target: float | None
) -> Figure:
    """The median of the pairs."""
    ratios = sorted(mine / theirs for mine, theirs in zip(costs[ours], costs[peer], strict=True))
    return Figure(
        name, what, peer, "µs", statistics.median(costs[ours]) * 1e6, statistics.median(costs[peer]) * 1e6,
        statistics.median(ratios), ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10], target,
    )  # fmt: skip


def memory(rounds: int) -> list[Figure]:
    """T7: what an idle connection takes, in KB, beyond what the first ten took."""
    figures = []
    for tls, target in ((False, 0.75), (True, 0.2)):
        with server(tls=tls) as there:
            for count in (1000, 5000):
                took = {
                    name: there.run("idle", name, f"/{talk}/idle", "--count", str(count))["bytes"] / 1000
                    for name, talk in (("qqproto", "qq"), ("aiohttp", "raw"), ("websockets", "raw"))
                }
                what = f"{count:,} idle connections{', TLS' if tls else ''}"
                figures += [_once("T7", what, took, peer, "KB", target) for peer in ("aiohttp", "websockets")]
    return figures


def idle(rounds: int) -> list[Figure]:
    """T9: what a thousand live connections take of a processor, in percent, over two heartbeats."""
    with server(tls=False) as there:
        took = {
            name: there.run("idle", name, f"/{talk}/idle", "--count", "1000", "--seconds", "82.5")["share"] * 100
            for name, talk in (("qqproto", "qq"), ("aiohttp", "raw"))
        }
    return [_once("T9", "1,000 live connections", took, "aiohttp", "%", 1.0)]


def _once(name: str, what: str, took: dict[str, float], peer: str, unit: str, target: float) -> Figure:
    ratio = took["qqproto"] / took[peer]
    return Figure(name, what, peer, unit, took["qqproto"], took[peer], ratio, ratio, ratio, target)
