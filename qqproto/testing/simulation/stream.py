"""The server's end of a WebSocket in bytes, small and fast: what the client's bytes say, and frames for it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TypeAlias

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA

Said: TypeAlias = tuple[str, bytes]
"""What the client said: "upgrade" with its key, "text", "ping", "pong" or "close" with the payload."""


class ClientStream:
    """What a client says, from its upgrade on; one that sends its upgrade, and then each frame, in one piece."""

    __slots__ = ("_upgraded",)

    def __init__(self) -> None:
        self._upgraded = False

    def feed(self, data: bytes) -> list[Said]:
        """What these bytes say. Raises ValueError for what our client does not send."""
        if not self._upgraded:
            self._upgraded = True
            return [("upgrade", _key(data))]
        said: list[Said] = []
        while data:
            size = _frame_size(data)
            said.append(_read(data[:size]))
            data = data[size:]
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


def close_frame(code: int | None, reason: str) -> bytes:
    return _frame(_CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def _key(request: bytes) -> bytes:
    found = re.search(rb"(?im)^sec-websocket-key:[ ]*([^ \r]+)", request)
    if found is None or not request.endswith(b"\r\n\r\n"):
        raise ValueError("no upgrade")
    return found[1]


def _frame_size(data: bytes) -> int:
    """How many bytes the frame at the front has, its head and its mask included."""
    size = data[1] & 0x7F if len(data) > 1 else 0
    return 6 + size if size < 126 else 8 + int.from_bytes(data[2:4], "big")


_NAMES = {_TEXT: "text", _CLOSE: "close", _PING: "ping", _PONG: "pong"}


def _read(frame: bytes) -> Said:
    first, second = frame[0], frame[1] if len(frame) > 1 else 0
    name = _NAMES.get(first & 0x0F)
    if name is None or first & 0xF0 != 0x80 or not second & 0x80 or second == 0xFF:
        raise ValueError(f"a frame that begins with {frame[:2].hex()}")
    start = 4 if second == 0xFE else 2
    mask, payload = frame[start : start + 4], frame[start + 4 :]
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return name, (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
