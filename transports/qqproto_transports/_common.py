"""What the drivers have in common for those who use them: two exceptions, the types of arguments, who we say we are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, Union

import qqproto
from qqproto.actions import OpenConnection
from qqproto.events import Stopped
from qqproto.failures import Failure
from qqproto.protocol.rest import HTTPRequest, HTTPResponse

HTTPExchange: TypeAlias = Callable[[HTTPRequest], Awaitable[HTTPResponse]]
"""A host's own HTTP: one request, one reply with its whole body. It must not follow redirects, which would carry the
secret to another host, and raises what its library raises."""

Proxy: TypeAlias = str | Callable[[str], "str | None"] | None
"""How a bot gets out: ``"env"``, as the environment says, read as curl reads it; None, without a proxy; the URL of one;
or a callable that is given the URL to be reached and returns the proxy's, or None. It is asked anew for each
connection, never on an event loop, and may block."""

Shards: TypeAlias = int | Literal["auto"] | Iterable[tuple[int, int]]
"""What part of a bot a process runs: all of so many shards, all of as many as the platform recommends, or those of
these indexes and their count."""

Logger: TypeAlias = Union[logging.Logger, "logging.LoggerAdapter[Any]"]
"""Where a host wants its log lines."""

USER_AGENT = f"qqproto/{qqproto.__version__}"


@dataclass(frozen=True, slots=True)
class Closed:
    """A WebSocket was closed by the server, with this code; None, 1005 and 1006 mean that no close frame came."""

    code: int | None
    reason: str = ""


class TextSocket(Protocol):
    """A WebSocket of a host's own client, connected.

    ``receive`` waits for the next message without a timeout of its own. Each method raises what the client raises.
    """

    async def send(self, text: str, /) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def close(self, code: int, reason: str, /) -> None: ...


class TextDialer(Protocol):
    """A host's own WebSocket client.

    ``dial`` connects to ``opening.url`` with ``opening.headers``, for as long as its block lasts. The client must offer
    no compression, drop no quiet link and none whose pongs are late, and take messages of
    :attr:`~qqproto.Policy.max_message` bytes. ``explain`` says what an exception of the client's is: a close frame that
    the server has sent, or else a failure (:func:`failure_of` knows those of aiohttp, websockets and trio-websocket).
    What it does not know is a bug, and it raises.
    """

    def dial(self, opening: OpenConnection, /) -> AbstractAsyncContextManager[TextSocket]: ...
    def explain(self, error: Exception, /) -> Closed | Failure: ...


class GatewayStopped(Exception):
    """The gateway stopped by itself; ``stopped`` is its last event, with the reason and a hint."""

    def __init__(self, stopped: Stopped) -> None:
        super().__init__(f"{stopped.reason.value}: {stopped.hint}")
        self.stopped = stopped


class Unavailable(Exception):
    """There is no access token within the time; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure
