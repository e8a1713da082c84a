"""The trio driver, on anyio: a bot's gateway as an async context manager and an async iterator; bare machines driven.

It serves every program of anyio's, on trio and on asyncio.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled, current_token

from qqproto.account import Account
from qqproto.config import Framing, SettleMode, ShardConfig
from qqproto.credentials import Credentials
from qqproto.events import Event, Stopped
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports import _anyio_dial
from qqproto_transports._anyio_account import BotAccount
from qqproto_transports._anyio_runners import AnyioAccountRunner, AnyioCrew, AnyioKeeper, AnyioShardRunner
from qqproto_transports._anyio_tasks import asker_for_tasks, this_task
from qqproto_transports._anyio_text import AnyioTextRunner
from qqproto_transports._async_gateway import AsyncGateway
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import (
    USER_AGENT,
    Closed,
    GatewayStopped,
    HTTPExchange,
    Logger,
    Proxy,
    Shards,
    TextDialer,
    TextSocket,
    Unavailable,
)
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._gateway import shard_configs
from qqproto_transports._http import exchange_by
from qqproto_transports._journal import Journal
from qqproto_transports.stores import SessionStore

if TYPE_CHECKING:
    import httpx

    from qqproto.recording import Recorder

__all__ = [
    "BotAccount",
    "Closed",
    "Gateway",
    "GatewayStopped",
    "HTTPExchange",
    "Logger",
    "Proxy",
    "Shards",
    "TextDialer",
    "TextSocket",
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
    store: SessionStore | None = None,
    websocket: TextDialer | None = None,
    properties: Mapping[str, str] | None = None,
    user_agent: str = USER_AGENT,
    policy: Policy | None = None,
    loads: Callable[[str | bytes], Any] = json.loads,
    logger: Logger | None = None,
    record: Recorder | None = None,
) -> Gateway:
    """A bot's gateway, to be entered with ``async with`` and iterated with ``async for``.

    ``account`` is a :class:`BotAccount` where other endpoints, an HTTP client, a TLS context or a clock are wanted, or
    where it is shared; credentials will do otherwise. ``shards`` is how many this process runs, in one stream; with
    ``"auto"``, as many as the platform recommends when the block is entered, and until it has answered ``status()``
    shows the first alone; pairs are an index and a count, so that ``[(2, 8)]`` is the third of eight. ``settle`` says
    when a dispatch is done: when it is handed out (``"delivery"``), when the next event is asked for (``"iteration"``),
    or when :meth:`Gateway.settle` or :meth:`Gateway.handling` say so (``"manual"``). ``store`` keeps the sessions, so
    that the next process goes on with them (:class:`~qqproto_transports.stores.SQLiteStore`); it is read and written in
    a worker thread, and stays open: it is yours to close, after the block. ``websocket`` is a WebSocket client of yours
    (:class:`TextDialer`); with it and an ``http`` of the account's no socket is opened here. ``properties`` are
    Identify's, ``policy`` is by default the account's, ``loads`` decodes JSON. Events are logged to ``logger``, by
    default ``logging.getLogger("qqproto")``, with ``extra`` fields whose names begin with ``qq_``. ``record`` writes
    down what the shards are told and what comes of it, without secrets
    (:class:`~qqproto_transports.recordings.FileRecorder`).
    """
    if isinstance(account, Credentials):
        account = BotAccount(account, policy=policy or Policy())
    if record is not None:
        record.conceal(account.credentials.secret)
    configs = shard_configs(
        account.credentials.app_id,
        intents=intents,
        shards=shards,
        settle=settle,
        properties=properties,
        user_agent=user_agent,
    )
    return Gateway(
        account, configs, policy or account.policy, loads, logger, store, websocket, record, auto=shards == "auto"
    )


class Gateway(AsyncGateway[AnyioShardRunner]):
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
        store: SessionStore | None,
        websocket: TextDialer | None,
        record: Recorder | None,
        *,
        auto: bool,
    ) -> None:
        clock = account.runner.clock
        journal = Journal(logger, clock)
        self.account = account
        self._all = AnyioCrew(account.runner)
        self._kept = AnyioKeeper(store, policy, clock, self._all) if store is not None else None
        super().__init__(
            account, self._all, policy, configs[0].settle,
            journal=journal, keeper=self._kept, this_task=this_task,
        )  # fmt: skip
        self._arrival: anyio.Event
        self._look_for_cancellation = checkpoint_if_cancelled

        def make_runner(shard: Shard) -> AnyioShardRunner:
            tell, drained = self._buffer.append, self._drained
            parts = (shard, account.runner, journal, tell, drained, account.egress, policy, self._all)
            return AnyioShardRunner(*parts) if websocket is None else AnyioTextRunner(*parts, dialer=websocket)

        framing = Framing.BYTES if websocket is None else Framing.TEXT
        self._add_shards(configs, policy, loads, make_runner, auto=auto, framing=framing, record=record)

    # -- its life -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Gateway:
        if self._entered:
            raise RuntimeError("a gateway is entered once: open another one")
        self._entered = True
        await self._all.enter()
        self._inside = True
        self._this_task = asker_for_tasks()
        self._look_for_cancellation = current_token().backend_class.checkpoint_if_cancelled
        if self._kept is not None:
            self._all.office.start(self._kept.alarm.keep)
        try:
            self._begin()
        except BaseException:
            await self._all.leave()
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self.aclose()
        finally:
            if self._kept is not None:
                self._kept.end()
            self._inside = False
            await self._all.leave()
        if error is None:
            self._raise_bug()

    # -- its events -----------------------------------------------------------------------------------------------

    async def __anext__(self) -> Event:
        self._settle_in_hand()
        if self._buffer:  # Else it is waited for an event, and cancellation noticed there.
            await self._look_for_cancellation()
        return await super().__anext__()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _close_soon(self, keep_session: bool) -> None:
        self._all.inbox.put(partial(self._all.close, keep_session=keep_session))

    def _wait(self) -> Awaitable[None]:
        self._arrival = anyio.Event()
        return self._arrival.wait()

    def _wake(self) -> None:
        self._arrival.set()


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
    runner = AnyioAccountRunner(account, clock, exchange_by(http, egress, _anyio_dial, policy))
    crew = AnyioCrew(runner)
    journal = Journal(logger, clock)
    crew.runners.append(AnyioShardRunner(shard, runner, journal, on_event, crew.changed, egress, policy, crew))
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
