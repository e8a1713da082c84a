"""The client's end of one WebSocket: wsproto, with the limits that it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from qqproto.policy import Policy


@dataclass(slots=True)
class Message:
    """A whole message, text or binary."""

    data: str | bytes


@dataclass(slots=True)
class Pinged:
    """A ping came; ``reply`` is the pong's bytes."""

    reply: bytes


@dataclass(slots=True)
class CloseReceived:
    """A close frame came; ``code`` is None if it had none; ``reply`` is the answer's bytes. The last thing heard."""

    code: int | None
    reason: str
    reply: bytes


@dataclass(slots=True)
class Rejected:
    """The server answered the upgrade with an ordinary HTTP reply. The last thing heard."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(repr=False)


@dataclass(slots=True)
class Broken:
    """The server broke the protocol or a limit; ``reply`` is what is still to be sent. The last thing heard."""

    what: str
    code: int
    reply: bytes


Received: TypeAlias = Message | Pinged | CloseReceived | Rejected | Broken

_PROTOCOL_ERROR, _NO_STATUS, _POLICY, _TOO_BIG = 1002, 1005, 1008, 1009


class WebSocket:
    """One client WebSocket over any stream.

    No extension and no subprotocol is offered, as no SDK of the platform does. wsproto does the protocol; what it
    leaves open is closed here: it accepts a message of any length and any number of empty fragments, collects frames
    without bound until its events are read, and goes on after a parse error, which it tells like a close frame.
    """

    def __init__(self, url: str, headers: Mapping[str, str], policy: Policy) -> None:
        parts = urlsplit(url)
        self._request = Request(
            host=parts.netloc.rpartition("@")[2],
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            extra_headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
        )
        self._policy = policy
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._over = False
        self._text: list[str] = []
        self._binary: list[bytes] = []
        self._size = 0
        self._fragments = 0

    @property
    def open(self) -> bool:
        """Whether frames may be sent: the upgrade is through, and nobody has said goodbye."""
        return not self._over and self._wire.state is ConnectionState.OPEN

    def handshake(self) -> bytes:
        """The upgrade request's bytes."""
        return self._wire.send(self._request)

    def send_text(self, text: str) -> bytes:
        """One text message's bytes."""
        return self._wire.send(TextMessage(data=text))

    def ping(self) -> bytes:
        """One ping's bytes."""
        return self._wire.send(Ping())

    def close(self, code: int, reason: str) -> bytes:
        """Our goodbye's bytes, empty if there is nothing to say it on. Nothing is received or sent afterwards.

        What is too much of ``reason`` for a close frame is cut off.
        """
        data = self._wire.send(CloseConnection(code=code, reason=reason)) if self.open else b""
        self._over = True
        return data

    def receive(self, data: bytes) -> Iterator[Received]:
        """What these bytes brought, one thing after another; stop reading whenever enough was heard."""
        if self._over:
            return
        try:
            self._wire.receive_data(data)
        except (RemoteProtocolError, ValueError) as error:
            # A header that is not ASCII leaves wsproto as a UnicodeDecodeError.
            what = str(error) if isinstance(error, RemoteProtocolError) else "a header that cannot be read"
            yield self._break(f"the WebSocket upgrade failed: {what}", _PROTOCOL_ERROR)
            return
        control = 0
        for event in self._wire.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                item = self._collect(event)
            elif isinstance(event, (Ping, Pong)):
                control += 1
                item = self._control(event, control)
            elif isinstance(event, CloseConnection):
                item = self._closed(event)
            elif isinstance(event, RejectConnection):
                self._over = True
                item = Rejected(event.status_code, list(event.headers))
            else:
                assert isinstance(event, AcceptConnection), event
                item = None
            if item is not None:
                yield item
            if self._over:
                return

    def _collect(self, event: TextMessage | BytesMessage) -> Received | None:
        data = event.data
        if isinstance(data, str):
            self._text.append(data)
            self._size += len(data) if data.isascii() else len(data.encode())
        else:
            self._binary.append(bytes(data))
            self._size += len(data)
        self._fragments += bool(event.frame_finished)
        if self._size > self._policy.max_message:
            return self._break(f"a message of more than {self._policy.max_message} bytes", _TOO_BIG)
        if self._fragments > self._policy.max_fragments:
            return self._break(f"a message in more than {self._policy.max_fragments} fragments", _POLICY)
        if not event.message_finished:
            return None
        message = Message("".join(self._text) if isinstance(data, str) else b"".join(self._binary))
        self._text, self._binary, self._size, self._fragments = [], [], 0, 0
        return message

    def _control(self, event: Ping | Pong, count: int) -> Received | None:
        if count > self._policy.max_control_frames:
            return self._break(f"more than {self._policy.max_control_frames} control frames in one read", _POLICY)
        return Pinged(self._wire.send(event.response())) if isinstance(event, Ping) else None

    def _closed(self, event: CloseConnection) -> Received:
        if self._wire.state is ConnectionState.OPEN:
            # Not the peer's close frame: wsproto reports its own parse error as one, and stays open.
            return self._break(f"not WebSocket: {event.reason}", event.code)
        self._over = True
        code = None if event.code == _NO_STATUS else int(event.code)
        return CloseReceived(code, event.reason or "", self._wire.send(event.response()))

    def _break(self, what: str, code: int) -> Broken:
        reply = self.close(code, "")
        self._text, self._binary = [], []
        return Broken(what, int(code), reply)
