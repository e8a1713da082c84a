"""Lines typed on standard input, brought to the event loop on every system."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def lines_from_stdin(heed: Callable[[str], None]) -> Iterator[None]:
    """Call ``heed`` on the running event loop with each line, for as long as the block lasts.

    The end of standard input is not the end of anything.
    """
    loop = asyncio.get_running_loop()
    over = threading.Event()

    def read() -> None:
        pending = b""
        # Not `sys.stdin`: its lock, held by a thread that waits for input, is fatal to the interpreter's end.
        while data := _read():
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if over.is_set():
                    return
                try:
                    loop.call_soon_threadsafe(heed, line.decode(errors="replace"))
                except RuntimeError:
                    return  # The loop is closed.

    if hasattr(signal, "SIGTTIN"):
        # In a shell's background reading would stop the whole process; so it is an error, which ends the reading.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    threading.Thread(target=read, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _read() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:
        return b""
