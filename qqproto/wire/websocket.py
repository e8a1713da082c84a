"""The client's end of one WebSocket: wsproto behind a fast lane, with the limits that it does not have."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from qqproto.policy import Policy
from qqproto.wire.lane import Lane


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


Last: TypeAlias = CloseReceived | Rejected | Broken
Received: TypeAlias = str | bytes | Pinged | Last
"""A message is what it is: text, or the bytes of a binary one."""

_PROTOCOL_ERROR, _NO_STATUS = 1002, 1005


class WebSocket(Lane[Received]):
    """One client WebSocket over any stream: a fast lane with wsproto as its engine.

    No extension and no subprotocol is offered, as no SDK of the platform does. Ordinary text messages take the lane,
    which also keeps the limits; wsproto does everything else, a whole frame at a time. It tells its parse errors like
    close frames and goes on after them: here they are the end.

    Its machinery is here only while there is something in it: that of the upgrade until the upgrade is through, an
    engine for frames until no frame and no message is half read. Both together are 5 KB, which is more than everything
    else that an idle connection has; an engine is made in the time that it takes to mask half a heartbeat.

    What is received as bytes is a binary message, or a text nobody has looked at: who finds that it is no UTF-8 asks
    :meth:`not_text`.
    """

    __slots__ = ("_engine", "_parts", "_request", "_upgrading")

    def __init__(self, url: str, headers: Mapping[str, str], policy: Policy) -> None:
        super().__init__(policy)
        parts = urlsplit(url)
        self._request: Request | None = Request(
            host=parts.netloc.rpartition("@")[2],
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            extra_headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
        )
        self._upgrading: WSConnection | None = WSConnection(ConnectionType.CLIENT)
        self._engine: Connection | None = None
        self.idle = False
        self._parts: list[str | bytes] | None = None

    @property
    def open(self) -> bool:
        """Whether frames may be sent: the upgrade is through, and nobody has said goodbye."""
        return not self._over and self._upgrading is None

    def handshake(self) -> bytes:
        """The upgrade request's bytes; asked for once."""
        request, wire, self._request = self._request, self._upgrading, None
        assert request is not None, "the upgrade is asked for once"
        assert wire is not None, "it is asked for before it is answered"
        return wire.send(request)

    def send_text(self, text: str) -> bytes:
        """One text message's bytes."""
        return self._say(TextMessage(data=text))

    def ping(self) -> bytes:
        """One ping's bytes."""
        return self._say(Ping())

    def close(self, code: int, reason: str) -> bytes:
        """Our goodbye's bytes, empty if there is nothing to say it on. Nothing is received or sent afterwards.

        What is too much of ``reason`` for a close frame is cut off.
        """
        data = self._say(CloseConnection(code=code, reason=reason)) if self.open else b""
        self._end()
        return data

    def not_text(self, message: bytes) -> Broken | None:
        """``message``, the last that was received, is no UTF-8: the end if it was sent as text, else None."""
        if message is not self.given:
            return None
        [broken] = self._other(_text_frame(message))
        assert isinstance(broken, Broken), broken
        return broken

    # -- steps ----------------------------------------------------------------------------------------------------

    def _say(self, event: Event) -> bytes:
        assert self.open, "nothing is said before the upgrade is through, or after a goodbye"
        engine = self._engine or Connection(ConnectionType.CLIENT)
        self._engine = None if self.idle else engine
        return engine.send(event)

    def _frames(self, data: bytes) -> Iterator[Received]:
        if self._upgrading is not None:
            return self._upgrade(self._upgrading, data)
        return super()._frames(data)

    def _upgrade(self, wire: WSConnection, data: bytes) -> Iterator[Received]:
        """The answer to the upgrade request, line by line: what follows the last one is frames."""
        at = 0
        while at < len(data) and self._upgrading is not None:
            line = data[at : data.find(b"\n", at) + 1 or len(data)]
            at += len(line)
            try:
                wire.receive_data(line)
            except (RemoteProtocolError, ValueError) as error:
                # A header that is not ASCII leaves wsproto as a UnicodeDecodeError.
                what = str(error) if isinstance(error, RemoteProtocolError) else "a header that cannot be read"
                yield self._excess(f"the WebSocket upgrade failed: {what}", _PROTOCOL_ERROR)
                return
            for event in wire.events():
                if isinstance(event, RejectConnection):
                    self._end()
                    yield Rejected(event.status_code, list(event.headers))
                    return
                assert isinstance(event, AcceptConnection), event
                self._upgrading = None
        yield from super()._frames(data[at:])

    def _other(self, data: bytes | bytearray) -> Iterator[Received]:
        engine = self._engine
        if engine is None:
            engine = self._engine = Connection(ConnectionType.CLIENT)
        engine.receive_data(bytes(data))
        for event in engine.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                message = self._collect(event)
                if message is not None:
                    yield message
            elif isinstance(event, Ping):
                yield Pinged(engine.send(event.response()))
            elif isinstance(event, CloseConnection):
                yield self._closed(engine, event)
            else:
                assert isinstance(event, Pong), event
            if self._over:
                return

    def _collect(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        """One frame of a message; the lane has seen to its limits."""
        parts: list[Any] = [] if self._parts is None else self._parts
        parts.append(event.data)
        if not event.message_finished:
            self._parts = parts
            return None
        self._parts = None
        return "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)

    def _closed(self, engine: Connection, event: CloseConnection) -> Last:
        if engine.state is ConnectionState.OPEN:
            # Not the peer's close frame: wsproto reports its own parse error as one, and stays open.
            return self._excess(f"not WebSocket: {event.reason}", event.code)
        self._end()
        code = None if event.code == _NO_STATUS else int(event.code)
        return CloseReceived(code, event.reason or "", engine.send(event.response()))

    def _excess(self, what: str, code: int) -> Broken:
        return Broken(what, int(code), self.close(code, ""))

    def _end(self) -> None:
        super()._end()
        self._upgrading = self._engine = self._parts = None


def _text_frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload
