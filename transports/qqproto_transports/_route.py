"""The way to a host, over any stream of bytes: what has to be said on it before the first word is the host's.

Nothing in here has a socket, and nothing waits; each driver carries the bytes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.wire.proxies import Proxy, ProxyKind
from qqproto_transports._failures import Failed, failure_of
from qqproto_transports._tls import TLS

if TYPE_CHECKING:
    from qqproto.wire.tunnel import Tunnel

Layer: TypeAlias = "TLS | Tunnel"
"""One thing on the way that has to be agreed upon; the bytes of the next go through it."""


class Route:
    """Bytes of the wire in, the host's bytes out, and back: TLS with the host if ``url`` is wss or https, a proxy's
    tunnel around it, TLS with the proxy around that.

    Open TCP to :attr:`address`, call :meth:`start`, then feed :meth:`receive_data`; after every call, also one that
    raised, send what :meth:`data_to_send` gives. Nothing may be sent before :attr:`established`, and by then every
    certificate is verified, if the context of ``make_context`` verifies; a proxy's certificate before it is told the
    credentials. The constructor raises :class:`~qqproto_transports._failures.Failed` for an address that leads nowhere.
    The methods raise that or :class:`ssl.SSLError`; the route is of no use then.
    """

    __slots__ = ("_layers", "_only", "_outgoing", "_proxy", "_tunnel", "address", "bare", "ended", "established")

    def __init__(
        self,
        url: str,
        proxy: Proxy | None,
        make_context: Callable[[], ssl.SSLContext],
        policy: Policy = Policy(),
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme in ("wss", "https")
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        self.address: tuple[str, int] = (host, port) if proxy is None else (proxy.host, proxy.port)
        """Where TCP has to be opened."""
        self._proxy = proxy
        self._tunnel = None if proxy is None else _tunnel(proxy, host, port, policy)
        self._layers: list[Layer] = []
        if proxy is not None and proxy.kind is ProxyKind.HTTPS:
            self._layers.append(_tls(make_context(), proxy.host))
        if self._tunnel is not None:
            self._layers.append(self._tunnel)
        if secure:
            self._layers.append(_tls(make_context(), host))
        self.bare = not self._layers
        """Whether there is nothing on the way: what comes is what the host says."""
        self._only: Layer | None = None
        """The layer that all goes through, once it stands, if there is but one."""
        self._outgoing = bytearray()
        self.established = False
        """Whether the host hears what is sent: every layer stands."""
        self.ended = False
        """Whether the host will say no more."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What has to be agreed upon, in this order: TLS with the proxy, its tunnel, TLS with the host, as it is."""
        return tuple(self._layers)

    def start(self) -> None:
        """TCP is up."""
        self._start_layer(0)

    def receive_data(self, data: bytes) -> bytes:
        """Bytes came; ``b""`` is the end of the stream. Returns what the host says with them."""
        only = self._only
        if only is None:
            return self._receive(data, 0)
        said = only.receive_data(data)
        self.ended = only.ended
        return said

    def send_data(self, data: bytes) -> None:
        """Say ``data`` to the host."""
        if not self.established:
            raise RuntimeError("nothing may be sent before the way to the host is established")
        if self._layers:
            self._layers[-1].send_data(data)
        else:
            self._outgoing += data

    def close(self) -> None:
        """Say that nothing more follows, where there is a way to say it."""
        self._carry_out(closing=True)

    def data_to_send(self) -> bytes:
        """What is to be sent now, if anything."""
        if self._only is not None and not self._outgoing:
            return self._only.data_to_send()
        if self._layers:
            self._carry_out()
        if not self._outgoing:
            return b""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def blame(self, error: BaseException) -> BaseException:
        """What ``error``, which ended the way here, means: behind a proxy it is the proxy that cannot be reached, or
        hangs up.
        """
        if self._proxy is None or self._tunnel is None or self.established:
            return error
        try:
            failure = failure_of(error)
        except BaseException as bug:
            return bug
        kind, what = failure.kind, failure.message
        if not self._tunnel.established and self._tunnel.failure is None:
            if kind is FailureKind.TLS_UNTRUSTED:
                what = f"of the proxy: {what}"
            else:
                kind, what = FailureKind.PROXY, f"the proxy cannot be reached: {what}"
        return Failed(Failure(kind, f"{what} (by way of {self._proxy})", failure.http_status))

    # -- steps ----------------------------------------------------------------------------------------------------

    def _start_layer(self, depth: int) -> None:
        if depth == len(self._layers):
            self.established = True
            self._only = self._layers[0] if depth == 1 else None
        else:
            self._layers[depth].start()

    def _receive(self, data: bytes, depth: int) -> bytes:
        """What the layer at ``depth``, and those in it, make of ``data``."""
        if depth == len(self._layers):
            self.ended = self.ended or not data
            return data
        layer = self._layers[depth]
        stood = layer.established
        inner = layer.receive_data(data)
        if not isinstance(layer, TLS) and layer.failure is not None:
            raise Failed(layer.failure)
        if layer.established and not stood:
            self._start_layer(depth + 1)
        result = self._receive(inner, depth + 1) if inner else b""
        if layer.ended and not self.ended:
            result += self._receive(b"", depth + 1)
        return result

    def _carry_out(self, *, closing: bool = False) -> None:
        """Carry what the layers have to say to the wire, each through the one before."""
        data = b""
        for layer in reversed(self._layers):
            if data:
                layer.send_data(data)
            if closing and isinstance(layer, TLS):
                layer.close()
            data = layer.data_to_send()
        self._outgoing += data


def _tunnel(proxy: Proxy, host: str, port: int, policy: Policy) -> Tunnel:
    try:
        # Nobody else needs h11 and a state machine for SOCKS.
        from qqproto.wire.tunnel import tunnel_through

        return tunnel_through(proxy, host, port, policy)
    except ImportError as error:
        raise Failed(Failure(FailureKind.PROXY, str(error))) from None


def _tls(context: ssl.SSLContext, host: str) -> TLS:
    try:
        return TLS(context, host)
    except ValueError:
        raise Failed(Failure(FailureKind.DNS, "the host is no valid name")) from None
