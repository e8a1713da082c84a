"""What a host says about one shard before it starts."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

SettleMode: TypeAlias = Literal["delivery", "iteration", "manual"]
"""What settles a dispatch: handing it out, asking for the next one, or a call of ``settle``."""


_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2: a token
_OWN_HEADERS = ("connection", "content-length", "host", "transfer-encoding", "upgrade")


class Framing(enum.Enum):
    """What the host's stream carries: raw bytes (the machine speaks WebSocket) or the WebSocket's messages."""

    BYTES = "bytes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """What one shard is: which bot, which events, which part of how many.

    ``app_id``: a saved session of another bot is refused. ``intents``: an int (:class:`~qqproto.Intents` is one).
    ``shard``: index and count. ``properties``: Identify's, without effect on the platform (websocket.html).
    ``headers``: of the WebSocket handshake, a User-Agent say; printable ASCII, and not those that make it a handshake.
    ``settle``: see :data:`~qqproto.SettleMode`; a bare machine settles on delivery, and ``"iteration"`` is for drivers,
    which call ``settle`` themselves.
    """

    app_id: str
    intents: int
    shard: tuple[int, int] = (0, 1)
    properties: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    settle: SettleMode = "delivery"

    def __post_init__(self) -> None:
        index, count = self.shard
        if not 0 <= index < count:
            raise ValueError(f"shard {self.shard} is not (index, count) with 0 <= index < count")
        if self.intents < 0:
            raise ValueError(f"intents must not be negative, not {self.intents}")
        if self.settle not in ("delivery", "iteration", "manual"):
            raise ValueError(f"settle must be 'delivery', 'iteration' or 'manual', not {self.settle!r}")
        for name, value in self.headers.items():
            _check_header(name, value)


def _check_header(name: str, value: str) -> None:
    """Raise ValueError here, where the host can see its mistake, and not when a connection is already open."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError(f"the value of header {name!r} must be printable ASCII without space around it")
    if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
        raise ValueError(f"header {name!r} is the WebSocket's own")
