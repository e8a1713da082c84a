"""A Shard to play with: one input after the other, and what can be told of its state from outside."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from qqproto import (
    Failure,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    OpenConnection,
    Phase,
    Policy,
    ReserveIdentify,
    SendText,
    Shard,
    ShardConfig,
    Stopped,
    Token,
    Verdict,
)

OPEN = (Phase.HELLO, Phase.AUTH, Phase.READY)
"""The phases of an open connection."""

POLICY = Policy(token_refusals=2, token_refusals_within=0.0)
"""The second refused token ends the shard, so that the search need not go deep. All other numbers are the defaults."""

_CONFIG = ShardConfig("102000000", 1 << 25)
_MOST_TIMERS = 50


class Player:
    """A fresh Shard in framing TEXT, and a host that does nothing of itself."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shard = Shard(_CONFIG, random=lambda: 0.5, policy=POLICY, framing=Framing.TEXT)
        self.question = 0
        self.asked_for = ""
        self.connection = 0
        self.authenticated = False
        self.refused = False
        self.stopped: Stopped | None = None

    @property
    def phase(self) -> Phase:
        return self.shard.phase

    def state(self) -> Hashable:
        """What tells this state from others, as far as the way from here is concerned."""
        last = self.shard.status(self.now).last_disconnect
        return (
            self.phase,
            self.shard.session is not None,
            self.asked_for,
            self.authenticated,
            self.refused,
            last is not None and last.verdict is Verdict.REFRESH_TOKEN,
        )

    def play(self, move: Move) -> None:
        """Make the move, and begin what the shard then asks for."""
        before = self.phase
        move.play(self)
        if self.phase is not before:
            self.asked_for = ""
        if self.phase not in OPEN:
            self.authenticated = self.refused = False
        while (output := self.shard.next_output()) is not None:
            match output:
                case FetchToken(id=id) | FetchGateway(id=id) | ReserveIdentify(id=id):
                    self.question, self.asked_for = id, type(output).__name__
                case OpenConnection(id=id):
                    self.connection = id
                case SendText(text=text):
                    self.authenticated = self.authenticated or '"op":2' in text or '"op":6' in text
                case Stopped():
                    self.stopped = output
                case _:
                    pass

    def answer(self, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        self.asked_for = ""
        self.shard.answer(self.question, value, self.now)

    def hear(self, message: str) -> None:
        self.shard.receive_message(self.connection, message, self.now)

    def wait(self) -> None:
        """Let time pass, with a server that says nothing, until something has come of it."""
        state = self.state()
        for _ in range(_MOST_TIMERS):
            due = self.shard.next_timer()
            if due is None or self.state() != state:
                return
            self.now = due
            self.shard.handle_timer(due)


@dataclass(frozen=True, slots=True)
class Move:
    """An input by the name under which it is drawn; ``detail`` says which of several alike it is."""

    name: str
    play: Callable[[Player], None]
    possible: Callable[[Player], bool]
    detail: str = ""
