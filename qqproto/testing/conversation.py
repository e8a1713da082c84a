"""The platform's side of one talk in text messages, strict about what the client says."""

from __future__ import annotations

import enum
import json
from typing import Any, Protocol

from qqproto.protocol.opcodes import Opcode
from qqproto.testing.admission import identify, resume
from qqproto.testing.behaviour import Refusal
from qqproto.testing.bots import FakeBot
from qqproto.testing.pulse import Pulse
from qqproto.testing.registry import Frame, Registry
from qqproto.testing.sessions import FakeSession
from qqproto.testing.wording import encode
from qqproto.timers import Timers

_REASONS = {
    4001: "unknown opcode",
    4002: "payload decode error",
    4004: "authentication failed",
    4005: "already authenticated",
    4006: "session no longer valid",
    4007: "wrong sequence",
    4010: "invalid shard",
    4011: "sharding required",
    4902: "reset by resume",
    4903: "create session error",
}


class Line(Protocol):
    """What carries the messages to the client: a WebSocket of bytes, or one that the host speaks."""

    def send(self, message: str | bytes) -> None: ...
    def ping(self) -> None: ...
    def close(self, code: int, reason: str, now: float) -> None: ...
    def hang_up(self) -> None: ...
    def reset(self) -> None: ...


class Timer(enum.Enum):
    """What a talk waits for."""

    HEARTBEAT = "heartbeat"
    RECONNECT = "reconnect"


class FakeConversation:
    """One client's talk with the fake platform, from the open WebSocket to its end.

    ``id`` is the connection's number on the platform, ``session`` the session that lives on it, None before READY.
    ``pings`` and ``pongs`` count the client's, in framing BYTES.
    The platform makes it, feeds it and takes what it says; tests pull its levers. What the client does wrong goes to
    ``FakePlatform.violations``, besides what the platform itself would do about it.
    """

    def __init__(self, registry: Registry, id: int, line: Line, now: float) -> None:
        self._registry = registry
        self._behaviour = registry.behaviour
        self._line = line
        self._timers: Timers[Timer] = Timers()
        self._greeted = False
        self._authenticated = False
        self._ignoring = False
        self._muted = False
        self.id = id
        self.opened_at = now
        self.session: FakeSession | None = None
        self.closing = False
        self.over = False
        self.pings = 0
        self.pongs = 0
        self.pulse = Pulse(self._blame, self._behaviour)

    def __repr__(self) -> str:
        state = "over" if self.over else "closing" if self.closing else "live" if self.session else "open"
        return f"FakeConversation({self.id}, {state}, session={self.session!r})"

    # -- inputs, from the line ------------------------------------------------------------------------------------

    def open(self, now: float) -> None:
        """The WebSocket is open: say Hello."""
        if self._behaviour.hello:
            self.greet(now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """A message of the client's."""
        self.pulse.watch(now)
        if self.closing:
            return
        if isinstance(message, bytes):
            self._blame(now, "a binary message, where every SDK sends text")
        payload = _decode(message)
        if payload is None:
            self._blame(now, "a message that is no JSON object with an opcode")
            self._say_close(4002, now)
            return
        self._registry.frames.append(Frame(now, self.id, payload))
        opcode = payload["op"]
        if opcode == Opcode.HEARTBEAT:
            self._on_heartbeat(payload.get("d"), now)
        elif self._ignoring:
            return
        elif opcode in (Opcode.IDENTIFY, Opcode.RESUME):
            self._on_authentication(opcode, payload.get("d"), now)
        else:
            self._blame(now, f"opcode {opcode}, which no client sends")
            self._say_close(4001, now)

    def said_goodbye(self, code: int | None, now: float) -> None:
        """The client's close frame came."""
        self.pulse.watch(now)
        session = self.session
        if session is not None and session.live is self and code in (1000, 1001):
            self._registry.end_session(session)
        self._end(now)

    def lost(self, now: float) -> None:
        """The stream is gone."""
        self.pulse.watch(now)
        self._end(now)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed."""
        self.pulse.watch(now)
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is Timer.RECONNECT:
                self._blame(now, f"still there {self._behaviour.reconnect_patience:g} s after op 7")
            self.close(4009, "session timed out", now)

    def next_timer(self) -> float | None:
        return self._timers.next()

    # -- levers ---------------------------------------------------------------------------------------------------

    def greet(self, now: float) -> None:
        """Say Hello (op 10), if it was held back."""
        interval = self._behaviour.heartbeat_interval
        self.say({"op": int(Opcode.HELLO), "d": {"heartbeat_interval": round(interval * 1000)}})
        self._greeted = True
        self.pulse.begin(interval, now)
        self._timers.set(Timer.HEARTBEAT, now + interval + self._behaviour.heartbeat_grace)

    def send_reconnect(self, now: float) -> None:
        """Ask the client to come back on a new connection (op 7); one that stays is closed with 4009 after a while."""
        self.say({"op": int(Opcode.RECONNECT)})
        self._timers.set(Timer.RECONNECT, now + self._behaviour.reconnect_patience)
        if self.session is not None:
            self.session.resume_due = True

    def invalidate(self, now: float, *, resumable: bool = False) -> None:
        """Declare the session invalid (op 9); it is gone unless it is ``resumable``."""
        self.say({"op": int(Opcode.INVALID_SESSION), "d": resumable})
        if self.session is not None and not resumable:
            self._registry.end_session(self.session)

    def close(self, code: int, reason: str, now: float) -> None:
        """Close with a code of the platform's table; the session goes where the table says."""
        if self.session is not None:
            self.session.resume_due = code == 4009
            if not Refusal(code, op9=None).keeps_session and code >= 4000:
                self._registry.end_session(self.session)
        self._say_close(code, now, reason)

    def hang_up(self, now: float) -> None:
        """End the stream without a close frame."""
        if not self.over:
            self._line.hang_up()
            self._end(now)

    def reset(self, now: float) -> None:
        """Break the stream off (a TCP reset)."""
        if not self.over:
            self._line.reset()
            self._end(now)

    def request_heartbeat(self) -> None:
        """Ask for a heartbeat (op 1)."""
        self.say({"op": int(Opcode.HEARTBEAT)})

    def ping(self) -> None:
        """Send a WebSocket ping."""
        if not self.closing:
            self._line.ping()

    def mute_acks(self) -> None:
        """Acknowledge no heartbeat of this connection any more."""
        self._muted = True

    def ignore(self) -> None:
        """Read on, and never say a word again: a black hole with an open door."""
        self._ignoring = True

    def excuse(self) -> None:
        """From now on a late heartbeat on this connection is not the client's fault."""
        self.pulse.excused = True

    def judge_again(self, now: float) -> None:
        """The end of :meth:`excuse`: the next heartbeat is due within an interval from now."""
        self.pulse.start_anew(now)

    def send_raw(self, message: str | bytes) -> None:
        """Send this as it is: text as a text message, bytes as a binary one."""
        if not self.closing and not self._ignoring:
            self._line.send(message)

    # -- for sessions ---------------------------------------------------------------------------------------------

    def say(self, message: Any) -> None:
        """Send an envelope, unless the client is ignored."""
        self.send_raw(encode(message))

    def deliver(self, session: FakeSession, sequence: int, text: str) -> None:
        """Send a dispatch of the session that lives here."""
        if self._ignoring or self.closing:
            return
        session.sent = max(session.sent, sequence)
        self._line.send(text)

    # -- steps: what the client says ------------------------------------------------------------------------------

    def _on_heartbeat(self, data: Any, now: float) -> None:
        self.pulse.beat(data, self.session, now)
        if self._greeted:
            self._timers.set(Timer.HEARTBEAT, now + self.pulse.interval + self._behaviour.heartbeat_grace)
        if self._behaviour.acks and not self._muted:
            self.say({"op": int(Opcode.HEARTBEAT_ACK)})

    def _on_authentication(self, opcode: int, data: Any, now: float) -> None:
        name = Opcode(opcode).name.capitalize()
        if not self._greeted:
            self._blame(now, f"{name} before Hello")
        if self._authenticated:
            self._blame(now, f"{name} on a connection that has authenticated already")
            self._say_close(4005, now)
            return
        self._authenticated = True
        judge = identify if opcode == Opcode.IDENTIFY else resume
        outcome = judge(self._registry, data, lambda what: self._blame(now, what), now)
        if isinstance(outcome, Refusal):
            self._refuse(outcome, now)
        elif outcome is None:
            return
        elif outcome.resumed_from is None:
            self._start(outcome.session, outcome.bot, now)
        else:
            self._resume(outcome.session, outcome.resumed_from, now)

    def _start(self, session: FakeSession, bot: FakeBot, now: float) -> None:
        if self.pulse.early is not None:
            self._blame(now, f"a heartbeat with sequence {self.pulse.early} before Identify")
        self.session = session
        session.live = self
        self.deliver(session, 1, session.ready(bot.user))

    def _resume(self, session: FakeSession, sequence: int, now: float) -> None:
        if session.live is not None:
            loser, session.live = session.live, None
            loser._say_close(4902, now)
        self.session = session
        session.live = self
        session.away_since = None
        self.pulse.adopt(session, sequence, now)
        for number, text in session.after(sequence):
            self.deliver(session, number, text)
        self.send_raw(session.resumed())

    # -- steps: endings -------------------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal, now: float) -> None:
        if refusal.op9 is not None:
            self.say({"op": int(Opcode.INVALID_SESSION), "d": refusal.op9})
        if refusal.hangs:
            return
        if refusal.code is None:
            self.hang_up(now)
        else:
            self._say_close(refusal.code, now)

    def _say_close(self, code: int, now: float, reason: str | None = None) -> None:
        if not self.closing and not self._ignoring:
            self._line.close(code, _REASONS.get(code, "") if reason is None else reason, now)
            self._leave_session(now)

    def _end(self, now: float) -> None:
        self.over = True
        self._leave_session(now)

    def _leave_session(self, now: float) -> None:
        """Nothing more is said here; the session waits for the bot to come back."""
        self.closing = True
        self._timers.clear()
        self.pulse.stop()
        session = self.session
        if session is not None and session.live is self:
            session.live = None
            session.away_since = now
        if session is None:
            self._registry.left_without_session()

    def _blame(self, now: float, what: str) -> None:
        self._registry.blame(self.id, what, now)


def _decode(message: str | bytes) -> dict[str, Any] | None:
    try:
        payload = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) and type(payload.get("op")) is int else None
