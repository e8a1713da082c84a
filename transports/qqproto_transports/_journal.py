"""What the drivers write into the log: one line an event, repeats collapsed, and one traceback a bug."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from qqproto.events import Event
from qqproto.narrator import Narrator
from qqproto_transports._common import Logger

_default = logging.getLogger("qqproto")
_default.addHandler(logging.NullHandler())  # A library says nothing on a console that its host has not set up.


class Journal:
    """Logs the events of one bot's shards, to the logger ``qqproto`` if the host has none of its own for it."""

    def __init__(self, logger: Logger | None, clock: Callable[[], float]) -> None:
        self._logger = _default if logger is None else logger
        self._clock = clock
        self._narrator = Narrator()
        self._bug: BaseException | None = None

    def event(self, event: Event) -> None:
        """Something happened."""
        line = self._narrator.line(event, self._clock())
        if line is not None:
            self._write(*line)

    def refusal(self, status: int, reason: str) -> None:
        """A webhook turned a request away."""
        line = self._narrator.refusal(status, reason, self._clock())
        if line is not None:
            self._write(*line)

    def bug(self, shard: int, error: BaseException) -> None:
        """``error`` ends ``shard``. One that ends several shards has one traceback."""
        traceback = None if error is self._bug else error
        self._bug = error
        fields = {"qq_event": "Bug", "qq_shard": shard, "qq_error": type(error).__name__}
        self._write(logging.CRITICAL, f"shard {shard}: a bug ends it", fields, traceback)

    def _write(self, level: int, text: str, fields: dict[str, Any], error: BaseException | None = None) -> None:
        try:
            _log(self._logger, level, text, fields, error)
        except Exception:
            pass  # A handler or an adapter of the host's is broken. That is no reason to miss a heartbeat.


def _log(logger: Logger, level: int, text: str, fields: dict[str, Any], error: BaseException | None) -> None:
    """Log with both the fields and an adapter's own.

    A ``LoggerAdapter`` as it comes throws away the fields of the call. One with a ``log`` of its own knows better.
    """
    if not isinstance(logger, logging.LoggerAdapter) or type(logger).log is not logging.LoggerAdapter.log:
        logger.log(level, text, extra=fields, exc_info=error)
    elif logger.isEnabledFor(level):
        text, options = logger.process(text, {"extra": fields, "exc_info": error})
        _log(logger.logger, level, text, {**fields, **(options.get("extra") or {})}, options.get("exc_info"))
