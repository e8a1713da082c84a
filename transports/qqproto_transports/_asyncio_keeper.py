"""The keeper of a gateway's sessions on asyncio; who has no store does not wait for it, or SQLite, to be imported."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from qqproto.policy import Policy
from qqproto_transports._asyncio_alarm import Alarm
from qqproto_transports._keeper import Keeper
from qqproto_transports.stores import SessionStore


class AsyncioKeeper(Keeper):
    """Keeps the sessions of one gateway."""

    def __init__(self, store: SessionStore, policy: Policy, clock: Callable[[], float]) -> None:
        super().__init__(store, policy, clock)
        self._alarm = Alarm(clock, self.handle_timer)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _post(self, call: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: it took longer than anybody waited.
                self._loop.call_soon_threadsafe(call)

    def _set_alarm(self, at: float | None) -> None:
        if self._loop is None and at is not None:  # The first is set before anything is sent for.
            self._loop = asyncio.get_running_loop()
        self._alarm.set(at)
