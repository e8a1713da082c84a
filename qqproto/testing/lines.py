"""What stands between a talk and the platform's queue: the host's WebSocket, or one of our own over bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import h11
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws
from wsproto.connection import ConnectionState
from wsproto.utilities import RemoteProtocolError

from qqproto.actions import Abort, CloseConnection, SendData, SendText
from qqproto.protocol.rest import HTTPResponse
from qqproto.testing.behaviour import Behaviour, reply
from qqproto.testing.conversation import FakeConversation

Output: TypeAlias = SendData | SendText | CloseConnection | Abort
"""What the fake platform asks of whoever drives it; ids are the numbers of its connections."""

_MAX_MESSAGE = 1 << 20
_MAX_FRAGMENTS = 1024
_GATEWAY_PATHS = ("/websocket", "/websocket/")


class TextLine:
    """Framing TEXT: the host speaks WebSocket, here only messages and close codes pass."""

    def __init__(self, id: int, put: Callable[[Output], None]) -> None:
        self._id = id
        self._put = put

    def send(self, message: str | bytes) -> None:
        self._put(SendText(self._id, message) if isinstance(message, str) else SendData(self._id, message))

    def ping(self) -> None:
        """The host's WebSocket answers pings, so that none is seen here."""

    def close(self, code: int, reason: str, now: float) -> None:
        self._put(CloseConnection(self._id, code, reason))

    def hang_up(self) -> None:
        self._put(CloseConnection(self._id, 1006, ""))

    def reset(self) -> None:
        self._put(Abort(self._id))


class WebSocketLine:
    """Framing BYTES: the server's end of a WebSocket, by wsproto, without extensions and subprotocols.

    After its own close frame it waits for the client's, ``behaviour.close_wait`` at most, and then closes the stream.
    """

    def __init__(
        self, id: int, put: Callable[[Output], None], behaviour: Behaviour, blame: Callable[[float, str], None]
    ) -> None:
        self._id = id
        self._put = put
        self._behaviour = behaviour
        self._blame = blame
        self._wire = WSConnection(ConnectionType.SERVER)
        self._text: list[str] = []
        self._binary: list[bytes] = []
        self._size = 0
        self._close_by: float | None = None
        self._closed = False
        self._said_goodbye = False

    # -- what the talk says ---------------------------------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        if self._wire.state is ConnectionState.OPEN:
            event = ws.TextMessage(message) if isinstance(message, str) else ws.BytesMessage(message)
            self._put(SendData(self._id, self._wire.send(event)))

    def ping(self) -> None:
        if self._wire.state is ConnectionState.OPEN:
            self._put(SendData(self._id, self._wire.send(ws.Ping(b"fake gateway"))))

    def close(self, code: int, reason: str, now: float) -> None:
        if self._wire.state is ConnectionState.OPEN:
            self._put(SendData(self._id, self._wire.send(ws.CloseConnection(code, reason))))
            self._close_by = now + self._behaviour.close_wait

    def hang_up(self) -> None:
        if not self._closed:
            self._closed = True
            self._close_by = None
            self._put(CloseConnection(self._id, 1006, ""))

    def reset(self) -> None:
        self._closed = True
        self._close_by = None
        self._put(Abort(self._id))

    # -- what the client's stream brings --------------------------------------------------------------------------

    def receive_data(self, data: bytes, talk: FakeConversation, now: float) -> None:
        """Bytes of the client's came, not the end of its stream."""
        if self._said_goodbye:
            self._blame(now, "data after the client's own close frame")
            return
        if self._closed:
            return
        try:
            self._wire.receive_data(data)
        except (RemoteProtocolError, ValueError) as error:
            # wsproto lets what is no ASCII in a header through as a UnicodeError.
            self._blame(now, f"no WebSocket upgrade: {error}")
            hint = getattr(error, "event_hint", None)
            self._reject(reply(hint.status_code if hint else 400, {"message": f"no WebSocket upgrade: {error}"}))
            return
        for event in self._wire.events():
            self._on_event(event, talk, now)

    def handle_timer(self, now: float) -> None:
        """The client's close frame may have been waited for long enough."""
        if self._close_by is not None and self._close_by <= now:
            self.hang_up()

    def next_timer(self) -> float | None:
        return self._close_by

    # -- steps ----------------------------------------------------------------------------------------------------

    def _on_event(self, event: ws.Event, talk: FakeConversation, now: float) -> None:
        if self._closed:
            return
        if isinstance(event, ws.Request):
            self._on_request(event, talk, now)
        elif isinstance(event, (ws.TextMessage, ws.BytesMessage)):
            self._on_message(event, talk, now)
        elif isinstance(event, ws.Ping):
            talk.pings += 1
            if self._wire.state is ConnectionState.OPEN:
                self._put(SendData(self._id, self._wire.send(event.response())))
        elif isinstance(event, ws.Pong):
            talk.pongs += 1
        else:
            assert isinstance(event, ws.CloseConnection), event
            self._on_close(event, talk, now)

    def _on_request(self, request: ws.Request, talk: FakeConversation, now: float) -> None:
        path = request.target.partition("?")[0]
        if self._behaviour.upgrade is not None:
            self._reject(self._behaviour.upgrade)
        elif path not in _GATEWAY_PATHS:
            self._blame(now, f"a WebSocket upgrade for {path}")
            self._reject(reply(404, {"message": f"the gateway is at {_GATEWAY_PATHS[0]}, not at {path}"}))
        else:
            self._put(SendData(self._id, self._wire.send(ws.AcceptConnection())))
            talk.open(now)

    def _on_message(self, event: ws.TextMessage | ws.BytesMessage, talk: FakeConversation, now: float) -> None:
        if isinstance(event.data, str):
            self._text.append(event.data)
        else:
            self._binary.append(bytes(event.data))
        self._size += len(event.data)
        if self._size > _MAX_MESSAGE or len(self._text) + len(self._binary) > _MAX_FRAGMENTS:
            self._blame(now, f"a message of more than {_MAX_MESSAGE} bytes or {_MAX_FRAGMENTS} fragments")
            self.close(1009, "message too big", now)
            self.hang_up()
        elif event.message_finished:
            message: str | bytes = "".join(self._text) if isinstance(event.data, str) else b"".join(self._binary)
            self._text, self._binary, self._size = [], [], 0
            talk.receive_message(message, now)

    def _on_close(self, event: ws.CloseConnection, talk: FakeConversation, now: float) -> None:
        if self._wire.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            # Not a close frame: wsproto tells its own parse error like one, and stays as it is.
            self._blame(now, f"no WebSocket frame: {event.reason}")
            self.close(event.code, event.reason or "", now)
        else:
            talk.said_goodbye(None if event.code == 1005 else event.code, now)
            self._said_goodbye = True
            if self._wire.state is ConnectionState.REMOTE_CLOSING:
                self._put(SendData(self._id, self._wire.send(event.response())))
        self.hang_up()

    def _reject(self, response: HTTPResponse) -> None:
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        headers.append((b"Content-Length", str(len(response.body)).encode()))
        try:
            data = self._wire.send(ws.RejectConnection(response.status, headers, has_body=True))
            self._put(SendData(self._id, data + self._wire.send(ws.RejectData(response.body))))
        except h11.LocalProtocolError:
            # A HEAD request takes no body; there is nobody who would read it either.
            pass
        self.hang_up()
