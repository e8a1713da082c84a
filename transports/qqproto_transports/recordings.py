"""Recordings in files: written as things happen, in a series of bounded size, and read again whatever a crash left."""

from __future__ import annotations

import logging
import os
import secrets as randomness
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from qqproto.recording import Line, Recorder, read

__all__ = ["FileRecorder", "read_recording"]

_KEY_SIZE = 32


class FileRecorder(Recorder):
    """Records shards into the file ``path``, for ``open_gateway(..., record=...)`` or by :meth:`shard`.

    Each line is in the file before the machine is told, so that even a killed process leaves all but the last one. A
    file that is there is gone on with. One of more than ``max_bytes`` becomes ``path.1``, that one ``path.2`` and so on
    up to ``keep`` older ones; what is older is deleted, and a shard whose beginning was is not replayed any more. With
    ``hide_contents`` the texts of dispatches are replaced as well as ``secrets`` are. Nobody but the owner may read
    the file. It is yours to close, after the gateway's block.

    A disk that is full ends the recording and not the bot: it is logged, and ``failure`` says why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        secrets: Iterable[str] = (),
        hide_contents: bool = False,
        max_bytes: int = 64 << 20,
        keep: int = 3,
    ) -> None:
        if max_bytes < 1 or keep < 0:
            raise ValueError("max_bytes must be at least 1, and keep at least 0")
        super().__init__(
            self._write_line,
            secrets=secrets,
            contents_key=randomness.token_bytes(_KEY_SIZE) if hide_contents else None,
            unix_time=time.time,
        )
        self.path = Path(path)
        self.failure: OSError | None = None
        self._max_bytes = max_bytes
        self._keep = keep
        self._lock = threading.Lock()
        self._size = 0
        self._file: IO[bytes] | None = None
        self._open()

    def close(self) -> None:
        """Nothing more is recorded."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def __enter__(self) -> FileRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        file = open(self.path, "a+b", buffering=0, opener=_for_the_owner)
        self._size = file.seek(0, os.SEEK_END)
        if self._size:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # A process died while it wrote this line.
                self._size += file.write(b"\n")
        self._file = file

    def _write_line(self, line: str) -> None:
        data = line.encode() + b"\n"
        with self._lock:
            if self._file is None:
                return
            try:
                if self._size and self._size + len(data) > self._max_bytes:
                    self._rotate()
                self._size += self._file.write(data)
            except OSError as error:
                self.failure = error
                self._file.close()
                self._file = None
                why = error.strerror or type(error).__name__
                logging.getLogger("qqproto").error("the recording %s ends here: %s", self.path, why)

    def _rotate(self) -> None:
        assert self._file is not None
        self._file.close()
        for number in reversed(range(self._keep)):
            if _older(self.path, number).exists():
                _older(self.path, number).replace(_older(self.path, number + 1))
        self.path.unlink(missing_ok=True)  # Where no older ones are kept.
        self._open()
        self._size += self._file.write(self.head().encode() + b"\n")


def read_recording(path: str | os.PathLike[str]) -> list[Line]:
    """The lines of the recording at ``path``, the older files of its series first.

    Raises :class:`OSError` if there is none, and :class:`ValueError` if it is none; both say what is wrong.
    """
    return read(_texts(Path(path)))


def _texts(path: Path) -> Iterator[str]:
    series = [path]
    while (older := _older(path, len(series))).exists():
        series.append(older)
    for part in reversed(series):
        with open(part, encoding="utf-8", errors="replace", newline="\n") as file:
            yield from file


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
