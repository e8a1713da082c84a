"""The bytes that everybody gets: group message dispatches with Chinese text, as unmasked WebSocket text frames."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

SIZES = (200, 700, 4096, 65536)
"""Bytes of one dispatch, envelope included; 700 is a usual group message."""

_TEXT = "今天晚上八点在群里开会，请大家准时参加，不要迟到。"


def dispatch(size: int, sequence: int, more: Mapping[str, object] | None = None) -> bytes:
    """One GROUP_AT_MESSAGE_CREATE of about ``size`` bytes of UTF-8, with ``more`` in its data."""
    envelope = {
        "op": 0,
        "s": sequence,
        "t": "GROUP_AT_MESSAGE_CREATE",
        "id": f"GROUP_AT_MESSAGE_CREATE:{sequence:024d}",
        "d": {"id": f"ROBOT1.0_{sequence:020d}", "content": ""},
    }
    data = envelope["d"]
    assert isinstance(data, dict)
    if size >= 600:
        data["author"] = {"id": "1122334455667788", "member_openid": "11223344556677889900AABBCCDDEEFF", "bot": False}
        data["group_openid"] = "0F1E2D3C4B5A69788796A5B4C3D2E1F0"
        data["timestamp"] = "2026-07-21T10:00:00+08:00"
        data["message_scene"] = {"source": "default", "ext": ["msg_idx=REFIDX_xxx=="]}
    data.update(more or {})
    room = max(0, size - len(json.dumps(envelope, ensure_ascii=False).encode()))
    data["content"] = (_TEXT * (room // len(_TEXT.encode()) + 1)).encode()[:room].decode(errors="ignore")
    return json.dumps(envelope, ensure_ascii=False).encode()


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """One whole frame as a server sends it: unmasked, minimally encoded."""
    first, length = 0x80 | opcode, len(payload)
    if length < 126:
        return struct.pack("!BB", first, length) + payload
    if length < 65536:
        return struct.pack("!BBH", first, 126, length) + payload
    return struct.pack("!BBQ", first, 127, length) + payload


def payload_start(data: bytes) -> int:
    """Where the payload of a server's frame begins."""
    return {126: 4, 127: 10}.get(data[1], 2)
