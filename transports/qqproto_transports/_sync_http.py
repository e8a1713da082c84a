"""HTTP for the sync driver: one exchange at a time in a thread that waits, by httpcore or as the host wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from qqproto.actions import SendRequest
from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.protocol.rest import HTTPRequest, HTTPResponse, usable_url
from qqproto_transports._common import USER_AGENT
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed
from qqproto_transports._http import headers_of, limited, response_of, too_long

if TYPE_CHECKING:
    import httpx

    from qqproto_transports._sync_wire import Wire

HTTPExchange: TypeAlias = Callable[[HTTPRequest], HTTPResponse]
"""A host's own HTTP: one request, one reply with its whole body. It must not follow redirects, which would carry the
secret to another host, and raises what its library raises."""


class Exchange(Protocol):
    """One HTTP exchange. :meth:`interrupt`, from another thread, tells whether :meth:`run` ends soon after it."""

    def run(self) -> HTTPResponse: ...
    def interrupt(self) -> bool: ...


def exchange_by(
    http: HTTPExchange | httpx.Client | None,
    egress: Egress,
    policy: Policy,
    clock: Callable[[], float],
) -> Callable[[SendRequest], Exchange]:
    """What makes the exchanges: by the host's callable, its httpx client, or httpcore on a connection of ours.

    Every way a reply with a body of more than ``policy.max_http_body`` bytes is a failure. httpx and httpcore are
    imported here and not before, and only where they are needed.
    """
    if http is not None and callable(http):
        call = http
        return lambda action: _ByCallable(call, action, policy)
    if http is None:
        try:
            import httpcore  # noqa: F401
        except ImportError:
            raise ImportError("httpx is missing: pip install 'qqproto[sync]', or give an `http=` of your own") from None
        return lambda action: _ByHTTPCore(action, egress, policy, clock)
    import httpx

    if not isinstance(http, httpx.Client):
        raise TypeError(f"http must be an httpx.Client or a callable, not {type(http).__name__}")
    client = http
    return lambda action: _ByClient(client, action, policy, clock)


class _ByCallable:
    """By a host's callable, which nobody can call off."""

    def __init__(self, call: HTTPExchange, action: SendRequest, policy: Policy) -> None:
        self._call = call
        self._request = action.request
        self._max_body = policy.max_http_body

    def run(self) -> HTTPResponse:
        return limited(self._call(self._request), self._max_body)

    def interrupt(self) -> bool:
        return False


class _ByClient:
    """By a host's httpx client. What cannot be called off ends at the deadline, but for a name look-up that hangs."""

    def __init__(self, client: httpx.Client, action: SendRequest, policy: Policy, clock: Callable[[], float]) -> None:
        self._client = client
        self._action = action
        self._max_body = policy.max_http_body
        self._clock = clock
        self._interrupted = False

    def run(self) -> HTTPResponse:
        request, client = self._action.request, self._client
        asked = client.build_request(
            request.method,
            request.url,
            headers=headers_of(request),
            content=request.body or None,
            timeout=max(self._action.deadline - self._clock(), 0.001),
        )
        # A redirect would carry the secret to another host, and a client's own `auth` would replace the token.
        response = client.send(asked, stream=True, auth=None, follow_redirects=False)
        try:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > self._max_body:
                    raise too_long(self._max_body)
                if self._interrupted or self._clock() > self._action.deadline:
                    raise TimeoutError("no reply in time")
        finally:
            response.close()
        return response_of(response.status_code, dict(response.headers), body, self._max_body)

    def interrupt(self) -> bool:
        self._interrupted = True
        return False


class _ByHTTPCore:
    """By httpcore, on which httpx stands, along a bot's own way out. Each exchange has a connection of its own: the few
    that there are, hours apart, go to different hosts, and an idle connection would only be one more to be found dead.

    It is a stream of ours. Of httpcore's own the addresses of a host are tried one after the other, each for the whole
    time, and nobody can call it off.
    """

    def __init__(
        self,
        action: SendRequest,
        egress: Egress,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        from qqproto_transports._sync_wire import Wire

        self._request = action.request
        self._max_body = policy.max_http_body
        self._wire = Wire(action.request.url, action.deadline, egress, policy, clock)

    def run(self) -> HTTPResponse:
        if not usable_url(self._request.url, ("http", "https")):
            raise Failed(Failure(FailureKind.OTHER, "the address is no URL that can be asked"))
        with self._wire as wire:
            return self._exchange(wire)

    def interrupt(self) -> bool:
        self._wire.interrupt()
        return True

    def _exchange(self, wire: Wire) -> HTTPResponse:
        import httpcore

        request = self._request
        url = httpcore.URL(request.url)
        headers = list({"User-Agent": USER_AGENT, **headers_of(request)}.items())
        body = bytearray()
        connection = httpcore.HTTP11Connection(url.origin, wire)
        with connection.stream(request.method, url, headers=headers, content=request.body or None) as reply:
            for chunk in reply.iter_stream():
                body += chunk
                if len(body) > self._max_body:
                    raise too_long(self._max_body)
        told = {name.decode(): value.decode("latin-1") for name, value in reply.headers}
        return response_of(reply.status, told, body, self._max_body)
