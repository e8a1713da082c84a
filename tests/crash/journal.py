"""What a bot writes down as it lives: lines through a pipe, each of which outlives the process that wrote it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when, on the system's clock, what, and about what."""

    at: float
    word: str
    args: tuple[str, ...] = ()


class Journal:
    """The bot's end of the pipe. A line that was written is in the system's hands, whatever becomes of the bot."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, word: str, *args: object) -> None:
        """Write one line, at once."""
        os.write(self._fd, " ".join([f"{time.time():.6f}", word, *map(str, args)]).encode() + b"\n")


def entry_of(line: bytes) -> Entry:
    """One line as it was written."""
    at, word, *args = line.decode().split()
    return Entry(float(at), word, tuple(args))
