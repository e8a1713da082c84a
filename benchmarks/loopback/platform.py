"""The platform's answers over HTTP, without HTTP: what is measured here is the gateway."""

from __future__ import annotations

import json
import ssl
from typing import Any

from qqproto import Credentials, HTTPRequest, HTTPResponse

CREDENTIALS = Credentials("1", "secret")
INTENTS = 1 << 25


class Platform:
    """One that says that the gateway is at ``url``; for ``http=``, with and without an event loop."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        return self.answer(request)

    def answer(self, request: HTTPRequest) -> HTTPResponse:
        if "getAppAccessToken" in request.url:
            body: dict[str, Any] = {"access_token": "token", "expires_in": "7200"}
        else:
            limit = {"total": 100_000, "remaining": 100_000, "reset_after": 86_400_000, "max_concurrency": 100_000}
            body = {"url": self._url, "shards": 1, "session_start_limit": limit}
        return HTTPResponse(200, {"Content-Type": "application/json"}, json.dumps(body).encode())


def trusting(ca: str | None) -> ssl.SSLContext | None:
    """A context that trusts the certificates of this authority, None for no TLS."""
    return ssl.create_default_context(cafile=ca) if ca else None
