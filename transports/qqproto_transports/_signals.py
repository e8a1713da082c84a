"""SIGINT and SIGTERM as a request to stop, on every system."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 4.0
_AFTER_THE_END = 2.0


@contextmanager
def on_signals(stop: Callable[[], object], *, exit_code: int = 0) -> Iterator[None]:
    """Call ``stop`` on the running event loop when the process is asked to end, for as long as the block lasts.

    A name look-up that hangs in a thread cannot be cancelled, and the interpreter would wait for it at its end. So the
    process is left by force, with ``exit_code``, when it is still there four seconds after it was asked. For the main
    thread of programs, not for libraries.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def handler(number: int, frame: object) -> None:
        nonlocal asked
        if not asked:
            asked = True
            way_out = threading.Timer(_PATIENCE, _leave, [exit_code])
            way_out.daemon = True
            way_out.start()
            loop.call_soon_threadsafe(stop)

    # Not `loop.add_signal_handler`, which Windows does not have; there Ctrl-Break is a signal of its own.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            # A second Ctrl-C, while the interpreter tidies up, must not end in a traceback.
            signal.signal(number, signal.SIG_IGN if asked else old)


def leave_soon(exit_code: int) -> None:
    """Leave the process by force if it is still there two seconds from now: some thread may hang. For programs that are
    done, not for libraries."""
    way_out = threading.Timer(_AFTER_THE_END, _leave, [exit_code])
    way_out.daemon = True
    way_out.start()


def _leave(exit_code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(exit_code)
