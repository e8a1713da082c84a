"""The gateway of the simulation: sessions, and talks with clients that go wrong as the script says."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from qqproto.testing.simulation import stream
from qqproto.testing.simulation.link import Link

if TYPE_CHECKING:
    from qqproto.testing.simulation.world import World

_KEPT = 300
_RECONNECT_PATIENCE = 10.0
_GRACE = 20.0


class Session:
    """What the gateway keeps of a session: its dispatches, for a replay."""

    __slots__ = ("_world", "id", "index", "kept", "sequence", "talk")

    def __init__(self, world: World, id: str, index: int) -> None:
        self._world = world
        self.id = id
        self.index = index
        self.sequence = 1
        self.kept: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_KEPT)
        self.talk: Talk | None = None

    def happen(self) -> None:
        """Something happens that is dispatched."""
        self.sequence += 1
        message = _dispatch(self.id, self.sequence)
        self.kept.append((self.sequence, message))
        self._world.ledgers[self.index].happened(self.id, self.sequence)
        if self.talk is None:
            return
        fault = self._world.on("gaps", self.index)
        if fault is None or self.sequence % fault.value[0]:
            self.talk.link.say(message)
        else:
            self.come_late([message], fault.value[1])

    def repeat(self, number: int) -> None:
        """The last dispatches become new ones, with numbers of their own; they are known by their names alone."""
        for n, message in list(self.kept)[-number:]:
            self.sequence += 1
            self.kept.append((self.sequence, {**message, "s": self.sequence}))
            self._world.ledgers[self.index].happened(self.id, self.sequence, n)

    def come_late(self, messages: list[dict[str, Any]], after: float | None) -> None:
        """What was left out is sent in ``after`` seconds, None for never."""
        if after is not None:
            for message in messages:
                self._world.at(self._world.now + after, self._say, message)

    def _say(self, message: dict[str, Any]) -> None:
        if self.talk is not None:
            self.talk.link.say(message)


def _dispatch(session: str, n: int) -> dict[str, Any]:
    """Dispatches of all sorts: with two names, with a message id that another type has as well, with an event id alone,
    and without any name that is the event's."""
    message: dict[str, Any] = {"op": 0, "s": n}
    if n % 4 == 0:
        return {
            **message,
            "t": "GROUP_AT_MESSAGE_CREATE",
            "id": f"event-{session}-{n}",
            "d": {"id": f"m-{session}-{n}"},
        }
    if n % 4 == 1:
        same = f"m-{session}-{n - 1}"
        return {**message, "t": "GROUP_MESSAGE_CREATE", "id": f"event-{session}-{n}", "d": {"id": same}}
    if n % 4 == 2:
        return {**message, "t": "FRIEND_ADD", "id": f"event-{session}-{n}", "d": {"openid": "someone"}}
    return {**message, "t": "CHANNEL_UPDATE", "d": {"id": "a channel"}}


class Gateway:
    """The sessions of a bot, and where its clients arrive."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made = 0
        self.sessions: dict[str, Session] = {}
        self.newest: dict[int, Session] = {}

    def arrive(self, link: Link) -> Talk:
        """A connection was made."""
        return Talk(self._world, self, link)

    def begin_session(self, index: int) -> Session:
        self._made += 1
        session = Session(self._world, f"session-{self._made}", index)
        old = self.newest.get(index)
        if old is not None:
            self.forget(old)
        self.sessions[session.id] = self.newest[index] = session
        return session

    def forget(self, session: Session) -> None:
        """The session is over for the platform."""
        self.sessions.pop(session.id, None)


def _without(replay: list[dict[str, Any]], what: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A replay that is not whole, and what it lacks."""
    half = len(replay) // 2
    if what == "everything":
        return [], replay
    if what == "the first half":
        return replay[half:], replay[:half]
    if what == "the last half":
        return replay[:half], replay[half:]
    return [message for message in replay if message["s"] % 3], [message for message in replay if not message["s"] % 3]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON (RFC 8259 §6)")


class Talk:
    """One client on one connection."""

    __slots__ = ("_gateway", "_heard_at", "_patience", "_world", "link", "open", "over", "session")

    def __init__(self, world: World, gateway: Gateway, link: Link) -> None:
        self._world = world
        self._gateway = gateway
        self._heard_at = world.now
        self._patience = 0.0
        self.link: Link = link
        self.open = link.text
        """Whether messages may be sent: the upgrade is through, and nobody has gone."""
        self.over = False
        self.session: Session | None = None
        if link.text:
            self._greet()

    # -- what the client says -------------------------------------------------------------------------------------

    def hear(self, kind: str, payload: Any) -> None:
        """Something of the client's arrived."""
        if self.over:
            return
        if kind == "text":
            opcode = payload["op"]
            if opcode == 1:
                self._on_heartbeat()
            else:
                self._on_authentication(opcode, payload["d"])
        elif kind == "upgrade":
            self._on_upgrade(payload)
        elif kind in ("close", "end"):
            self._end()

    # -- levers ---------------------------------------------------------------------------------------------------

    def rotate(self, how: str) -> None:
        """A planned rotation."""
        if how != "4009":
            self.link.say({"op": 7})
            self._world.at(self._world.now + _RECONNECT_PATIENCE, self._still_there)
        if how != "op 7":
            self.close(4009)

    def close(self, code: int | None) -> None:
        if self.over:
            return
        if code is not None and code > 4999 and not self.link.text:
            # No WebSocket may say it (RFC 6455 §7.4.2), and ours does not hear it.
            self.link.say_bytes("broken", stream.close_frame(code, ""))
        else:
            self.link.close(code, "made up")
        session = self.session
        if session is not None and code is not None and code >= 4000 and code not in (4000, 4004, 4008, 4009):
            self._gateway.forget(session)
        self._end()

    def invalidate(self, data: Any, then: Any, after: float) -> None:
        """Op 9, and what follows it."""
        self.link.say({"op": 9, "d": data})
        if data is not True and self.session is not None:
            self._gateway.forget(self.session)
        if then is None:
            return
        if after:
            self._world.at(self._world.now + after, self._follow_up, then)
        else:
            self._follow_up(then)

    def say_nonsense(self, message: str | bytes) -> None:
        """A message that should not be; some of it means something all the same."""
        try:
            envelope = json.loads(message, parse_constant=_refuse)
        except (ValueError, RecursionError):
            envelope = None
        usable = isinstance(envelope, dict) and type(envelope.get("op")) is int
        self.link.say_raw(message, envelope if usable else None)

    def hang_up(self, kind: str = "eof") -> None:
        """End the stream ("eof"), or break it off ("reset")."""
        if not self.over:
            self.link.end(kind)
            self._end()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _on_upgrade(self, key: bytes) -> None:
        fault = self._world.on("upgrade")
        if fault is not None:
            status, retry_after = fault.value
            self.link.say_bytes("refused", stream.refuse(status, retry_after), retry_after)
            self._end()
            return
        self.link.say_bytes("bytes", stream.accept(key))
        self.open = True
        self._greet()

    def _greet(self) -> None:
        world = self._world
        if world.on("no hello"):
            return
        fault = world.on("odd hello")
        data = fault.value if fault is not None else {"heartbeat_interval": round(world.script.interval * 1000.0)}
        self.link.say({"op": 10, "d": data})
        self._patience = 1.5 * max(world.script.interval, 120.0 if fault is not None else 0.0) + _GRACE
        self._watch()

    def _watch(self) -> None:
        """Close with 4009 on a client whose heartbeats have stopped."""
        if self.over:
            return
        due = self._heard_at + self._patience
        if due <= self._world.now:
            self.close(4009)
        else:
            self._world.at(due, self._watch)

    def _on_heartbeat(self) -> None:
        world = self._world
        self._heard_at = world.now
        if not world.active:
            self.link.acknowledge()
            return
        index = self.link.index
        if world.on("mute", index):
            return
        fault = world.on("late acks", index)
        delay = fault.value if fault is not None else 0.0
        for _ in range(2 if world.on("double acks", index) else 1):
            if delay:
                world.at(world.now + delay, self._acknowledge_late)
            else:
                self.link.acknowledge()

    def _acknowledge_late(self) -> None:
        if not self.over:
            self.link.acknowledge()

    def _on_authentication(self, opcode: int, data: dict[str, Any]) -> None:
        world = self._world
        if world.on("early dispatch"):
            number = {"s": 7} if opcode == 2 else {}
            self.link.say({"op": 0, **number, "t": "GUILD_CREATE", "d": {"id": "too early"}})
        if world.on("no answer"):
            return
        if world.on("refused tokens") or not world.endpoints.takes(data["token"]):
            self.close(4004)
            return
        fault = world.on("refused identify" if opcode == 2 else "refused resume")
        if fault is not None:
            self._refuse(opcode, data, *fault.value)
        elif opcode == 2:
            self._on_identify(world)
        else:
            self._on_resume(data)

    def _refuse(self, opcode: int, data: dict[str, Any], op9: Any, code: Any) -> None:
        if opcode == 6 and op9 is not True and code not in ("end", 4000, 4004, 4008, 4009):
            self._gateway.sessions.pop(data["session_id"], None)
        if op9 == "no":
            self._follow_up(code)
        else:
            self.invalidate(op9, code, 0.0)

    def _on_identify(self, world: World) -> None:
        if not world.endpoints.spend_identify():
            self.invalidate(False, 4903, 0.0)
            return
        fault = world.on("odd ready")
        if fault is not None:
            self.link.say({"op": 0, "s": 1, "t": "READY", "d": fault.value})
            return
        session = self._gateway.begin_session(self.link.index)
        self._live_on(session)
        data = {"version": 1, "session_id": session.id, "user": {"id": "42", "username": "bot", "bot": True}}
        self.link.say({"op": 0, "s": 1, "t": "READY", "d": data})
        self._go_live()

    def _on_resume(self, data: dict[str, Any]) -> None:
        world, session = self._world, self._gateway.sessions.get(data["session_id"])
        if session is None or session.index != self.link.index:
            self.invalidate(False, 4006, 0.0)
            return
        repeats = world.on("repeats", session.index)
        if repeats is not None:
            session.repeat(repeats.value)
        again = world.on("replay all") is not None
        replay = [message for n, message in session.kept if again or n > data["seq"]]
        partial = world.on("partial replay", session.index)
        left_out: list[dict[str, Any]] = []
        late = None
        if partial is not None:
            what, late = partial.value
            replay, left_out = _without(replay, what)
        fault = world.on("slow replay")
        gap = fault.value if fault is not None else 0.0
        self._live_on(session)
        # What happens while the replay goes on comes behind it.
        session.talk = None
        for number, message in enumerate(replay):
            if gap:
                world.at(world.now + number * gap, self._say_if_there, message)
            else:
                self.link.say(message)
        if gap:
            world.at(world.now + len(replay) * gap, self._resumed, session, session.sequence)
        else:
            self._resumed(session, session.sequence)
        session.come_late(left_out, None if late is None else late + len(replay) * gap)

    def _say_if_there(self, message: dict[str, Any]) -> None:
        if not self.over:
            self.link.say(message)

    def _resumed(self, session: Session, replayed: int) -> None:
        if self.over:
            return
        session.talk = self
        for n, message in session.kept:
            if n > replayed:
                self.link.say(message)
        session.sequence += self._world.script.own_numbers
        self.link.say({"op": 0, "s": session.sequence, "t": "RESUMED", "d": ""})
        self._go_live()

    def _live_on(self, session: Session) -> None:
        if session.talk is not None and session.talk is not self:
            session.talk.session = None
            session.talk.close(4902)
        session.talk = self
        self.session = session

    def _go_live(self) -> None:
        fault = self._world.on("short lives")
        if fault is not None:
            code, after = fault.value
            self._world.at(self._world.now + after, self.close, code)

    def _follow_up(self, then: Any) -> None:
        if self.over:
            return
        if then == "end":
            self.hang_up()
        elif then == "op 7":
            self.link.say({"op": 7})
        elif then == "op 9":
            self.link.say({"op": 9, "d": True})
        else:
            self.close(then)

    def _still_there(self) -> None:
        self.close(4009)

    def _end(self) -> None:
        self.over = True
        self.open = False
        if self.session is not None and self.session.talk is self:
            self.session.talk = None
