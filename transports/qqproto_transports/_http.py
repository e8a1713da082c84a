"""HTTP by httpx: one exchange at a time, no redirects, no environment, and no more of a body than allowed."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from qqproto.failures import Failure, FailureKind
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto_transports._common import USER_AGENT, HTTPExchange
from qqproto_transports._failures import Failed

if TYPE_CHECKING:
    import httpx


def exchange_by(
    http: HTTPExchange | httpx.AsyncClient | None, make_context: Callable[[], ssl.SSLContext], max_body: int
) -> HTTPExchange:
    """What makes the exchanges: the host's callable, its httpx client, or httpx with a client of ours.

    Every way a reply with a body of more than ``max_body`` bytes is a failure. httpx is imported here and not before,
    and only where it is needed.
    """
    if http is not None and callable(http):
        return _Limited(http, max_body)
    try:
        import httpx
    except ImportError:
        raise ImportError("httpx is missing: pip install httpx, or give an `http=` of your own") from None
    if http is not None and not isinstance(http, httpx.AsyncClient):
        raise TypeError(f"http must be an httpx.AsyncClient or an async callable, not {type(http).__name__}")
    return _HTTPX(http, make_context, max_body)


class _Limited:
    """A host's own exchange, its reply held to the limit."""

    def __init__(self, exchange: HTTPExchange, max_body: int) -> None:
        self._exchange = exchange
        self._max_body = max_body

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        response = await self._exchange(request)
        if not isinstance(response, HTTPResponse):
            raise TypeError(f"http must return an HTTPResponse, not {type(response).__name__}")
        if len(response.body) > self._max_body:
            raise _too_long(self._max_body)
        return response


class _HTTPX:
    """By httpx. Without a client of the host's each exchange has one of its own: the few that there are, hours apart,
    go to different hosts, and an idle connection would only be one more to be found dead."""

    def __init__(
        self, client: httpx.AsyncClient | None, make_context: Callable[[], ssl.SSLContext], max_body: int
    ) -> None:
        self._client = client
        self._make_context = make_context
        self._max_body = max_body

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        if self._client is not None:
            return await self._send(self._client, request)
        import httpx

        # Whoever asks has a deadline of its own for the whole exchange, and cancels it.
        async with httpx.AsyncClient(
            verify=self._make_context(), trust_env=False, timeout=None, headers={"User-Agent": USER_AGENT}
        ) as client:
            return await self._send(client, request)

    async def _send(self, client: httpx.AsyncClient, request: HTTPRequest) -> HTTPResponse:
        headers = {**request.headers, "Accept-Encoding": "identity"}
        asked = client.build_request(request.method, request.url, headers=headers, content=request.body or None)
        # A redirect would carry the secret to another host, and a client's own `auth` would replace the token.
        response = await client.send(asked, stream=True, auth=None, follow_redirects=False)
        try:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_body:
                    raise _too_long(self._max_body)
        finally:
            await response.aclose()
        encoding = response.headers.get("Content-Encoding", "")
        return HTTPResponse(response.status_code, dict(response.headers), decoded(body, encoding, self._max_body))


def decoded(body: bytes | bytearray, encoding: str, max_body: int) -> bytes:
    """The body without its content encoding, which we did not ask for, of at most ``max_body`` bytes."""
    if encoding.lower() in ("", "identity"):
        return bytes(body)
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise Failed(Failure(FailureKind.OTHER, "the reply's body is compressed in a way that was not asked for"))
    unpack = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    try:
        plain = unpack.decompress(body, max_body + 1)
    except zlib.error:
        raise Failed(Failure(FailureKind.OTHER, "the reply's body is no valid gzip")) from None
    if len(plain) > max_body:
        raise _too_long(max_body)
    return plain


def _too_long(max_body: int) -> Failed:
    return Failed(Failure(FailureKind.OTHER, f"the reply's body has more than {max_body} bytes"))
