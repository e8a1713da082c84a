"""The way to the gateway, over any stream of bytes: what has to be said on it before the first word is the gateway's.

Nothing in here has a socket, and nothing waits; each driver carries the bytes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from qqproto.failures import Failure, FailureKind
from qqproto_transports._failures import Failed
from qqproto_transports._tls import TLS


class Layer(Protocol):
    """One thing on the way that has to be agreed upon, and what it then makes of the bytes; TLS, say."""

    @property
    def established(self) -> bool: ...
    @property
    def ended(self) -> bool: ...

    def start(self) -> None: ...
    def receive_data(self, data: bytes) -> bytes: ...
    def send_data(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def data_to_send(self) -> bytes: ...


class Route:
    """Bytes of the wire in, the gateway's bytes out, and back.

    Open TCP to :attr:`address`, call :meth:`start`, then feed :meth:`receive_data`; after every call, also one that
    raised, send what :meth:`data_to_send` gives. Nothing may be sent before :attr:`established`, and by then every
    certificate is verified, if the context of ``make_context`` verifies. The constructor raises
    :class:`~qqproto_transports._failures.Failed` for an address that leads nowhere. The methods raise that or
    :class:`ssl.SSLError`; the route is of no use then.
    """

    def __init__(self, url: str, proxy: str | None, make_context: Callable[[], ssl.SSLContext]) -> None:
        if proxy is not None:
            raise Failed(Failure(FailureKind.PROXY, "this driver cannot go through a proxy"))
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        host = parts.hostname or ""
        self.address: tuple[str, int] = (host, parts.port or (443 if secure else 80))
        """Where TCP has to be opened."""
        self._layers: list[Layer] = [_tls(make_context(), host)] if secure else []
        """What is agreed upon, in this order; the bytes of each go through the one before."""
        self._outgoing = bytearray()
        self.established = False
        """Whether the gateway hears what is sent: every layer stands."""
        self.ended = False
        """Whether the gateway will say no more."""

    def start(self) -> None:
        """TCP is up."""
        self._start_layer(0)

    def receive_data(self, data: bytes) -> bytes:
        """Bytes came; ``b""`` is the end of the stream. Returns what the gateway says with them."""
        return self._receive(data, 0)

    def send_data(self, data: bytes) -> None:
        """Say ``data`` to the gateway."""
        if not self.established:
            raise RuntimeError("nothing may be sent before the way to the gateway is established")
        if self._layers:
            self._layers[-1].send_data(data)
        else:
            self._outgoing += data

    def close(self) -> None:
        """Say that nothing more follows, where there is a way to say it."""
        self._carry_out(closing=True)

    def data_to_send(self) -> bytes:
        """What is to be sent now, if anything."""
        self._carry_out()
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def _start_layer(self, depth: int) -> None:
        if depth == len(self._layers):
            self.established = True
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
            if closing:
                layer.close()
            data = layer.data_to_send()
        self._outgoing += data


def _tls(context: ssl.SSLContext, host: str) -> TLS:
    try:
        return TLS(context, host)
    except ValueError:
        raise Failed(Failure(FailureKind.DNS, "the gateway's host is no valid name")) from None
