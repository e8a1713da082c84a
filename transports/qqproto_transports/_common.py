"""What the drivers have in common for those who use them: two exceptions, the types of arguments, who we say we are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias, Union

import qqproto
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
