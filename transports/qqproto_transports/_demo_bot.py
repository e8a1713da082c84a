"""The bot of the demo, on the driver that is to be seen; where that is not asyncio, it lives in a thread of its own."""

from __future__ import annotations

import asyncio
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from qqproto.credentials import Credentials, Endpoints
from qqproto.events import Event
from qqproto.policy import Policy
from qqproto.protocol.intents import Intents
from qqproto.recording import Recorder
from qqproto.status import Status
from qqproto_transports._common import Proxy


class Gateway(Protocol):
    """What the gateways of all drivers have in common, and what any thread may look at."""

    @property
    def connected(self) -> bool: ...
    @property
    def online(self) -> bool: ...
    def status(self) -> tuple[Status, ...]: ...
    def close(self) -> None: ...


class Bot(ABC):
    """One bot, not alive yet. ``gateway`` is its gateway, for what is the same on all drivers."""

    module: str
    """Its driver."""

    def __init__(
        self, credentials: Credentials, endpoints: Endpoints, proxy: Proxy, policy: Policy, record: Recorder | None
    ) -> None:
        driver = importlib.import_module(self.module)
        account = driver.BotAccount(credentials, endpoints=endpoints, proxy=proxy, policy=policy)
        # The drivers are alike, which no type checker can know.
        self._gateway: Any = driver.open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT, record=record)
        self.gateway: Gateway = self._gateway

    @abstractmethod
    async def live(self, take: Callable[[Event], None]) -> None:
        """Live, and give each event to ``take``, in the running loop; cancelled, say goodbye. Raises what ends it."""


class AsyncioBot(Bot):
    module = "qqproto_transports.asyncio"

    async def live(self, take: Callable[[Event], None]) -> None:
        async with self._gateway as gateway:
            async for event in gateway:
                take(event)


class ThreadBot(Bot):
    """A bot that another loop, or none, drives in a thread."""

    async def live(self, take: Callable[[Event], None]) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(event: Event) -> None:
            loop.call_soon_threadsafe(take, event)

        life = loop.run_in_executor(None, self._live, hand_over)
        try:
            await asyncio.shield(life)
        finally:
            self.gateway.close()
            await asyncio.wait([life])

    @abstractmethod
    def _live(self, take: Callable[[Event], None]) -> None:
        """Live, in a thread of its own."""


class TrioBot(ThreadBot):
    module = "qqproto_transports.trio"

    def _live(self, take: Callable[[Event], None]) -> None:
        import anyio

        async def live() -> None:
            async with self._gateway as gateway:
                async for event in gateway:
                    take(event)

        anyio.run(live, backend="trio")


class SyncBot(ThreadBot):
    module = "qqproto_transports.sync"

    def _live(self, take: Callable[[Event], None]) -> None:
        with self._gateway as gateway:
            for event in gateway:
                take(event)


DRIVERS: dict[str, type[Bot]] = {"asyncio": AsyncioBot, "trio": TrioBot, "sync": SyncBot}
"""By the name of the module."""
