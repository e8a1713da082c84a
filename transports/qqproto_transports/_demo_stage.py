"""Where the demo plays: a local gateway with messages all the time, and a bot whose every message is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from qqproto.events import Dispatch, Event, Ready, Resumed
from qqproto.policy import Policy
from qqproto.protocol.intents import Intents
from qqproto.protocol.opcodes import Opcode
from qqproto.testing import FakeConversation, group_at_message
from qqproto_transports.asyncio import BotAccount, Gateway, GatewayStopped, open_gateway
from qqproto_transports.local_gateway import LocalGateway

# A connection counts as stable after a minute, and only then is it replaced at once. Nobody wants to watch that.
STABLE_AFTER = 3.0

_HEARTBEAT = 1.0
_BETWEEN_MESSAGES = 0.05
_MESSAGE_ID = "ROBOT1.0_demo-"


@asynccontextmanager
async def open_stage(tell: Callable[[Event], None]) -> AsyncIterator[Stage]:
    """The stage, for as long as the block lasts. ``tell`` is called with each event but the messages."""
    async with LocalGateway(heartbeat_interval=_HEARTBEAT) as gateway:
        account = BotAccount(gateway.credentials, endpoints=gateway.endpoints, policy=Policy(stable_after=STABLE_AFTER))
        async with open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT) as bot:
            stage = Stage(gateway, tell)
            tasks = [asyncio.ensure_future(stage.listen(bot)), asyncio.ensure_future(stage.send_messages())]
            try:
                yield stage
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)


class Stage:
    """A bot on a local gateway, over real sockets.

    Numbered messages are sent twenty times a second, whether the bot is there or not: ``sent`` is the last number,
    ``received`` how often each arrived. ``recoveries`` counts READY and RESUMED, and ``live_since`` is when the last of
    them came. ``over`` says why the bot has stopped, None as long as it has not.
    """

    def __init__(self, gateway: LocalGateway, tell: Callable[[Event], None]) -> None:
        self.gateway = gateway
        self.sent = 0
        self.received: Counter[int] = Counter()
        self.recoveries = 0
        self.live_since = 0.0
        self.over: str | None = None
        self._tell = tell
        self._sending = True
        self._changed = asyncio.Event()

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def talk(self) -> FakeConversation | None:
        """The gateway's side of the bot's connection, None while the bot is away."""
        return self.gateway.platform.session().live if self.recoveries else None

    @property
    def identifies(self) -> int:
        """How many Identifies the gateway has seen."""
        return self.gateway.platform.ops().count(Opcode.IDENTIFY)

    @property
    def resumes(self) -> int:
        """How many Resumes the gateway has seen."""
        return self.gateway.platform.ops().count(Opcode.RESUME)

    def lost(self, numbers: range) -> int:
        """How many of these messages did not arrive."""
        return sum(1 for number in numbers if not self.received[number])

    def repeated(self, numbers: range) -> int:
        """How many arrivals there were too many."""
        return sum(max(0, self.received[number] - 1) for number in numbers)

    # -- what goes on ---------------------------------------------------------------------------------------------

    async def listen(self, bot: Gateway) -> None:
        """The bot: it takes what comes."""
        try:
            async for event in bot:
                if isinstance(event, Dispatch):
                    self.received[int(event.data["id"].removeprefix(_MESSAGE_ID))] += 1
                else:
                    self._tell(event)
                if isinstance(event, (Ready, Resumed)):
                    self.recoveries += 1
                    self.live_since = self.gateway.now
                self._changed.set()
        except GatewayStopped as stopped:
            self.over = str(stopped)
            self._changed.set()

    async def send_messages(self) -> None:
        """The people in the group: they talk all the time."""
        await self.until(lambda: self.recoveries > 0, within=60.0)
        while self._sending:
            self.sent += 1
            now = self.gateway.now
            message = group_at_message(f"message {self.sent}", id=f"{_MESSAGE_ID}{self.sent}", now=now)
            self.gateway.platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", message, now)
            await asyncio.sleep(_BETWEEN_MESSAGES)

    def silence(self) -> None:
        """Nobody says anything any more."""
        self._sending = False

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until events have made ``condition`` true; False if that takes longer, or the bot has stopped."""
        deadline = self.gateway.now + within
        while not condition():
            left = deadline - self.gateway.now
            if left <= 0 or self.over is not None:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except asyncio.TimeoutError:
                pass
        return True
