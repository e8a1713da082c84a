"""A snapshot of a shard, for a health endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qqproto.events import ConfigurationError, Disconnected, Stopped
from qqproto.protocol.close_codes import Phase
from qqproto.protocol.rest import GatewayInfo
from qqproto.session import User


@dataclass(slots=True)
class Status:
    """How a shard is at one moment. Ages and spans in seconds; ``since`` is how long ago ``phase`` began.

    ``connected``: the session is live on an open link. ``online``: connected, or away for less than the grace.
    ``attempt`` counts the failures since the connection was last stable; the next dial comes in ``retry_in``.
    ``latency`` is the last heartbeat's round trip. ``last_send``, ``last_receive``, ``last_ack`` are ages on the
    present connection. ``last_rotation`` is the age of the last planned rotation. ``unsettled`` dispatches came and
    are not settled. ``counters`` says how often things happened since the start: ``connections``, ``identifies``,
    ``resumes``, ``dispatches``, ``heartbeats``, ``acks``, ``malformed``, ``unknown_opcodes``, ``stale_inputs``.
    """

    shard: int
    phase: Phase
    since: float
    connected: bool
    online: bool
    attempt: int
    retry_in: float | None
    latency: float | None
    last_send: float | None
    last_receive: float | None
    last_ack: float | None
    session_id: str | None
    user: User | None
    last_disconnect: Disconnected | None
    configuration_error: ConfigurationError | None
    stopped: Stopped | None
    budget: GatewayInfo | None
    unsettled: int
    oldest_unsettled: float | None
    last_rotation: float | None
    counters: Mapping[str, int]
