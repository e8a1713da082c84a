"""The asyncio driver: a bot's gateway as an async context manager and an async iterator; bare machines driven."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from qqproto.account import Account
from qqproto.config import Framing, SettleMode, ShardConfig
from qqproto.credentials import Credentials
from qqproto.events import Event, Stopped
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports import _asyncio_dial
from qqproto_transports._async_gateway import AsyncGateway
from qqproto_transports._asyncio_account import BotAccount
from qqproto_transports._asyncio_runners import AsyncioAccountRunner, AsyncioCrew, AsyncioShardRunner
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

if TYPE_CHECKING:
    import httpx

    from qqproto.recording import Recorder
    from qqproto_transports._asyncio_keeper import AsyncioKeeper
    from qqproto_transports._webhook_server import WebhookServer
    from qqproto_transports.stores import SessionStore

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
    "WebhookServer",
    "failure_of",
    "open_gateway",
    "open_webhook",
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


def open_webhook(
    account: Credentials | BotAccount,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    ssl_context: ssl.SSLContext | None = None,
    settle: SettleMode = "iteration",
    require_signature: bool = False,
    max_skew: float = 300.0,
    policy: Policy | None = None,
    logger: Logger | None = None,
    unix_time: Callable[[], float] = time.time,
) -> WebhookServer:
    """A bot's events over webhooks, from a small server of its own; to be used as :func:`open_gateway` is.

    It listens on ``port`` of ``host`` while its block lasts, with TLS if there is an ``ssl_context``, and takes POSTs
    at any path. The platform wants HTTPS on port 80, 443, 8080 or 8443, so that usually a reverse proxy stands before
    it; inside of a web framework, :class:`~qqproto_transports.asgi.WebhookApp` takes its place. Iterating yields
    dispatches alone. Which ones come is chosen in the QQ console. Needs the package cryptography (extra ``webhook``);
    entering raises :class:`~qqproto_transports.local_gateway.CannotListen`, an OSError, if the port cannot be had.

    ``account``, ``settle`` and ``logger`` are as in :func:`open_gateway`; ``require_signature``, ``max_skew`` and
    ``policy`` are those of :class:`~qqproto.webhook.Webhook`. ``unix_time`` gives Unix seconds.
    """
    from qqproto_transports._webhook_server import WebhookServer

    return WebhookServer(
        account,
        host,
        port,
        ssl_context,
        settle=settle,
        require_signature=require_signature,
        max_skew=max_skew,
        policy=policy,
        logger=logger,
        unix_time=unix_time,
    )


class Gateway(AsyncGateway[AsyncioShardRunner]):
    """One bot's gateway. Made by :func:`open_gateway`, anywhere, also where no event loop runs.

    Iterating yields every event of every shard, ``Stopped`` included. It ends after :meth:`close`, and raises
    :class:`GatewayStopped` when the last shard has stopped by itself. Leaving the block is :meth:`aclose`. What leaves
    the block, :class:`GatewayStopped` or an exception of yours, leaves it as it is.
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
        keeper = _keeper(store, policy, clock) if store is not None else None
        self.account = account
        self._all = AsyncioCrew(account.runner)
        super().__init__(
            account, self._all, policy, configs[0].settle,
            journal=journal, keeper=keeper, this_task=asyncio.current_task,
        )  # fmt: skip
        self._arrival: asyncio.Future[None]
        self._loop: asyncio.AbstractEventLoop

        tell, drained = self._buffer.append, self._drained  # One for all of them: each look at them makes another.

        def make_runner(shard: Shard) -> AsyncioShardRunner:
            parts = (shard, account.runner, journal, tell, drained, account.egress, policy)
            if websocket is None:
                return AsyncioShardRunner(*parts)
            from qqproto_transports._asyncio_text import AsyncioTextRunner

            return AsyncioTextRunner(*parts, dialer=websocket)

        framing = Framing.BYTES if websocket is None else Framing.TEXT
        self._add_shards(configs, policy, loads, make_runner, auto=auto, framing=framing, record=record)

    # -- its life -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Gateway:
        if self._entered:
            raise RuntimeError("a gateway is entered once: open another one")
        self._loop = asyncio.get_running_loop()
        # It is asked for with each event, and to ask for the loop, too, is a system call on older Pythons.
        self._this_task = partial(asyncio.current_task, self._loop)
        self._entered = self._inside = True
        self._begin()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            await self.aclose()
        finally:
            self._all.abandon()
            if self._keeper is not None:
                self._keeper.end()
            self._inside = False
        if error is None:
            self._raise_bug()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _close_soon(self, keep_session: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(partial(self._all.close, keep_session=keep_session))
        except RuntimeError:
            pass  # The loop is closed, and the block was left with it.

    def _wait(self) -> Awaitable[None]:
        self._arrival = self._loop.create_future()
        return self._arrival

    def _wake(self) -> None:
        if not self._arrival.done():
            self._arrival.set_result(None)


def _keeper(store: SessionStore, policy: Policy, clock: Callable[[], float]) -> AsyncioKeeper:
    from qqproto_transports._asyncio_keeper import AsyncioKeeper

    return AsyncioKeeper(store, policy, clock)


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
    runner = AsyncioAccountRunner(account, clock, exchange_by(http, egress, _asyncio_dial, policy))
    crew = AsyncioCrew(runner)
    journal = Journal(logger, clock)
    crew.runners.append(AsyncioShardRunner(shard, runner, journal, on_event, crew.changed, egress, policy))
    crew.start()
    try:
        await crew.until(lambda: crew.ended, None)
    finally:
        await crew.shut(policy.close_timeout)
        crew.abandon()
    if crew.bug is not None:
        raise crew.bug
    assert shard.stopped is not None, "a shard that has ended has said why"
    return shard.stopped


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Who opens a gateway does not wait for an HTTP server to be imported.
        if name == "WebhookServer":
            from qqproto_transports._webhook_server import WebhookServer

            globals()[name] = WebhookServer
            return WebhookServer
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
