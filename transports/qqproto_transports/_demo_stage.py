"""Where the demo plays: a local gateway, a network, people who write all the time, a bot whose messages are counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from qqproto.credentials import Endpoints
from qqproto.events import Disconnected, Dispatch, Event, Ready, Resumed
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase
from qqproto.protocol.opcodes import Opcode
from qqproto.recording import Recorder
from qqproto.testing import FakeConversation, group_at_message
from qqproto_transports._common import GatewayStopped
from qqproto_transports._demo_bot import AsyncioBot, Bot
from qqproto_transports._network import Network
from qqproto_transports._proxy import ProxyServer
from qqproto_transports.local_gateway import LocalGateway

HEARTBEAT = 1.0
"""Seconds between two heartbeats at most, as Hello says; 41.25 in life."""

PATIENCE_OF_GATEWAY = 1.0
"""How much later a heartbeat may be before the gateway closes with 4009; about 20 s in life."""

# Nobody wants to watch an outage at its real pace. The first wait of a recovery is as it is for every bot, the later
# ones are short, so that an outage has many tries; what limits requests goes along. As in life, silence is noticed
# before acknowledgements are missed, and a stall of our own before silence.
POLICY = Policy(
    backoff=(1.0, 0.1),
    stable_after=3.0,
    offline_grace=3.0,
    probe_after=0.8,
    dead_after=1.6,
    lag_tolerance=0.3,
    dial_timeout=3.0,
    token_failure_pause=0.02,
    gateway_fresh_for=1.0,
    gateway_refill=0.05,
)

# A machine may have other things to do, and then both sides are late.
_SLACK = 0.75

_BETWEEN_MESSAGES = 0.05
_MESSAGE_ID = "ROBOT1.0_demo-"


@asynccontextmanager
async def open_stage(
    tell: Callable[[Event], None], driver: type[Bot] = AsyncioBot, record: Recorder | None = None
) -> AsyncIterator[Stage]:
    """The stage, for as long as the block lasts. ``tell`` is called with each event but the messages."""
    async with (
        LocalGateway(heartbeat_interval=HEARTBEAT) as gateway,
        Network(gateway.port) as network,
        ProxyServer() as proxy,
        Network(proxy.port) as way_to_proxy,
    ):
        gateway.platform.behaviour.heartbeat_grace = PATIENCE_OF_GATEWAY
        gateway.platform.behaviour.slack = _SLACK
        stage = Stage(gateway, network, proxy, way_to_proxy, tell, driver, record)
        stage.name_host("127.0.0.1")
        try:
            yield stage
        finally:
            await stage.leave()


class Stage:
    """A bot and a local gateway, over real sockets and through a network of which the demo disposes.

    Numbered messages are sent twenty times a second, from the first READY on, whether the bot is there or not: ``sent``
    is the last number, ``received`` how often each arrived. ``events`` is what else the bot was told. ``recoveries``
    counts READY and RESUMED, and ``live_since`` is when the last of them came. ``over`` says why the bot has stopped,
    None as long as it has not. ``proxy`` is one through which the bot goes if it is told to, ``way_to_proxy`` the
    network in front of it.
    """

    def __init__(
        self,
        gateway: LocalGateway,
        network: Network,
        proxy: ProxyServer,
        way_to_proxy: Network,
        tell: Callable[[Event], None],
        driver: type[Bot],
        record: Recorder | None,
    ) -> None:
        self.gateway = gateway
        self.network = network
        self.proxy = proxy
        self.way_to_proxy = way_to_proxy
        self._proxy_url: str | None = None
        url = f"http://127.0.0.1:{network.port}"
        endpoints = Endpoints(api_base=url, token_url=f"{url}/app/getAppAccessToken")
        self._life = driver(gateway.credentials, endpoints, lambda url: self._proxy_url, POLICY, record)
        self.bot = self._life.gateway
        self.sent = 0
        self.received: Counter[int] = Counter()
        self.events: list[Event] = []
        self.recoveries = 0
        self.live_since = 0.0
        self.over: str | None = None
        self._tell = tell
        self._tasks: list[asyncio.Task[None]] = []
        self._sending = True
        self._waiting: set[asyncio.Future[None]] = set()

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def talk(self) -> FakeConversation | None:
        """The gateway's side of the bot's connection, None while the bot is away."""
        sessions = self.gateway.platform.sessions.values()
        return next((session.live for session in sessions if session.live is not None), None)

    @property
    def identifies(self) -> int:
        """How many Identifies the gateway has seen."""
        return self.gateway.platform.ops().count(Opcode.IDENTIFY)

    @property
    def resumes(self) -> int:
        """How many Resumes the gateway has seen."""
        return self.gateway.platform.ops().count(Opcode.RESUME)

    def heartbeats(self, connection: int | None = None) -> int:
        """How many heartbeats the gateway has seen on a connection; None: on all."""
        beats = [frame for frame in self.gateway.platform.frames if frame.op == Opcode.HEARTBEAT]
        return sum(1 for frame in beats if connection in (None, frame.connection))

    def failed_tries(self, since: int) -> int:
        """How many tries to come back have failed since there were so many events."""
        events = self.events[since:]
        return sum(1 for event in events if isinstance(event, Disconnected) and event.phase is not Phase.READY)

    def lost(self, numbers: range) -> int:
        """How many of these messages did not arrive."""
        return sum(1 for number in numbers if not self.received[number])

    def repeated(self, numbers: range) -> int:
        """How many arrivals there were too many."""
        return sum(max(0, self.received[number] - 1) for number in numbers)

    # -- what is done ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The bot begins, and so do the people who write to it."""
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._send_messages())]

    def name_host(self, host: str) -> None:
        """From now on the platform says that its gateway is on ``host``."""
        self.gateway.platform.gateway_url = f"ws://{host}:{self.network.port}/websocket"

    def send_through_proxy(self, *, over_tls: bool = False) -> None:
        """From now on the bot goes through the proxy, to which it is to speak TLS or not."""
        self._proxy_url = f"{'https' if over_tls else 'http'}://127.0.0.1:{self.way_to_proxy.port}"

    def silence(self) -> None:
        """Nobody writes anything any more."""
        self._sending = False

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until events have made ``condition`` true; False if that takes longer, or the bot has stopped."""
        deadline = self.gateway.now + within
        while not condition():
            left = deadline - self.gateway.now
            if left <= 0 or self.over is not None:
                return False
            # Not `wait_for`, which before Python 3.12 may take a cancellation for an event that comes with it.
            change = asyncio.get_running_loop().create_future()
            self._waiting.add(change)
            try:
                await asyncio.wait([change], timeout=left)
            finally:
                self._waiting.discard(change)
        return True

    async def leave(self) -> None:
        """The end, for the bot and for everybody; a bug that ended one of them before is raised."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    # -- what goes on ---------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """The bot: it takes what comes."""
        try:
            await self._life.live(self._take)
        except GatewayStopped as stopped:
            self.over = str(stopped)
            self._something_changed()

    def _take(self, event: Event) -> None:
        if isinstance(event, Dispatch):
            self.received[int(event.data["id"].removeprefix(_MESSAGE_ID))] += 1
        else:
            self.events.append(event)
            self._tell(event)
        if isinstance(event, (Ready, Resumed)):
            self.recoveries += 1
            self.live_since = self.gateway.now
        self._something_changed()

    def _something_changed(self) -> None:
        """Those who wait look again."""
        for change in self._waiting:
            if not change.done():
                change.set_result(None)

    async def _send_messages(self) -> None:
        """The people in the group: they talk all the time."""
        while self._sending and await self.until(lambda: self.recoveries > 0, within=600.0):
            self.sent += 1
            now = self.gateway.now
            message = group_at_message(f"message {self.sent}", id=f"{_MESSAGE_ID}{self.sent}", now=now)
            for session in self.gateway.platform.sessions.values():
                session.dispatch("GROUP_AT_MESSAGE_CREATE", message, now)
            await asyncio.sleep(_BETWEEN_MESSAGES)
