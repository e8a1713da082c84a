"""A deadline for whatever is awaited, on every Python alike."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, coming: Coroutine[Any, Any, T]) -> T:
    """What ``coming`` returns. Raises :class:`TimeoutError` if that takes longer; nothing of it is left then.

    ``asyncio.wait_for`` would do, but until Python 3.11 it may swallow a cancellation, and Ctrl-C is one.
    """
    task = asyncio.ensure_future(coming)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # Nobody else asks for it.
