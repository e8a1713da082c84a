"""Helper threads, for calls that can only block."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Generic, TypeVar

from qqproto.failures import Failure, FailureKind
from qqproto_transports._failures import Failed

T = TypeVar("T")

SLICE = 0.2 if sys.platform == "win32" else 1.0
"""Seconds that a thread waits for another one at a time. Windows lets no Ctrl-C through meanwhile; elsewhere a signal
that comes in the moment before the wait does not end it."""


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
        """Start it; returns its outcome."""
        try:
            self.start()
        except RuntimeError:
            self.outcome.set_exception(Failed(Failure(FailureKind.OTHER, "the system has no thread left")))
        return self.outcome

    def run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


def join(threads: Iterable[threading.Thread], within: float) -> None:
    """Wait until the threads have ended, but for the one that waits, and no longer than ``within`` seconds."""
    deadline = time.monotonic() + within
    for thread in threads:
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


def wait_for(wait: Callable[[float], object], seconds: float | None) -> bool:
    """Call ``wait``, that of an Event say, with a time that it may take, until it gives something true.

    Returns False when ``seconds`` are over before that; None is for ever.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if wait(max(0.0, min(left, SLICE))):
            return True
        if left <= 0:
            return False
