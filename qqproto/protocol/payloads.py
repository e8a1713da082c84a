"""The JSON of the gateway's messages: what we send, and what is read out of what comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qqproto.protocol.opcodes import Opcode


def _encode(message: dict[str, Any]) -> str:
    # Pure ASCII: JSON may bring half of a surrogate pair, in a session id say, and UTF-8 could not carry it back.
    return json.dumps(message, separators=(",", ":"))


def identify(*, token: str, intents: int, shard: tuple[int, int], properties: Mapping[str, str]) -> str:
    """Identify (op 2). ``token`` is the whole ``QQBot …`` form. Properties are optional and have no effect
    (websocket.html), so that an empty mapping is left out."""
    data: dict[str, Any] = {"token": token, "intents": int(intents), "shard": list(shard)}
    if properties:
        data["properties"] = dict(properties)
    return _encode({"op": int(Opcode.IDENTIFY), "d": data})


def resume(*, token: str, session_id: str, sequence: int) -> str:
    """Resume (op 6): the server replays what came after ``sequence``, then sends RESUMED (websocket.html)."""
    return _encode({"op": int(Opcode.RESUME), "d": {"token": token, "session_id": session_id, "seq": sequence}})


def heartbeat(sequence: int | None) -> str:
    """Heartbeat (op 1): ``d`` is the last sequence, null until there is one (websocket.html)."""
    return f'{{"op":1,"d":{sequence or "null"}}}'


def heartbeat_interval(data: Any) -> float | None:
    """Hello's interval in seconds from its ``d`` (milliseconds on the wire), None if it is not a usable number."""
    value = data.get("heartbeat_interval") if isinstance(data, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if value != value:  # NaN
        return None
    # Brought into range first: an integer of four hundred digits is legal JSON, and no float.
    return max(-1.0, min(value, 1e12)) / 1000.0


def sequence_of(message: dict[str, Any]) -> int | None:
    """The envelope's ``s`` if it is a sequence: a positive integer."""
    value = message.get("s")
    return value if type(value) is int and value > 0 else None


def ready_of(data: Any) -> tuple[str, str, str] | None:
    """``(session_id, user id, user name)`` from READY's ``d``; None without a session id.

    The user may be incomplete: only the session id is needed to go on.
    """
    if not isinstance(data, dict):
        return None
    session_id = data.get("session_id")
    if not isinstance(session_id, str) or not session_id:
        return None
    user = data.get("user")
    if not isinstance(user, dict):
        user = {}
    user_id, name = user.get("id"), user.get("username")
    known = type(user_id) in (str, int)
    return session_id, str(user_id) if known else "", name if isinstance(name, str) else ""
