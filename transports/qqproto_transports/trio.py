"""The trio driver, on anyio: a bot's gateway as an async context manager and an async iterator; bare machines driven.

It serves every program of anyio's, on trio and on asyncio.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from qqproto.account import Account
from qqproto.config import SettleMode, ShardConfig
from qqproto.credentials import Credentials
from qqproto.events import Dispatch, Event, Stopped
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._anyio_account import BotAccount
from qqproto_transports._anyio_dial import choose_proxy
from qqproto_transports._anyio_runners import AnyioAccountRunner, AnyioCrew, AnyioShardRunner
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import USER_AGENT, GatewayStopped, HTTPExchange, Logger, Proxy, Shards, Unavailable
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._gateway import GatewayCore, shard_configs
from qqproto_transports._http import exchange_by
from qqproto_transports._journal import Journal

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BotAccount",
    "Gateway",
    "GatewayStopped",
    "HTTPExchange",
    "Logger",
    "Proxy",
    "Shards",
    "Unavailable",
    "failure_of",
    "open_gateway",
    "run",
]


def open_gateway(
    account: Credentials | BotAccount,
    *,
    intents: int,
    shards: Shards = 1,
    settle: SettleMode = "iteration",
    properties: Mapping[str, str] | None = None,
    user_agent: str = USER_AGENT,
    policy: Policy | None = None,
    loads: Callable[[str | bytes], Any] = json.loads,
    logger: Logger | None = None,
) -> Gateway:
    """A bot's gateway, to be entered with ``async with`` and iterated with ``async for``.

    ``account`` is a :class:`BotAccount` where other endpoints, an HTTP client, a TLS context or a clock are wanted, or
    where it is shared; credentials will do otherwise. ``shards`` is how many this process runs, in one stream; with
    ``"auto"``, as many as the platform recommends when the block is entered, and until it has answered ``status()``
    shows the first alone; pairs are an index and a count, so that ``[(2, 8)]`` is the third of eight. ``settle`` says
    when a dispatch is done: when it is handed out (``"delivery"``), when the next event is asked for (``"iteration"``),
    or when :meth:`Gateway.settle` or :meth:`Gateway.handling` say so (``"manual"``). ``properties`` are Identify's,
    ``policy`` is by default the account's, ``loads`` decodes JSON. Events are logged to ``logger``, by default
    ``logging.getLogger("qqproto")``, with ``extra`` fields whose names begin with ``qq_``.
    """
    if isinstance(account, Credentials):
        account = BotAccount(account, policy=policy or Policy())
    configs = shard_configs(
        account.credentials.app_id,
        intents=intents,
        shards=shards,
        settle=settle,
        properties=properties,
        user_agent=user_agent,
    )
    return Gateway(account, configs, policy or account.policy, loads, logger, auto=shards == "auto")


class Gateway(GatewayCore[AnyioShardRunner]):
    """One bot's gateway. Made by :func:`open_gateway`, anywhere, also where no event loop runs.

    Iterating yields every event of every shard, ``Stopped`` included. It ends after :meth:`close`, and raises
    :class:`GatewayStopped` when the last shard has stopped by itself. Leaving the block says goodbye. What leaves the
    block, :class:`GatewayStopped` or an exception of yours, leaves it as it is and never in a group. The block is left
    in the task that entered it; all else may be done by any task.

    Asking for an event can be cancelled, also where one lies ready; other tasks run meanwhile only if none does, so
    that what one read has brought comes in one go.
    """

    def __init__(
        self,
        account: BotAccount,
        configs: list[ShardConfig],
        policy: Policy,
        loads: Callable[[str | bytes], Any],
        logger: Logger | None,
        *,
        auto: bool,
    ) -> None:
        clock = account.runner.clock
        journal = Journal(logger, clock)
        self.account = account
        self._all = AnyioCrew(account.runner)
        super().__init__(self._all, clock, policy, configs[0].settle, journal=journal, keeper=None)
        self._arrival: anyio.Event | None = None
        self._entered = False

        def make_runner(shard: Shard) -> AnyioShardRunner:
            return AnyioShardRunner(
                shard,
                account.runner,
                journal,
                self._buffer.append,
                self._all,
                self._drained,
                account.egress,
                policy,
            )

        self._add_shards(configs, policy, loads, make_runner, auto=auto)

    # -- its life -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Gateway:
        if self._entered:
            raise RuntimeError("a gateway is entered once: open another one")
        self._entered = True
        await self._all.enter()
        self._begin()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self.aclose()
        finally:
            await self._all.leave()
        if error is None:
            self._raise_bug()

    def close(self) -> None:
        """Say goodbye, at once, from any callback, thread or signal handler, any number of times.

        What was received and not handed out is withdrawn. Iterating yields ``Stopped`` and ends.
        """
        self._begin_closing()
        self._all.ask_to_close()

    async def aclose(self, timeout: float = 5.0) -> None:
        """:meth:`close`, and wait until no task and no socket is left; what takes longer than ``timeout`` is dropped.

        From anywhere, in any state, any number of times.
        """
        self._begin_closing()
        await self._all.shut(timeout)

    async def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until it is :attr:`connected`. False when ``timeout`` seconds are over, or it has stopped.

        It may be called before the block is entered, by another task.
        """
        await self._all.until(lambda: self.connected or self._all.ended, timeout)
        return self.connected

    async def authorization(self) -> dict[str, str]:
        """The account's :meth:`BotAccount.authorization`."""
        return await self.account.authorization()

    # -- its events -----------------------------------------------------------------------------------------------

    def __aiter__(self) -> Gateway:
        return self

    async def __anext__(self) -> Event:
        self._settle_in_hand()
        await checkpoint_if_cancelled()
        while (event := self._take()) is None:
            if self._all.ended:
                self._raise_ending()
                raise StopAsyncIteration
            await self._wait_for_events()
        return event

    @asynccontextmanager
    async def handling(
        self, dispatch: Dispatch, *, on_error: Literal["settle", "keep"] = "settle"
    ) -> AsyncIterator[Dispatch]:
        """Settle ``dispatch`` at the end of the block.

        Also when it ends with an exception, which would end with one next time as well; ``on_error="keep"`` leaves it
        unsettled then. Cancellation always does.
        """
        try:
            yield dispatch
        except Exception:
            if on_error == "settle":
                self.settle(dispatch)
            raise
        self.settle(dispatch)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _arrived(self) -> None:
        if self._arrival is not None and (self._buffer or self._all.ended):
            self._arrival.set()
        self._all.changed()

    async def _wait_for_events(self) -> None:
        if not self._entered:
            raise RuntimeError("enter the gateway first: async with open_gateway(...) as gateway")
        if self._arrival is not None:
            raise RuntimeError("somebody else waits for the next event of this gateway")
        self._arrival = anyio.Event()
        try:
            await self._arrival.wait()
        finally:
            self._arrival = None


async def run(
    shard: Shard,
    account: Account,
    on_event: Callable[[Event], None],
    *,
    http: HTTPExchange | httpx.AsyncClient | None = None,
    proxy: Proxy = "env",
    ssl_context: ssl.SSLContext | None = None,
    policy: Policy = Policy(),
    clock: Callable[[], float] = system_clock,
    logger: Logger | None = None,
) -> Stopped:
    """Drive a bare Shard (framing BYTES) and Account until the shard has stopped; returns its ``Stopped``.

    ``on_event`` is called with each event, ``Stopped`` included, and may call ``shard.close(clock())``. Cancelling says
    goodbye. An exception from ``on_event`` is a bug: the shard says ``Stopped``, and the exception is raised. Events
    are logged as :func:`open_gateway` has it.
    """
    egress = Egress(proxy, ssl_context)
    runner = AnyioAccountRunner(account, clock, exchange_by(http, egress, choose_proxy, policy))
    crew = AnyioCrew(runner)
    journal = Journal(logger, clock)
    crew.runners.append(AnyioShardRunner(shard, runner, journal, on_event, crew, crew.changed, egress, policy))
    await crew.enter()
    try:
        crew.start()
        await crew.until(lambda: crew.ended, None)
    finally:
        try:
            with anyio.CancelScope(shield=True):
                await crew.shut(policy.close_timeout)
        finally:
            await crew.leave()
    if crew.bug is not None:
        raise crew.bug
    assert shard.stopped is not None, "a shard that has ended has said why"
    return shard.stopped
