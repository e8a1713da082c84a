"""The real command line as a process, for tests: its lines are read as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from qqproto_transports.local_gateway import LocalGateway
from tests.transports.loops import eventually

ROOT = Path(__file__).parent.parent.parent
MODULE = ("-W", "error", "-m", "qqproto_transports")

if sys.platform == "win32":
    # No signal there can be sent to a process but Ctrl-Break, and that only to the leader of a group.
    GENTLE, GROUP = signal.CTRL_BREAK_EVENT, subprocess.CREATE_NEW_PROCESS_GROUP
else:
    GENTLE, GROUP = None, 0


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any bot's settings, with both packages, and with ``settings``."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QQ_")}
    paths = [str(ROOT), str(ROOT / "transports"), *filter(None, [clean.get("PYTHONPATH")])]
    return {**clean, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8", **(settings or {})}


def settings_of(gateway: LocalGateway) -> dict[str, str]:
    """What leads `qqproto listen` to ``gateway``."""
    return {
        "QQ_APP_ID": gateway.credentials.app_id,
        "QQ_SECRET": gateway.credentials.secret,
        "QQ_TOKEN_URL": gateway.endpoints.token_url,
        "QQ_API_BASE": gateway.endpoints.api_base,
    }


class Command:
    """A process that runs; ``lines`` is what it has written to standard output, ``errors`` to standard error."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            asyncio.ensure_future(_read(process.stdout, self.lines)),
            asyncio.ensure_future(_read(process.stderr, self.errors)),
        ]

    async def line(self, wanted: str) -> str:
        """The first line of standard output that holds ``wanted``, waited for."""

        def found() -> list[str]:
            return [line for line in self.lines if wanted in line]

        await eventually(lambda: found() or self._process.returncode is not None)
        for reader in self._readers if not found() else ():
            await asyncio.wait([reader])
        assert found(), f"ended without a line with {wanted!r}: {self.lines} {self.errors}"
        return found()[0]

    def records(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.lines]

    async def record(self, fits: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first JSON line that fits, waited for."""
        await eventually(lambda: any(fits(record) for record in self.records()) or self._process.returncode is not None)
        return next(record for record in self.records() if fits(record))

    async def type(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    def ask_to_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal, or what comes closest to it."""
        self._process.send_signal(GENTLE or number)

    async def end(self) -> int:
        """Wait for its end; returns the exit code."""
        code = await self._process.wait()
        await asyncio.wait(self._readers)
        return code

    async def abandon(self) -> None:
        """Leave nothing of it behind."""
        if self._process.returncode is None:
            self._process.kill()
        await self.end()
        if self._process.stdin is not None:
            self._process.stdin.close()


async def _read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode("utf-8").rstrip("\r\n"))


@contextlib.asynccontextmanager
async def launched(*argv: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Command]:
    """Any program, as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *argv, env=environment(settings), stdin=PIPE, stdout=PIPE, stderr=PIPE, creationflags=GROUP
    )
    command = Command(process)
    try:
        yield command
    finally:
        await command.abandon()


def running(*args: str, settings: Mapping[str, str] | None = None) -> contextlib.AbstractAsyncContextManager[Command]:
    """The command line with ``args``, as long as the block lasts."""
    return launched(sys.executable, *MODULE, *args, settings=settings)


def run(
    *args: str, settings: Mapping[str, str] | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run the command line with ``args`` to its end, which has to come within ``timeout`` seconds."""
    return subprocess.run(
        [sys.executable, *MODULE, *args],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )
