"""Bots that campaigns are run on, named on the command line as ``module:name``."""

from __future__ import annotations

from qqproto import Event, Resumed
from qqproto.testing.simulation import Bot, Process


def fussy() -> Bot:
    """A bot that cannot bear to be resumed."""

    def on_event(event: Event, process: Process) -> None:
        assert not isinstance(event, Resumed), "resumed"

    return Bot(on_event=on_event)
