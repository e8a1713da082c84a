"""The drivers under test, each behind a few verbs that a story in plain functions can use."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, Protocol

import anyio
from anyio.from_thread import start_blocking_portal

import qqproto_transports.asyncio
import qqproto_transports.sync
import qqproto_transports.trio
from qqproto import Dispatch, Event, Session, Status, Stopped
from tests.scenarios.threads import GUARD, LoopThread
from tests.transports.loops import no_task_left, nothing_left_behind

PAUSE = 0.005
"""Seconds between two looks at something that tells nobody."""


class Gateway(Protocol):
    """What the gateways of all drivers have in common, and what is the same in each thread."""

    account: Any

    @property
    def connected(self) -> bool: ...
    @property
    def online(self) -> bool: ...
    @property
    def stopped(self) -> Stopped | None: ...
    @property
    def session(self) -> Session | None: ...
    def status(self) -> tuple[Status, ...]: ...
    def settle(self, dispatch: Dispatch) -> None: ...
    def close(self) -> None: ...


class Life(Protocol):
    """A bot, for the driver that lets it live: each event is given to ``take``, and no other while it is ``busy``.

    What ``take`` returns is awaited, where drivers await, if it can be.
    """

    @property
    def gateway(self) -> Any: ...
    @property
    def busy(self) -> bool: ...
    def entered(self) -> None: ...
    def take(self, event: Event) -> object: ...
    def left(self, error: BaseException | None) -> None: ...


class Driver(ABC):
    """A driver at work: its event loop in a thread, or its threads, for as long as the block lasts.

    ``module`` is its public module. ``has_loop``: a handler that blocks, blocks the driver as well, and a body can be
    cancelled.
    """

    name: str
    module: ModuleType
    has_loop = True

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    @abstractmethod
    def spawn(self, life: Life) -> None:
        """Let a bot live: enter its gateway, iterate, leave. Returns at once."""

    @abstractmethod
    def call(self, function: Callable[[], Any]) -> Any:
        """Call ``function`` where bots live, wait for what it gives if that is awaitable, and return it."""

    def cancel(self, life: Life) -> None:
        """Cancel the bot's body, in a driver that knows of cancellation."""
        raise NotImplementedError

    def closing(self, gateway: Any, timeout: float) -> object:
        """Say goodbye, and wait for its end: to be called, and awaited where drivers await, where bots live."""
        return gateway.aclose(timeout)


class AsyncioDriver(Driver):
    """All bots are tasks of one event loop, at whose end nothing of them may be left."""

    name = "asyncio"
    module = qqproto_transports.asyncio

    def __init__(self) -> None:
        self._thread = LoopThread(self._see_that_nothing_is_left)
        self._tasks: dict[Life, asyncio.Task[None]] = {}

    def __enter__(self) -> AsyncioDriver:
        self._thread.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.__exit__(*exc)

    def spawn(self, life: Life) -> None:
        def begin() -> None:
            self._tasks[life] = asyncio.get_running_loop().create_task(self._live(life))

        self._thread.do(begin)

    def call(self, function: Callable[[], Any]) -> Any:
        return self._thread.do(function)

    def cancel(self, life: Life) -> None:
        self._thread.do(self._tasks[life].cancel)

    async def _live(self, life: Life) -> None:
        try:
            async with life.gateway as gateway:
                life.entered()
                async for event in gateway:
                    taken = life.take(event)
                    if inspect.isawaitable(taken):
                        await taken
                    while life.busy:  # noqa: ASYNC110  # a story in another thread says when it is not
                        await asyncio.sleep(PAUSE)
        except BaseException as error:
            life.left(error)
        else:
            life.left(None)

    @asynccontextmanager
    async def _see_that_nothing_is_left(self) -> AsyncIterator[None]:
        async with nothing_left_behind(), no_task_left():
            yield
            if self._tasks:
                await asyncio.wait(self._tasks.values())


class TrioDriver(Driver):
    """All bots are tasks of one trio, which ends when nothing of them is left."""

    name = "trio"
    module = qqproto_transports.trio
    backend = "trio"

    def __init__(self) -> None:
        self._thread = start_blocking_portal(self.backend)
        self._tasks: dict[Life, Future[None]] = {}

    def __enter__(self) -> TrioDriver:
        self._portal = self._thread.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.__exit__(None, None, None)

    def spawn(self, life: Life) -> None:
        self._tasks[life] = self._portal.start_task_soon(self._live, life)

    def call(self, function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            result = function()
            return await result if inspect.isawaitable(result) else result

        return self._portal.start_task_soon(call).result(GUARD)

    def cancel(self, life: Life) -> None:
        self._tasks[life].cancel()

    async def _live(self, life: Life) -> None:
        try:
            async with life.gateway as gateway:
                life.entered()
                async for event in gateway:
                    taken = life.take(event)
                    if inspect.isawaitable(taken):
                        await taken
                    while life.busy:  # noqa: ASYNC110  # a story in another thread says when it is not
                        await anyio.sleep(PAUSE)
        except BaseException as error:
            life.left(error)
            if not isinstance(error, Exception):
                raise
        else:
            life.left(None)


class AnyioDriver(TrioDriver):
    """The same driver in an anyio program on asyncio."""

    name = "anyio"
    backend = "asyncio"


class SyncDriver(Driver):
    """Each bot is iterated in a thread of its own, which ends with it, and with which the driver's own has ended."""

    name = "sync"
    module = qqproto_transports.sync
    has_loop = False

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def __exit__(self, *exc: object) -> None:
        for thread in self._threads:
            thread.join(GUARD)

    def spawn(self, life: Life) -> None:
        thread = threading.Thread(target=self._live, args=[life], name=f"{self.name} bot")
        self._threads.append(thread)
        thread.start()

    def call(self, function: Callable[[], Any]) -> Any:
        return function()

    def closing(self, gateway: Any, timeout: float) -> object:
        gateway.shut(timeout)
        return None

    def _live(self, life: Life) -> None:
        try:
            with life.gateway as gateway:
                life.entered()
                for event in gateway:
                    life.take(event)
                    while life.busy:
                        time.sleep(PAUSE)
        except BaseException as error:
            life.left(error)
        else:
            life.left(None)


DRIVERS: list[type[Driver]] = [AsyncioDriver, TrioDriver, SyncDriver]


def eventually(condition: Callable[[], object], within: float = GUARD) -> None:
    """Wait until ``condition`` holds; the guard is for what never happens."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"it never came: {condition}"
        time.sleep(PAUSE)
