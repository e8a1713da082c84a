"""What the tests of asyncio drivers share: an event loop per test, with a guard, that sees what is left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec

import pytest

P = ParamSpec("P")

GUARD = 30.0
"""Seconds after which a test that hangs is given up."""


def on_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in a fresh loop, in debug mode; no task and no timer may be left at its end.

    A socket that is left is a ResourceWarning, and that is an error here.
    """

    @functools.wraps(test)
    def run(*args: P.args, **options: P.kwargs) -> None:
        async def main() -> None:
            await asyncio.wait_for(test(*args, **options), GUARD)
            await nothing_left()

        asyncio.run(main(), debug=True)
        gc.collect()

    return run


async def nothing_left() -> None:
    """Raises AssertionError if there are tasks but the caller's, or timers; what runs out by itself gets a moment."""
    loop = asyncio.get_running_loop()

    def left() -> list[object]:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        # No public API lists them. wait_for's own guard is the caller's.
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        return [*tasks, *(timer for timer in timers if "qqproto" in repr(timer))]

    assert left() == []


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; the guard of the test limits it."""
    while not condition():  # noqa: ASYNC110  # what it is about tells nobody
        await asyncio.sleep(0.005)


def open_files() -> list[int]:
    """The file descriptors of this process, where the system lists them."""
    listing = Path("/proc/self/fd")
    if not listing.exists():
        pytest.skip("this system does not list a process's file descriptors")
    return sorted(int(entry.name) for entry in listing.iterdir() if entry.exists())
