"""Where the scenarios play: a gateway of our own in a thread, a network in front of it, and bots on one driver."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from qqproto import Credentials, Endpoints, Policy
from qqproto.testing import FakeConversation, FakePlatform, c2c_message
from qqproto_transports._network import Network
from qqproto_transports.local_gateway import LocalGateway
from tests.scenarios.bots import INTENTS, QUICK, Bot
from tests.scenarios.drivers import PAUSE, Driver
from tests.scenarios.threads import GUARD, LoopThread

T = TypeVar("T")

SLACK = 5.0
"""Seconds by which the platform lets a heartbeat be late before it calls that a violation; the machine may be busy."""


class Stage:
    """A platform and the ways to it, for as long as the block lasts; its verbs may be called from the story's thread.

    ``wire`` is the network between bots and the gateway's WebSocket, ``web`` the one between them and HTTP. Bots are
    made with :meth:`bot`, and seen out at the end.
    """

    def __init__(self, driver: Driver, *, heartbeat: float = 41.25) -> None:
        self.driver = driver
        self._heartbeat = heartbeat
        self._thread = LoopThread(self._build)
        self._bots: list[Bot] = []
        self.local: LocalGateway
        self.wire: Network
        self.web: Network

    def __enter__(self) -> Stage:
        self._thread.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            for bot in self._bots:
                bot.see_out()
        finally:
            self._thread.__exit__(*exc)

    # -- bots -----------------------------------------------------------------------------------------------------

    @property
    def credentials(self) -> Credentials:
        """Those that the platform knows."""
        return self.local.credentials

    @property
    def endpoints(self) -> Endpoints:
        """Where bots find HTTP."""
        url = f"http://127.0.0.1:{self.web.port}"
        return Endpoints(api_base=url, token_url=f"{url}/app/getAppAccessToken")

    def account(self, *, credentials: Credentials | None = None, policy: Policy = QUICK, **options: Any) -> Any:
        """The bot's account at this platform."""
        options = {"endpoints": self.endpoints, **options}
        return self.driver.module.BotAccount(credentials or self.credentials, policy=policy, **options)

    def bot(self, *, account: Any = None, policy: Policy = QUICK, **options: Any) -> Bot:
        """A bot that does not live yet."""
        account = account if account is not None else self.account(policy=policy)
        bot = Bot(self.driver, self.driver.module.open_gateway(account, intents=INTENTS, **options))
        self._bots.append(bot)
        return bot

    # -- the platform ---------------------------------------------------------------------------------------------

    @property
    def platform(self) -> FakePlatform:
        """The fake platform; its levers are pulled inside of :meth:`do`."""
        return self.local.platform

    def do(self, function: Callable[[], Awaitable[T] | T]) -> T:
        """Call ``function`` in the gateway's thread, and return what it gives."""
        return self._thread.do(function)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds, which is looked at in the gateway's thread."""
        deadline = time.monotonic() + GUARD
        while not self.do(condition):
            assert time.monotonic() < deadline, f"it never came: {condition}"
            time.sleep(PAUSE)

    def say(self, *contents: object, shard: int = 0) -> None:
        """Somebody writes to the bot, whether it is there or not."""

        def say() -> None:
            session = self.platform.session(shard)
            for content in contents:
                id = f"ROBOT1.0_{content}_{session.sequence}"
                message = c2c_message(str(content), id=id, now=self.local.now)
                session.dispatch("C2C_MESSAGE_CREATE", message, self.local.now)

        self.do(say)

    def talk(self, act: Callable[[FakeConversation, float], object]) -> None:
        """Do something on the gateway's side of the bot's live connection; a moment later there may be another one."""

        def find_and_act() -> None:
            talk = self.platform.session().live
            assert talk is not None, "the bot is not there"
            act(talk, self.local.now)

        self.do(find_and_act)

    def rotate(self) -> None:
        """The gateway wants a new connection (op 7)."""
        self.talk(lambda talk, now: talk.send_reconnect(now))

    def close(self, code: int, reason: str = "") -> None:
        """The gateway closes the connection."""
        self.talk(lambda talk, now: talk.close(code, reason, now))

    def reset(self) -> None:
        """The connection breaks off."""
        self.talk(lambda talk, now: talk.reset(now))

    def mute(self) -> None:
        """The gateway acknowledges no heartbeat of this connection any more."""
        self.talk(lambda talk, now: talk.mute_acks())

    def ops(self, *, heartbeats: bool = False) -> list[int]:
        """The opcodes that the gateway has seen."""
        return self.do(lambda: self.platform.ops(heartbeats=heartbeats))

    # -- steps ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _build(self) -> AsyncIterator[None]:
        local = LocalGateway(heartbeat_interval=self._heartbeat)
        async with local, Network(local.port) as wire, Network(local.port) as web:
            self.local, self.wire, self.web = local, wire, web
            local.platform.behaviour.slack = SLACK
            local.platform.gateway_url = f"ws://127.0.0.1:{wire.port}/websocket"
            yield
