"""HTTP: one exchange at a time, no redirects, and no more of a body than allowed."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.protocol.rest import HTTPRequest, HTTPResponse, usable_url
from qqproto.wire.proxies import Proxy
from qqproto_transports._common import USER_AGENT, HTTPExchange
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed
from qqproto_transports._route import Route

if TYPE_CHECKING:
    import httpx


class Wire(Protocol):
    """A connection of a driver's."""

    async def read(self, size: int, /) -> bytes: ...
    async def write(self, data: bytes, /) -> None: ...
    def close(self) -> None: ...


class Dialler(Protocol):
    """How a driver reaches a host without waiting on its loop: by way of which proxy, and the connection."""

    async def choose_proxy(self, egress: Egress, url: str, /) -> Proxy | None: ...
    async def reach(self, host: str, port: int, /) -> Wire: ...


def exchange_by(
    http: HTTPExchange | httpx.AsyncClient | None, egress: Egress, dialler: Dialler, policy: Policy
) -> HTTPExchange:
    """What makes the exchanges: the host's callable, its httpx client, or httpcore, on which httpx stands.

    Every way a reply with a body of more than ``policy.max_http_body`` bytes is a failure. httpx is imported here and
    not before, and only where it is needed.
    """
    if http is not None and callable(http):
        return _Limited(http, policy.max_http_body)
    try:
        import httpx
    except ImportError:
        raise ImportError("httpx is missing: pip install httpx, or give an `http=` of your own") from None
    if http is None:
        return _OurOwn(egress, dialler, policy)
    if not isinstance(http, httpx.AsyncClient):
        raise TypeError(f"http must be an httpx.AsyncClient or an async callable, not {type(http).__name__}")
    return _HTTPX(http, policy.max_http_body)


class _Limited:
    """A host's own exchange, its reply held to the limit."""

    def __init__(self, exchange: HTTPExchange, max_body: int) -> None:
        self._exchange = exchange
        self._max_body = max_body

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        return limited(await self._exchange(request), self._max_body)


class _HTTPX:
    """By a host's httpx client, whose proxies and whose TLS are its own."""

    def __init__(self, client: httpx.AsyncClient, max_body: int) -> None:
        self._client = client
        self._max_body = max_body

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        asked = self._client.build_request(
            request.method, request.url, headers=headers_of(request), content=request.body or None
        )
        # A redirect would carry the secret to another host, and a client's own `auth` would replace the token.
        response = await self._client.send(asked, stream=True, auth=None, follow_redirects=False)
        try:
            body = await _read(response.aiter_raw(), response.aclose, self._max_body)
        finally:
            await response.aclose()
        return response_of(response.status_code, dict(response.headers), body, self._max_body)


class _OurOwn:
    """By httpcore, along a bot's own way out. Each exchange has a connection of its own: the few that there are, hours
    apart, go to different hosts, and an idle connection would only be one more to be found dead."""

    def __init__(self, egress: Egress, dialler: Dialler, policy: Policy) -> None:
        self._egress = egress
        self._dialler = dialler
        self._policy = policy

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        if not usable_url(request.url, ("http", "https")):
            raise Failed(Failure(FailureKind.OTHER, "the address is no URL that can be asked"))
        import httpcore

        from qqproto_transports._http_backend import RouteBackend

        proxy = await self._dialler.choose_proxy(self._egress, request.url)
        route = Route(request.url, proxy, self._egress.context, self._policy)
        context = self._egress.context() if request.url.startswith("https:") else None
        limit = self._policy.max_http_body
        # Whoever asks has a deadline of its own for the whole exchange, and cancels it.
        async with httpcore.AsyncConnectionPool(context, network_backend=RouteBackend(route, self._dialler)) as pool:
            headers = {"User-Agent": USER_AGENT, **headers_of(request)}
            content = None
            if request.body:
                headers["Content-Length"] = str(len(request.body))
                content = _Content(request.body)
            async with pool.stream(
                request.method, request.url, headers=list(headers.items()), content=content
            ) as reply:
                body = await _read(reply.aiter_stream(), reply.aclose, limit)
        return response_of(
            reply.status, {name.decode(): value.decode("latin-1") for name, value in reply.headers}, body, limit
        )


class _Content:
    """A request's body. httpcore would make a generator of it, and trio complains of one that is left half used."""

    def __init__(self, body: bytes) -> None:
        self._rest = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


def headers_of(request: HTTPRequest) -> dict[str, str]:
    """What is sent with ``request``."""
    return {**request.headers, "Accept-Encoding": "identity"}


async def _read(chunks: AsyncIterable[bytes], close: Callable[[], Awaitable[None]], max_body: int) -> bytearray:
    body = bytearray()
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_body:
                # The loop is not left: its generators, one in the other, end with the connection and not with the loop.
                await close()
    except Exception:
        if len(body) <= max_body:
            raise
    if len(body) > max_body:
        raise too_long(max_body)
    return body


def response_of(status: int, headers: dict[str, str], body: bytearray, max_body: int) -> HTTPResponse:
    """A reply as it came, its body decoded."""
    encoding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "")
    return HTTPResponse(status, headers, decoded(body, encoding, max_body))


def limited(response: HTTPResponse, max_body: int) -> HTTPResponse:
    """A reply of a host's own exchange, if it is one, and of no more than ``max_body`` bytes."""
    if not isinstance(response, HTTPResponse):
        raise TypeError(f"http must return an HTTPResponse, not {type(response).__name__}")
    if len(response.body) > max_body:
        raise too_long(max_body)
    return response


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
        raise too_long(max_body)
    return plain


def too_long(max_body: int) -> Failed:
    """The failure that a body of more than ``max_body`` bytes is."""
    return Failed(Failure(FailureKind.OTHER, f"the reply's body has more than {max_body} bytes"))
