"""The server's end of a WebSocket in bytes, small and fast: what the client's bytes say, and frames for it."""

from __future__ import annotations

import base64
import hashlib
from typing import TypeAlias

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA

Said: TypeAlias = tuple[str, bytes]
"""What the client said: "upgrade" with its key, "text", "ping", "pong" or "close" with the payload."""


class ClientStream:
    """What a client says, from its upgrade on. It has one client to read, which sends whole frames and masks them."""

    __slots__ = ("_buffer", "_upgraded")

    def __init__(self) -> None:
        self._buffer = b""
        self._upgraded = False

    def feed(self, data: bytes) -> list[Said]:
        """What these bytes complete. Raises ValueError for what no client should send."""
        buffer = self._buffer + data if self._buffer else data
        said: list[Said] = []
        while buffer:
            if not self._upgraded:
                head, end, rest = buffer.partition(b"\r\n\r\n")
                if not end:
                    break
                said.append(("upgrade", _key(head)))
                self._upgraded, buffer = True, rest
                continue
            size = _frame_size(buffer)
            if size is None or len(buffer) < size:
                break
            said.append(_read(buffer[:size]))
            buffer = buffer[size:]
        self._buffer = buffer
        return said


def accept(key: bytes) -> bytes:
    """The reply to an upgrade."""
    token = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"


def refuse(status: int, retry_after: int | None) -> bytes:
    """A reply to an upgrade that is none."""
    wait = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
    return f"HTTP/1.1 {status} No\r\n{wait}Content-Length: 2\r\n\r\nno".encode()


def text_frame(text: str) -> bytes:
    return _frame(_TEXT, text.encode())


def binary_frame(data: bytes) -> bytes:
    return _frame(_BINARY, data)


def ping_frame() -> bytes:
    return _frame(_PING, b"")


def close_frame(code: int | None, reason: str) -> bytes:
    return _frame(_CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def _key(head: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            return value.strip()
    raise ValueError("an upgrade without a key")


def _frame_size(buffer: bytes) -> int | None:
    """How many bytes the frame at the front has, None if its head is not whole."""
    if len(buffer) < 2:
        return None
    size = buffer[1] & 0x7F
    if size < 126:
        return 6 + size
    width = 2 if size == 126 else 8
    if len(buffer) < 2 + width:
        return None
    return 6 + width + int.from_bytes(buffer[2 : 2 + width], "big")


_NAMES = {_TEXT: "text", _CLOSE: "close", _PING: "ping", _PONG: "pong"}


def _read(frame: bytes) -> Said:
    first, second = frame[0], frame[1]
    name = _NAMES.get(first & 0x0F)
    if name is None or first & 0xF0 != 0x80 or not second & 0x80:
        raise ValueError(f"a frame that begins with {frame[:2].hex()}")
    start = {126: 4, 127: 10}.get(second & 0x7F, 2)
    mask, payload = frame[start : start + 4], frame[start + 4 :]
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return name, (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
