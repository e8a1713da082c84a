"""What the machines' runners need of anyio: tasks that end when their owner says so, and waiting for a change."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

from anyio import CancelScope, Event, create_task_group, move_on_after
from anyio.lowlevel import checkpoint, current_token


def this_loop() -> Callable[[Callable[[], object]], None]:
    """What calls a function soon in the running event loop, from any thread and from signal handlers.

    Where the function is called no task runs, and anyio's own functions cannot be relied on; setting an event works.
    """
    native = current_token().native_token
    call_soon: Callable[[Callable[[], object]], object]
    if isinstance(native, asyncio.AbstractEventLoop):
        call_soon = native.call_soon_threadsafe
    else:
        import trio

        assert isinstance(native, trio.lowlevel.TrioToken), "anyio has these two backends"
        call_soon = native.run_sync_soon

    def call(function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # The loop is over, and with it all that the call could be for.
            call_soon(function)

    return call


def this_task() -> object:
    """The task that runs, as its event loop knows it."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is not None:
        return task
    import trio

    return trio.lowlevel.current_task()


def asker_for_tasks() -> Callable[[], object]:
    """What gives the task that runs in this event loop: :func:`this_task` for who asks often, as its error is dear."""
    if isinstance(current_token().native_token, asyncio.AbstractEventLoop):
        return asyncio.current_task
    import trio

    return trio.lowlevel.current_task


class Changes:
    """Those who wait until something holds look again when they are told that something has changed."""

    def __init__(self) -> None:
        self._waiting: set[Callable[[], None]] = set()

    def tell(self) -> None:
        """Something has changed. From any thread."""
        for wake in tuple(self._waiting):
            wake()

    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until ``condition`` holds or ``timeout`` seconds are over; it may hold already."""
        call_soon = this_loop()
        with move_on_after(math.inf if timeout is None else timeout):
            while not condition():
                changed = Event()

                def wake(changed: Event = changed) -> None:
                    call_soon(changed.set)

                self._waiting.add(wake)
                try:
                    if not condition():  # Another thread may have been quicker.
                        await changed.wait()
                finally:
                    self._waiting.discard(wake)


class Inbox:
    """Calls from other threads and from callbacks, made in the task that does :meth:`work`, in their order."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._arrival = Event()
        self._call_soon = this_loop()

    def put(self, call: Callable[[], object]) -> None:
        """Let ``call`` be made soon; it must not raise. From any thread."""
        self._calls.append(call)
        self._call_soon(self._ring)

    def _ring(self) -> None:
        self._arrival.set()

    async def work(self) -> None:
        """Make them, for ever."""
        while True:
            await self._arrival.wait()
            self._arrival = Event()
            while self._calls:
                self._calls.popleft()()


class Tasks:
    """Tasks of one owner, which none of them outlives: leaving the block cancels them and waits until they are gone.

    Nothing else cancels them, not even what cancels the block around them: a goodbye can still be said then. So each
    has a scope of its own, which its owner may cancel. A task must not raise. What leaves the block leaves it bare.
    One that cannot be gone at once gives a way to ``end`` it soon, which then takes the place of cancelling it.
    """

    def __init__(self) -> None:
        self._group = create_task_group()
        self._ends: dict[CancelScope, Callable[[], object]] = {}
        self._ended = Changes()

    async def __aenter__(self) -> Tasks:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()
        self._group.cancel_scope.shield = True
        # The group is not told of `error`: it would wrap it.
        await self._group.__aexit__(None, None, None)

    def start(self, work: Callable[[], Awaitable[None]], *, end: Callable[[], object] | None = None) -> CancelScope:
        """Let ``work`` begin, not at once but soon; cancelling the scope ends it."""
        scope = CancelScope(shield=True)
        self._ends[scope] = end or scope.cancel
        self._group.start_soon(self._run, scope, work)
        return scope

    def cancel(self) -> None:
        """They have to end."""
        for end in tuple(self._ends.values()):
            end()

    async def gone(self, timeout: float) -> None:
        """Wait for so long until there is no task left."""
        await self._ended.until(lambda: not self._ends, timeout)

    async def _run(self, scope: CancelScope, work: Callable[[], Awaitable[None]]) -> None:
        try:
            with scope:
                await checkpoint()  # An eager task factory would begin it while a machine is being drained.
                await work()
        finally:
            del self._ends[scope]
            self._ended.tell()
