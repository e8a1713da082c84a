"""How the fake platform behaves, as data that a test, a demo or a simulation changes at any time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

from qqproto.protocol.rest import HTTPResponse

# The codes after which the platform still keeps the session (openapi/error/error.html; 4004 is about the token alone).
_KEEPING = (4000, 4004, 4008, 4009)


@dataclass(slots=True)
class Refusal:
    """How the next ``times`` Identifies or Resumes are turned down.

    ``op9`` is the ``d`` of the op 9 that is sent first, None for no op 9. ``code`` is the close code that follows, None
    for an end of the stream without a close frame. ``hangs``: after op 9, if any, nothing follows at all. The defaults
    are what the platform has said to Identifies since 2026 (openclaw-qqbot#18, adapter-qq#108).
    """

    code: int | None = 4903
    op9: bool | None = False
    hangs: bool = False
    times: float = 1

    @property
    def keeps_session(self) -> bool:
        """Whether a session whose Resume is turned down like this may be resumed later."""
        if self.op9 is not None:
            return self.op9
        return self.hangs or self.code is None or self.code in _KEEPING


@dataclass(slots=True)
class HTTPFault:
    """The reply that the next ``times`` HTTP requests get, whatever they ask; ``path`` None: on every path."""

    response: HTTPResponse
    path: str | None = None
    times: float = 1


@dataclass(slots=True)
class Behaviour:
    """What the platform does from now on, on every connection; change any field at any time. Spans in seconds.

    ``identify``, ``resume`` and ``http`` are taken from the front, each entry for as many times as it says.
    """

    heartbeat_interval: float = 41.25
    """Hello's; 41.25 s is what the wire says (the docs: 45)."""
    heartbeat_grace: float = 20.0
    """A heartbeat later than the interval by more than this is answered with close code 4009; bots with starved
    heartbeats were dropped about a minute after the last one (hermes#33727)."""
    hello: bool = True
    """Whether Hello is sent once the WebSocket is open."""
    acks: bool = True
    """Whether heartbeats are acknowledged."""
    answers: bool = True
    """Whether Identify and Resume are answered."""
    resume_window: float = 3600.0
    """How long a session without a connection is kept; no source tells the platform's own figure."""
    reconnect_patience: float = 10.0
    """After op 7, how long the client may stay until it is closed with 4009."""
    close_wait: float = 5.0
    """After a close frame, how long the client's answer is awaited before the stream is closed."""
    slack: float = 0.0
    """By how much the network may shift what arrives, before a client is called late or hasty."""
    upgrade: HTTPResponse | None = None
    """What WebSocket upgrades are answered with in place of 101."""
    identify: list[Refusal] = field(default_factory=list)
    resume: list[Refusal] = field(default_factory=list)
    http: list[HTTPFault] = field(default_factory=list)


def reply(status: int, body: Any, **headers: str) -> HTTPResponse:
    """An HTTP reply with ``body`` as JSON; an underscore in a header's name stands for a hyphen.

    >>> reply(429, {"code": 429}, Retry_After="3").headers["Retry-After"]
    '3'
    """
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPResponse(
        status,
        {"Content-Type": "application/json; charset=utf-8", **names},
        json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def next_refusal(refusals: list[Refusal]) -> Refusal | None:
    """Take one use of the first refusal, None if there is none."""
    return _use(refusals, 0) if refusals else None


def next_fault(faults: list[HTTPFault], path: str) -> HTTPFault | None:
    """Take one use of the first fault that is meant for ``path``, None if there is none."""
    for index, fault in enumerate(faults):
        if fault.path is None or fault.path == path:
            return _use(faults, index)
    return None


Item = TypeVar("Item", Refusal, HTTPFault)


def _use(items: list[Item], index: int) -> Item:
    item = items[index]
    item.times -= 1
    if item.times <= 0:
        del items[index]
    return item
