"""The way to the gateway, over bytes that these tests carry."""

from __future__ import annotations

import datetime
import functools
import socket
import ssl
import sys
from collections.abc import Callable, Iterator

import pytest
import trustme

from qqproto import FailureKind
from qqproto.wire.proxies import parse_proxy
from qqproto_transports._failures import Failed, failure_of
from qqproto_transports._route import Route
from tests.transports.certificates import NAME, TLSServer, server_context, trusting


def no_context() -> ssl.SSLContext:
    raise AssertionError("nothing here needs TLS")


def talk(route: Route, server: TLSServer) -> bytes:
    """Carry bytes both ways until nobody says more; returns what the gateway said."""
    said = b""
    while data := route.data_to_send():
        said += route.receive_data(server.receive(data))
    return said


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://gateway.example/websocket", ("gateway.example", 80)),
        ("wss://gateway.example/websocket", ("gateway.example", 443)),
        ("ws://gateway.example:8080", ("gateway.example", 8080)),
        ("wss://[::1]:8443/x?y", ("::1", 8443)),
    ],
)
def test_where_tcp_has_to_be_opened(url: str, address: tuple[str, int]) -> None:
    assert Route(url, None, trusting).address == address


def test_plain_it_is_established_as_soon_as_tcp_is_up() -> None:
    route = Route("ws://gateway.example", None, no_context)
    with pytest.raises(RuntimeError, match="before the way to the host is established"):
        route.send_data(b"too early")

    route.start()
    assert (route.established, route.data_to_send()) == (True, b"")
    route.send_data(b"hello")
    route.send_data(b" gateway")

    assert route.data_to_send() == b"hello gateway"
    assert route.receive_data(b"hello bot") == b"hello bot"
    assert not route.ended
    assert route.receive_data(b"") == b""
    assert route.ended
    route.close()
    assert route.data_to_send() == b""


def test_with_tls_it_is_established_when_the_certificate_is_verified() -> None:
    route, server = Route(f"wss://{NAME}", None, trusting), TLSServer(server_context())
    route.start()
    with pytest.raises(RuntimeError, match="before the way to the host is established"):
        route.send_data(b"too early")

    talk(route, server)
    assert route.established
    route.send_data(b"hello gateway")
    server.receive(route.data_to_send())

    assert server.plaintext == b"hello gateway"
    assert route.receive_data(server.write(b"hello bot")) == b"hello bot"
    route.close()
    server.incoming.write(route.data_to_send())
    assert server.tls.read(100) == b"", "a clean end"


def test_an_end_is_told_with_what_came_before() -> None:
    route, server = Route(f"wss://{NAME}", None, trusting), TLSServer(server_context())
    route.start()
    talk(route, server)

    last = server.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()

    assert route.receive_data(last + server.outgoing.read()) == b"last words"
    assert route.ended
    assert route.receive_data(b"") == b""


def test_a_certificate_of_another_is_an_error_and_the_server_is_told() -> None:
    route, server = Route(f"wss://{NAME}", None, trusting), TLSServer(server_context("other.example"))
    route.start()

    with pytest.raises(ssl.SSLCertVerificationError):
        talk(route, server)

    server.receive(route.data_to_send())
    assert "ALERT" in str(server.error)
    assert not route.established


def test_a_host_that_no_certificate_can_name_leads_nowhere() -> None:
    with pytest.raises(Failed) as caught:
        Route("wss://.example/websocket", None, trusting)

    assert caught.value.failure.kind is FailureKind.DNS


# -- through a proxy ---------------------------------------------------------------------------------------------------

PROXY_NAME = "proxy.example"
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
PASSWORD = "hunter2secret"


class Plain:
    """The other end of a connection without TLS, and what it saw."""

    def __init__(self) -> None:
        self.plaintext = b""

    def receive(self, data: bytes) -> bytes:
        self.plaintext += data
        return b""

    def write(self, data: bytes) -> bytes:
        return data


End = Plain | TLSServer
Answer = Callable[[bytes], bytes]


class ProxyInFront:
    """A proxy that answers by ``answer`` until it has agreed, and ``gateway`` behind it; ``end`` is its own end."""

    def __init__(self, end: End, gateway: End, answer: Answer, *, agrees_after: int = 1) -> None:
        self.end = end
        self.gateway = gateway
        self.answer = answer
        self.left = agrees_after
        self.asked = b""

    def receive(self, data: bytes) -> bytes:
        before = len(self.end.plaintext)
        reply = self.end.receive(data)
        said = self.end.plaintext[before:]
        if not said:
            return reply
        if self.left:
            self.asked += said
            self.left -= 1
            return reply + self.end.write(self.answer(said))
        forth = self.gateway.receive(said)
        return reply + (self.end.write(forth) if forth else b"")


def agree(said: bytes) -> bytes:
    return OPENED


def socks(answers: Iterator[bytes], said: bytes) -> bytes:
    return next(answers)


def socks_answers() -> Answer:
    return functools.partial(socks, iter([b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01" + bytes(6)]))


def carry(route: Route, proxy: ProxyInFront, piece: int = 1 << 20) -> bytes:
    """Carry bytes both ways, ``piece`` at a time towards the bot, until nobody says more."""
    said = b""
    while data := route.data_to_send():
        reply = proxy.receive(data)
        for i in range(0, len(reply), piece):
            said += route.receive_data(reply[i : i + piece])
    return said


def routed(url: str, proxy: str) -> Route:
    return Route(url, parse_proxy(proxy), trusting)


WAYS = [
    pytest.param("http", False, "ws", id="plain"),
    pytest.param("http", False, "wss", id="TLS"),
    pytest.param("https", True, "ws", id="plain in TLS"),
    pytest.param("https", True, "wss", id="TLS in TLS"),
    pytest.param("socks5", False, "wss", id="TLS in SOCKS"),
]


@pytest.mark.parametrize(("kind", "proxy_tls", "scheme"), WAYS)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_through_a_proxy_bytes_go_both_ways(kind: str, proxy_tls: bool, scheme: str, piece: int) -> None:
    end: End = TLSServer(server_context(PROXY_NAME)) if proxy_tls else Plain()
    gateway: End = TLSServer(server_context(NAME)) if scheme == "wss" else Plain()
    is_socks = kind == "socks5"
    proxy = ProxyInFront(end, gateway, socks_answers() if is_socks else agree, agrees_after=3 if is_socks else 1)
    route = routed(f"{scheme}://{NAME}:8443/websocket", f"{kind}://bot:{PASSWORD}@{PROXY_NAME}:3128")
    assert route.address == (PROXY_NAME, 3128)

    route.start()
    assert not route.established
    carry(route, proxy, piece)
    assert route.established
    route.send_data(b"hello gateway" * 5000)
    assert carry(route, proxy, piece) == b""

    assert gateway.plaintext == b"hello gateway" * 5000
    back = end.write(gateway.write(b"hello bot" * 5000))
    assert b"".join(route.receive_data(back[i : i + piece]) for i in range(0, len(back), piece)) == b"hello bot" * 5000
    if is_socks:
        assert PASSWORD.encode() in proxy.asked
    else:
        assert proxy.asked.startswith(f"CONNECT {NAME}:8443 HTTP/1.1\r\n".encode())
    if isinstance(end, TLSServer):
        assert end.sni == [PROXY_NAME]
        assert end.tls.selected_alpn_protocol() == "http/1.1"
    if isinstance(gateway, TLSServer):
        assert gateway.sni == [NAME]
        assert gateway.tls.selected_alpn_protocol() == "http/1.1"


def test_both_ends_are_told_that_it_is_over_in_their_turn() -> None:
    end, gateway = TLSServer(server_context(PROXY_NAME)), TLSServer(server_context(NAME))
    proxy = ProxyInFront(end, gateway, agree)
    route = routed(f"wss://{NAME}", f"https://{PROXY_NAME}")
    route.start()
    carry(route, proxy)

    route.send_data(b"goodbye")
    route.close()
    end.incoming.write(route.data_to_send())

    inner = b""
    while chunk := end.tls.read(65536):
        inner += chunk
    gateway.incoming.write(inner)
    assert gateway.tls.read(100) == b"goodbye"
    assert gateway.tls.read(100) == b"", "a clean end of both"


def test_an_end_of_the_outer_one_is_an_end_of_the_inner() -> None:
    end, gateway = TLSServer(server_context(PROXY_NAME)), TLSServer(server_context(NAME))
    route = routed(f"wss://{NAME}", f"https://{PROXY_NAME}")
    route.start()
    carry(route, ProxyInFront(end, gateway, agree))

    last = end.write(gateway.write(b"last words"))
    with pytest.raises(ssl.SSLWantReadError):
        end.tls.unwrap()

    assert route.receive_data(last + end.outgoing.read()) == b"last words"
    assert route.ended


def test_what_the_gateway_says_first_in_the_proxys_last_segment_is_not_lost() -> None:
    route = routed(f"ws://{NAME}", f"http://{PROXY_NAME}")
    route.start()

    assert route.receive_data(OPENED + b"hello bot") == b"hello bot"
    assert route.established


YESTERDAY = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
BAD_CERTIFICATES = [
    pytest.param(lambda name: server_context(name, ca=trustme.CA()), "unable to get local issuer", id="untrusted"),
    pytest.param(lambda name: server_context("other.example"), "Hostname mismatch", id="wrong host"),
    pytest.param(lambda name: server_context(name, not_after=YESTERDAY), "expired", id="expired"),
]


@pytest.mark.parametrize(("context", "why"), BAD_CERTIFICATES)
def test_a_proxy_with_a_bad_certificate_is_told_nothing(context: Callable[[str], ssl.SSLContext], why: str) -> None:
    end, gateway = TLSServer(context(PROXY_NAME)), TLSServer(server_context(NAME))
    proxy = ProxyInFront(end, gateway, agree)
    route = routed(f"wss://{NAME}", f"https://bot:{PASSWORD}@{PROXY_NAME}:3128")
    route.start()

    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        carry(route, proxy)
    proxy.receive(route.data_to_send())

    assert (end.plaintext, gateway.plaintext, proxy.asked) == (b"", b"", b"")
    assert "ALERT" in str(end.error)
    failure = failure_of(route.blame(caught.value))
    assert failure.kind is FailureKind.TLS_UNTRUSTED
    assert failure.message.startswith("of the proxy: the certificate is not trusted: ")
    assert why in failure.message
    assert failure.message.endswith("(by way of https://proxy.example:3128)")


@pytest.mark.parametrize("kind", ["http", "https"])
@pytest.mark.parametrize(("context", "why"), BAD_CERTIFICATES)
def test_a_gateway_with_a_bad_certificate_behind_a_proxy_is_told_nothing(
    context: Callable[[str], ssl.SSLContext], why: str, kind: str
) -> None:
    end: End = TLSServer(server_context(PROXY_NAME)) if kind == "https" else Plain()
    gateway = TLSServer(context(NAME))
    proxy = ProxyInFront(end, gateway, agree)
    route = routed(f"wss://{NAME}", f"{kind}://{PROXY_NAME}:3128")
    route.start()

    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        carry(route, proxy)
    with pytest.raises(RuntimeError, match="before the way to the host is established"):
        route.send_data(b"the token")
    proxy.receive(route.data_to_send())

    assert gateway.plaintext == b""
    assert "ALERT" in str(gateway.error), "the alert goes through the tunnel"
    failure = failure_of(route.blame(caught.value))
    assert failure.kind is FailureKind.TLS_UNTRUSTED
    assert failure.message.startswith("the certificate is not trusted: ")
    assert failure.message.endswith(f"(by way of {kind}://proxy.example:3128)")


# -- whose fault it is -------------------------------------------------------------------------------------------------


def failed(route: Route, error: BaseException) -> tuple[FailureKind, str]:
    failure = failure_of(route.blame(error))
    return failure.kind, failure.message


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ConnectionRefusedError(111, ""), "nobody listens there"),
        (ConnectionResetError(104, ""), "the connection was cut"),
        (socket.gaierror(socket.EAI_NONAME, ""), "there is no such name"),
        (ssl.SSLError(1, "wrong version"), "TLS failed"),
        (ssl.SSLEOFError(8, ""), "closed in the middle of TLS"),
        (TimeoutError(), "no reply in time"),
    ],
)
def test_what_fails_on_the_way_to_the_proxy_is_the_proxys(error: Exception, why: str) -> None:
    kind, message = failed(routed(f"wss://{NAME}", f"https://bot:{PASSWORD}@{PROXY_NAME}:3128"), error)

    assert kind is FailureKind.PROXY
    assert message.startswith("the proxy cannot be reached: ")
    assert why in message
    assert message.endswith("(by way of https://proxy.example:3128)")


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (b"HTTP/1.1 502 x\r\n\r\n", FailureKind.PROXY, "could not reach the host (HTTP 502)"),
        (b"HTTP/1.1 407 x\r\n\r\n", FailureKind.PROXY_AUTH, "the proxy refuses the user name and the password"),
        (b"", FailureKind.PROXY, "the proxy hung up before it had answered"),
    ],
)
def test_what_a_proxy_refuses_is_told_with_its_name(reply: bytes, kind: FailureKind, words: str) -> None:
    route = routed(f"wss://{NAME}", f"http://bot:{PASSWORD}@{PROXY_NAME}:3128")
    route.start()
    route.data_to_send()

    with pytest.raises(Failed) as caught:
        route.receive_data(reply)

    told = failed(route, caught.value)
    assert told[0] is kind
    assert words in told[1]
    assert told[1].endswith("(by way of http://proxy.example:3128)")
    assert PASSWORD not in told[1] + repr(caught.value) + repr(route)


def test_what_fails_behind_the_proxy_stays_what_it_is() -> None:
    route = routed(f"wss://{NAME}", f"http://{PROXY_NAME}:3128")
    route.start()
    route.receive_data(OPENED)

    assert failed(route, ConnectionResetError(104, ""))[0] is FailureKind.RESET
    assert failed(route, ssl.SSLError(1, ""))[0] is FailureKind.TLS
    with pytest.raises(ssl.SSLEOFError) as caught:
        route.receive_data(b"")
    kind, message = failed(route, caught.value)
    assert kind is FailureKind.EOF
    assert message.endswith("(by way of http://proxy.example:3128)")


def test_nobody_is_blamed_without_a_proxy_after_all_or_for_a_bug() -> None:
    error, bug = ConnectionResetError(104, ""), KeyError("d")

    assert Route(f"wss://{NAME}", None, trusting).blame(error) is error
    assert routed(f"wss://{NAME}", f"http://{PROXY_NAME}").blame(bug) is bug
    route = routed(f"ws://{NAME}", f"http://{PROXY_NAME}")
    route.start()
    route.receive_data(OPENED)
    assert route.blame(error) is error


def test_a_proxy_that_needs_what_is_not_installed_is_a_failure_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)

    with pytest.raises(Failed) as caught:
        routed(f"wss://{NAME}", f"socks5://bot:{PASSWORD}@{PROXY_NAME}")

    assert caught.value.failure.kind is FailureKind.PROXY
    assert "pip install 'qqproto[socks]'" in caught.value.failure.message
