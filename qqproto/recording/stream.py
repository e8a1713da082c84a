"""The bytes of one connection as a recording has them: in units that can be read, and turned into bytes again.

What comes is cut into lines of the upgrade's answer and into frames, so that what is replaced in one can be replaced
wherever its bytes were torn apart. An ordinary text message is a JSON string; everything else is an object. What a read
brought of a unit that was not whole is counted: its bytes stand with the read that completed it.
"""

from __future__ import annotations

import base64
import struct
from collections import deque
from typing import Any, TypeAlias

from wsproto.utilities import generate_accept_token

from qqproto.recording.redaction import Redactor

Unit: TypeAlias = "str | dict[str, str]"

ACCEPT = "accept-of-a-replayed-upgrade"
"""What stands for the right answer to our random key; as long as that one is."""
_TEXT, _FIN, _CONTROL, _MASK, _CONTINUED = 0x81, 0x80, 0x08, 0x80, 0x00
_LONGEST_KEPT = 1 << 25
"""More than this of one frame no policy takes; whoever sends it is not heard any more."""


class Incoming:
    """What comes on one connection, read by read."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._accept = b""
        self._kept = bytearray()
        self._torn = False
        """Whether what is kept came in more than one read."""
        self._status: bytes | None = None
        self._framed = False
        self._ignored = False
        self._message: list[bytes] = []
        """The fragments so far, where contents are hidden."""

    def asked(self, key: str) -> None:
        """Our upgrade asks with this key."""
        self._accept = generate_accept_token(key.encode())

    def take(self, data: bytes) -> dict[str, Any]:
        """What these bytes brought, as the fields of a line."""
        if self._ignored or not data:
            return {"n": len(data)}
        self._torn = bool(self._kept)
        self._kept += data
        units: list[Unit] = []
        while not self._ignored and (unit := self._next()) is not None:
            units.append(unit)
            self._torn = False
        fields: dict[str, Any] = {"units": units} if units else {}
        if self._ignored or len(self._kept) > _LONGEST_KEPT:
            self._ignored = True
            fields["n"] = len(self._kept)
            self._kept.clear()
        elif self._kept:
            fields["rest"] = {"begins": self._beginning().hex(), "n": len(self._kept)}
        return fields

    # -- steps ----------------------------------------------------------------------------------------------------

    def _next(self) -> Unit | None:
        return self._frame() if self._framed else self._line()

    def _cut(self, size: int) -> bytes:
        unit = bytes(self._kept[:size])
        del self._kept[:size]
        return unit

    def _line(self) -> Unit | None:
        end = self._kept.find(b"\n") + 1
        if not end:
            return None
        line = self._cut(end)
        if self._status is None:
            self._status = [*line.split(), b"", b""][1]
        elif line in (b"\n", b"\r\n"):
            self._framed = self._status == b"101"
            self._ignored = not self._framed
        if self._accept:
            line = line.replace(self._accept, ACCEPT.encode())
        return {"line": self._redactor.data(line).decode("latin-1")}

    def _header(self) -> tuple[int, int] | None:
        """The sizes of a frame's header and payload, None if not even that is here."""
        kept = self._kept
        if len(kept) < 2:
            return None
        length = kept[1] & ~_MASK
        start = {126: 4, 127: 10}.get(length, 2)
        if len(kept) < start:
            return None
        return start, length if start == 2 else int.from_bytes(kept[2:start], "big")

    def _frame(self) -> Unit | None:
        sizes = self._header()
        if sizes is None or len(self._kept) < sum(sizes):
            return None
        start, _ = sizes
        frame = self._cut(sum(sizes))
        first, payload = frame[0], frame[start:]
        if first == _TEXT and frame == frame_of(payload):
            try:
                text = payload.decode()
            except UnicodeDecodeError as error:
                return _packed(frame[:start] + broken(payload, error, self._redactor))
            return self._filled(self._redactor.message(text), len(payload))
        if first & _CONTROL:
            return _packed(frame[:start] + self._redactor.data(payload))
        return self._unusual(first, frame[:start], payload)

    def _filled(self, message: str, size: int) -> str:
        """With spaces behind it if it has become shorter and came in pieces: each read is to bring a piece again."""
        return message + " " * (size - len(message.encode())) if self._torn else message

    def _unusual(self, first: int, header: bytes, payload: bytes) -> Unit:
        """A binary message, a fragment, or a frame that the machine will refuse."""
        if not self._redactor.hides_contents:
            return _packed(header + self._redactor.fragment(payload))
        if len(header) + len(payload) != len(frame_of(payload)) or header[0] & 0x70 or header[1] & _MASK:
            return _packed(header + bytes(len(payload)))  # Refused for its header; nobody looks at more.
        self._message.append(payload)
        whole = b"".join(self._message)
        try:
            whole.decode()
            wrong = b""
        except UnicodeDecodeError as error:
            wrong = broken(whole, error, self._redactor)
        if not first & _FIN:
            return _packed(frame_of(b" " * len(payload), first))
        self._message = []
        message = wrong or self._redactor.message(whole.decode()).encode()
        return _packed(frame_of(message.ljust(len(payload)) if self._torn else message, first))

    def _beginning(self) -> bytes:
        """What is told of a unit that is not whole: a line's first byte, a frame's header."""
        if not self._framed:
            return bytes(self._kept[:1])
        sizes = self._header()
        return bytes(self._kept if sizes is None else self._kept[: sizes[0]])


class Outgoing:
    """The bytes of a recorded connection again, read by read, for a machine with another random key."""

    def __init__(self) -> None:
        self.reads: deque[dict[str, Any]] = deque()
        """The lines of its reads, in order."""
        self._key = ""
        self._told = 0
        """How much of the unit that is not whole was told."""

    def asked(self, key: str) -> None:
        """The machine's upgrade asks with this key."""
        self._key = key

    def next(self) -> bytes:
        """What the next read brings."""
        read = self.reads.popleft()
        units = read.get("units")
        told = self._told
        data = b""
        if units:
            data = b"".join(map(self._bytes_of, units))[told:]
            told = 0
        rest = read.get("rest")
        begun = bytes(read.get("n", 0)) if rest is None else self._begun(rest)
        self._told = 0 if rest is None else len(begun)
        return data + begun[told:]

    # -- steps ----------------------------------------------------------------------------------------------------

    def _begun(self, rest: dict[str, Any]) -> bytes:
        """So many bytes of the next unit; of one that never became whole, its beginning, and what nobody looks at."""
        size: int = rest["n"]
        for read in self.reads:
            if units := read.get("units"):
                return self._bytes_of(units[0])[:size]
        return bytes.fromhex(rest["begins"]).ljust(size, b"x")

    def _bytes_of(self, unit: Unit) -> bytes:
        if isinstance(unit, str):
            return frame_of(unit.encode())
        if "frame" in unit:
            return base64.b64decode(unit["frame"])
        line = unit["line"].encode("latin-1")
        return line.replace(ACCEPT.encode(), generate_accept_token(self._key.encode()))


def frame_of(payload: bytes, first: int = _TEXT) -> bytes:
    """A server's frame, its length written as short as can be."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def message_to_json(message: str | bytes, redactor: Redactor) -> dict[str, str]:
    """A message of framing TEXT."""
    if isinstance(message, str):
        return {"text": redactor.message(message)}
    try:
        return {"binary": redactor.message(message.decode())}
    except UnicodeDecodeError as error:
        return {"base64": base64.b64encode(broken(message, error, redactor)).decode()}


def message_of(fields: dict[str, Any]) -> str | bytes:
    """The message again."""
    if "text" in fields:
        text: str = fields["text"]
        return text
    return fields["binary"].encode() if "binary" in fields else base64.b64decode(fields["base64"])


def broken(payload: bytes, error: UnicodeDecodeError, redactor: Redactor) -> bytes:
    """Bytes that are no UTF-8, for the same reason and at the same place."""
    if not redactor.hides_contents:
        return redactor.data(payload)
    return b"x" * error.start + payload[error.start : error.end] + b"x" * (len(payload) - error.end)


def _packed(frame: bytes) -> Unit:
    return {"frame": base64.b64encode(frame).decode()}
