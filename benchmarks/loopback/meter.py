"""What a client is measured by: the processor's time between its first event and its last."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path


class Meter:
    """Called with nothing for each event. ``pace`` is a file in which the server sees how many there were; it is mapped
    into memory, so that saying so costs the client nothing."""

    def __init__(self, count: int, pace: str | None = None) -> None:
        self._count = count
        self._seen = 0
        self._begin = 0.0
        self._seconds = 0.0
        self._pace: mmap.mmap | None = None
        if pace is not None:
            with Path(pace).open("r+b") as file:
                self._pace = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> bool:
        """True when that was the last one."""
        seen = self._seen = self._seen + 1
        if seen == 1:
            self._begin = time.process_time()
        elif seen == self._count:
            self._seconds = time.process_time() - self._begin
        if self._pace is not None:
            self._pace[:8] = struct.pack("q", seen)
        return seen >= self._count

    @property
    def each(self) -> float:
        """Seconds of the processor for one event."""
        if self._seen < self._count:
            raise SystemExit(f"{self._seen} of {self._count} events came")
        return self._seconds / (self._count - 1)
