"""Waiting on asyncio until something is so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Those who wait for a condition look again whenever something has changed."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def changed(self) -> None:
        """Something happened. From any thread."""
        for waiter in self._waiters:
            waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until ``condition`` holds or the time is up."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while not condition():
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return
            waiter = loop.create_future()
            self._waiters.append(waiter)
            try:
                if not condition():  # Another thread may have been quicker.
                    await asyncio.wait([waiter], timeout=left)
            finally:
                self._waiters.remove(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
