"""What the tests of asyncio drivers share: an event loop per test, with a guard, that sees what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec

import pytest

P = ParamSpec("P")

GUARD = 60.0
"""Seconds after which a test that hangs is given up."""


def on_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in a fresh loop, in debug mode; no task and no timer may be left at its end.

    A socket that is left is a ResourceWarning, and that is an error here.
    """
    return _run(test, debug=True)


def on_quick_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The same without debug mode, which takes half of the time of a test that does little but talk to itself: for the
    many rows of a table."""
    return _run(test, debug=False)


def _run(test: Callable[P, Coroutine[Any, Any, None]], *, debug: bool) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **options: P.kwargs) -> None:
        async def main() -> None:
            async with nothing_left_behind(), no_task_left():
                await asyncio.wait_for(test(*args, **options), GUARD)

        asyncio.run(main(), debug=debug)
        gc.collect()

    return run


@contextlib.asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """Raises AssertionError if the block ends with a task, whoever made it, that it did not begin with."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() - before == set()


# Not the listener itself: it may be the local gateway's, whose half of a connection ends a moment after the bot's.
_OURS = re.compile(r"qqproto_transports[./]_(asyncio|anyio|text|webhook)")
"""In what asyncio says of a task or of a timer, or in the module of whose timer it is: a driver of ours."""


@contextlib.asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Raises AssertionError if the block ends with a task or a timer of the driver's that it did not begin with."""
    loop = asyncio.get_running_loop()

    def here() -> set[object]:
        # No public API lists the timers of a loop.
        timers = [timer for timer in getattr(loop, "_scheduled", []) if not timer.cancelled()]
        return {thing for thing in [*asyncio.all_tasks(), *timers] if _OURS.search(f"{thing!r} of {_owner(thing)}")}

    before = here()
    try:
        yield
    finally:
        assert here() - before == set()


def _owner(thing: object) -> str:
    """The module of the class whose method a timer calls."""
    return type(getattr(getattr(thing, "_callback", None), "__self__", None)).__module__


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
