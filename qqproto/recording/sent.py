"""The bytes that we sent as a recording has them: what they say, without their random parts."""

from __future__ import annotations

from typing import Any

from qqproto.recording.redaction import Redactor

_KEY = "Sec-WebSocket-Key: "
_PATH, _NAME = "GET ", ": "
_MASK = 0x80


def key_of(sent: bytes) -> str | None:
    """The random key, if this is our upgrade's request."""
    if not sent.startswith(_PATH.encode()):
        return None
    lines = sent.decode("latin-1").split("\r\n")
    return next(line[len(_KEY) :] for line in lines if line.startswith(_KEY))


def sent_to_json(sent: bytes, redactor: Redactor) -> list[Any]:
    """What we sent, without its random parts: the lines of the upgrade's request, or frames.

    A text message is a string, another frame an object.
    """
    if key_of(sent) is not None:
        return [{"line": _asked(line, redactor)} for line in sent.decode("latin-1").split("\r\n") if line]
    frames: list[Any] = []
    while sent:
        opcode, payload, sent = _unmasked(sent)
        if opcode == 1:
            frames.append(redactor.own_text(payload.decode()))
        elif opcode == 8:
            code = int.from_bytes(payload[:2], "big")
            frames.append({"close": code, "reason": redactor.text(payload[2:].decode())})
        else:
            frames.append({{9: "ping", 10: "pong"}[opcode]: redactor.data(payload).hex()})
    return frames


def _asked(line: str, redactor: Redactor) -> str:
    """A line of our upgrade's request."""
    if line.startswith(_PATH):
        method, target, version = line.split(" ")
        return f"{method} {redactor.target(target)} {version}"
    name, mark, value = line.partition(_NAME)
    if name in _OWN_HEADERS:
        return redactor.text(line) if not line.startswith(_KEY) else name
    return name + mark + redactor.headers({name: value})[name]


_OWN_HEADERS = ("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
"""As wsproto writes them. A host's own cannot have these names."""


def _unmasked(sent: bytes) -> tuple[int, bytes, bytes]:
    """A client's frame: its opcode, its payload, and what follows it."""
    start, length = 2, sent[1] & ~_MASK
    if length > 125:
        start = 4 if length == 126 else 10
        length = int.from_bytes(sent[2:start], "big")
    mask, start = sent[start : start + 4], start + 4
    payload = sent[start : start + length]
    key = (mask * (length // 4 + 1))[:length]
    plain = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
    return sent[0] & 0x0F, plain, sent[start + length :]
