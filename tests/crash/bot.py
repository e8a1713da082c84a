"""The bot that is killed: the asyncio driver, a SQLite store, handlers that take their time, and a journal."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

from qqproto import Credentials, Dispatch, Endpoints, Event, Intents, Policy, Ready, Resumed, SettleMode
from qqproto_transports.asyncio import BotAccount, Gateway, open_gateway
from qqproto_transports.stores import SavedSession, SQLiteStore
from tests.crash.journal import Journal

INTENTS = Intents.GROUP_AND_C2C_EVENT | Intents.GUILDS

_LONGEST_WORK = 0.004


@dataclass(frozen=True, slots=True)
class Orders:
    """What one process is to do: where the platform is, which file keeps the session, how it settles and saves."""

    credentials: Credentials
    endpoints: Endpoints
    store: str
    settle: SettleMode
    save_every: float
    seed: int


class Store:
    """The store, with its calls written down. ``saved`` is called, in the worker thread, when a save is complete."""

    def __init__(self, store: SQLiteStore, journal: Journal, saved: Callable[[], object] = lambda: None) -> None:
        self._store = store
        self._journal = journal
        self._saved = saved

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        self._journal.write("loading")
        saved = self._store.load(app_id, shard)
        self._journal.write("loaded")
        return saved

    def save(self, saved: SavedSession, /) -> None:
        self._journal.write("saving", saved.saved_at)
        self._store.save(saved)
        self._journal.write("saved", saved.saved_at)
        self._saved()


class Bot:
    """One process's bot; other ones, with a mistake planted, override its steps."""

    def __init__(self, orders: Orders, journal: Journal) -> None:
        self.orders = orders
        self.journal = journal
        self._random = random.Random(orders.seed)

    async def live(self) -> None:
        """Until SIGTERM asks it to end; SIGKILL does not ask."""
        with SQLiteStore(self.orders.store) as sqlite:
            gateway = open_gateway(
                BotAccount(self.orders.credentials, endpoints=self.orders.endpoints),
                intents=INTENTS,
                settle=self.orders.settle,
                store=self.wrap(sqlite),
                policy=Policy(save_every=self.orders.save_every, backoff=(0.05,)),
            )
            endings: list[asyncio.Task[None]] = []

            def stop() -> None:
                endings.append(asyncio.ensure_future(gateway.aclose(drain=20.0)))

            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
            async with gateway:
                await self.handle_all(gateway)
            await asyncio.gather(*endings)
        self.journal.write("done")

    # -- what mistakes are planted into ---------------------------------------------------------------------------

    def wrap(self, store: SQLiteStore) -> Store:
        return Store(store, self.journal)

    async def handle(self, gateway: Gateway, event: Dispatch) -> None:
        """In a task of its own, with `settle="manual"`."""
        async with gateway.handling(event):
            await self.work()
            self.journal.write("end", number_of(event))
        self.journal.write("settled", number_of(event))

    def is_marked(self, event: Dispatch) -> bool:
        return event.redelivered

    # -- steps ----------------------------------------------------------------------------------------------------

    async def handle_all(self, gateway: Gateway) -> None:
        in_hand: int | None = None
        tasks: set[asyncio.Task[None]] = set()
        async for event in gateway:
            if in_hand is not None:
                self.journal.write("settled", in_hand)
                in_hand = None
            if not isinstance(event, Dispatch):
                self.note(event)
                continue
            number = number_of(event)
            self.journal.write("begin", number, int(self.is_marked(event)))
            if self.orders.settle == "manual":
                task = asyncio.create_task(self.handle(gateway, event))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                continue
            await self.work()
            self.journal.write("end", number)
            in_hand = number
        await asyncio.gather(*tasks)

    async def work(self) -> None:
        """What a handler does: often nothing that takes time, and sometimes something that does."""
        if self._random.random() < 0.4:
            await asyncio.sleep(self._random.random() * _LONGEST_WORK)

    def note(self, event: Event) -> None:
        name = type(event).__name__
        if isinstance(event, Ready):
            self.journal.write("ready")
        elif isinstance(event, Resumed):
            self.journal.write("resumed", event.replayed, event.missing)
        elif name in ("StoreFailed", "SessionRefused", "SettlementLagging", "Malformed", "ConfigurationError"):
            self.journal.write("trouble", repr(event))


def number_of(event: Dispatch) -> int:
    """Which of the events that were sent it is."""
    data = event.data
    return int(data["name"] if event.type == "CHANNEL_UPDATE" else data["content"])
