"""An event loop in a thread of its own, for stories that are told in plain functions."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import TypeVar, overload

T = TypeVar("T")

GUARD = 30.0
"""Seconds after which a story that hangs is given up."""


class LoopThread:
    """An event loop that runs in a thread for as long as the block lasts, inside of what ``around`` makes.

    What ``around`` raises, at its beginning or at its end, is raised here.
    """

    def __init__(self, around: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._around = around
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)

    def __enter__(self) -> LoopThread:
        self._thread.start()
        self._loop.result(GUARD)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.result().call_soon_threadsafe(self._over.set)
        self._ended.result(GUARD)
        self._thread.join(GUARD)

    @overload
    def do(self, function: Callable[[], Coroutine[object, object, T]]) -> T: ...
    @overload
    def do(self, function: Callable[[], T]) -> T: ...
    def do(self, function: Callable[[], object]) -> object:
        """Call ``function`` in the loop, wait for what it gives if that is awaitable, and return it."""

        async def call() -> object:
            result = function()
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(call(), self._loop.result()).result(GUARD)

    def _run(self) -> None:
        try:
            asyncio.run(self._main(), debug=True)
        except BaseException as error:
            for future in (self._loop, self._ended):
                if not future.done():
                    future.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _main(self) -> None:
        self._over = asyncio.Event()
        async with self._around():
            self._loop.set_result(asyncio.get_running_loop())
            await self._over.wait()
