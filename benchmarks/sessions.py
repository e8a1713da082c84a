"""What settling and saving cost: a bot on real sockets with and without a store, in CPU time an event."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.race import Times, figure
from qqproto import Credentials, Dispatch, Endpoints, Intents, Policy, Ready, SettleMode
from qqproto.testing import group_at_message
from qqproto_transports.asyncio import BotAccount, Gateway, open_gateway
from qqproto_transports.local_gateway import LocalGateway
from qqproto_transports.stores import SavedSession, SQLiteStore

_WARM_UP = 1200
"""Events before the clock starts: a session that is saved has a thousand names by then, and no more later."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """So many events, and how many of them come at a time; ``each_saved``: the next one comes when it is."""

    name: str
    events: int
    burst: int
    each_saved: bool = False


TRAFFIC = (
    Traffic("as fast as they come", 20_000, 500),
    Traffic("one at a time", 1_000, 1),
    Traffic("one a second, so that each is saved", 100, 1, each_saved=True),
)


def saving(rounds: int) -> list[Figure]:
    """What settling and what saving add to an event, in CPU time of the bot's process, all of its threads.

    Each round runs every kind of bot once, in turn, so that a slow moment of the machine hits all alike.
    """
    ours, theirs = multiprocessing.Pipe()
    platform = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    platform.start()
    theirs.close()
    try:
        credentials, endpoints = ours.recv()
        return [row for traffic in TRAFFIC for row in _measure(traffic, rounds, ours, credentials, endpoints)]
    finally:
        platform.kill()
        platform.join()


def _measure(
    traffic: Traffic, rounds: int, pipe: Connection, credentials: Credentials, endpoints: Endpoints
) -> list[Figure]:
    times: dict[str, list[float]] = {"unsettled": [], "settled": [], "saved": []}
    for _ in range(rounds):
        for kind, found in times.items():
            seconds = asyncio.run(Bot(kind, traffic, pipe).live(credentials, endpoints))
            found.append(seconds / traffic.events)
    return [
        figure("saving", f"{ours}, {traffic.name}", {kind: Times(found) for kind, found in times.items()}, ours, peer)
        for ours, peer in (("settled", "unsettled"), ("saved", "settled"))
    ]


# -- the bot -----------------------------------------------------------------------------------------------------------


class Bot:
    """Asks the platform for events, and counts them. ``kind`` is one of the columns."""

    def __init__(self, kind: str, traffic: Traffic, pipe: Connection) -> None:
        self._kind = kind
        self._traffic = traffic
        self._pipe = pipe
        self._asked = self._heard = 0
        self._waits_for_save = kind == "saved" and traffic.each_saved

    async def live(self, credentials: Credentials, endpoints: Endpoints) -> float:
        """The CPU seconds that the events took."""
        settle: SettleMode = "manual" if self._kind == "unsettled" else "iteration"
        policy = Policy(save_every=1e-6 if self._traffic.each_saved else 1.0, max_unsettled=10)
        with ExitStack() as stack:
            store = None
            if self._kind == "saved":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                store = _Told(stack.enter_context(SQLiteStore(Path(folder, "bot.sqlite"))), self._on_saved)
            account = BotAccount(credentials, endpoints=endpoints)
            intents = Intents.GROUP_AND_C2C_EVENT
            gateway = open_gateway(account, intents=intents, settle=settle, store=store, policy=policy)
            async with gateway:
                async for event in gateway:
                    if isinstance(event, Ready):
                        break
                await self._hear(gateway, _WARM_UP, _WARM_UP)
                before = time.process_time()
                await self._hear(gateway, self._traffic.events, self._traffic.burst)
                seconds = time.process_time() - before
                await gateway.aclose(keep_session=False)
        return seconds

    async def _hear(self, gateway: Gateway, events: int, burst: int) -> None:
        self._asked = self._heard = 0
        self._ask(burst)
        async for event in gateway:
            self._heard += isinstance(event, Dispatch)
            if self._heard == events:
                return
            if self._heard == self._asked and not (self._waits_for_save and burst == 1):
                self._ask(burst)

    def _on_saved(self) -> None:
        if 0 < self._heard == self._asked < self._traffic.events and self._traffic.each_saved:
            self._ask(1)

    def _ask(self, burst: int) -> None:
        self._asked += burst
        self._pipe.send(burst)


class _Told:
    """A store that says on the event loop when it has saved."""

    def __init__(self, store: SQLiteStore, on_saved: Callable[[], None]) -> None:
        self._store = store
        self._on_saved = on_saved
        self._loop = asyncio.get_running_loop()

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        return self._store.load(app_id, shard)

    def save(self, saved: SavedSession, /) -> None:
        self._store.save(saved)
        self._loop.call_soon_threadsafe(self._on_saved)


# -- the platform, in a process of its own -----------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    asyncio.run(_send_what_is_asked_for(pipe))


async def _send_what_is_asked_for(pipe: Connection) -> None:
    async with LocalGateway() as gateway:
        gateway.platform.bot.call_every = 1e-3
        gateway.platform.bot.max_concurrency = 10_000
        number = 0

        def send() -> None:
            nonlocal number
            session = list(gateway.platform.sessions.values())[-1]
            for _ in range(pipe.recv()):
                number += 1
                message = group_at_message("今天晚上八点在群里开会，请大家准时参加。" * 4, id=f"ROBOT1.0_{number:020d}")
                session.dispatch("GROUP_AT_MESSAGE_CREATE", message, gateway.now)

        asyncio.get_running_loop().add_reader(pipe.fileno(), send)
        pipe.send((gateway.credentials, gateway.endpoints))
        await asyncio.Event().wait()
