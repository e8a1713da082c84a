"""The machines' runners on asyncio: alarms, HTTP exchanges as tasks, streams, and a way to end them all together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from qqproto.account import Account
from qqproto.actions import OpenConnection, SendRequest
from qqproto.events import Event
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._account_runner import AccountRunner, Asker
from qqproto_transports._async_gateway import AsyncCrew
from qqproto_transports._asyncio_alarm import Alarm, Watch
from qqproto_transports._asyncio_stream import AsyncioStream
from qqproto_transports._changes import Changes
from qqproto_transports._common import HTTPExchange
from qqproto_transports._egress import Egress
from qqproto_transports._journal import Journal
from qqproto_transports._shard_runner import ShardRunner

_LAST_RITES = 1.0
"""Seconds that cancelled tasks and aborted sockets get to be gone; they need a turn or two of the loop."""


class AsyncioAccountRunner(AccountRunner):
    """Drives an Account; each exchange is a task, which ends when nobody waits for it any more."""

    def __init__(self, account: Account, clock: Callable[[], float], exchange: HTTPExchange) -> None:
        super().__init__(account, clock)
        self._exchange = exchange
        self._alarm = Alarm(clock, self.handle_timer)
        self.watch = Watch(clock)
        """Of the shards that it serves."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, asker: Asker) -> None:
        loop = asyncio.get_running_loop()
        if self._askers and loop is not self._loop:
            raise RuntimeError("a BotAccount can serve one event loop at a time, and another one uses it now")
        self._loop = loop
        super().attach(asker)

    async def calm(self) -> None:
        """Wait until the tasks that nobody waits for are gone."""
        tasks = self._tasks.difference(self._running.values(), (asyncio.current_task(),))
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_RITES)

    def _begin(self, action: SendRequest) -> None:
        task = asyncio.get_running_loop().create_task(self._make(action))
        self._running[action.id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel(self, id: int) -> None:
        task = self._running.pop(id, None)
        if task is not None:
            task.cancel()

    def _set_alarm(self, at: float | None) -> None:
        self._alarm.set(at)

    async def _make(self, action: SendRequest) -> None:
        await asyncio.sleep(0)  # An eager task factory would begin it while the machine is being drained.
        try:
            response = await self._exchange(action.request)
        except Exception as error:
            if self._running.pop(action.id, None):
                self.request_failed(action.id, error)
        else:
            if self._running.pop(action.id, None):
                self.response_received(action.id, response)


class Unfinished(Protocol):
    """A :class:`~qqproto_transports._shard_runner.Stream` that says when nothing is left of it."""

    @property
    def id(self) -> int: ...
    @property
    def finished(self) -> asyncio.Future[None]: ...

    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class AsyncioShardRunner(ShardRunner):
    """Drives a Shard; each connection is an :class:`AsyncioStream`."""

    __slots__ = ("_alarm", "_egress", "_policy", "unfinished")

    def __init__(
        self,
        shard: Shard,
        account: AsyncioAccountRunner,
        journal: Journal,
        tell: Callable[[Event], None],
        drained: Callable[[], None],
        egress: Egress,
        policy: Policy,
    ) -> None:
        super().__init__(shard, account, journal, tell, drained)
        self._egress = egress
        self._policy = policy
        self._alarm = Alarm(account.clock, self.handle_timer, account.watch)
        self.unfinished: tuple[Unfinished, ...] = ()

    def stream_finished(self, id: int) -> None:
        """Nothing is left of the stream ``id``."""
        self.unfinished = tuple(stream for stream in self.unfinished if stream.id != id)

    def _dial(self, action: OpenConnection) -> Unfinished:
        stream = self._open_stream(action)
        self.unfinished = (*self.unfinished, stream)
        return stream

    def _open_stream(self, action: OpenConnection) -> Unfinished:
        return AsyncioStream(self, action, self._egress, self._policy)

    def _set_alarm(self, at: float | None) -> None:
        self._alarm.set(at)


class AsyncioCrew(Changes, AsyncCrew[AsyncioShardRunner]):
    """The runners of one gateway, and how their end is waited for on asyncio."""

    def __init__(self, account: AsyncioAccountRunner) -> None:
        Changes.__init__(self)
        AsyncCrew.__init__(self)
        self._account = account

    async def shut(self, timeout: float, *, keep_session: bool = False) -> None:
        self.close(keep_session=keep_session)
        await self.until(lambda: self.ended, timeout)
        self.abandon()
        unfinished = [stream.finished for runner in self.runners for stream in runner.unfinished]
        if unfinished:
            await asyncio.wait(unfinished, timeout=_LAST_RITES)
        await self._account.calm()

    def abandon(self) -> None:
        """Drop what is left, at once."""
        for runner in self.runners:
            runner.hurry()
            for stream in runner.unfinished:
                stream.abort()
