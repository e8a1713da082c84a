"""Where the scenarios play: a gateway of our own in a thread, networks in front of it, and bots on one driver."""

from __future__ import annotations

import functools
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, overload

from qqproto import Credentials, Endpoints, Policy
from qqproto.testing import FakeConversation, FakePlatform, FakeSession, c2c_message
from qqproto_transports._network import Network
from qqproto_transports.local_gateway import LocalGateway
from tests.scenarios.bots import INTENTS, QUICK, Bot
from tests.scenarios.drivers import PAUSE, Driver
from tests.scenarios.threads import GUARD, LoopThread
from tests.transports.certificates import trusting

T = TypeVar("T")

SLACK = 5.0
"""Seconds by which the platform lets a heartbeat be late before it calls that a violation; the machine may be busy."""


class Way:
    """The network between bots and one door of the platform.

    ``outside`` is where bots knock and where faults are made; with TLS ``inside`` is what follows behind it, in plain
    text. Without TLS they are the same.
    """

    def __init__(self, to_port: int, tls: ssl.SSLContext | None) -> None:
        self._to_port = to_port
        self.tls = tls
        self.outside: Network
        self.inside: Network

    async def build(self, stack: AsyncExitStack) -> Way:
        port = self._to_port
        if self.tls is not None:
            self.inside = await stack.enter_async_context(Network(port, tls=self.tls))
            port = self.inside.port
        self.outside = await stack.enter_async_context(Network(port))
        if self.tls is None:
            self.inside = self.outside
        return self

    def url(self, scheme: str, host: str = "127.0.0.1") -> str:
        """The address of the door; ``scheme`` is what it is without TLS."""
        return f"{scheme}{'s' if self.tls is not None else ''}://{host}:{self.outside.port}"


class Stage:
    """A platform and the ways to it, for as long as the block lasts; its verbs may be called from the story's thread.

    ``wire`` is the network between bots and the gateway's WebSocket, ``web`` the one between them and HTTP; ``tls`` and
    ``web_tls`` say with which certificate each door is kept. Bots are made with :meth:`bot`, and seen out at the end.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        heartbeat: float = 41.25,
        tls: ssl.SSLContext | None = None,
        web_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.driver = driver
        self._heartbeat = heartbeat
        self._tls = tls, web_tls
        self._thread = LoopThread(self._build)
        self.bots: list[Bot] = []
        self.passwords: set[str] = set()
        """What nobody may tell either: those of proxies, say."""
        self.local: LocalGateway
        self.gateway_way: Way
        self.web_way: Way

    def __enter__(self) -> Stage:
        self._thread.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            for bot in self.bots:
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
        url = self.web_way.url("http")
        return Endpoints(api_base=url, token_url=f"{url}/app/getAppAccessToken")

    def account(self, *, credentials: Credentials | None = None, policy: Policy = QUICK, **options: Any) -> Any:
        """The bot's account at this platform."""
        options.setdefault("endpoints", self.endpoints)
        options.setdefault("ssl_context", _trusting())
        options.setdefault("proxy", None)
        return self.driver.module.BotAccount(credentials or self.credentials, policy=policy, **options)

    def bot(self, *, account: Any = None, policy: Policy = QUICK, **options: Any) -> Bot:
        """A bot that does not live yet."""
        account = account if account is not None else self.account(policy=policy)
        options.setdefault("intents", INTENTS)
        bot = Bot(self.driver, self.driver.module.open_gateway(account, **options))
        self.bots.append(bot)
        return bot

    # -- the network ----------------------------------------------------------------------------------------------

    @property
    def wire(self) -> Network:
        """The network in front of the gateway; its verbs are called inside of :meth:`do`."""
        return self.gateway_way.outside

    @property
    def web(self) -> Network:
        """The network in front of the HTTP endpoints."""
        return self.web_way.outside

    def inject(self, data: bytes) -> None:
        """Let these bytes come on the newest connection, as if they were the gateway's."""
        self.do(lambda: self.wire.links[-1].near.write(data))

    # -- the platform ---------------------------------------------------------------------------------------------

    @property
    def platform(self) -> FakePlatform:
        """The fake platform; its levers are pulled inside of :meth:`do`."""
        return self.local.platform

    @overload
    def do(self, function: Callable[[], Coroutine[object, object, T]]) -> T: ...
    @overload
    def do(self, function: Callable[[], T]) -> T: ...
    def do(self, function: Callable[[], object]) -> object:
        """Call ``function`` in the gateway's thread, and return what it gives."""
        return self._thread.do(function)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds, which is looked at in the gateway's thread."""
        deadline = time.monotonic() + GUARD
        while not self.do(condition):
            assert time.monotonic() < deadline, f"it never came: {condition}"
            time.sleep(PAUSE)

    def say(self, *contents: object, shard: int = 0, to: FakeSession | None = None) -> None:
        """Somebody writes to the bot, whether it is there or not; to a session that may be over, if one is named."""

        def say() -> None:
            session = to or self.platform.session(shard)
            for content in contents:
                id = f"ROBOT1.0_{content}_{session.sequence}"
                message = c2c_message(str(content), id=id, now=self.local.now)
                session.dispatch("C2C_MESSAGE_CREATE", message, self.local.now)

        self.do(say)

    def talk(self, act: Callable[[FakeConversation, float], object], *, shard: int = 0) -> None:
        """Do something on the gateway's side of the bot's live connection; a moment later there may be another one."""

        def find_and_act() -> None:
            talk = self.platform.session(shard).live
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

    # -- what must not be seen ------------------------------------------------------------------------------------

    def secrets(self) -> set[str]:
        """What nobody may tell: the bot's secret, every token that it was given, and the story's passwords."""
        replies = b"".join(bytes(link.to_client) for link in self.web_way.inside.links)
        tokens = re.findall(rb'"access_token":"([^"]+)"', replies)
        return {self.credentials.secret, *self.passwords, *(token.decode() for token in tokens)}

    def told(self) -> str:
        """All that the bots have shown of themselves."""
        things = [(bot.gateway, bot.gateway.account, bot.gateway.status(), bot.events, bot.error) for bot in self.bots]
        return repr(things)

    # -- steps ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _build(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self.local = await stack.enter_async_context(LocalGateway(heartbeat_interval=self._heartbeat))
            self.gateway_way, self.web_way = [await Way(self.local.port, tls).build(stack) for tls in self._tls]
            self.platform.behaviour.slack = SLACK
            self.platform.gateway_url = f"{self.gateway_way.url('ws')}/websocket"
            yield


@functools.cache
def _trusting() -> ssl.SSLContext:
    """One for all bots: to load the system's certificates takes longer than most stories."""
    return trusting()
