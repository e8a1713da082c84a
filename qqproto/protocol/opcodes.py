"""The opcodes of the gateway's envelope."""

from __future__ import annotations

import enum


class Opcode(enum.IntEnum):
    """Opcodes as websocket.html and payload.html list them; 3, 4, 5 and 8 are unused. 12 and 13 are webhook-only."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    HTTP_CALLBACK_ACK = 12
    CALLBACK_VALIDATION = 13
