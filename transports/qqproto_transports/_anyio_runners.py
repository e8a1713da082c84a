"""The machines' runners on anyio: alarms, HTTP exchanges and streams as tasks, and a way to end them all together."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CancelScope
from anyio.lowlevel import current_token

from qqproto.account import Account
from qqproto.actions import OpenConnection, SendRequest
from qqproto.events import Event
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._account_runner import AccountRunner
from qqproto_transports._anyio_alarm import Alarm
from qqproto_transports._anyio_stream import AnyioStream
from qqproto_transports._anyio_tasks import Changes, Inbox, Tasks
from qqproto_transports._async_gateway import AsyncCrew
from qqproto_transports._common import HTTPExchange
from qqproto_transports._egress import Egress
from qqproto_transports._journal import Journal
from qqproto_transports._keeper import Keeper
from qqproto_transports._shard_runner import ShardRunner, Stream
from qqproto_transports.stores import SessionStore

_LAST_RITES = 1.0
"""Seconds that cancelled tasks get to be gone; they need a turn or two of the loop."""


class AnyioAccountRunner(AccountRunner):
    """Drives an Account in the tasks of those who ask it.

    Nothing of it may outlive who asks, and nobody may be made to stay for others. So when somebody leaves in whose
    tasks an exchange runs that others wait for, it is broken off, and made anew in theirs.
    """

    def __init__(self, account: Account, clock: Callable[[], float], exchange: HTTPExchange) -> None:
        super().__init__(account, clock)
        self._make = exchange
        self._alarm = Alarm(clock, self.handle_timer)
        self._loop: object = None
        self._homes: dict[Tasks, CancelScope] = {}
        """Whose tasks may be used, and the keeper of the alarm in each."""
        self._running: dict[int, _Exchange] = {}

    def lend(self, home: Tasks) -> None:
        """Tasks may be started in ``home``, until it is reclaimed."""
        loop = current_token().native_token
        if self._homes and loop is not self._loop:
            raise RuntimeError("a BotAccount can serve one event loop at a time, and another one uses it now")
        self._loop = loop
        self._homes[home] = home.start(self._alarm.keep)

    def reclaim(self, home: Tasks) -> None:
        """``home`` is going to end, or has ended."""
        keeper = self._homes.pop(home, None)
        if keeper is not None:
            keeper.cancel()
        for exchange in [exchange for exchange in self._running.values() if exchange.home is home]:
            self._cancel(exchange.action.id)
            if self._homes:
                self._begin(exchange.action)

    def _begin(self, action: SendRequest) -> None:
        self._running[action.id] = _Exchange(self, action, next(iter(self._homes)), self._make)

    def _cancel(self, id: int) -> None:
        exchange = self._running.pop(id, None)
        if exchange is not None:
            exchange.scope.cancel()

    def _set_alarm(self, at: float | None) -> None:
        self._alarm.set(at)

    def is_over(self, exchange: _Exchange) -> bool:
        """``exchange`` has come to its end; False if nobody wanted it any more."""
        if self._running.get(exchange.action.id) is not exchange:
            return False
        del self._running[exchange.action.id]
        return True


class _Exchange:
    """One HTTP exchange, as a task."""

    def __init__(self, runner: AnyioAccountRunner, action: SendRequest, home: Tasks, make: HTTPExchange) -> None:
        self._runner = runner
        self.action = action
        self.home = home
        self._make = make
        self.scope = home.start(self._run)

    async def _run(self) -> None:
        try:
            response = await self._make(self.action.request)
        except Exception as error:
            if self._runner.is_over(self):
                self._runner.request_failed(self.action.id, error)
        else:
            if self._runner.is_over(self):
                self._runner.response_received(self.action.id, response)


class AnyioShardRunner(ShardRunner):
    """Drives a Shard in the tasks of its crew; each connection is an :class:`AnyioStream`."""

    __slots__ = ("_alarm", "_crew", "_egress", "_policy")

    def __init__(
        self,
        shard: Shard,
        account: AccountRunner,
        journal: Journal,
        tell: Callable[[Event], None],
        drained: Callable[[], None],
        egress: Egress,
        policy: Policy,
        crew: AnyioCrew,
    ) -> None:
        super().__init__(shard, account, journal, tell, drained)
        self._crew = crew
        self._egress = egress
        self._policy = policy
        self._alarm = Alarm(account.clock, self.handle_timer)

    def start(self) -> None:
        self._crew.tasks.start(self._alarm.keep)
        super().start()

    def _dial(self, action: OpenConnection) -> Stream:
        return AnyioStream(self, action, self._egress, self._policy, self._crew.tasks)

    def _set_alarm(self, at: float | None) -> None:
        self._alarm.set(at)


class AnyioCrew(AsyncCrew[AnyioShardRunner]):
    """The runners of one gateway, the tasks they work in, and how their end is waited for on anyio."""

    def __init__(self, account: AnyioAccountRunner) -> None:
        super().__init__()
        self._account = account
        self._changes = Changes()
        self._entered = False
        self.tasks: Tasks
        """Those that end with the last shard."""
        self.office: Tasks
        """Those that end when the block is left."""
        self.inbox: Inbox

    async def enter(self) -> None:
        """Let there be tasks; :meth:`leave` has to follow, in the same task."""
        self.inbox = Inbox()
        self.office, self.tasks = Tasks(), Tasks()
        await self.office.__aenter__()
        try:
            await self.tasks.__aenter__()
            try:
                self._account.lend(self.tasks)
            except BaseException:
                await self.tasks.__aexit__(None, None, None)
                raise
        except BaseException:
            await self.office.__aexit__(None, None, None)
            raise
        self._entered = True
        self.office.start(self.inbox.work)

    async def leave(self) -> None:
        """Drop what is left, and wait until it is gone."""
        self.abandon()
        try:
            await self.tasks.__aexit__(None, None, None)
        finally:
            await self.office.__aexit__(None, None, None)

    def changed(self) -> None:
        self._changes.tell()

    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        await self._changes.until(condition, timeout)

    async def shut(self, timeout: float, *, keep_session: bool = False) -> None:
        self.close(keep_session=keep_session)
        await self.until(lambda: self.ended, timeout)
        self.abandon()
        if self._entered:
            await self.tasks.gone(_LAST_RITES)

    def abandon(self) -> None:
        """Drop what is left, at once."""
        for runner in self.runners:
            runner.hurry()
        if self._entered:
            self._account.reclaim(self.tasks)
            self.tasks.cancel()


class AnyioKeeper(Keeper):
    """Keeps the sessions of one gateway."""

    def __init__(self, store: SessionStore, policy: Policy, clock: Callable[[], float], crew: AnyioCrew) -> None:
        super().__init__(store, policy, clock)
        self._crew = crew
        self.alarm = Alarm(clock, self.handle_timer)

    def _post(self, call: Callable[[], object]) -> None:
        self._crew.inbox.put(call)

    def _set_alarm(self, at: float | None) -> None:
        self.alarm.set(at)
