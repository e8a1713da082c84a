"""Shards in text messages on asyncio, over a WebSocket client of the host's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from qqproto.actions import OpenConnection
from qqproto.events import Event
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._asyncio_runners import AsyncioAccountRunner, AsyncioShardRunner
from qqproto_transports._common import TextDialer, TextSocket
from qqproto_transports._egress import Egress
from qqproto_transports._journal import Journal
from qqproto_transports._text import LEAVE_WITHIN, TextListener, TextRunner, TextStreamCore


class AsyncioTextRunner(TextRunner, AsyncioShardRunner):
    """Drives a Shard in framing TEXT; each connection is an :class:`AsyncioTextStream`."""

    __slots__ = ("_dialer",)

    def __init__(
        self,
        shard: Shard,
        account: AsyncioAccountRunner,
        journal: Journal,
        tell: Callable[[Event], None],
        drained: Callable[[], None],
        egress: Egress,
        policy: Policy,
        *,
        dialer: TextDialer,
    ) -> None:
        super().__init__(shard, account, journal, tell, drained, egress, policy)
        self._dialer = dialer

    def _open_stream(self, action: OpenConnection) -> AsyncioTextStream:
        return AsyncioTextStream(self, action, self._dialer, self._policy)


class AsyncioTextListener(TextListener, Protocol):
    """Who is told of a stream, and besides when there is nothing left of it."""

    def stream_finished(self, id: int) -> None: ...


class AsyncioTextStream(TextStreamCore):
    """A WebSocket as a task, which dials, and while it is open has one that reads and one that writes."""

    def __init__(
        self, runner: AsyncioTextListener, opening: OpenConnection, dialer: TextDialer, policy: Policy
    ) -> None:
        super().__init__(runner, opening, dialer, policy)
        self._told_last = runner
        loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._leaving: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(self._gone)

    # -- what the runner asks -------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _gone(self, _: asyncio.Task[None]) -> None:
        """The task is over."""
        self._told_last.stream_finished(self.id)
        self.finished.set_result(None)

    async def _run(self) -> None:
        await asyncio.sleep(0)  # An eager task factory would begin it while the machine is being drained.
        await self._live()

    async def _talk(self, socket: TextSocket) -> list[Exception]:
        loop = asyncio.get_running_loop()
        halves = loop.create_task(self._read(socket)), loop.create_task(self._write(socket))
        try:
            await asyncio.wait([*halves, self._leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in halves:
                task.cancel()
            await asyncio.wait(halves)
        ends = [task.exception() for task in halves if not task.cancelled()]
        return [end for end in ends if isinstance(end, Exception)]

    async def _await_leave_to_read(self) -> None:
        await self._may_read.wait()

    async def _await_work(self) -> None:
        while not self._has_work():
            self._news.clear()
            await self._news.wait()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> bool:
        task = asyncio.get_running_loop().create_task(work)
        in_time: set[asyncio.Task[None]] = set()
        try:
            in_time, _ = await asyncio.wait([task], timeout=seconds)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            error = None if task.cancelled() else task.exception()
        if in_time and error is not None:
            raise error
        return bool(in_time)

    def _wake_writer(self) -> None:
        self._news.set()

    def _hang_up(self) -> None:
        self._task.cancel()

    def _hurry(self) -> None:
        self._leaving.set_result(None)
        timer = asyncio.get_running_loop().call_later(LEAVE_WITHIN, self._task.cancel)
        self._task.add_done_callback(lambda _: timer.cancel())
