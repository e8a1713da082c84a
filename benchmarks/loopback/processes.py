"""The processes over sockets: one server, and clients that take their turn."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

SIZE = 700
"""Bytes of each event: a usual group message."""
SDKS = ("qq-botpy", "nonebot-adapter-qq")
_PYTHON_OF_SDKS = Path(sys.prefix, "sdks", "bin", "python")
"""In an environment of their own, which ``make bench`` makes."""

_PATIENCE = 300.0
"""Seconds that a client gets. Thousands of TLS handshakes take their time on both ends."""


class Refused(Exception):
    """A client could not be measured; why."""


class Server:
    """The server's process, and where it is."""

    def __init__(self, port: int, ca: Path | None) -> None:
        self._port = port
        self._ca = ca

    def cost(self, name: str, mode: str, count: int) -> dict[str, Any]:
        """What one client's process says of so many events."""
        module = "sdks" if name in SDKS else "clients"
        talk = "raw" if name.startswith(("floor", "aiohttp", "websockets")) else "qq"
        path = f"/{talk}/{mode}?size={SIZE}&count={count}"
        if mode != "single":
            return self.run(module, name, path, "--count", str(count))
        with tempfile.NamedTemporaryFile() as pace:
            pace.write(bytes(8))
            pace.flush()
            return self.run(module, name, f"{path}&pace={pace.name}", "--count", str(count), "--pace", pace.name)

    def run(self, module: str, name: str, path: str, *options: str) -> dict[str, Any]:
        """One client's process; what it printed."""
        scheme, trust = ("ws", []) if self._ca is None else ("wss", ["--ca", str(self._ca)])
        python = str(_PYTHON_OF_SDKS) if module == "sdks" else sys.executable
        command = [python, "-m", f"benchmarks.loopback.{module}", name]
        command += [f"{scheme}://127.0.0.1:{self._port}{path}", *options, *trust]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
        except OSError as error:
            raise Refused(f"not installed: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise Refused(f"not done in {_PATIENCE:.0f} s") from None
        if done.returncode:
            raise Refused((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
        values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return values


@contextmanager
def server(*, tls: bool = False) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        options, ca = [], None
        if tls:
            authority = trustme.CA()
            ca, certificate = Path(folder, "ca.pem"), Path(folder, "certificate.pem")
            authority.cert_pem.write_to_path(str(ca))
            authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
            options = ["--certificate", str(certificate)]
        command = [sys.executable, "-m", "benchmarks.loopback.server", *options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield Server(int(process.stdout.readline()), ca)
            finally:
                process.kill()


def in_turn(names: Sequence[str], round: int) -> list[str]:
    """Who begins changes from round to round."""
    shift = round % len(names)
    return [*names[shift:], *names[:shift]]
