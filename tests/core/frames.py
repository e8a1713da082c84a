"""A server's end of a WebSocket, made by hand: frames as RFC 6455 §5.2 draws them, well-formed or not."""

from __future__ import annotations

import base64
import hashlib
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
    announced: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """One frame; ``announced`` and ``length_bytes`` lie about its length or write it longer than it has to be."""
    size = len(payload) if announced is None else announced
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 1 << 16 else 8
    first = fin << 7 | rsv << 4 | opcode
    marked = bool(mask) << 7
    if length_bytes == 0:
        head = struct.pack("!BB", first, marked | size)
    elif length_bytes == 2:
        head = struct.pack("!BBH", first, marked | 126, size)
    else:
        head = struct.pack("!BBQ", first, marked | 127, size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if mask else payload
    return head + mask + masked


def text(message: str) -> bytes:
    return frame(TEXT, message.encode())


def close(code: int | None = None, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def said(data: bytes) -> list[tuple[int, bytes]]:
    """What a client's bytes say: the frames' opcodes and payloads. Each has to be whole, final and masked."""
    frames = []
    while data:
        first, second = data[0], data[1]
        assert first & 0xF0 == 0x80, "fragmented, or with a reserved bit"
        assert second & 0x80, "a client has to mask"
        size, at = second & 0x7F, 2
        if size == 126:
            size, at = struct.unpack_from("!H", data, 2)[0], 4
        elif size == 127:
            size, at = struct.unpack_from("!Q", data, 2)[0], 10
        mask, masked = data[at : at + 4], data[at + 4 : at + 4 + size]
        assert len(masked) == size, "cut short"
        frames.append((first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))))
        data = data[at + 4 + size :]
    return frames


def closing(data: bytes) -> int | None:
    """The code of the one close frame that a client's bytes consist of."""
    [(opcode, payload)] = said(data)
    assert opcode == CLOSE
    return struct.unpack("!H", payload[:2])[0] if payload else None


def request_of(data: bytes) -> tuple[str, list[tuple[str, str]]]:
    """A client's upgrade request: its request line, and its headers as they were sent."""
    head, separator, rest = data.partition(b"\r\n\r\n")
    assert separator
    assert not rest
    line, *fields = head.decode("ascii").split("\r\n")
    return line, [(name, value) for name, _, value in (field.partition(": ") for field in fields)]


def key_of(data: bytes) -> str:
    """The key of a client's upgrade request."""
    return next(value for name, value in request_of(data)[1] if name.lower() == "sec-websocket-key")


def accept(request: bytes, *extra: bytes, **changed: bytes | None) -> bytes:
    """The answer to ``request`` that opens the WebSocket; ``changed`` headers have another value, or are left out."""
    token = base64.b64encode(hashlib.sha1(key_of(request).encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    headers: dict[str, bytes | None] = {
        "Upgrade": b"websocket",
        "Connection": b"Upgrade",
        "Sec_WebSocket_Accept": token,
    }
    lines = [
        name.replace("_", "-").encode() + b": " + value
        for name, value in {**headers, **changed}.items()
        if value is not None
    ]
    return b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *lines, *extra, b"", b""])
