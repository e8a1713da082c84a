"""Bots with a mistake planted, each of which the judge has to notice."""

from __future__ import annotations

import asyncio

from qqproto import Dispatch
from qqproto_transports.asyncio import Gateway
from qqproto_transports.stores import SavedSession, SQLiteStore
from tests.crash.bot import Bot, Store, number_of


class SettlesFirst(Bot):
    """It says that it has finished before it has begun; in every life but the last its handlers are slow, too."""

    async def handle(self, gateway: Gateway, event: Dispatch) -> None:
        gateway.settle(event)
        self.journal.write("settled", number_of(event))
        if self.orders.seed:
            await asyncio.Event().wait()
        self.journal.write("end", number_of(event))


class Forgets(Bot):
    """Its store keeps the first thing that it is given."""

    def wrap(self, store: SQLiteStore) -> Store:
        return _FirstOnly(store, self.journal)


class _FirstOnly(Store):
    def save(self, saved: SavedSession, /) -> None:
        session = saved.session
        if self._store.load(session.app_id, session.shard) is None:
            super().save(saved)
        else:
            self._journal.write("saved", saved.saved_at)


class TellsNobody(Bot):
    """It does not pass on that an event may be a repetition."""

    def is_marked(self, event: Dispatch) -> bool:
        return False


class GivesUp(Bot):
    """It ends when it has something to do."""

    async def work(self) -> None:
        raise SystemExit(3)


class Idles(Bot):
    """It has the store open, and nothing more to do or to write."""

    async def live(self) -> None:
        with SQLiteStore(self.orders.store):
            self.journal.write("open")
            await asyncio.Event().wait()
