"""What settling and saving cost: bots on real sockets with and without a store, in CPU time an event."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import struct
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import trio

import qqproto_transports.asyncio
import qqproto_transports.sync
import qqproto_transports.trio
from benchmarks.figures import Figure
from benchmarks.race import Times, figure
from qqproto import Credentials, Dispatch, Endpoints, Event, Intents, Policy, Ready
from qqproto.testing import group_at_message
from qqproto_transports.local_gateway import LocalGateway
from qqproto_transports.stores import SavedSession, SQLiteStore

Driver = Literal["asyncio", "trio", "sync"]
Kind = Literal["unsettled", "settled", "saved"]

_WARM_UP = 1200
"""Events before the clock starts: a session that is saved has a thousand names by then, and no more later."""
_SAVE_EVERY = 0.002
"""Seconds, where each event is to be saved: longer than one takes ..."""
_PAUSE = 0.004
"""... and shorter than those after which the platform sends what it is asked for; the bot is asleep by then. That is
how it goes with an event a second, only faster."""
_MOST_SHARED = 0.02
"""Of those events: so many may be saved with the one after them, because the machine had a slow moment."""
_BUSY, _BURST = 20_000, 500
_LONE = 300
_STEADY, _STEADY_PAUSE = 100, 0.05
"""Five seconds of a bot's ordinary traffic: each event wakes it up, and one in twenty is saved at once."""
_REQUEST = struct.Struct("!Hd")
"""Of a bot to the platform: how many events, and after how many seconds."""


def saving(rounds: int) -> list[Figure]:
    """What settling and what saving add to an event, in CPU time of the bot's process, all of its threads.

    Each round runs every kind of bot once, in turn, so that a slow moment of the machine hits all alike. The first
    round is thrown away.
    """
    ours, theirs = multiprocessing.Pipe()
    platform = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    platform.start()
    theirs.close()
    try:
        credentials, endpoints = ours.recv()
        measure = partial(_measure, rounds, ours, credentials, endpoints)
        busy = measure("asyncio", ("unsettled", "settled", "saved"), _BUSY, _BURST, _PAUSE)
        steady = measure("asyncio", ("settled", "saved"), _STEADY, 1, _STEADY_PAUSE)
        return [
            *(
                figure("saving", f"{kind}, as fast as they come", busy, kind, peer)
                for kind, peer in (("settled", "unsettled"), ("saved", "settled"))
            ),
            figure("saving", "saved, twenty a second, each in a wake-up of its own", steady, "saved", "settled"),
            *(_lone(driver, measure(driver, ("settled", "saved"), _LONE, 1, _PAUSE)) for driver in _DRIVERS),
        ]
    finally:
        platform.kill()
        platform.join()


def _measure(
    rounds: int, pipe: Connection, credentials: Credentials, endpoints: Endpoints,
    driver: Driver, kinds: tuple[Kind, ...], events: int, burst: int, pause: float,
) -> dict[str, Times]:  # fmt: skip
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind in kinds:
            seconds = Bot(driver, kind, pipe, events, burst, pause).live(credentials, endpoints)
            if number:
                times[kind].append(seconds / events)
    return {kind: Times(found) for kind, found in times.items()}


def _lone(driver: Driver, times: dict[str, Times]) -> Figure:
    """What its save costs an event that is alone in its second, next to all else that the event costs."""
    event, both = times["settled"], times["saved"]
    ratio, low, high = both.ratio(event)
    return Figure(
        "saving", f"the save of an event that is alone, {driver}", "the event", "µs",
        (both.best - event.best) * 1e6, event.best * 1e6, ratio - 1, low - 1, high - 1, target=1.0,
    )  # fmt: skip


# -- the bot -----------------------------------------------------------------------------------------------------------

_DRIVERS: dict[Driver, Any] = {
    "asyncio": qqproto_transports.asyncio,
    "trio": qqproto_transports.trio,
    "sync": qqproto_transports.sync,
}


class Bot:
    """Asks the platform for so many events, and counts them. They come ``pause`` seconds after they were asked for."""

    def __init__(self, driver: Driver, kind: Kind, pipe: Connection, events: int, burst: int, pause: float) -> None:
        self._driver = driver
        self._kind = kind
        self._pipe = pipe
        self._events = events
        self._burst = burst
        self._pause = pause
        self._alone = burst == 1 and pause == _PAUSE
        """Whether each event is to have a save for itself."""
        self._heard = self._asked = 0
        self._store: _Counting | None = None
        self._began = self._seconds = 0.0

    def live(self, credentials: Credentials, endpoints: Endpoints) -> float:
        """The CPU seconds that the events took."""
        driver = _DRIVERS[self._driver]
        with ExitStack() as stack:
            if self._kind == "saved":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                self._store = _Counting(stack.enter_context(SQLiteStore(Path(folder, "bot.sqlite"))))
            gateway = driver.open_gateway(
                driver.BotAccount(credentials, endpoints=endpoints),
                intents=Intents.GROUP_AND_C2C_EVENT,
                settle="manual" if self._kind == "unsettled" else "iteration",
                store=self._store,
                policy=Policy(save_every=_SAVE_EVERY if self._alone else 1.0, max_unsettled=10),
            )
            match self._driver:
                case "asyncio":
                    asyncio.run(self._iterate(gateway))
                case "trio":
                    trio.run(self._iterate, gateway)
                case "sync":
                    with gateway:
                        for event in gateway:
                            self._on_event(event, gateway)
        if self._store is not None and self._alone and self._store.saves < (1 - _MOST_SHARED) * self._events:
            raise RuntimeError(f"{self._events} events had {self._store.saves} saves: this machine is too slow for it")
        return self._seconds

    async def _iterate(self, gateway: Any) -> None:
        async with gateway:
            async for event in gateway:
                self._on_event(event, gateway)

    def _on_event(self, event: Event, gateway: Any) -> None:
        if isinstance(event, Ready):
            self._ask(_WARM_UP)
        if not isinstance(event, Dispatch):
            return
        self._heard += 1
        if self._heard == _WARM_UP:
            if self._store is not None:
                self._store.saves = 0
            self._began = time.process_time()
        elif self._heard == _WARM_UP + self._events:
            self._seconds = time.process_time() - self._began
            gateway.close(keep_session=False)
            return
        if self._heard == self._asked:
            self._ask(self._burst)

    def _ask(self, count: int) -> None:
        self._asked += count
        os.write(self._pipe.fileno(), _REQUEST.pack(count, self._pause))


class _Counting:
    """A store that counts how often it has saved."""

    def __init__(self, store: SQLiteStore) -> None:
        self.load = store.load
        self._save = store.save
        self.saves = 0

    def save(self, saved: SavedSession, /) -> None:
        self._save(saved)
        self.saves += 1


# -- the platform, in a process of its own -----------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    asyncio.run(_send_what_is_asked_for(pipe))


async def _send_what_is_asked_for(pipe: Connection) -> None:
    async with LocalGateway() as gateway:
        gateway.platform.bot.call_every = 1e-3
        gateway.platform.bot.max_concurrency = 10_000
        loop, number = asyncio.get_running_loop(), 0

        def send(count: int) -> None:
            nonlocal number
            session = list(gateway.platform.sessions.values())[-1]
            for _ in range(count):
                number += 1
                message = group_at_message("今天晚上八点在群里开会，请大家准时参加。" * 4, id=f"ROBOT1.0_{number:020d}")
                session.dispatch("GROUP_AT_MESSAGE_CREATE", message, gateway.now)

        def on_asked() -> None:
            count, pause = _REQUEST.unpack(os.read(pipe.fileno(), _REQUEST.size))
            loop.call_later(pause, send, count)

        loop.add_reader(pipe.fileno(), on_asked)
        pipe.send((gateway.credentials, gateway.endpoints))
        await asyncio.Event().wait()
