"""wsproto alone as the judge of the lane before it: what a stream of frames says, however the stream is cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, TypeAlias

from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from qqproto import Policy
from qqproto.wire.websocket import Broken, CloseReceived, Pinged, Received, WebSocket
from tests.core.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept, frame, said

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
                heard.append(("message", "".join(parts) if isinstance(event, TextMessage) else _text(b"".join(parts))))
                parts = []
        else:
            assert isinstance(event, Pong)
    return heard


def heard_by(websocket: WebSocket, chunks: Iterable[bytes]) -> list[Heard]:
    """What a reader hears who takes UTF-8 for text, and says so when it is none."""
    heard: list[Heard] = []
    for chunk in chunks:
        for item in _items(websocket, chunk):
            told = _told(item)
            if isinstance(item, bytes):
                try:
                    told = ("message", item.decode())
                except UnicodeDecodeError:
                    broken = websocket.not_text(item)
                    told = told if broken is None else _told(broken)
            heard.append(told)
    return heard


def _items(websocket: WebSocket, chunk: bytes) -> Iterable[Received]:
    """The usual case first, as a connection asks for it."""
    message = websocket.ordinary(chunk)
    return websocket.receive(chunk) if message is None else (message,)


def upgraded() -> WebSocket:
    """One whose upgrade is through."""
    websocket = WebSocket("wss://gateway.example/", {}, Policy())
    assert list(websocket.receive(accept(websocket.handshake()))) == []
    return websocket


def opened(make: type[WebSocket] = WebSocket) -> WebSocket:
    """The same without an upgrade, which would take longer than what is then heard."""
    websocket = make("wss://gateway.example/", {}, Policy())
    websocket._upgrading = None
    return websocket


def _text(binary: bytes) -> str | bytes:
    """To the reader a binary message is text too, if it can be."""
    try:
        return binary.decode()
    except UnicodeDecodeError:
        return binary


def _told(item: object) -> Heard:
    if isinstance(item, (str, bytes)):
        return "message", item
    if isinstance(item, Pinged):
        return "ping", said(item.reply)
    if isinstance(item, CloseReceived):
        return "closed", item.code, item.reason, said(item.reply)
    assert isinstance(item, Broken), item
    return "broken", item.what, said(item.reply)
