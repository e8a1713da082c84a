"""The fake platform: bots, tokens, sessions and sockets in one machine without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from qqproto.config import Framing
from qqproto.errors import LocalProtocolError
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.testing.behaviour import Behaviour
from qqproto.testing.bots import FakeBot
from qqproto.testing.conversation import FakeConversation
from qqproto.testing.lines import Output, TextLine, WebSocketLine
from qqproto.testing.registry import Registry
from qqproto.testing.rest import RestApi
from qqproto.testing.sessions import FakeSession


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
        registry = Registry(bots or (FakeBot(),), gateway_url, behaviour or Behaviour())
        self._registry = registry
        self._rest = RestApi(registry)
        self._queue: deque[Output] = deque()
        self._wake = wake
        self._lines: dict[int, tuple[TextLine | WebSocketLine, FakeConversation]] = {}
        self._connections = 0
        self.bots = registry.bots
        self.sessions = registry.sessions
        self.conversations: list[FakeConversation] = []
        self.violations = registry.violations
        self.frames = registry.frames
        self.requests = registry.requests
        self.messages = registry.messages
        self.acknowledged = registry.acknowledged

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def behaviour(self) -> Behaviour:
        """What the platform does from now on; set its fields."""
        return self._registry.behaviour

    @property
    def gateway_url(self) -> str:
        """Where ``/gateway`` and ``/gateway/bot`` say that the WebSocket is."""
        return self._registry.gateway_url

    @gateway_url.setter
    def gateway_url(self, url: str) -> None:
        self._registry.gateway_url = url

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

    def allow_replies(self, event_id: str, data: Any, now: float) -> None:
        """An event went to a bot by another way than a session, by :class:`FakeCallbacks` say: it may be replied to."""
        self._registry.replies.allow_both(event_id, data, now)

    def connect(self, now: float, framing: Framing = Framing.BYTES) -> int:
        """A client's stream is up (framing TEXT: its WebSocket); returns its number. Then drain."""
        self._connections += 1
        id = self._connections
        line: TextLine | WebSocketLine
        if framing is Framing.TEXT:
            line = TextLine(id, self._put)
        else:
            line = WebSocketLine(id, self._put, self.behaviour, lambda now, what: self._registry.blame(id, what, now))
        talk = FakeConversation(self._registry, id, line, now)
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
