"""A gateway on threads: its background thread does all the work, and any number of others wait for what it brings."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from qqproto.config import ShardConfig
from qqproto.events import Dispatch, Event, Stopped
from qqproto.policy import Policy
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto.status import Status
from qqproto_transports._common import Logger
from qqproto_transports._delivery import Hand
from qqproto_transports._gateway import GatewayCore
from qqproto_transports._journal import Journal
from qqproto_transports._sync_account import BotAccount
from qqproto_transports._sync_crew import SyncCrew, SyncKeeper
from qqproto_transports._sync_process import Home
from qqproto_transports._sync_runners import LAST_RITES, SyncShardRunner
from qqproto_transports._sync_threads import join
from qqproto_transports.stores import SessionStore

if TYPE_CHECKING:
    from qqproto.recording import Recorder


class _HandOfEachThread(Hand, threading.local):
    """Asking for the next event settles the one that the same thread had before."""

    reads = False
    """Whether this thread asks for events."""


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
        store: SessionStore | None,
        record: Recorder | None,
        *,
        auto: bool,
    ) -> None:
        clock = account.runner.clock
        journal = Journal(logger, clock)
        self.account = account
        self._all = SyncCrew(account.runner)
        keeper = SyncKeeper(store, policy, self._all.loop) if store is not None else None
        super().__init__(self._all, clock, policy, configs[0].settle, journal=journal, keeper=keeper)
        self._readers: set[threading.Thread] = set()
        self._hand = self._hand_of_each = _HandOfEachThread()
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

        self._add_shards(configs, policy, loads, make_runner, auto=auto, record=record)

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
        try:
            self._all.enter(self._begin)
            return self
        except BaseException:  # The block that would leave it is not there yet.
            self._all.drop()
            raise

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if self._home.is_elsewhere:
                return
            self.shut()
        finally:
            if not self._home.is_elsewhere:
                self._all.drop()
                if self._keeper is not None:
                    self._all.loop.ask(self._keeper.end)
        if error is None:
            self._raise_bug()

    def close(self, *, keep_session: bool | None = None) -> None:
        """Say goodbye, at once, from any callback, thread or signal handler, any number of times.

        What was received and not handed out is withdrawn. Iterating yields ``Stopped`` and ends. ``keep_session``: the
        goodbye says that we will be back (``policy.leave_code``), and the session may be gone on with; without it, it
        is 1000, and the session is over. None keeps it if there is a store. It is saved when the block is left.
        """
        self._home.check()
        self._begin_closing()
        self._all.ask_to_close(keep_session=self._keeps_session(keep_session))

    def shut(self, timeout: float = 5.0, *, drain: float = 0.0, keep_session: bool | None = None) -> None:
        """:meth:`close`, and wait until the session is saved and no thread and no socket is left.

        With ``drain``, before that: nothing more is read, what was read is still handed out, and for so many seconds
        at most it is waited for until all of it is settled, but for the event that the caller itself has in hand. What
        takes longer than ``timeout`` after that is dropped; what nobody can call off, a name look-up that hangs or a
        function of yours, is left to its daemon thread, and not heard of again. From any thread, in any state, any
        number of times.
        """
        self._home.check()
        self._all.check_thread()
        keep, me = self._keeps_session(keep_session), threading.current_thread()
        deadline = time.monotonic() + timeout
        try:
            if drain > 0 and self._all.entered and not self._closing:
                self._all.loop.ask(self._begin_draining)
                self._all.until(lambda: self._has_drained(me) or self._all.ended, drain)
                deadline = time.monotonic() + timeout
            if keep:
                self._save(timeout / 2)
        finally:
            self._begin_closing()
            self._all.ask_to_close(keep_session=keep)
        if self._all.entered:
            self._all.until(lambda: self._all.ended, deadline - time.monotonic())
            self._save(deadline - time.monotonic())
            self._rest()
            self._all.drop()

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until it is :attr:`connected`. False when ``timeout`` seconds are over, or it has stopped.

        It may be called before the block is entered, by another thread.
        """
        self._home.check()
        self._all.until(lambda: self.connected or self._all.ended, timeout)
        return self.connected

    def wait_online(self, timeout: float | None = None) -> bool:
        """Wait until it is :attr:`online`, as :meth:`wait_connected` does for :attr:`connected`."""
        self._home.check()
        self._all.until(lambda: self.online or self._all.ended, timeout)
        return self.online

    def authorization(self) -> dict[str, str]:
        """The account's :meth:`BotAccount.authorization`."""
        return self.account.authorization()

    # -- its events -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Gateway:
        return self

    def __next__(self) -> Event:
        self._home.check()
        if not self._hand_of_each.reads:
            self._hand_of_each.reads = True
            self._readers.add(threading.current_thread())
        self._settle_in_hand()
        with self._all.lock:
            event = self._take()
        if event is None:
            event = self._wait_for_event()
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
        unsettled then. A Ctrl-C always does.
        """
        self._home.check()
        with self._handling(threading.current_thread(), dispatch, on_error):
            yield dispatch

    # -- steps ----------------------------------------------------------------------------------------------------

    def _settle_here(self, dispatch: Dispatch) -> None:
        """In the thread of one who iterates, which is not where the sessions are looked at."""
        super().settle(dispatch)

    def _has_drained(self, caller: object) -> bool:
        mine = self._held_by(caller)
        return self._all.loop.ask(lambda: self._is_settled_but_for(mine))

    def _held_by(self, caller: object) -> list[Dispatch]:
        mine = list(self._handled.get(caller, ()))
        if caller in self._readers:
            in_hand = self._hand.dispatch
            if in_hand is not None and all(in_hand is not other for other in mine):
                mine.append(in_hand)
            if not any(reader.is_alive() for reader in list(self._readers) if reader is not caller):
                mine += [event for event in list(self._buffer) if type(event) is Dispatch]
        return mine

    def _save(self, timeout: float) -> None:
        """What is new in the sessions is in the store, or the time is up."""
        keeper = self._keeper
        if keeper is not None and self._all.entered:
            ask = self._all.loop.ask
            ask(keeper.hurry)
            self._all.until(lambda: ask(lambda: keeper.at_rest), timeout)

    def _rest(self) -> None:
        """What comes now may be the last: no thread waits for more of it."""
        resting = self._all.loop.ask(self._keeper.rest) if self._keeper is not None else None
        if resting is not None:
            join([resting], LAST_RITES)

    def _arrived(self) -> None:
        with self._all.lock:
            self._over = self._all.ended
            self._all.changed()

    def _drained(self) -> None:
        super()._drained()
        self._resume()  # Others may have made room before it was known that there is none.

    def _relieved(self) -> None:
        """In the thread of one who iterates: the shards are told in their own."""
        self._all.loop.post(self._resume)

    def _resume(self) -> None:
        if self._paused and not self._draining and len(self._buffer) <= self._max_buffered // 2:
            super()._relieved()

    def _wait_for_event(self) -> Event | None:
        """The next one, which has not come yet; None if none will."""
        if not self._all.entered and not self._over:
            raise RuntimeError("enter the gateway first: with open_gateway(...) as gateway")
        event: Event | None = None

        def has_come() -> bool:
            nonlocal event
            with self._all.lock:
                event = self._take()
                return event is not None or self._over

        self._all.until(has_come, None)
        return event
