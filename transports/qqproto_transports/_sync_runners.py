"""The machines' runners on threads: an account that several threads share, and shards in a loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from qqproto.account import Account
from qqproto.actions import OpenConnection, Question, SendRequest
from qqproto.credentials import Token
from qqproto.events import Event
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo, HTTPResponse
from qqproto.shard import Shard
from qqproto_transports._account_runner import AccountRunner, Asker
from qqproto_transports._clock import LONGEST_WAIT
from qqproto_transports._egress import Egress
from qqproto_transports._journal import Journal
from qqproto_transports._shard_runner import ShardRunner
from qqproto_transports._sync_http import Exchange
from qqproto_transports._sync_loop import Alarm, Loop
from qqproto_transports._sync_stream import SyncStream
from qqproto_transports._sync_threads import Helper, join

LAST_RITES = 1.0
"""Seconds that interrupted helpers and aborted sockets get to be gone; they need a moment."""


class SyncAccountRunner(AccountRunner):
    """Drives an Account, one caller at a time; each exchange is a helper thread.

    Its callers are threads of ours, whom no Ctrl-C and no exception of a host's can stop halfway. For as long as
    something has a deadline one more thread keeps it.
    """

    def __init__(
        self, account: Account, clock: Callable[[], float], make_exchange: Callable[[SendRequest], Exchange]
    ) -> None:
        super().__init__(account, clock)
        self._make_exchange = make_exchange
        self._lock = threading.RLock()
        self._due_changed = threading.Condition(self._lock)
        self._due: float | None = None
        self._keeper: threading.Thread | None = None
        self._running: dict[int, tuple[Exchange, threading.Thread]] = {}
        self._leaving: set[threading.Thread] = set()

    # -- facts, for any thread ------------------------------------------------------------------------------------

    def fresh_token(self) -> Token | None:
        """A token that is good for at least a minute, if there is one."""
        with self._lock:
            return self.account.fresh_token(self.clock())

    def current_token(self) -> Token | None:
        """The token in force, if there is one."""
        with self._lock:
            return self.account.current_token(self.clock())

    # -- one at a time --------------------------------------------------------------------------------------------

    def attach(self, asker: Asker) -> None:
        with self._lock:
            super().attach(asker)

    def detach(self, asker: Asker) -> None:
        with self._lock:
            super().detach(asker)

    def ask(self, asker: Asker, question: Question) -> None:
        with self._lock:
            super().ask(asker, question)

    def withdraw(self, asker: Asker, id: int) -> None:
        with self._lock:
            super().withdraw(asker, id)

    def response_received(self, id: int, response: HTTPResponse) -> None:
        with self._lock:
            super().response_received(id, response)

    def request_failed(self, id: int, error: BaseException) -> None:
        with self._lock:
            super().request_failed(id, error)

    def handle_timer(self) -> None:
        with self._lock:
            super().handle_timer()

    def calm(self) -> None:
        """Wait until the threads are gone that nobody waits for any more, but for those that nobody can call off."""
        with self._lock:
            leaving = list(self._leaving)
            if self._keeper is not None and self._due is None:
                leaving.append(self._keeper)  # It has been told, and is on its way.
        join(leaving, within=LAST_RITES)

    # -- what the account asks ------------------------------------------------------------------------------------

    def _begin(self, action: SendRequest) -> None:
        exchange = self._make_exchange(action)
        helper = Helper(exchange.run, "HTTP exchange")
        self._running[action.id] = (exchange, helper)
        helper.begin().add_done_callback(partial(self._on_done, action.id))

    def _cancel(self, id: int) -> None:
        running = self._running.pop(id, None)
        if running is not None:
            exchange, helper = running
            if exchange.interrupt():
                self._sees_out(helper)

    def _set_alarm(self, at: float | None) -> None:
        self._due = at
        self._due_changed.notify_all()
        if at is not None and self._keeper is None:
            keeper = threading.Thread(target=self._keep_time, name="qqproto deadlines", daemon=True)
            try:
                keeper.start()
            except RuntimeError:
                return  # The system has no thread left. The shards' own deadlines hold, and then they ask again.
            self._keeper = keeper

    # -- steps ----------------------------------------------------------------------------------------------------

    def _on_done(self, id: int, outcome: Future[HTTPResponse]) -> None:
        with self._lock:
            if self._running.pop(id, None) is None:
                return
            error = outcome.exception()
            if error is None:
                self.response_received(id, outcome.result())
            else:
                self.request_failed(id, error)

    def _keep_time(self) -> None:
        with self._lock:
            while (due := self._due) is not None:
                wait = due - self.clock()
                if wait <= 0:
                    self.handle_timer()
                else:
                    self._due_changed.wait(min(wait, LONGEST_WAIT))
            self._keeper = None
            self._sees_out(threading.current_thread())

    def _sees_out(self, thread: threading.Thread) -> None:
        """``thread`` is about to end."""
        self._leaving = {leaving for leaving in self._leaving if leaving.is_alive()} | {thread}


class SyncShardRunner(ShardRunner):
    """Drives a Shard in a loop's thread; each connection is a :class:`SyncStream`."""

    __slots__ = ("_alarm", "_egress", "_loop", "_policy", "_unfinished")

    def __init__(
        self,
        shard: Shard,
        account: AccountRunner,
        journal: Journal,
        tell: Callable[[Event], None],
        drained: Callable[[], None],
        egress: Egress,
        policy: Policy,
        loop: Loop,
    ) -> None:
        super().__init__(shard, account, journal, tell, drained)
        self._egress = egress
        self._policy = policy
        self._loop = loop
        self._alarm = Alarm(loop, self.handle_timer)
        self._unfinished: set[SyncStream] = set()

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        """The account answers from whichever thread it is in."""
        self._loop.here(lambda: super(SyncShardRunner, self).answer(id, value))

    def bug(self, error: BaseException) -> None:
        self._loop.here(lambda: super(SyncShardRunner, self).bug(error))

    def abandon(self) -> None:
        """Drop what is left, at once."""
        self.hurry()
        for stream in list(self._unfinished):
            stream.abort()

    def _dial(self, action: OpenConnection) -> SyncStream:
        stream = SyncStream(self, action, self._egress, self._policy, self._loop, self._unfinished.discard)
        self._unfinished.add(stream)
        return stream

    def _set_alarm(self, at: float | None) -> None:
        self._alarm.set(at)
