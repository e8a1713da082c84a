"""The crew of one gateway on threads: the thread that its shards live in, and who keeps their sessions."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial

from qqproto.policy import Policy
from qqproto_transports import _sync_process
from qqproto_transports._gateway import Crew
from qqproto_transports._keeper import Keeper
from qqproto_transports._sync_loop import Alarm, Loop
from qqproto_transports._sync_runners import LAST_RITES, SyncAccountRunner, SyncShardRunner
from qqproto_transports._sync_threads import Latch, in_one_piece, join, wait_for
from qqproto_transports.stores import SessionStore


class SyncCrew(Crew[SyncShardRunner]):
    """The runners of one gateway, the thread they live in, and how their end is waited for."""

    def __init__(self, account: SyncAccountRunner) -> None:
        super().__init__()
        self._account = account
        self.loop = Loop(account.clock, self._on_bug)
        self._thread: threading.Thread | None = None
        self.lock = threading.RLock()
        """What a signal handler interrupts may have taken it, and then the handler may take it too."""
        self._waiting: set[Latch] = set()
        """Whose threads look again whatever happens. No condition: it is written in Python, as an Event is."""
        self._dismissed = False

    @property
    def entered(self) -> bool:
        """Whether its thread has begun; it may have ended since."""
        return self._thread is not None

    def enter(self, begin: Callable[[], object]) -> None:
        """Let there be a thread, and ``begin`` in it."""
        thread = threading.Thread(target=self._live, name="qqproto gateway", daemon=True)
        try:
            in_one_piece(partial(self._start, thread))
            self._thread = thread
            _sync_process.ends_by(self.loop, self.drop)
            self.loop.post(begin)
        except RuntimeError:  # The system has no thread left.
            raise
        except BaseException:  # A Ctrl-C, say. If there is a thread, or one is about to be, it goes again.
            self.loop.post(self._dismiss)
            raise

    def changed(self) -> None:
        """Something happened: those who wait look again."""
        for latch in list(self._waiting):
            latch.set()

    def check_thread(self) -> None:
        """Raises RuntimeError in the crew's own thread, where nobody may wait for what only it can bring."""
        if self.loop.is_here:
            raise RuntimeError("the gateway's own thread cannot wait for the gateway; close() and status() do not")

    def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until ``condition`` holds or the time is up."""
        self.check_thread()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        latch = Latch()
        try:
            self._waiting.add(latch)
            while not condition() and (left := deadline - time.monotonic()) > 0:
                wait_for(latch.wait, left)
        finally:
            self._waiting.discard(latch)

    def ask_to_close(self, *, keep_session: bool = False) -> None:
        """Say goodbye soon. From any thread and any signal handler."""
        self.loop.post(partial(self.close, keep_session=keep_session))
        self.loop.catch_up()

    def drop(self) -> None:
        """Drop what is left, at once, and see that it is gone, but for what nobody can call off."""
        self.loop.post(self._dismiss)
        self.loop.catch_up()
        if self._thread is not None:
            join([self._thread], LAST_RITES)
        self._account.calm()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _start(self, thread: threading.Thread) -> None:
        self.loop.open()
        try:
            thread.start()
        except BaseException:
            self.loop.close()
            raise

    def _live(self) -> None:
        self.loop.run(lambda: self._dismissed)

    def _dismiss(self) -> None:
        for runner in self.runners:
            runner.abandon()
        self._dismissed = True

    def _on_bug(self, error: BaseException) -> None:
        for runner in self.runners:
            runner.bug(error)


class SyncKeeper(Keeper):
    """Keeps the sessions of one gateway."""

    def __init__(self, store: SessionStore, policy: Policy, loop: Loop) -> None:
        super().__init__(store, policy, loop.clock)
        self._loop = loop
        self._alarm = Alarm(loop, self.handle_timer)

    def _post(self, call: Callable[[], object]) -> None:
        self._loop.post(call)
        self._loop.catch_up()  # The gateway's thread may have ended; then this is the only one that knows.

    def _set_alarm(self, at: float | None) -> None:
        self._alarm.set(at)
