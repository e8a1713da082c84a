"""Threads: helpers for calls that can only block, and what begins and waits in one piece, whatever signal comes."""

from __future__ import annotations

import _thread
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

from qqproto.failures import Failure, FailureKind
from qqproto_transports._failures import Failed

T = TypeVar("T")

SLICE = 0.2 if sys.platform == "win32" else 1.0
"""Seconds that a thread waits for another one at a time. Windows lets no Ctrl-C through meanwhile; elsewhere a signal
that comes in the moment before the wait does not end it."""


NO_THREAD = Failure(FailureKind.OTHER, "the system has no thread left")
"""What a call that needs a thread fails with, if there is none: like one of the network it may pass."""


class Helper(threading.Thread, Generic[T]):
    """Calls ``work`` in a thread of its own; what it gives or raises is ``outcome``, whose callbacks are called there.

    It is a daemon: what hangs in it keeps no interpreter from ending. If the system has no thread left, that is a
    failure like one of the network, since it may pass.
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        super().__init__(name=f"qqproto {name}", daemon=True)
        self._work = work
        self.outcome: Future[T] = Future()

    def begin(self) -> Future[T]:
        """Start it; returns its outcome. Not for the main thread, which signals interrupt."""
        try:
            self.start()
        except RuntimeError:
            self.outcome.set_exception(Failed(NO_THREAD))
        return self.outcome

    def run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


class Latch:
    """What one thread waits for, and others set, any number of times.

    An Event is written in Python: an exception out of a signal handler, a Ctrl-C say, that comes between two of its
    instructions may leave its lock taken for ever.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Who waits goes on, and who comes to wait does not."""
        if self._queue.empty():
            self._queue.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set; False if it was not within so many seconds."""
        try:
            self._queue.get(timeout=seconds)
        except queue.Empty:
            return False
        return True


def in_one_piece(call: Callable[[], object]) -> None:
    """Make ``call`` wholly or not at all, and raise what it raises. RuntimeError if the system has no thread for it.

    An exception out of a signal handler that comes in the middle of Python's ``Thread.start`` may leave a thread that
    hangs before it runs, or one that is listed for ever. It comes in the main thread alone, so that another one makes
    the call for it; if it comes meanwhile, the call may be made a moment later.
    """
    if threading.current_thread() is not threading.main_thread():
        call()
        return
    outcome: SimpleQueue[BaseException | None] = SimpleQueue()
    _thread.start_new_thread(_make, (call, outcome))
    error = outcome.get()
    if error is not None:
        raise error


def _make(call: Callable[[], object], outcome: SimpleQueue[BaseException | None]) -> None:
    try:
        call()
    except BaseException as error:
        outcome.put(error)
    else:
        outcome.put(None)


def join(threads: Iterable[threading.Thread], within: float) -> None:
    """Wait until the threads have ended, but for the one that waits, and no longer than ``within`` seconds."""
    deadline = time.monotonic() + within
    for thread in threads:
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


def wait_for(wait: Callable[[float], object], seconds: float) -> bool:
    """Call ``wait``, that of a Latch say, with a time that it may take, until it gives something true.

    Returns False when ``seconds``, which may be infinite, are over before that.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if wait(max(0.0, min(left, SLICE))):
            return True
        if left <= 0:
            return False
