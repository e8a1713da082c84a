"""Where the bots' processes come from, and how one is watched until it is killed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from tests.crash.bot import Bot, Orders
from tests.crash.journal import Entry, Journal, entry_of

# Each bot is a fork of a process that has the modules imported and nothing else, which takes milliseconds in place of a
# second. What it does from there on, sockets and store included, is its own.
if sys.platform == "win32":
    _FORKS = multiprocessing.get_context("spawn")
else:
    _FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.crash.bot", "httpx", "sqlite3"])


def live(make: Callable[[Orders, Journal], Bot], orders: Orders, pipe: Connection) -> None:
    """The life of one process, which ends with that of the campaign."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the campaign, which ends in order.
    threading.Thread(target=_end_with_the_campaign, daemon=True).start()
    journal = Journal(pipe.fileno())
    journal.write("up")
    asyncio.run(make(orders, journal).live())


def _end_with_the_campaign() -> None:
    """Who is killed cannot end its bots, which would go on for ever: each sees to it by itself."""
    campaign = multiprocessing.parent_process()
    assert campaign is not None, "this is a child"
    campaign.join()
    os._exit(1)


@dataclass(slots=True)
class Child:
    """A bot that lives; ``entries`` is what it has written so far, ``killed_at`` when it was killed, if it was."""

    process: multiprocessing.process.BaseProcess
    entries: list[Entry] = field(default_factory=list)
    killed_at: float | None = None
    _pending: bytes = b""
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _watch: Callable[[Entry], object] = lambda entry: None

    @property
    def is_alive(self) -> bool:
        """Whether it may still write something."""
        return not self._gone.is_set()

    def kill(self) -> None:
        """SIGKILL, now."""
        if self.killed_at is None:
            self.process.kill()
            self.killed_at = time.time()

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    async def gone(self, within: float) -> None:
        """Wait for its end; one that says nothing for so many seconds hangs, which is a TimeoutError."""
        while not self._gone.is_set():
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), within)
            except asyncio.TimeoutError:
                last = self.entries[-1] if self.entries else None
                raise TimeoutError(f"a bot has written nothing for {within:g} s; its last line was {last}") from None
        self.process.join()

    def hear(self, data: bytes) -> None:
        """It has written, or it is gone."""
        self._news.set()
        if not data:
            self._gone.set()
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            entry = entry_of(line)
            self.entries.append(entry)
            self._watch(entry)


@asynccontextmanager
async def born(
    make: Callable[[Orders, Journal], Bot], orders: Orders, watch: Callable[[Entry], object]
) -> AsyncIterator[Child]:
    """A bot for as long as the block lasts; ``watch`` is called with each line that it writes."""
    ours, theirs = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=live, args=(make, orders, theirs), daemon=True)
    process.start()
    theirs.close()
    child = Child(process)
    child._watch = watch
    loop, fd = asyncio.get_running_loop(), ours.fileno()

    def read() -> None:
        data = os.read(fd, 65536)
        if not data:
            loop.remove_reader(fd)
        child.hear(data)

    loop.add_reader(fd, read)
    try:
        yield child
    finally:
        loop.remove_reader(fd)
        if process.is_alive():
            process.kill()
        process.join()
        process.close()
        ours.close()
