"""The sync driver: a bot's gateway as a context manager and an iterator, on a background thread; bare machines driven.

No event loop: handlers may block, in any number of threads, and heartbeats go on.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qqproto.account import Account
from qqproto.config import SettleMode
from qqproto.credentials import Credentials
from qqproto.events import Event, Stopped
from qqproto.policy import Policy
from qqproto.shard import Shard
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import USER_AGENT, GatewayStopped, Logger, Proxy, Shards, Unavailable
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._gateway import shard_configs
from qqproto_transports._journal import Journal
from qqproto_transports._sync_account import BotAccount
from qqproto_transports._sync_crew import SyncCrew
from qqproto_transports._sync_gateway import Gateway
from qqproto_transports._sync_http import HTTPExchange, exchange_by
from qqproto_transports._sync_runners import SyncAccountRunner, SyncShardRunner
from qqproto_transports.stores import SessionStore

if TYPE_CHECKING:
    import httpx

    from qqproto.recording import Recorder

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
    store: SessionStore | None = None,
    properties: Mapping[str, str] | None = None,
    user_agent: str = USER_AGENT,
    policy: Policy | None = None,
    loads: Callable[[str | bytes], Any] = json.loads,
    logger: Logger | None = None,
    record: Recorder | None = None,
) -> Gateway:
    """A bot's gateway, to be entered with ``with`` and iterated with ``for``.

    ``account`` is a :class:`BotAccount` where other endpoints, an HTTP client, a TLS context or a clock are wanted, or
    where it is shared; credentials will do otherwise. ``shards`` is how many this process runs, in one stream; with
    ``"auto"``, as many as the platform recommends when the block is entered, and until it has answered ``status()``
    shows the first alone; pairs are an index and a count, so that ``[(2, 8)]`` is the third of eight. ``settle`` says
    when a dispatch is done: when it is handed out (``"delivery"``), when the thread that has it asks for the next
    (``"iteration"``), or when :meth:`Gateway.settle` or :meth:`Gateway.handling` say so (``"manual"``). ``store`` keeps
    the sessions, so that the next process goes on with them (:class:`~qqproto_transports.stores.SQLiteStore`); it is
    read and written in a helper thread, and stays open: it is yours to close, after the block. ``properties`` are
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
    return Gateway(account, configs, policy or account.policy, loads, logger, store, record, auto=shards == "auto")


def run(
    shard: Shard,
    account: Account,
    on_event: Callable[[Event], None],
    *,
    http: HTTPExchange | httpx.Client | None = None,
    proxy: Proxy = "env",
    ssl_context: ssl.SSLContext | None = None,
    policy: Policy = Policy(),
    clock: Callable[[], float] = system_clock,
    logger: Logger | None = None,
) -> Stopped:
    """Drive a bare Shard (framing BYTES) and Account until the shard has stopped; returns its ``Stopped``.

    ``on_event`` is called with each event, ``Stopped`` included, in the background thread, and may call
    ``shard.close(clock())``. What is raised while this waits, by a Ctrl-C say, says goodbye. An exception from
    ``on_event`` is a bug: the shard says ``Stopped``, and the exception is raised. Events are logged as
    :func:`open_gateway` has it.
    """
    egress = Egress(proxy, ssl_context)
    runner = SyncAccountRunner(account, clock, exchange_by(http, egress, policy, clock))
    crew = SyncCrew(runner)
    journal = Journal(logger, clock)
    crew.runners.append(SyncShardRunner(shard, runner, journal, on_event, crew.changed, egress, policy, crew.loop))
    crew.enter(crew.start)
    try:
        crew.until(lambda: crew.ended, None)
    finally:
        crew.ask_to_close()
        crew.until(lambda: crew.ended, policy.close_timeout)
        crew.drop()
    if crew.bug is not None:
        raise crew.bug
    assert shard.stopped is not None, "a shard that has ended has said why"
    return shard.stopped
