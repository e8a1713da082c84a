"""What a server may send that is not one message a read: odd pieces, and floods; what each of them comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.peers import live_shard
from benchmarks.work import dispatch, frame
from qqproto import Disconnected, Dispatch, Malformed, SendData
from qqproto.decoding import Loads

_TEXT, _CONTINUATION, _PING, _RESERVED = 1, 0, 9, 3
_FIN = 0x80


def _unfinished(opcode: int, payload: bytes) -> bytes:
    """A fragment that is not the last one."""
    whole = frame(payload, opcode)
    return bytes([whole[0] & ~_FIN]) + whole[1:]


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _repeated(data: bytes, length: int, size: int = 1 << 16, first: bytes = b"") -> list[bytes]:
    """So many bytes of the same, in reads of ``size``."""
    return _pieces(first + data * (length // len(data)), size)


def _messages(length: int) -> bytes:
    return b"".join(frame(dispatch(700, 2 + number)) for number in range(max(1, length // 700)))


def _in_fragments(length: int) -> bytes:
    """One message in 512 fragments."""
    step = max(1, length // 512)
    first, *others = _pieces(dispatch(length, 2), step)
    *others, last = others
    middle = b"".join(_unfinished(_CONTINUATION, piece) for piece in others)
    return _unfinished(_TEXT, first) + middle + frame(last, _CONTINUATION)


@dataclass(frozen=True)
class Stream:
    """``chunks`` makes about so many bytes of it; ``outcome`` is what comes of it, as :func:`hear` words it."""

    name: str
    chunks: Callable[[int], list[bytes]]
    outcome: str


STREAMS = (
    Stream("a message, byte by byte", lambda length: _pieces(frame(dispatch(length, 2)), 1), "dispatches"),
    Stream("messages, byte by byte", lambda length: _pieces(_messages(length), 1), "dispatches"),
    Stream("messages, 64 KiB at a time", lambda length: _pieces(_messages(length), 1 << 16), "dispatches"),
    Stream("a message, 1,400 bytes at a time", lambda length: _pieces(frame(dispatch(length, 2)), 1400), "dispatches"),
    Stream("a message in fragments", lambda length: [_in_fragments(length)], "dispatches"),
    Stream("... byte by byte", lambda length: _pieces(_in_fragments(length), 1), "dispatches"),
    Stream(
        "a flood of empty fragments",
        lambda length: _repeated(_unfinished(_CONTINUATION, b""), length, first=_unfinished(_TEXT, b"")),
        "a message in more than 1024 fragments",
    ),
    Stream(
        "a message that never ends",
        lambda length: _repeated(_unfinished(_CONTINUATION, b"x" * 4), length, first=_unfinished(_TEXT, b"{")),
        "a message in more than 1024 fragments",
    ),
    Stream(
        "a flood of pings",
        lambda length: _repeated(frame(b"", _PING), length),
        "more than 64 control frames in one read",
    ),
    Stream("pings, one a read", lambda length: _repeated(frame(b"p" * 98, _PING), length, 100), "pongs"),
    Stream(
        "reserved opcodes of WebSocket's",
        lambda length: _repeated(frame(b"", _RESERVED), length),
        "not WebSocket: Invalid opcode 0x3",
    ),
    Stream("opcodes that are none", lambda length: _repeated(frame(b'{"op":99}'), length), "unknown opcodes"),
    Stream("no JSON", lambda length: _repeated(frame(b"nonsense"), length), "malformed"),
    Stream(
        "giant lengths",
        lambda length: _repeated(b"\x81\x7f\x3f" + b"\xff" * 7 + b"x" * 90, length),
        "a message of more than 16777216 bytes",
    ),
    Stream(
        "a ping of a giant length", lambda length: _repeated(b"\x89\x7f\x3f" + b"\xff" * 7, length), "not WebSocket"
    ),
)


def hear(chunks: Sequence[bytes], loads: Loads = json.loads) -> Callable[[], str]:
    """A live shard that hears them when it is called, and what came of it."""
    shard, connection = live_shard(loads)

    def run() -> str:
        came: set[str] = set()
        for chunk in chunks:
            shard.receive_data(connection, chunk, 1.0)
            while (output := shard.next_output()) is not None:
                if isinstance(output, Dispatch):
                    came.add("dispatches")
                elif isinstance(output, Malformed):
                    came.add("malformed")
                elif isinstance(output, Disconnected):
                    assert output.failure is not None
                    return output.failure.message
                elif isinstance(output, SendData):
                    came.add("pongs")
            shard.next_timer()
        if shard.status(1.0).counters.get("unknown_opcodes"):
            came.add("unknown opcodes")
        return ", ".join(sorted(came)) or "nothing"

    return run
