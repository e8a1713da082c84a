"""What a server should never say: messages, Hellos, READYs and bytes without sense."""

from __future__ import annotations

from typing import Any

NONSENSE: dict[str, str | bytes] = {
    "no JSON": "hello",
    "nothing": "",
    "half a message": '{"op":0,"s":5,"t":"C2C_MES',
    "a list": "[10]",
    "null": "null",
    "a number": "7",
    "no opcode": '{"s":3,"t":"READY","d":{}}',
    "a text for an opcode": '{"op":"7"}',
    "a float for an opcode": '{"op":7.0}',
    "true for an opcode": '{"op":true}',
    "an unknown opcode": '{"op":99,"d":{}}',
    "a negative opcode": '{"op":-1}',
    "a huge opcode": '{"op":' + "9" * 400 + "}",
    "a client's opcode": '{"op":6,"d":{"session_id":"x"}}',
    "no type": '{"op":0,"s":3,"d":{}}',
    "a number for a type": '{"op":0,"s":3,"t":5,"d":{}}',
    "not a number": '{"op":0,"t":"GUILD_CREATE","s":NaN,"d":Infinity}',
    "half a surrogate": '{"op":0,"t":"GUILD_CREATE","d":"\\ud800"}',
    "a text for a sequence": '{"op":0,"t":"GUILD_CREATE","s":"9","d":null}',
    "a negative sequence": '{"op":0,"t":"GUILD_CREATE","s":-9,"d":null}',
    "no sequence": '{"op":0,"t":"GUILD_CREATE","d":null}',
    "an unknown type": '{"op":0,"t":"NEVER_HEARD_OF","d":[1,2,3],"extra":true}',
    "READY again": '{"op":0,"s":1,"t":"READY","d":{"session_id":"another","user":{}}}',
    "RESUMED again": '{"op":0,"s":1,"t":"RESUMED","d":""}',
    "an ACK that nobody waits for": '{"op":11}',
    "deep nesting": "[" * 100_000,
    "binary": b'{"op":99}',
    "binary that is no text": b"\xff\xfe\x00",
}
"""By name: messages that are to be survived on the same connection. Bytes are a binary message."""

ODD_HELLOS: tuple[Any, ...] = (
    {"heartbeat_interval": 0},
    {"heartbeat_interval": -1},
    {"heartbeat_interval": 100},
    {"heartbeat_interval": 3_600_000},
    {"heartbeat_interval": 10**25},
    {"heartbeat_interval": "41250"},
    {"heartbeat_interval": None},
    {"heartbeat_interval": True},
    {"heartbeat_interval": 5000.5},
    {"heartbeat_interval": 1e9},
    {},
    None,
    "hello",
)
"""``d`` of Hello; some name an interval that can be used, and some do not."""

ODD_READIES: tuple[Any, ...] = (None, {}, [], "", {"session_id": ""}, {"session_id": 7}, {"user": {"id": "1"}})
"""``d`` of READY, without a session."""


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes((first,)) + length + payload


BROKEN_FRAMES: dict[str, bytes] = {
    "reserved bits": _frame(0xF1, b"{}"),
    "an unknown frame": _frame(0x83, b""),
    "not UTF-8": _frame(0x81, b'"\xc3\x28"'),
    "a continuation of nothing": _frame(0x80, b"{}"),
    "a long ping": _frame(0x89, b"x" * 126),
    "a close code that is none": _frame(0x88, b"\x00\x01"),
    "a close frame of one byte": _frame(0x88, b"\x01"),
    "a masked frame": bytes((0x81, 0x80, 1, 2, 3, 4)),
    "a flood of pings": _frame(0x89, b"") * 65,
    "a message in too many pieces": _frame(0x01, b" ") + _frame(0x00, b"") * 1024,
}
"""By name: bytes that no WebSocket client has to put up with; promise G10 for those that are only too many."""

TOO_LONG = "a message that is too long"
"""The name of one more, whose length depends on the bot's policy."""
