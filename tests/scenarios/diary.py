"""Everything that is logged during a scenario, by anybody, at any level."""

from __future__ import annotations

import logging
import traceback
from types import TracebackType


class Diary(logging.Handler):
    """Keeps every record of the root logger, in full, for as long as the block lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._level = logging.NOTSET

    def __enter__(self) -> Diary:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        story = "".join(traceback.format_exception(error)) if error is not None else ""
        self.lines.append(f"{record.name}: {record.getMessage()} {vars(record)} {story}")


def find_leaks(secrets: set[str], texts: list[str]) -> list[str]:
    """The texts that tell one of the secrets."""
    return [text for text in texts if any(secret in text for secret in secrets)]
