"""wsproto alone as the judge of the lane before it: what a stream of frames says, however the stream is cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, TypeAlias

from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from qqproto import Failure, Policy, QQGatewayConnection, SendData, ShardConfig, Token
from qqproto.wire.websocket import WebSocket
from tests.core.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept, frame, said

URL = "wss://gateway.example/"

Heard: TypeAlias = tuple[Any, ...]
"""One thing that was heard: what it is, its details, and what is answered."""

# -- streams -------------------------------------------------------------------------------------------------------

SOUND = [b"", b"{}", "你好".encode(), "😀".encode(), *(b"x" * size for size in range(124, 129))]
UNSOUND = [b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]
"""No UTF-8: a byte that never is, a character cut short, half a surrogate pair, too high, too long."""
HALVES = ["你".encode()[:1], "你".encode()[1:], b"a"]

ORDINARY = [frame(TEXT, payload) for payload in SOUND]
PARTS = [
    frame(opcode, payload, fin=fin)
    for opcode in (TEXT, BINARY, CONTINUATION, CONTINUATION)
    for payload in (*SOUND[:4], *HALVES, UNSOUND[0], SOUND[-1])
    for fin in (True, False)
]
CONTROLS = [frame(PING), frame(PING, b"beat"), frame(PONG, b"x" * 125)]
CLOSES = [frame(CLOSE), frame(CLOSE, b"\x0f\xa9"), frame(CLOSE, b"\x03\xe8bye")]
WRONG = [
    *(frame(TEXT, payload) for payload in UNSOUND),
    *(frame(TEXT, b"hello", rsv=rsv) for rsv in range(1, 8)),
    *(frame(opcode, b"x") for opcode in (3, 7, 8, 11, 15)),
    *(frame(PING, b"x", fin=False), frame(CLOSE, fin=False), frame(PING, b"x" * 126), frame(CLOSE, b"\x03\xe7")),
]
NEARLY = [
    *(frame(TEXT, b"x" * size, length_bytes=2) for size in (0, 5, 125)),
    *(frame(TEXT, b"x" * size, length_bytes=8) for size in (0, 125, 126, 200)),
    *(frame(TEXT, payload, mask=b"\x01\x02\x03\x04") for payload in (b"", b"hello", b"x" * 126)),
    b"\x81\x85hello",
]
"""Ordinary but for a mask, or for a length that is longer than it has to be."""
MESSAGES = [
    message
    for payload in SOUND
    for message in (
        frame(TEXT, payload),
        frame(PING, payload[:125]) + frame(TEXT, payload),
        frame(TEXT, payload, fin=False) + frame(PONG) + frame(CONTINUATION, payload),
        frame(TEXT, payload[:1], fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, payload[1:]),
        frame(BINARY, payload + b"\xff"),
        frame(BINARY, b"\xff", fin=False) + frame(CONTINUATION, payload),
    )
]
LONG = [frame(TEXT, b"x" * size) for size in (65_535, 65_536)]

KINDS = [MESSAGES, MESSAGES, ORDINARY, PARTS, PARTS, CONTROLS, WRONG, NEARLY, CLOSES]
FRAME = st.sampled_from(KINDS).flatmap(st.sampled_from)
STREAMS = st.builds(
    lambda frames, missing: b"".join(frames)[: -missing or None],
    st.lists(FRAME, min_size=1, max_size=8),
    st.sampled_from([0, 0, 0, 1, 2, 3, 60]),
)
"""Frames, right and wrong, the last of them perhaps not whole."""


def chunked(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """``data``, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def boundaries(data: bytes) -> list[int]:
    """Where a frame ends and the next one begins, as far as they are whole; the header of one that is not counts."""
    at, places = 0, [0]
    while len(data) - at >= 2:
        short = data[at + 1] & 0x7F
        start = at + 2 + {126: 2, 127: 8}.get(short, 0)
        length = int.from_bytes(data[at + 2 : start], "big") if short > 125 else short
        at = start if start + length > len(data) else start + length
        if start > len(data):
            break
        places.append(at)
        if at == start and length:
            break
    return places


def whole_frames(data: bytes) -> bytes:
    """What the lane has to have told: all frames that are whole, and the header of the one that is not."""
    return data[: boundaries(data)[-1]]


# -- what is heard -------------------------------------------------------------------------------------------------


def heard_alone(data: bytes) -> list[Heard]:
    """What wsproto hears in ``data`` through its public interface, up to the first end."""
    wire = Connection(ConnectionType.CLIENT)
    wire.receive_data(data)
    heard: list[Heard] = []
    parts: list[Any] = []
    for event in wire.events():
        if isinstance(event, CloseConnection) and wire.state is ConnectionState.OPEN:
            return [*heard, ("broken", f"not WebSocket: {event.reason}", [(CLOSE, event.code.to_bytes(2, "big"))])]
        if isinstance(event, CloseConnection):
            code = None if event.code == 1005 else int(event.code)
            return [*heard, ("closed", code, event.reason or "", said(wire.send(event.response())))]
        if isinstance(event, Ping):
            heard.append(("ping", [(PONG, event.payload)]))
        elif isinstance(event, (TextMessage, BytesMessage)):
            parts.append(event.data)
            if event.message_finished:
                heard.append(("message", _said_in(parts)))
                parts = []
        else:
            assert isinstance(event, Pong)
    return heard


def _said_in(parts: list[Any]) -> str | bytes:
    if isinstance(parts[0], str):
        return "".join(parts)
    binary = b"".join(parts)
    try:
        return _text(binary)
    except UnicodeDecodeError:
        return binary


class _Listener:
    """In the place of a connection's conversation: all that it is told, and what the connection sends meanwhile."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.ending: object = None
        self._sent: list[bytes] = []

    def emit(self, output: object) -> None:
        if isinstance(output, SendData):
            self._sent.append(output.data)
            if said(output.data)[0][0] != CLOSE:
                self.heard.append(("ping", self._said()))

    def bytes_received(self, now: float) -> None:
        pass

    def receive_value(self, value: str, message: str | bytes, now: float) -> None:
        self.heard.append(("message", value))

    def not_json(self, message: str | bytes) -> None:
        self.heard.append(("message", message))

    def connection_closed(self, code: int | None, reason: str, now: float) -> None:
        self._end("closed", code, reason)

    def connection_lost(self, failure: Failure, now: float) -> None:
        self._end("broken", failure.message)

    def _end(self, *what: object) -> None:
        self.heard.append((*what, self._said()))
        self.ending = what

    def _said(self) -> list[tuple[int, bytes]]:
        sent, self._sent = b"".join(self._sent), []
        return said(sent)


def heard_by(connection: QQGatewayConnection, chunks: Iterable[bytes]) -> list[Heard]:
    """What a conversation hears whose decoder takes every text."""
    machine: Any = connection
    listener = machine.conversation = _Listener()
    machine._emit = listener.emit
    machine._decode = _text
    for chunk in filter(None, chunks):  # An empty one would be the end of the stream.
        connection.receive_data(chunk, 0.0)
    return listener.heard


def upgraded() -> QQGatewayConnection:
    """One whose upgrade is through."""
    connection = QQGatewayConnection(ShardConfig("1", 1), URL, Token("token"), random=lambda: 0.5)
    connection.connection_opened(0.0)
    request = connection.next_output()
    assert isinstance(request, SendData)
    connection.receive_data(accept(request.data), 0.0)
    assert connection.upgraded
    return connection


def opened(
    make: type[QQGatewayConnection] = QQGatewayConnection, websocket: type[WebSocket] = WebSocket
) -> QQGatewayConnection:
    """The same without an upgrade, which would take longer than what is then heard."""
    connection = make(ShardConfig("1", 1), URL, Token("token"), random=lambda: 0.5)
    connection._opened = True
    connection._websocket = websocket(URL, {}, Policy())
    connection._websocket._upgrading = None
    connection._websocket.idle = True
    return connection


def _text(message: str | bytes) -> str:
    """To the reader a binary message is text too, if it can be."""
    return message if isinstance(message, str) else message.decode()
