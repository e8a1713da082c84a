"""A callback address with a server of its own, for bots that run in no web framework."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from qqproto.config import SettleMode
from qqproto.credentials import Credentials
from qqproto.policy import Policy
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.webhook import WebhookReply
from qqproto_transports._asyncio_account import BotAccount
from qqproto_transports._common import Logger
from qqproto_transports._http_server import HTTPServerSide
from qqproto_transports._listener import Connection, Listener
from qqproto_transports._webhook import CallbackAddress

_MOST_CONNECTIONS = 256
"""At a time; the platform, or the proxy before us, needs a few."""


class WebhookServer(CallbackAddress):
    """A bot's callback address on a port of this machine. Made by
    :func:`~qqproto_transports.asyncio.open_webhook`, anywhere, also where no event loop runs.

    Iterating yields the dispatches, and ends after :meth:`close`. Leaving the block closes the port.
    """

    def __init__(
        self,
        account: Credentials | BotAccount,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
        *,
        settle: SettleMode,
        require_signature: bool,
        max_skew: float,
        policy: Policy | None,
        logger: Logger | None,
        unix_time: Callable[[], float],
    ) -> None:
        super().__init__(
            account,
            settle=settle,
            require_signature=require_signature,
            max_skew=max_skew,
            policy=policy,
            logger=logger,
            unix_time=unix_time,
        )
        self._tls = ssl_context
        self._listener = Listener(
            host, port, lambda: _Caller(self, self._listener), tls=ssl_context, most=_MOST_CONNECTIONS
        )

    @property
    def port(self) -> int:
        """The port it listens on; before it does, the one that was asked for."""
        return self._listener.port

    @property
    def url(self) -> str:
        """Its address as this machine sees it. What the platform is told leads there from outside."""
        return f"{'http' if self._tls is None else 'https'}://{self._listener.authority}/"

    async def __aenter__(self) -> WebhookServer:
        self._enter()
        await self._listener.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.aclose()
        finally:
            await self._listener.close()

    # -- for the connections --------------------------------------------------------------------------------------

    def serve(self, request: HTTPRequest) -> WebhookReply:
        """The reply to a request; when it is sent, :meth:`served` has to be called with it."""
        if request.method != "POST":
            reply = self._refuse(405, "callbacks are POSTs")
            reply.headers["Allow"] = "POST"
            return reply
        return self._answer(request.headers, request.body)

    def served(self, reply: WebhookReply) -> None:
        """The reply is with the system."""
        self._hand_over(reply)

    def refused(self, status: int, reason: str) -> None:
        """Something that is no HTTP was turned away."""
        self._journal.refusal(status, reason)

    @property
    def patience(self) -> float:
        """Seconds within which a request has to come whole."""
        return self._policy.http_timeout

    @property
    def max_body(self) -> int:
        """Bytes of a request."""
        return self._policy.max_http_body


class _Caller(Connection):
    """One connection of the platform's, or of anybody's."""

    def __init__(self, server: WebhookServer, listener: Listener) -> None:
        super().__init__(listener, HTTPServerSide(self._answer, max_body=server.max_body, refused=server.refused))
        self._server = server
        self._replies: list[WebhookReply] = []
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        finally:
            replies, self._replies = self._replies, []
            for reply in replies:
                self._server.served(reply)
        if replies:
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _answer(self, request: HTTPRequest) -> HTTPResponse:
        reply = self._server.serve(request)
        self._replies.append(reply)
        return HTTPResponse(reply.status, reply.headers, reply.body)

    def _wait_for_request(self) -> None:
        """The next request has to be there in time; so whoever trickles bytes, or says nothing, holds no place."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(self._server.patience, self.finish)
