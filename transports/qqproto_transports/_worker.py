"""A thread for what may block and may hang, and what it is sent for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any


class Worker:
    """Makes calls one after the other, in a thread that begins with the first and waits for the next.

    A thread for each would cost more than most of them do. The interpreter's end does not wait for it, as it would for
    a pool's: a call may hang.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._calls: SimpleQueue[Callable[[], object] | None]

    def call(self, function: Callable[[], object]) -> None:
        """Make this call, which raises nothing. RuntimeError if the system has no thread to give."""
        if self._thread is None:
            calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
            thread = threading.Thread(target=_work, args=(calls,), name=self._name, daemon=True)
            thread.start()
            self._thread, self._calls = thread, calls
        self._calls.put(function)

    def dismiss(self) -> threading.Thread | None:
        """Let the thread end when it has made its calls; the next call has another one. Returns it, if there was
        one."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
        return thread


def _work(calls: SimpleQueue[Callable[[], object] | None]) -> None:
    while (function := calls.get()) is not None:
        function()
        del function  # What it holds is not held for as long as the thread waits.


class Errand:
    """Calls that a worker makes one after the other, and what each gave or raised.

    Whoever sent it asks from time to time whether it is back. ``tell`` is called, by the worker, if that was asked
    before it was, if it was ``awaited`` from the beginning, or if a call has raised something. Else nobody is woken:
    that would cost as much as what most errands are for.
    """

    def __init__(self, calls: Sequence[Callable[[], Any]], tell: Callable[[], object], *, awaited: bool) -> None:
        self._calls = calls
        self._tell = tell
        self._lock = threading.Lock()
        self.awaited = awaited
        """Whether it is told when it is back; once it is so it stays so."""
        self._outcomes: list[Any] | None = None

    def run(self) -> None:
        """Make the calls. In the worker's thread."""
        outcomes: list[Any] = []
        failed = False
        for call in self._calls:
            try:
                outcomes.append(call())
            except BaseException as error:  # Whatever a host's store raises, the thread must not end without a word.
                outcomes.append(error)
                failed = True
        with self._lock:
            self._outcomes = outcomes
            quietly = not (failed or self.awaited)
        if not quietly:
            self._tell()

    def outcomes(self) -> list[Any] | None:
        """What the calls gave, or the exceptions that they raised; None if it is not back, which is told then."""
        if self._outcomes is None:
            with self._lock:
                self.awaited = True
        return self._outcomes
