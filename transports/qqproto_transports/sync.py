"""The sync driver: a bot's gateway as a context manager and an iterator, on a background thread; bare machines driven.

No event loop: handlers may block, in any number of threads, and heartbeats go on.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from qqproto.account import Account
from qqproto.config import SettleMode, ShardConfig
from qqproto.credentials import Credentials
from qqproto.events import Dispatch, Event, Stopped
from qqproto.policy import Policy
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto.status import Status
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import USER_AGENT, GatewayStopped, Logger, Proxy, Shards, Unavailable
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._gateway import GatewayCore, Hand, shard_configs
from qqproto_transports._journal import Journal
from qqproto_transports._sync_account import BotAccount
from qqproto_transports._sync_http import BlockingExchange, exchange_by
from qqproto_transports._sync_process import Home
from qqproto_transports._sync_runners import SyncAccountRunner, SyncCrew, SyncShardRunner
from qqproto_transports._sync_threads import SLICE

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BlockingExchange",
    "BotAccount",
    "Gateway",
    "GatewayStopped",
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
    """A bot's gateway, to be entered with ``with`` and iterated with ``for``.

    ``account`` is a :class:`BotAccount` where other endpoints, an HTTP client, a TLS context or a clock are wanted, or
    where it is shared; credentials will do otherwise. ``shards`` is how many this process runs, in one stream; with
    ``"auto"``, as many as the platform recommends when the block is entered, and until it has answered ``status()``
    shows the first alone; pairs are an index and a count, so that ``[(2, 8)]`` is the third of eight. ``settle`` says
    when a dispatch is done: when it is handed out (``"delivery"``), when the thread that has it asks for the next
    (``"iteration"``), or when :meth:`Gateway.settle` or :meth:`Gateway.handling` say so (``"manual"``). ``properties``
    are Identify's, ``policy`` is by default the account's, ``loads`` decodes JSON. Events are logged to ``logger``, by
    default ``logging.getLogger("qqproto")``, with ``extra`` fields whose names begin with ``qq_``.
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


class Gateway(GatewayCore[SyncShardRunner]):
    """One bot's gateway. Made by :func:`open_gateway`; it lives in a background thread while its block lasts.

    Iterating yields every event of every shard, ``Stopped`` included. It ends after :meth:`close`, and raises
    :class:`GatewayStopped` when the last shard has stopped by itself. Leaving the block says goodbye, and leaves no
    thread behind.

    All of it may be used by any number of threads. Several may iterate: each event goes to one of them, and the others
    end when it ends. A child that is forked off has no part in it: there, all but leaving the block is a RuntimeError.
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
        self._all = SyncCrew(account.runner)
        super().__init__(self._all, clock, policy, configs[0].settle, journal=journal, keeper=None)
        self._hand = _HandOfEachThread()
        self._home = Home("gateway")
        self._over = False
        """Whether nothing more comes into the buffer."""

        def make_runner(shard: Shard) -> SyncShardRunner:
            return SyncShardRunner(
                shard,
                account.runner,
                journal,
                self._buffer.append,
                self._drained,
                account.egress,
                policy,
                self._all.loop,
            )

        self._add_shards(configs, policy, loads, make_runner, auto=auto)

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether every shard's session is live on an open link, now."""
        self._home.check()
        return super().connected

    @property
    def stopped(self) -> Stopped | None:
        """Why it stopped, None as long as a shard lives; of several the first that was not the host's ``close``."""
        self._home.check()
        return super().stopped

    @property
    def session(self) -> Session | None:
        """The session of the first shard as it stands, None without one."""
        self._home.check()
        return self._all.loop.ask(lambda: super(Gateway, self).session)

    def status(self) -> tuple[Status, ...]:
        """A snapshot of each shard."""
        self._home.check()
        return self._all.loop.ask(super().status)

    # -- its life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Gateway:
        self._home.check()
        self.account.home.check()
        if self._all.entered:
            raise RuntimeError("a gateway is entered once: open another one")
        self._home.settle()
        self.account.home.settle()
        self._all.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._home.is_elsewhere:
            return
        try:
            self.shut()
        finally:
            self._all.drop()
        if error is None:
            self._raise_bug()

    def close(self) -> None:
        """Say goodbye, at once, from any callback, thread or signal handler, any number of times.

        What was received and not handed out is withdrawn. Iterating yields ``Stopped`` and ends.
        """
        self._home.check()
        self._begin_closing()
        self._all.ask_to_close()

    def shut(self, timeout: float = 5.0) -> None:
        """:meth:`close`, and wait until no thread and no socket is left; what takes longer than ``timeout`` is dropped.

        From any thread, in any state, any number of times. What cannot be called off, a name look-up that hangs or a
        host's own function, is left to its daemon thread, and nobody hears of it any more.
        """
        self._home.check()
        self._begin_closing()
        self._all.shut(timeout)

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until it is :attr:`connected`. False when ``timeout`` seconds are over, or it has stopped.

        It may be called before the block is entered, by another thread.
        """
        self._home.check()
        self._all.until(lambda: self.connected or self._all.ended, timeout)
        return self.connected

    def authorization(self) -> dict[str, str]:
        """The account's :meth:`BotAccount.authorization`."""
        return self.account.authorization()

    # -- its events -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Gateway:
        return self

    def __next__(self) -> Event:
        self._home.check()
        self._settle_in_hand()
        with self._all.news:
            while (event := self._take()) is None and not self._over:
                self._wait_for_events()
        if event is None:
            self._raise_ending()
            raise StopIteration
        return event

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread; one of another session is ignored."""
        self._home.check()
        super().settle(dispatch)

    @contextmanager
    def handling(self, dispatch: Dispatch, *, on_error: Literal["settle", "keep"] = "settle") -> Iterator[Dispatch]:
        """Settle ``dispatch`` at the end of the block.

        Also when it ends with an exception, which would end with one next time as well; ``on_error="keep"`` leaves it
        unsettled then. So does a Ctrl-C.
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
        with self._all.news:
            self._over = self._all.ended
            self._all.changed()

    def _relieved(self) -> None:
        """In the thread of one who iterates: the shards are told in their own."""
        self._all.loop.post(self._resume)

    def _resume(self) -> None:
        if self._paused and len(self._buffer) <= self._max_buffered // 2:
            super()._relieved()

    def _wait_for_events(self) -> None:
        if not self._all.entered:
            raise RuntimeError("enter the gateway first: with open_gateway(...) as gateway")
        if self._all.loop.is_here:
            raise RuntimeError("the gateway's own thread cannot wait for its events")
        self._all.news.wait(SLICE)


class _HandOfEachThread(Hand, threading.local):
    """Asking for the next event settles the one that the same thread had before."""


def run(
    shard: Shard,
    account: Account,
    on_event: Callable[[Event], None],
    *,
    http: BlockingExchange | httpx.Client | None = None,
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
    crew.enter()
    try:
        crew.until(lambda: crew.ended, None)
    finally:
        crew.shut(policy.close_timeout)
    if crew.bug is not None:
        raise crew.bug
    assert shard.stopped is not None, "a shard that has ended has said why"
    return shard.stopped
