"""Webhooks in any ASGI framework: an application to be mounted, and an iterator of what the platform sends to it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from qqproto.config import SettleMode
from qqproto.credentials import Credentials
from qqproto.policy import Policy
from qqproto.webhook import WebhookReply
from qqproto_transports._asyncio_account import BotAccount
from qqproto_transports._common import Logger
from qqproto_transports._webhook import CallbackAddress

__all__ = ["WebhookApp"]

_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


class WebhookApp(CallbackAddress):
    """A bot's callback address as an ASGI application, for asyncio.

    Made anywhere, also where no event loop runs, and mounted under any path of any framework: every POST that reaches
    it is taken for a callback. Needs the package cryptography (extra ``webhook``).

    Its events are iterated over inside its block, in the event loop that serves the requests::

        app = WebhookApp(Credentials("…", "…"))

        async def bot() -> None:
            async with app:
                async for dispatch in app:
                    ...

    Each request is answered before anything of it is handled. What comes before the block is entered waits in the
    buffer; what does not fit into it (``policy.max_buffered``), or comes when the block has been left, is answered with
    503, which leaves it to the platform to deliver it again.

    ``account`` is a :class:`~qqproto_transports.asyncio.BotAccount` where REST calls need one of other endpoints, an
    HTTP client or a proxy, or where it is shared; credentials will do otherwise, and the app makes one. ``settle`` says
    when a dispatch is done, as in :func:`~qqproto_transports.asyncio.open_gateway`. ``require_signature``, ``max_skew``
    and ``policy`` are those of :class:`~qqproto.webhook.Webhook`. Refusals are logged to ``logger``, by default
    ``logging.getLogger("qqproto")``. ``unix_time`` gives Unix seconds.
    """

    def __init__(
        self,
        account: Credentials | BotAccount,
        *,
        settle: SettleMode = "iteration",
        require_signature: bool = False,
        max_skew: float = 300.0,
        policy: Policy | None = None,
        logger: Logger | None = None,
        unix_time: Callable[[], float] = time.time,
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

    async def __aenter__(self) -> WebhookApp:
        self._enter()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # Before it is accepted, that is a 403.

    async def _serve(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["method"] != "POST":
            await _send(send, self._refuse(405, "callbacks are POSTs"), {"Allow": "POST"})
            return
        try:
            body = await _read(receive, self._policy.max_http_body)
        except _TooLong:
            reason = f"the body has more than {self._policy.max_http_body} bytes"
            await _send(send, self._refuse(413, reason))
            return
        if body is None:
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        reply = self._answer(headers, body)
        try:
            await _send(send, reply)
        finally:
            self._hand_over(reply)


class _TooLong(Exception):
    """The body has more bytes than allowed."""


async def _read(receive: _Receive, limit: int) -> bytes | None:
    """The whole body, None if the client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            raise _TooLong
        if not message.get("more_body", False):
            return bytes(body)


async def _send(send: _Send, reply: WebhookReply, more: dict[str, str] | None = None) -> None:
    headers = {**reply.headers, **(more or {}), "Content-Length": str(len(reply.body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": reply.body})


async def _live(receive: _Receive, send: _Send) -> None:
    """Where it is the whole application, the server asks whether it is ready, and tells it that it ends."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
