"""What a machine asks of its driver; a closed union, in one queue with the events.

Every action that begins something carries an ``id``, unique within its machine and never used again, and every input
about it names that id. ``deadline`` is on the host's monotonic clock; the machine watches it itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from qqproto.credentials import Token
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo, HTTPRequest


@dataclass(slots=True)
class FetchToken:
    """A question: which access token? ``rejected`` is the one that the platform refused, if any.

    Answer with a :class:`~qqproto.Token` or a :class:`~qqproto.Failure`.
    """

    id: int
    deadline: float
    rejected: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class FetchGateway:
    """A question: where is the gateway, and what is left of the identify budget?

    ``fresh``: an Identify is planned, so the budget matters and the answer may be a minute old at most. Otherwise any
    answer will do. Answer with a :class:`~qqproto.GatewayInfo` or a :class:`~qqproto.Failure`.
    """

    id: int
    deadline: float
    fresh: bool


@dataclass(slots=True)
class ReserveIdentify:
    """A question: from when may this shard send its Identify? Asked at Hello.

    Answer with an :class:`~qqproto.IdentifySlot` or a :class:`~qqproto.Failure`. A slot further away than
    ``policy.identify_slot_wait`` is not taken; the shard leaves and asks again near that time.
    """

    id: int
    deadline: float


@dataclass(slots=True)
class OpenConnection:
    """Open a stream to ``url`` (framing TEXT: a WebSocket, with ``headers``), then ``connection_opened(id, now)``."""

    id: int
    deadline: float
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SendData:
    """Send these bytes, in order, without waiting for them to be taken."""

    id: int
    data: bytes = field(repr=False)


@dataclass(slots=True)
class SendText:
    """Framing TEXT: send this as one text message, in order, one writer per connection."""

    id: int
    text: str = field(repr=False)


@dataclass(slots=True)
class CloseConnection:
    """Flush what was sent, close the stream (framing TEXT: the WebSocket, with ``code``), and wait for nothing.

    The last thing asked of ``id`` but for an ``Abort``. Tell ``connection_lost`` when it is done.
    """

    id: int
    code: int
    reason: str


@dataclass(slots=True)
class Abort:
    """Drop the connection ``id`` at once, whether it is being opened or open; nothing more is heard of it.

    In framing TEXT, where a client can only close, the host closes with ``code`` and leaves its client's context only
    then, within a second: leaving it without would say 1000 to the server, which may end the session.
    """

    id: int
    code: int | None = None


@dataclass(slots=True)
class Cancel:
    """The question or the request ``id`` is over; whatever comes of it is ignored."""

    id: int


@dataclass(slots=True)
class SendRequest:
    """An Account's: make this HTTP exchange, then ``response_received(id, …)`` or ``request_failed(id, …)``."""

    id: int
    deadline: float
    request: HTTPRequest


@dataclass(slots=True)
class Answer:
    """An Account's: carry ``value`` to ``asker``, as the answer to its question ``id``, and wake it."""

    asker: Hashable
    id: int
    value: Token | GatewayInfo | IdentifySlot | Failure = field(repr=False)


Question: TypeAlias = FetchToken | FetchGateway | ReserveIdentify
"""What a shard asks its Account, or a host that answers itself."""

ShardAction: TypeAlias = Question | OpenConnection | SendData | SendText | CloseConnection | Abort | Cancel
"""Everything a Shard asks of its driver."""

AccountAction: TypeAlias = SendRequest | Answer | Cancel
"""Everything an Account asks of its driver."""
