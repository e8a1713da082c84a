"""The way through a proxy, as machines over bytes: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928, RFC 1929)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Generator
from typing import TYPE_CHECKING

import h11

from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.wire.proxies import Proxy, ProxyKind

if TYPE_CHECKING:
    from socksio import SOCKS5Connection


def tunnel_through(proxy: Proxy, host: str, port: int, policy: Policy = Policy()) -> Tunnel:
    """A tunnel to ``host``, a name or an address, by way of ``proxy``.

    What is said to an HTTPS proxy goes through TLS, which is not in here. Raises :class:`ImportError` for a SOCKS5
    proxy without the package socksio.
    """
    if proxy.kind is ProxyKind.SOCKS5:
        return SOCKS5Tunnel(proxy, host, port, policy)
    return ConnectTunnel(proxy, host, port, policy)


class Tunnel(ABC):
    """What is said to a proxy until the bytes are the other end's.

    When the stream to the proxy is up, call :meth:`start`, then feed :meth:`receive_data`; after every call look at
    :attr:`failure`, and send what :meth:`data_to_send` gives. Whatever the proxy says, nothing is raised, and nothing
    of its words gets into a message; it may say ``policy.max_proxy_reply`` bytes of them.
    """

    def __init__(self, policy: Policy) -> None:
        self._limit = policy.max_proxy_reply
        self._heard = 0
        self._outgoing = bytearray()
        self.established = False
        """Whether the other end hears what is sent, and is heard."""
        self.ended = False
        """Whether the other end will say no more."""
        self.failure: Failure | None = None
        """Why there is no tunnel: of kind ``PROXY``, or of ``PROXY_AUTH`` where other credentials would help."""

    def start(self) -> None:
        """The stream to the proxy is up. Then send :meth:`data_to_send`."""
        self._begin()

    def receive_data(self, data: bytes) -> bytes:
        """Bytes came; ``b""`` is the end of the stream. Returns what the other end says with them."""
        if self.failure is not None or self.ended:
            return b""
        if self.established:
            self.ended = not data
            return data
        if not data:
            self._fail("the proxy hung up before it had answered")
            return b""
        self._heard += len(data)
        said = self._receive(data)
        if not self.established and self._heard > self._limit:
            self._fail(f"the proxy's reply has more than {self._limit} bytes")
        return said

    def send_data(self, data: bytes) -> None:
        """Say ``data`` to the other end."""
        if not self.established:
            raise RuntimeError("nothing may be sent before the proxy has agreed")
        self._outgoing += data

    def data_to_send(self) -> bytes:
        """What is to be sent now, if anything."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    @abstractmethod
    def _begin(self) -> None:
        """Ask the proxy."""

    @abstractmethod
    def _receive(self, data: bytes) -> bytes:
        """Take what the proxy says; return what came behind its last word."""

    def _fail(self, what: str, kind: FailureKind = FailureKind.PROXY, status: int | None = None) -> None:
        if self.failure is None:
            self.failure = Failure(kind, what, status)


_WANTED = "the proxy wants a user name and a password"
_REFUSED = "the proxy refuses the user name and the password that it was given"


# -- HTTP CONNECT ------------------------------------------------------------------------------------------------------

_NO_HTTP = "what listens there is no HTTP proxy"

_NOT_AUTHENTICATED = (401, 407)
"""tinyproxy says 401 to credentials that are wrong, and 407 when there are none."""

_STATUSES = {
    403: "the proxy does not allow this host or this port",
    404: "the proxy knows no such host",
    405: "what listens there is a web server, or a proxy that opens no tunnels",
    501: "what listens there is a web server, or a proxy that opens no tunnels",
    500: "the proxy failed, or could not reach the host",
    502: "the proxy could not reach the host",
    503: "the proxy is overloaded, or could not reach the host",
    504: "the host did not answer the proxy",
}
"""What proxies mean by a status, as seen of squid, tinyproxy, Go's and nginx's."""

_METHODS = (b"negotiate", b"ntlm", b"kerberos", b"digest", b"bearer")
"""Ways of authentication that a message may name: it repeats no word that is not in here."""


class ConnectTunnel(Tunnel):
    """A tunnel through an HTTP proxy; credentials go with the first request, by Basic authentication (RFC 7617)."""

    def __init__(self, proxy: Proxy, host: str, port: int, policy: Policy = Policy()) -> None:
        super().__init__(policy)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("Host", target)]
        if proxy.username is not None:
            given = b64encode(proxy.username + b":" + proxy.password).decode("ascii")
            headers.append(("Proxy-Authorization", f"Basic {given}"))
        self._request = h11.Request(method="CONNECT", target=target, headers=headers)
        self._anonymous = proxy.username is None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=policy.max_proxy_reply)

    def _begin(self) -> None:
        self._outgoing += self._http.send(self._request) or b""
        self._outgoing += self._http.send(h11.EndOfMessage()) or b""

    def _receive(self, data: bytes) -> bytes:
        try:
            self._http.receive_data(data)
            while isinstance(event := self._http.next_event(), h11.InformationalResponse):
                pass
        except h11.RemoteProtocolError as error:
            # 431: h11 has no more room for what has still no end.
            too_long = error.error_status_hint == 431
            self._fail(f"the proxy's reply has more than {self._limit} bytes" if too_long else _NO_HTTP)
            return b""
        if not isinstance(event, h11.Response):
            return b""
        if not 200 <= event.status_code < 300:
            self._refused(event)
            return b""
        self.established = True
        return self._http.trailing_data[0]

    def _refused(self, response: h11.Response) -> None:
        status = response.status_code
        if status not in _NOT_AUTHENTICATED:
            what = _STATUSES.get(status, "the proxy opens no tunnel")
            self._fail(f"{what} (HTTP {status})", status=status)
            return
        offers = [value.split(None, 1)[0].lower() for name, value in response.headers if _names_a_method(name, value)]
        others = ", ".join(method.decode("ascii") for method in _METHODS if method in offers)
        if others and b"basic" not in offers:
            self._fail(f"the proxy accepts {others} alone, and Basic is what there is here", _AUTH, status)
        else:
            self._fail(_WANTED if self._anonymous else _REFUSED, _AUTH, status)


_AUTH = FailureKind.PROXY_AUTH


def _names_a_method(name: bytes, value: bytes) -> bool:
    return name == b"proxy-authenticate" and bool(value.strip())


# -- SOCKS5 ------------------------------------------------------------------------------------------------------------

_NO_SOCKS = "what listens there is no SOCKS5 proxy"
_GSSAPI = "the proxy accepts GSSAPI alone, and a user name and a password is what there is here"

_REPLIES = {
    0x01: "the proxy failed",
    0x02: "the proxy does not allow this host or this port",
    0x03: "the proxy has no route to the host's network",
    0x04: "the proxy has no route to the host, or knows no such name",
    0x05: "nobody listens where the proxy connects to",
    0x06: "the host did not answer the proxy",
    0x07: "the proxy opens no tunnels",
    0x08: "the proxy does not take this kind of address",
}
"""RFC 1928 §6."""

_VERSION = 5
_NAME = 3
_ADDRESS_LENGTHS = {1: 3 + 2, _NAME: 0 + 2, 4: 15 + 2}
"""What follows the first five bytes of a reply, the last of which is the address's first: the rest of the address, if
it is no name whose length that byte is, and the port (RFC 1928 §6)."""

_LONGEST_NAME = 255
"""Bytes of a name (RFC 1928 §5)."""


class SOCKS5Tunnel(Tunnel):
    """A tunnel through a SOCKS5 proxy, which looks the name up.

    socksio makes the requests and reads the replies; but it takes whatever it is given for one whole reply, so they are
    cut out of the stream here.
    """

    def __init__(self, proxy: Proxy, host: str, port: int, policy: Policy = Policy()) -> None:
        super().__init__(policy)
        try:
            import socksio
        except ImportError:
            raise ImportError("socksio is missing, for a SOCKS5 proxy: pip install 'qqproto[socks]'") from None
        self._proxy = proxy
        self._target = (host, port)
        self._incoming = bytearray()
        self._wanted = 0
        self._talk = self._conversation(socksio.SOCKS5Connection())

    def _begin(self) -> None:
        if len(self._target[0]) > _LONGEST_NAME:
            self._fail("the host's name is too long for a SOCKS5 proxy")
        else:
            self._wanted = next(self._talk)

    def _receive(self, data: bytes) -> bytes:
        self._incoming += data
        while 0 < self._wanted <= len(self._incoming):
            reply = bytes(self._incoming[: self._wanted])
            del self._incoming[: self._wanted]
            self._wanted = self._heard_all(reply)
        return bytes(self._incoming) if self.established else b""

    def _heard_all(self, reply: bytes) -> int:
        """The reply is complete; returns how many bytes the next one has, 0 if there is none."""
        from socksio import ProtocolError

        try:
            return self._talk.send(reply)
        except StopIteration:
            return 0
        except ProtocolError:
            self._fail(_NO_SOCKS)
            return 0

    def _conversation(self, socks: SOCKS5Connection) -> Generator[int, bytes, None]:
        """What is said and what is heard, in its order; gives the length of each reply, and takes the reply."""
        from socksio import ProtocolError, SOCKS5Command, SOCKS5CommandRequest

        yield from self._agree_on_credentials(socks)
        if self.failure is not None:
            return
        socks.send(SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, self._target))
        self._outgoing += socks.data_to_send()
        head = yield 5
        version, code, _, kind, first = head
        if version == _VERSION and code:
            # Not every proxy sends a whole address with a refusal.
            self._fail(f"{_REPLIES.get(code, 'the proxy refuses')} (SOCKS5 reply {code})")
            return
        if kind not in _ADDRESS_LENGTHS:
            raise ProtocolError
        socks.receive_data(head + (yield _ADDRESS_LENGTHS[kind] + (first if kind == _NAME else 0)))
        self.established = True

    def _agree_on_credentials(self, socks: SOCKS5Connection) -> Generator[int, bytes, None]:
        from socksio import ProtocolError
        from socksio.socks5 import (
            SOCKS5AuthMethod,
            SOCKS5AuthMethodsRequest,
            SOCKS5AuthReply,
            SOCKS5UsernamePasswordReply,
            SOCKS5UsernamePasswordRequest,
        )

        username, password = self._proxy.username, self._proxy.password
        methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if username is not None:
            methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
        socks.send(SOCKS5AuthMethodsRequest(methods))
        self._outgoing += socks.data_to_send()
        reply = yield 2
        chosen = socks.receive_data(reply)
        assert isinstance(chosen, SOCKS5AuthReply)
        if reply[0] != _VERSION:
            raise ProtocolError
        if chosen.method not in methods:
            gssapi = chosen.method is SOCKS5AuthMethod.GSSAPI
            self._fail(_GSSAPI if gssapi else _WANTED if username is None else _REFUSED, _AUTH)
        elif username is not None and chosen.method is SOCKS5AuthMethod.USERNAME_PASSWORD:
            socks.send(SOCKS5UsernamePasswordRequest(username, password))
            self._outgoing += socks.data_to_send()
            verdict = socks.receive_data((yield 2))
            assert isinstance(verdict, SOCKS5UsernamePasswordReply)
            if not verdict.success:
                self._fail(_REFUSED, _AUTH)
