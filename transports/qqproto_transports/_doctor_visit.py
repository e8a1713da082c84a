"""A visit to the gateway: the WebSocket, Hello, and if it is wanted Identify, READY and a heartbeat."""

from __future__ import annotations

from collections.abc import Awaitable

from qqproto.config import ShardConfig
from qqproto.connection import QQGatewayConnection
from qqproto.credentials import Token
from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase
from qqproto.protocol.intents import Intents
from qqproto.protocol.rest import GatewayInfo
from qqproto.recovery import CONFLICT_HINT
from qqproto_transports import _doctor_remedies as remedies
from qqproto_transports._cli_print import plain
from qqproto_transports._doctor_desk import Desk
from qqproto_transports._doctor_findings import Chart, Diagnosed, Note
from qqproto_transports._doctor_remedies import Target
from qqproto_transports._doctor_talk import Over, Talk
from qqproto_transports._doctor_wire import Wire

_SHARE_OF_THE_PERIOD = 0.02
"""The first heartbeat comes this early in its period, so that nobody waits long for its ACK."""


class Visit:
    """To the gateway at ``target``; each step is told to ``chart``."""

    def __init__(
        self, target: Target, chart: Chart, desk: Desk, policy: Policy, config: ShardConfig, info: GatewayInfo
    ) -> None:
        self._target = target
        self._chart = chart
        self._desk = desk
        self._policy = policy
        self._config = config
        self._info = info
        self._talk: Talk | None = None

    async def greet(self, wire: Wire, token: Token) -> None:
        """The WebSocket and Hello, which no budget pays for."""
        machine = QQGatewayConnection(
            self._config, self._info.url, token, random=lambda: _SHARE_OF_THE_PERIOD, policy=self._policy
        )
        talk = self._talk = Talk(wire, machine, self._chart.clock)

        async def open_websocket() -> Note:
            await talk.open()
            return Note("the upgrade is granted")

        async def hear_hello() -> Note:
            await talk.until(lambda: machine.phase is Phase.AUTH)
            interval = machine.conversation.heartbeat.interval
            return Note(f"a heartbeat every {interval:g} s is wanted", {"heartbeat_interval": interval})

        await self._step("websocket", open_websocket())
        await self._step("hello", hear_hello())

    async def identify(self, token: Token) -> None:
        """All the rest, for one session start."""
        await self._step("identify", self._identify())
        await self._step("ready", self._read_ready())
        await self._step("heartbeat", self._hear_ack())
        await self._step("instances", self._count(token), optional=True)

    async def aclose(self) -> None:
        """Say goodbye, and leave nothing behind."""
        if self._talk is not None:
            await self._talk.close()

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _step(self, name: str, coming: Awaitable[Note], *, optional: bool = False) -> None:
        async def told() -> Note:
            try:
                return await coming
            except Over as over:
                what, remedy = remedies.of_ending(over.ending, Intents(self._config.intents), self._target)
                kind = over.ending.failure.kind if over.ending.failure is not None else FailureKind.OTHER
                facts = {"code": over.ending.code, "verdict": over.ending.verdict.value}
                raise Diagnosed(Failure(kind, plain(what)), remedy, facts) from None

        await self._chart.step(name, self._target.host, told(), remedies.of_silence, optional=optional)

    @property
    def _started(self) -> Talk:
        assert self._talk is not None, "greet() comes first"
        return self._talk

    async def _identify(self) -> Note:
        talk, info = self._started, self._info
        if info.remaining == 0:
            failure = Failure(FailureKind.RATE_LIMITED, "no session can be started any more: the budget is spent")
            raise Diagnosed(failure, "wait until it is refilled, and see what spends it")
        await talk.identify(await self._desk.slot())
        await talk.until(lambda: talk.ready is not None)
        index, count = self._config.shard
        names = Intents(self._config.intents).names
        facts = {"intents": list(names), "shard": [index, count]}
        return Note(f"granted: intents {' '.join(names)}, shard {index} of {count}", facts)

    async def _read_ready(self) -> Note:
        ready = self._started.ready
        assert ready is not None, "the step before has waited for it"
        user = {"id": ready.user.id, "username": ready.user.username}
        text = plain(f"the bot is {ready.user.username or 'nameless'} ({ready.user.id}), session {ready.session_id}")
        return Note(text, {"user": user, "session_id": ready.session_id})

    async def _hear_ack(self) -> Note:
        talk = self._started
        heartbeat = talk.machine.conversation.heartbeat
        await talk.until(lambda: heartbeat.latency is not None)
        latency = heartbeat.latency or 0.0
        return Note(f"acknowledged after {latency * 1000:.0f} ms", {"latency": round(latency, 4)})

    async def _count(self, token: Token) -> Note:
        """Whoever else starts sessions of this bot spends the same budget."""
        before, after = self._info.remaining, (await self._desk.gateway_again(token)).remaining
        await self._started.glance()
        if before is None or after is None:
            return Note("not known: the platform does not tell the budget")
        others = max(before - after - 1, 0)
        if others:
            return Note(
                f"{others} other session start{'s' if others > 1 else ''} of this bot in these few seconds",
                {"others": others},
                f"{CONFLICT_HINT}, or the one that is restarted over and over",
            )
        return Note("nobody else started a session of this bot meanwhile", {"others": 0})
