"""The fake platform: bots, tokens, sessions and sockets in one machine without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qqproto.config import Framing
from qqproto.errors import LocalProtocolError
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.testing.behaviour import Behaviour
from qqproto.testing.bots import FakeBot
from qqproto.testing.conversation import FakeConversation
from qqproto.testing.lines import Output, TextLine, WebSocketLine
from qqproto.testing.replies import Replies, SentMessage
from qqproto.testing.rest import Request, RestApi
from qqproto.testing.sessions import FakeSession

_REMEMBERED = 10_000


@dataclass(slots=True)
class Frame:
    """A message that the gateway received: when, on which connection, and the decoded envelope.

    Identify and Resume hold a token, so that the envelope is in no repr.
    """

    at: float
    connection: int
    payload: dict[str, Any] = field(repr=False)

    @property
    def op(self) -> int:
        """The envelope's opcode."""
        opcode: int = self.payload["op"]
        return opcode


class FakePlatform:
    """Tencent's side of the wire as a machine: HTTP requests and WebSockets in, replies and frames out.

    HTTP is :meth:`handle_request`, which returns the reply. For sockets the contract is that of the other machines:
    inputs take ``now``, after each input (and each lever) drain :meth:`next_output`, then look at :meth:`next_timer`. A
    connection begins with :meth:`connect`, whose number names it in all inputs and outputs. Outputs are the drivers'
    actions: ``SendData`` (framing TEXT: a binary message), ``SendText``, ``CloseConnection`` (flush, then end the
    stream; framing TEXT: close with ``code``, 1006 being no close frame) and ``Abort`` (break the stream off).

    ``wake`` is called when an output is put into an empty queue, for drivers whose levers are pulled from outside.

    Its state is there to be looked at: ``violations`` is what clients did wrong, one sentence each; ``frames`` is what
    they said on the gateway, ``requests`` what they asked over HTTP, ``messages`` what bots sent, ``acknowledged``
    which interactions they answered and how. These lists grow; a long simulation clears them. Its levers are the
    fields of ``behaviour`` and of the bots, and the methods of :class:`FakeSession` and :class:`FakeConversation`.
    """

    def __init__(
        self,
        *bots: FakeBot,
        gateway_url: str = "wss://gateway.test/websocket",
        behaviour: Behaviour | None = None,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.bots: dict[str, FakeBot] = {bot.app_id: bot for bot in bots or (FakeBot(),)}
        self.gateway_url = gateway_url
        self.behaviour = behaviour or Behaviour()
        self.sessions: dict[str, FakeSession] = {}
        self.conversations: list[FakeConversation] = []
        self.violations: list[str] = []
        self.frames: list[Frame] = []
        self.requests: list[Request] = []
        self.messages: list[SentMessage] = []
        self.acknowledged: dict[str, list[Any]] = {}
        self.replies = Replies()
        self._rest = RestApi(self)
        self._queue: deque[Output] = deque()
        self._wake = wake
        self._lines: dict[int, tuple[TextLine | WebSocketLine, FakeConversation]] = {}
        self._connections = 0
        self._ids = 0
        self._dropped: dict[str, None] = {}

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def bot(self) -> FakeBot:
        """The first bot, for the many uses that have one."""
        return next(iter(self.bots.values()))

    def session(self, shard: int = 0, *, app_id: str | None = None) -> FakeSession:
        """The newest session of a shard of a bot (None: of the first one). Raises LookupError without one."""
        wanted = self.bot.app_id if app_id is None else app_id
        for session in reversed(self.sessions.values()):
            if (session.app_id, session.shard[0]) == (wanted, shard):
                return session
        raise LookupError(f"shard {shard} of bot {wanted} has no session")

    def ops(self, *, heartbeats: bool = False) -> list[int]:
        """The opcodes that were received, in order, without those of heartbeats unless asked for."""
        return [frame.op for frame in self.frames if heartbeats or frame.op != 1]

    # -- inputs ---------------------------------------------------------------------------------------------------

    def handle_request(self, request: HTTPRequest, now: float) -> HTTPResponse:
        """The reply to an HTTP request. The host in its URL does not matter."""
        return self._rest.handle(request, now)

    def connect(self, now: float, framing: Framing = Framing.BYTES) -> int:
        """A client's stream is up (framing TEXT: its WebSocket); returns its number. Then drain."""
        self._connections += 1
        id = self._connections
        line: TextLine | WebSocketLine
        if framing is Framing.TEXT:
            line = TextLine(id, self._put)
        else:
            line = WebSocketLine(id, self._put, self.behaviour, lambda now, what: self.blame(id, what, now))
        talk = FakeConversation(self, id, line, now)
        self._lines[id] = line, talk
        self.conversations.append(talk)
        if framing is Framing.TEXT:
            talk.open(now)
        return id

    def receive_data(self, id: int, data: bytes, now: float) -> None:
        """Framing BYTES: bytes came from the client; ``b""`` is the end of its stream. Then drain."""
        entry = self._entry(id)
        if entry is None:
            return
        line, talk = entry
        if not isinstance(line, WebSocketLine):
            raise LocalProtocolError(f"connection {id} has framing TEXT: it takes receive_message")
        if data:
            line.receive_data(data, talk, now)
        else:
            line.hang_up()
            self.connection_lost(id, now)

    def receive_message(self, id: int, message: str | bytes, now: float) -> None:
        """Framing TEXT: a message came from the client. Then drain."""
        entry = self._entry(id)
        if entry is None:
            return
        line, talk = entry
        if not isinstance(line, TextLine):
            raise LocalProtocolError(f"connection {id} has framing BYTES: it takes receive_data")
        talk.receive_message(message, now)

    def connection_closed(self, id: int, code: int | None, now: float) -> None:
        """Framing TEXT: the client closed its WebSocket with ``code``. Then drain."""
        entry = self._entry(id)
        if entry is not None:
            entry[1].said_goodbye(code, now)
            self._forget(id)

    def connection_lost(self, id: int, now: float) -> None:
        """The client's stream is gone. Then drain."""
        entry = self._entry(id)
        if entry is not None:
            entry[1].lost(now)
            self._forget(id)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed; calls that come too early do no harm. Then drain."""
        for line, talk in list(self._lines.values()):
            talk.handle_timer(now)
            if isinstance(line, WebSocketLine):
                line.handle_timer(now)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> Output | None:
        """The oldest output, None when there is none left."""
        return self._queue.popleft() if self._queue else None

    def next_timer(self) -> float | None:
        """When :meth:`handle_timer` is due, None if nothing is waited for."""
        due: float | None = None
        for line, talk in self._lines.values():
            for at in (talk.next_timer(), line.next_timer() if isinstance(line, WebSocketLine) else None):
                if at is not None and (due is None or at < due):
                    due = at
        return due

    # -- for the talks, the sessions and the HTTP endpoints ----------------------------------------------------

    def blame(self, connection: int | None, what: str, now: float) -> None:
        """A client did something wrong."""
        where = "HTTP" if connection is None else f"connection {connection}"
        self.violations.append(f"{now:.3f} s, {where}: {what}")

    def note(self, connection: int, payload: dict[str, Any], now: float) -> None:
        """A message was received on the gateway."""
        self.frames.append(Frame(now, connection, payload))

    def new_id(self) -> str:
        """An id that was never given out before."""
        self._ids += 1
        return f"{self._ids:08x}"

    def happened(self, event_id: str, data: Any, now: float) -> None:
        """Something was dispatched, to which a bot may reply."""
        self.replies.allow(event_id, now)
        message_id = data.get("id") if isinstance(data, dict) else None
        if isinstance(message_id, str):
            self.replies.allow(message_id, now)

    def bot_of(self, token: str, now: float) -> FakeBot | None:
        """The bot whose valid token this is."""
        return next((bot for bot in self.bots.values() if bot.takes(token, now)), None)

    def new_session(self, app_id: str, shard: tuple[int, int], intents: int, now: float) -> FakeSession:
        """A session for an Identify that is granted."""
        window = self.behaviour.resume_window
        for session in [session for session in self.sessions.values() if session.expired(now, window)]:
            del self.sessions[session.id]
        session = FakeSession(self, f"fake-session-{self.new_id()}", app_id, shard, intents, now)
        self.sessions[session.id] = session
        return session

    def session_to_resume(self, id: str, now: float) -> FakeSession | None:
        """The session that a Resume names, None if there is none any more."""
        session = self.sessions.get(id)
        if session is not None and session.expired(now, self.behaviour.resume_window):
            del self.sessions[id]
            return None
        return session

    def due_sessions(self, app_id: str, shard: tuple[int, int], now: float) -> list[FakeSession]:
        """The sessions of a shard that a planned rotation left to be resumed."""
        window = self.behaviour.resume_window
        return [
            session
            for session in self.sessions.values()
            if session.resume_due and (session.app_id, session.shard) == (app_id, shard)
            and not session.expired(now, window)
        ]  # fmt: skip

    def left_without_session(self) -> None:
        """A connection ended before it had a session: it may have been the one that was to resume any of them."""
        for session in self.sessions.values():
            session.resume_due = False

    def drop_session(self, session: FakeSession) -> None:
        """The session is over, and the client knows."""
        self.sessions.pop(session.id, None)
        session.resume_due = False
        self.refuse_session(session.id)

    def refuse_session(self, id: str) -> None:
        """The client has been told that there is no such session."""
        self._dropped[id] = None
        if len(self._dropped) > _REMEMBERED:
            del self._dropped[next(iter(self._dropped))]

    def was_dropped(self, id: str) -> bool:
        """Whether the client was told before that there is no such session."""
        return id in self._dropped

    # -- steps ----------------------------------------------------------------------------------------------------

    def _entry(self, id: int) -> tuple[TextLine | WebSocketLine, FakeConversation] | None:
        """The connection, None if it is over; misuse if there never was one."""
        if not 1 <= id <= self._connections:
            raise LocalProtocolError(f"connection {id} was never made")
        return self._lines.get(id)

    def _forget(self, id: int) -> None:
        _, talk = self._lines.pop(id)
        self.conversations.remove(talk)

    def _put(self, output: Output) -> None:
        self._queue.append(output)
        if self._wake is not None and len(self._queue) == 1:
            self._wake()
