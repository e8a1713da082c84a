"""Shards in text messages on anyio, over a WebSocket client of the host's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from anyio import CancelScope, Event, create_task_group, current_time, move_on_after

import qqproto.events
from qqproto.actions import OpenConnection
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._account_runner import AccountRunner
from qqproto_transports._anyio_runners import AnyioCrew, AnyioShardRunner
from qqproto_transports._anyio_tasks import Tasks
from qqproto_transports._common import TextDialer, TextSocket
from qqproto_transports._egress import Egress
from qqproto_transports._journal import Journal
from qqproto_transports._text import LEAVE_WITHIN, TextListener, TextRunner, TextStreamCore


class AnyioTextRunner(TextRunner, AnyioShardRunner):
    """Drives a Shard in framing TEXT; each connection is an :class:`AnyioTextStream`."""

    __slots__ = ("_dialer",)

    def __init__(
        self,
        shard: Shard,
        account: AccountRunner,
        journal: Journal,
        tell: Callable[[qqproto.events.Event], None],
        drained: Callable[[], None],
        egress: Egress,
        policy: Policy,
        crew: AnyioCrew,
        *,
        dialer: TextDialer,
    ) -> None:
        super().__init__(shard, account, journal, tell, drained, egress, policy, crew)
        self._dialer = dialer

    def _dial(self, action: OpenConnection) -> AnyioTextStream:
        return AnyioTextStream(self, action, self._dialer, self._policy, self._crew.tasks)


class AnyioTextStream(TextStreamCore):
    """A WebSocket as a task, which dials, and while it is open has one that reads and one that writes.

    Where its owner's tasks have to end it is not cancelled but left, as its runner would leave it: a close code can
    still be said then.
    """

    def __init__(
        self, runner: TextListener, opening: OpenConnection, dialer: TextDialer, policy: Policy, tasks: Tasks
    ) -> None:
        super().__init__(runner, opening, dialer, policy)
        self._news = Event()
        self._resumed: Event | None = None
        """Set when reading may go on; None: it does."""
        self._talking = CancelScope()
        self._living = CancelScope()
        tasks.start(self._run, end=self.abort)

    # -- what the runner asks -------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        if self._resumed is None:
            self._resumed = Event()

    def resume_reading(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        if self._left:
            return
        try:
            with self._living:
                await self._live()
        except Exception as error:  # A client that is cancelled may raise something else beside, in a group.
            self._explain(error)

    async def _talk(self, socket: TextSocket) -> list[Exception]:
        heard: list[Exception] = []
        said: list[Exception] = []
        with self._talking:
            async with create_task_group() as group:
                group.start_soon(self._until_it_ends, self._read, socket, heard)
                group.start_soon(self._until_it_ends, self._write, socket, said)
        return heard + said

    async def _until_it_ends(
        self, half: Callable[[TextSocket], Awaitable[None]], socket: TextSocket, errors: list[Exception]
    ) -> None:
        try:
            await half(socket)
        except Exception as error:  # Raised in a group, it would come out wrapped in a group.
            errors.append(error)
        finally:
            self._talking.cancel()

    async def _await_leave_to_read(self) -> None:
        while self._resumed is not None:
            await self._resumed.wait()

    async def _await_work(self) -> None:
        while not self._has_work():
            self._news = Event()
            await self._news.wait()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> bool:
        with move_on_after(seconds) as patience:
            await work
        return not patience.cancelled_caught

    def _wake_writer(self) -> None:
        self._news.set()

    def _hang_up(self) -> None:
        self._living.cancel()

    def _hurry(self) -> None:
        self._talking.cancel()
        self._living.deadline = current_time() + LEAVE_WITHIN
