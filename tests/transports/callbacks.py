"""What tests of webhooks share: the platform that posts, an ASGI server in memory, and handlers that write down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from qqproto import Dispatch, HTTPRequest, HTTPResponse
from qqproto.testing import FakeBot, FakeCallbacks, c2c_message
from qqproto_transports.asgi import WebhookApp

NOW = 1_725_442_341.0
BOT = FakeBot()


class Address(Protocol):
    """What is iterated over, however it is reached."""

    async def __anext__(self) -> Dispatch: ...


def unix_time() -> float:
    return NOW


def platform(url: str = "https://bot.test/callback", bot: FakeBot = BOT) -> FakeCallbacks:
    return FakeCallbacks(bot, url)


def said(content: object, sender: FakeCallbacks) -> HTTPRequest:
    """Somebody writes to the bot."""
    message = c2c_message(str(content), id=f"ROBOT1.0_{content}", now=NOW)
    return sender.dispatch("C2C_MESSAGE_CREATE", message, NOW, id=f"C2C_MESSAGE_CREATE:{content}")


async def heard(address: Address, count: int = 1) -> list[str]:
    """What the next dispatches say."""
    return [(await address.__anext__()).data["content"] for _ in range(count)]


@dataclass
class Exchange:
    """One request to an ASGI application; ``log`` is what happened in order, ``parts`` how the body comes."""

    request: HTTPRequest
    parts: list[bytes] | None = None
    gone: bool = False
    deaf: bool = False
    log: list[str] = field(default_factory=list)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def run(self, app: WebhookApp) -> HTTPResponse:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.request.method,
            "path": "/callback",
            "headers": [(name.lower().encode(), value.encode()) for name, value in self.request.headers.items()],
        }
        self._left = list(self.parts if self.parts is not None else [self.request.body])
        await app(scope, self._receive, self._send)
        return HTTPResponse(self.status, self.headers, self.body)

    async def _receive(self) -> MutableMapping[str, Any]:
        await asyncio.sleep(0)
        if not self._left:
            assert self.gone, "the application reads on after the body's end"
            return {"type": "http.disconnect"}
        part = self._left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._left) or self.gone}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await asyncio.sleep(0)
        if self.deaf:
            raise OSError("the client has gone")
        self.log.append(message["type"])
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]


async def post(app: WebhookApp, request: HTTPRequest, **options: Any) -> HTTPResponse:
    """Send one request to the application."""
    return await Exchange(request, **options).run(app)


def changed(request: HTTPRequest, *, method: str = "POST", headers: Mapping[str, str] | None = None) -> HTTPRequest:
    """The same request, with another method or more headers."""
    return HTTPRequest(method, request.url, {**request.headers, **(headers or {})}, request.body)
