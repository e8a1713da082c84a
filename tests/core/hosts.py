"""Hosts for the machines' tests: they play the application, the platform's answers and the clock, by hand."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from qqproto import (
    Conversation,
    Dispatch,
    Failure,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    OpenConnection,
    Policy,
    ReserveIdentify,
    SendText,
    Session,
    SettleMode,
    Shard,
    ShardConfig,
    Token,
    User,
)
from qqproto.outbox import Output

Kind = TypeVar("Kind")

CONFIG = ShardConfig("11111111", 1 << 25)
TOKEN = Token("TOKEN-SECRET")
URL = "wss://gateway.example/websocket"
SESSION = Session("S-1", "11111111", (0, 1), 1 << 25, 41, 41, User("42", "bot"))


def half() -> float:
    return 0.5


def message(op: int, **fields: Any) -> str:
    return json.dumps({"op": op, **fields})


def hello(milliseconds: Any = 41250) -> str:
    return message(10, d={"heartbeat_interval": milliseconds})


def ready(session_id: str = "S-1", sequence: int = 1) -> str:
    user = {"id": "42", "username": "bot", "bot": True}
    data = {"version": 1, "session_id": session_id, "user": user, "shard": [0, 1]}
    return message(0, s=sequence, t="READY", d=data)


def resumed(sequence: int) -> str:
    return message(0, s=sequence, t="RESUMED", d="")


def dispatch(sequence: int | None, kind: str = "GROUP_AT_MESSAGE_CREATE") -> str:
    fields = {"t": kind, "d": {"id": f"m-{sequence}"}, "id": f"{kind}:e-{sequence}"}
    return message(0, **fields) if sequence is None else message(0, s=sequence, **fields)


ACK = message(11)
RECONNECT = message(7)


class Drained:
    """What came out of a machine, in order."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def take(self, kind: type[Kind]) -> list[Kind]:
        """Take out everything of one kind."""
        found: list[Kind] = [output for output in self.outputs if isinstance(output, kind)]
        self.outputs = [output for output in self.outputs if not isinstance(output, kind)]
        return found

    def only(self, kind: type[Kind]) -> Kind:
        """The one of this kind; an assertion fails if there is none or more."""
        found = self.take(kind)
        assert len(found) == 1, (kind, found, self.outputs)
        return found[0]

    def sent(self) -> list[dict[str, Any]]:
        """The messages that were sent, decoded."""
        return [json.loads(action.text) for action in self.take(SendText)]


class Timed(Drained, ABC):
    """A machine, its clock, and what is done with what comes out of it."""

    now: float

    @property
    @abstractmethod
    def timed(self) -> Conversation | Shard:
        """The machine."""

    @abstractmethod
    def drain(self) -> None:
        """Take what came out."""

    def run(self, seconds: float) -> None:
        """Let time pass, with a driver that is on time."""
        end = self.now + seconds
        while (due := self.timed.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.timed.handle_timer(self.now)
            self.drain()
            later = self.timed.next_timer()
            assert later is None or later > self.now, "G2: the machine spins"
        self.now = end


class OfAShard(Timed):
    """The machine is a shard."""

    shard: Shard

    @property
    def timed(self) -> Shard:
        return self.shard


class Talk(Timed):
    """A Conversation and its clock."""

    def __init__(
        self,
        session: Session | None = None,
        policy: Policy = Policy(),
        config: ShardConfig = CONFIG,
        random: Callable[[], float] = half,
    ) -> None:
        super().__init__()
        self.now = 1000.0
        self.machine = Conversation(config, TOKEN, random=random, session=session, policy=policy)
        self.machine.start(self.now)
        self.drain()

    @property
    def timed(self) -> Conversation:
        return self.machine

    def drain(self) -> None:
        while (output := self.machine.next_output()) is not None:
            self.outputs.append(output)
        assert self.machine.ended or self.machine.next_timer() is not None

    def say(self, *messages: str | bytes) -> None:
        """The server says these."""
        for text in messages:
            self.machine.receive_message(text, self.now)
        self.drain()

    def allow_identify(self, wait: float = 0.0) -> None:
        question = self.only(ReserveIdentify)
        self.machine.answer(question.id, IdentifySlot(self.now + wait), self.now)
        self.drain()

    def up(self) -> None:
        """Until READY; nothing of it stays in ``outputs``."""
        self.say(hello())
        self.allow_identify()
        self.say(ready())
        self.outputs.clear()


class Host(OfAShard):
    """A Shard in framing TEXT, its clock, and a host that answers at once unless told otherwise."""

    def __init__(
        self,
        session: Session | None = None,
        *,
        session_age: float = 0.0,
        policy: Policy = Policy(),
        settle: SettleMode = "delivery",
        random: Callable[[], float] = half,
        start: bool = True,
    ) -> None:
        super().__init__()
        self.now = 5000.0
        self.policy = policy
        config = ShardConfig("11111111", 1 << 25, settle=settle)
        self.shard = Shard(
            config, random=random, session=session, session_age=session_age, policy=policy, framing=Framing.TEXT
        )
        self.token: Token | Failure | None = TOKEN
        self.gateway: GatewayInfo | Failure | None = GatewayInfo(URL, remaining=900, total=1000, reset_after=3600.0)
        self.slot: float | None = 0.0
        self.dial: Failure | None = None
        self.dials_hang = False
        self.dials: list[float] = []
        self.tokens_asked: list[str | None] = []
        self.gateways_asked: list[bool] = []
        self.connection = 0
        if start:
            self.shard.start(self.now)
            self.drain()

    def drain(self) -> None:
        while (output := self.shard.next_output()) is not None:
            self.outputs.append(output)
            self._begin(output)
        assert self.shard.ended or self.shard.next_timer() is not None, "G1: silent"

    def _begin(self, output: Output) -> None:
        match output:
            case FetchToken(id=id, rejected=rejected):
                self.tokens_asked.append(rejected)
                if self.token is not None:
                    self.shard.answer(id, self.token, self.now)
            case FetchGateway(id=id, fresh=fresh):
                self.gateways_asked.append(fresh)
                if self.gateway is not None:
                    self.shard.answer(id, self.gateway, self.now)
            case ReserveIdentify(id=id):
                if self.slot is not None:
                    self.shard.answer(id, IdentifySlot(self.now + self.slot), self.now)
            case OpenConnection(id=id):
                self.dials.append(self.now)
                self.connection = id
                if self.dial is not None:
                    self.shard.connection_lost(id, self.dial, self.now)
                elif not self.dials_hang:
                    self.shard.connection_opened(id, self.now)
            case SendText(id=id):
                assert id == self.connection, "an action names its connection"
            case _:
                pass

    def say(self, *messages: str | bytes) -> None:
        """The server says these on the present connection."""
        for text in messages:
            self.shard.receive_message(self.connection, text, self.now)
            self.drain()

    def server_closes(self, code: int | None, reason: str = "") -> None:
        self.shard.connection_closed(self.connection, code, reason, self.now)
        self.drain()

    def lose(self, failure: Failure) -> None:
        self.shard.connection_lost(self.connection, failure, self.now)
        self.drain()

    def redial(self, limit: float) -> None:
        """Let time pass until the shard dials again, which has to be within ``limit`` seconds."""
        dials, end = len(self.dials), self.now + limit
        while len(self.dials) == dials:
            due = self.shard.next_timer()
            assert due is not None
            assert due <= end, f"no dial within {limit} s"
            self.run(due - self.now)

    def live(self, seconds: float, every: float = 10.0) -> None:
        """Let time pass on a link that acknowledges every heartbeat."""
        end = self.now + seconds
        while self.now < end:
            self.run(min(every, end - self.now))
            if any(frame["op"] == 1 for frame in self.sent()):
                self.say(ACK)

    def up(self, *, stable: bool = True) -> None:
        """Until READY, and a stable minute beyond; nothing of it stays in ``outputs``."""
        self.say(hello(), ready())
        if stable:
            self.live(self.policy.stable_after + 1)
        self.outputs.clear()

    def dispatches(self) -> list[int | None]:
        return [event.sequence for event in self.take(Dispatch)]
