"""Through a proxy, over bytes: what is asked, and that whatever is answered is a tunnel or a refusal."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qqproto import Failure, FailureKind, Policy
from qqproto.wire.proxies import Proxy, ProxyKind, parse_proxy
from qqproto.wire.tunnel import ConnectTunnel, SOCKS5Tunnel, Tunnel, tunnel_through

HOST = "gateway.example"
PASSWORD = "p@ss:word"
HTTP = Proxy(ProxyKind.HTTP, "proxy.example", 3128)
HTTP_AUTH = Proxy(ProxyKind.HTTP, "proxy.example", 3128, b"bot", PASSWORD.encode())
SOCKS = Proxy(ProxyKind.SOCKS5, "proxy.example", 1080)
SOCKS_AUTH = Proxy(ProxyKind.SOCKS5, "proxy.example", 1080, b"bot", PASSWORD.encode())
PROXIES = [HTTP, HTTP_AUTH, SOCKS, SOCKS_AUTH]

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"

NO_AUTH, WITH_PASSWORD, GSSAPI, NONE = b"\x05\x00", b"\x05\x02", b"\x05\x01", b"\x05\xff"
BOUND = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"
BOUND_V6 = b"\x05\x00\x00\x04" + bytes(16) + b"\x1f\x90"
BOUND_NAME = b"\x05\x00\x00\x03\x05proxy\x1f\x90"

ANSWERS = {
    ProxyKind.HTTP: [OPENED],
    ProxyKind.SOCKS5: [NO_AUTH, BOUND],
}
"""What a proxy without credentials says, one answer after each question."""


def hear(tunnel: Tunnel, *reads: bytes) -> bytes:
    """What the other end said with these reads."""
    return b"".join(tunnel.receive_data(read) for read in reads)


def answered(proxy: Proxy, *reads: bytes, host: str = HOST, policy: Policy = Policy()) -> Tunnel:
    """A tunnel whose proxy says this."""
    tunnel = tunnel_through(proxy, host, 443, policy)
    tunnel.start()
    hear(tunnel, *reads)
    return tunnel


def refused(tunnel: Tunnel) -> Failure:
    """Why there is no tunnel; and nothing is heard or said any more."""
    assert tunnel.failure is not None
    assert not tunnel.established
    assert hear(tunnel, OPENED, BOUND, b"") == b""
    assert not tunnel.established
    with pytest.raises(RuntimeError, match="before the proxy has agreed"):
        tunnel.send_data(b"the token")
    tunnel.data_to_send()
    assert tunnel.data_to_send() == b""
    return tunnel.failure


# -- HTTP CONNECT ------------------------------------------------------------------------------------------------------


def test_connect_asks_for_the_host_and_says_nothing_else() -> None:
    tunnel = tunnel_through(HTTP, HOST, 443)
    tunnel.start()

    assert tunnel.data_to_send() == b"CONNECT gateway.example:443 HTTP/1.1\r\nHost: gateway.example:443\r\n\r\n"
    assert tunnel.data_to_send() == b""


@pytest.mark.parametrize(
    ("host", "target"), [("10.0.0.1", b"10.0.0.1:443"), ("::1", b"[::1]:443"), ("2001:db8::1", b"[2001:db8::1]:443")]
)
def test_connect_to_an_address(host: str, target: bytes) -> None:
    tunnel = answered(HTTP, host=host)

    request = tunnel.data_to_send()
    assert request.startswith(b"CONNECT " + target + b" HTTP/1.1\r\n")
    assert b"\r\nHost: " + target + b"\r\n" in request


def test_connect_with_credentials_says_them_at_once() -> None:
    tunnel = answered(HTTP_AUTH)

    [line] = [line for line in tunnel.data_to_send().split(b"\r\n") if line.startswith(b"Proxy-Authorization: ")]
    assert base64.b64decode(line.removeprefix(b"Proxy-Authorization: Basic ")) == b"bot:p@ss:word"


def test_established_bytes_go_both_ways_untouched() -> None:
    tunnel = answered(HTTP, OPENED)
    tunnel.data_to_send()

    assert tunnel.established
    tunnel.send_data(b"\x16\x03\x01")
    tunnel.send_data(b"HTTP/1.1 407 no answer")
    assert tunnel.data_to_send() == b"\x16\x03\x01HTTP/1.1 407 no answer"
    assert hear(tunnel, b"HTTP/1.1 502 neither\r\n\r\n", b"\x00") == b"HTTP/1.1 502 neither\r\n\r\n\x00"
    assert not tunnel.ended
    assert hear(tunnel, b"") == b""
    assert tunnel.ended
    assert tunnel.failure is None


@pytest.mark.parametrize(
    "reply",
    [
        OPENED,
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 299 \r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OPENED,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OPENED,
        b"HTTP/1.1 200 OK\nProxy-Agent: with bare line feeds\n\n",
    ],
)
def test_any_2xx_is_a_tunnel_whatever_its_headers_say_and_what_follows_is_the_others(reply: bytes) -> None:
    """RFC 9110 §9.3.6: a 2xx to CONNECT has no body, and its framing headers are ignored."""
    tunnel = tunnel_through(HTTP, HOST, 443)
    tunnel.start()

    assert hear(tunnel, reply + b"220 the other end speaks first") == b"220 the other end speaks first"
    assert tunnel.established


CREDENTIALS, REFUSES = "the proxy wants a user name and a password", "the proxy refuses the user name and the password"
PROXY, AUTH = FailureKind.PROXY, FailureKind.PROXY_AUTH
ASKING = b"HTTP/1.1 407 %s\r\n%s\r\n"
BASIC, NTLM = b"Proxy-Authenticate: Basic realm=x\r\n", b"Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n"

REFUSALS: list[tuple[Proxy, bytes, FailureKind, str, int | None]] = [
    (HTTP, ASKING % (b"x", BASIC), AUTH, CREDENTIALS, 407),
    (HTTP_AUTH, ASKING % (b"x", BASIC), AUTH, REFUSES, 407),
    (HTTP_AUTH, ASKING % (b"x", NTLM + BASIC), AUTH, REFUSES, 407),
    (HTTP_AUTH, ASKING % (b"x", NTLM), AUTH, "accepts negotiate, ntlm alone", 407),
    (HTTP_AUTH, ASKING % (b"x", b"Proxy-Authenticate: WeirdScheme\r\n"), AUTH, REFUSES, 407),
    (HTTP_AUTH, ASKING % (b"x", b"Proxy-Authenticate: \r\n"), AUTH, REFUSES, 407),
    (HTTP_AUTH, ASKING % (b"x", b""), AUTH, REFUSES, 407),
    (HTTP_AUTH, b"HTTP/1.0 401 Unauthorized\r\n\r\n", AUTH, REFUSES, 401),
    (HTTP, b"HTTP/1.1 500 Unable to connect\r\n\r\n", PROXY, "failed, or could not reach the host (HTTP 500)", 500),
    (HTTP, b"HTTP/1.1 403 x\r\n\r\n", PROXY, "does not allow this host or this port (HTTP 403)", 403),
    (HTTP, b"HTTP/1.1 502 x\r\n\r\n", PROXY, "could not reach the host (HTTP 502)", 502),
    (HTTP, b"HTTP/1.1 503 x\r\nRetry-After: 10\r\n\r\n", PROXY, "(HTTP 503)", 503),
    (HTTP, b"HTTP/1.1 504 x\r\nContent-Length: 99999999999\r\n\r\nendless", PROXY, "did not answer the proxy", 504),
    (HTTP, b"HTTP/1.1 302 x\r\nLocation: http://login.example/\r\n\r\n", PROXY, "opens no tunnel (HTTP 302)", 302),
    (HTTP, b"HTTP/1.1 404 x\r\n\r\n<html>", PROXY, "(HTTP 404)", 404),
    (HTTP, b"HTTP/1.1 405 x\r\n\r\n", PROXY, "web server", 405),
    (HTTP, b"HTTP/1.1 418 x\r\n\r\n", PROXY, "opens no tunnel (HTTP 418)", 418),
    (HTTP, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", PROXY, "is no HTTP proxy", None),
    (HTTP, b"HTTP/1.1 200\r\nno colon\r\n\r\n", PROXY, "is no HTTP proxy", None),
    (HTTP, b"HTTP/2 200 OK\r\n\r\n", PROXY, "is no HTTP proxy", None),
    (HTTP, b"SSH-2.0-OpenSSH_9.2\r\n\r\n", PROXY, "is no HTTP proxy", None),
    (HTTP, b"\x15\x03\x01\x00\x02\x02\x46", PROXY, "is no HTTP proxy", None),
    (HTTP, b"HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\n", PROXY, "is no HTTP proxy", None),
    (SOCKS, GSSAPI, AUTH, "accepts GSSAPI alone", None),
    (SOCKS, NONE, AUTH, CREDENTIALS, None),
    (SOCKS, WITH_PASSWORD, AUTH, CREDENTIALS, None),
    (SOCKS_AUTH, NONE, AUTH, REFUSES, None),
    (SOCKS_AUTH, GSSAPI, AUTH, "accepts GSSAPI alone", None),
    (SOCKS_AUTH, WITH_PASSWORD + b"\x01\x01", AUTH, REFUSES, None),
    (SOCKS_AUTH, WITH_PASSWORD + b"\x01\xff", AUTH, REFUSES, None),
    (SOCKS, b"\x05\x77", PROXY, "is no SOCKS5 proxy", None),
    (SOCKS, b"\x04\x00", PROXY, "is no SOCKS5 proxy", None),
    (SOCKS, b"HTTP/1.1 400 Bad Request\r\n\r\n", PROXY, "is no SOCKS5 proxy", None),
    (SOCKS, NO_AUTH + b"\x04\x00\x00\x01\x00" + bytes(20), PROXY, "is no SOCKS5 proxy", None),
    (SOCKS, NO_AUTH + b"\x05\x00\x00\x02\x00" + bytes(20), PROXY, "is no SOCKS5 proxy", None),
    (SOCKS, NO_AUTH + b"\x05\x00\x00\x03\x02\xff\xff\x00\x00", PROXY, "is no SOCKS5 proxy", None),
    (SOCKS, NO_AUTH + b"\x05\x02\x00\x01" + bytes(6), PROXY, "does not allow this host or this port", None),
    (SOCKS, NO_AUTH + b"\x05\x04\x00\x00" + bytes(6), PROXY, "no route to the host, or knows no such name", None),
    (SOCKS, NO_AUTH + b"\x05\x05\x00\x01\x00", PROXY, "(SOCKS5 reply 5)", None),
    (SOCKS, NO_AUTH + b"\x05\x99\x00\x01" + bytes(6), PROXY, "the proxy refuses (SOCKS5 reply 153)", None),
]  # fmt: skip


@pytest.mark.parametrize(("proxy", "reply", "kind", "words", "status"), REFUSALS)
@pytest.mark.parametrize("piece", [1, 1000])
def test_each_refusal_is_told_as_what_it_is(
    proxy: Proxy, reply: bytes, kind: FailureKind, words: str, status: int | None, piece: int
) -> None:
    tunnel = answered(proxy, *(reply[i : i + piece] for i in range(0, len(reply), piece)))

    failure = refused(tunnel)
    assert (failure.kind, failure.http_status) == (kind, status)
    assert words in failure.message


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("begun", [0, 1])
def test_a_proxy_that_hangs_up_before_it_has_answered(proxy: Proxy, begun: int) -> None:
    beginning = (OPENED if proxy.kind is ProxyKind.HTTP else NO_AUTH)[:begun]
    failure = refused(answered(proxy, *([beginning] if beginning else []), b""))

    assert (failure.kind, failure.message) == (FailureKind.PROXY, "the proxy hung up before it had answered")


ENDLESS = [
    pytest.param(HTTP, b"HTTP/1.1 200 " + b"O" * 100_000, id="reason"),
    pytest.param(HTTP, b"HTTP/1.1 200 OK\r\n" + b"X-Header: value\r\n" * 10_000, id="headers"),
    pytest.param(HTTP, b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, id="informational"),
    pytest.param(HTTP, b"\r\n" * 50_000, id="nothing"),
]


@pytest.mark.parametrize(("proxy", "reply"), ENDLESS)
@pytest.mark.parametrize("piece", [1, 100, 4096, 1 << 20])
def test_an_endless_reply_is_refused_at_the_limit(proxy: Proxy, reply: bytes, piece: int) -> None:
    policy = Policy(max_proxy_reply=2000)
    tunnel = tunnel_through(proxy, HOST, 443, policy)
    tunnel.start()
    said = 0
    for i in range(0, len(reply), piece):
        hear(tunnel, reply[i : i + piece])
        said += piece
        if tunnel.failure is not None:
            break

    failure = refused(tunnel)
    assert failure.kind is FailureKind.PROXY
    assert said <= 2000 + piece
    if not reply.isspace():  # h11 gives up on it sooner.
        assert failure.message == "the proxy's reply has more than 2000 bytes"


def test_a_long_first_word_of_the_other_end_is_no_long_reply() -> None:
    tunnel = tunnel_through(HTTP, HOST, 443, Policy(max_proxy_reply=2000))
    tunnel.start()

    assert len(hear(tunnel, OPENED + bytes(100_000))) == 100_000
    assert tunnel.failure is None


# -- SOCKS5 ------------------------------------------------------------------------------------------------------------


def questions(tunnel: Tunnel, *answers: bytes) -> Iterator[bytes]:
    """What is asked, first of all and after each answer."""
    tunnel.start()
    yield tunnel.data_to_send()
    for answer in answers:
        assert hear(tunnel, answer) == b""
        yield tunnel.data_to_send()


@pytest.mark.parametrize("bound", [BOUND, BOUND_V6, BOUND_NAME])
def test_socks_names_the_host_and_leaves_the_look_up_to_the_proxy(bound: bytes) -> None:
    tunnel = tunnel_through(SOCKS, HOST, 443)

    asked = list(questions(tunnel, NO_AUTH, bound))

    assert asked == [b"\x05\x01\x00", b"\x05\x01\x00\x03\x0fgateway.example\x01\xbb", b""]
    assert tunnel.established


@pytest.mark.parametrize(
    ("host", "address"), [("10.0.0.1", b"\x01\x0a\x00\x00\x01"), ("::1", b"\x04" + bytes(15) + b"\x01")]
)
def test_socks_to_an_address(host: str, address: bytes) -> None:
    _, request, _ = questions(tunnel_through(SOCKS, host, 8443), NO_AUTH, BOUND)

    assert request == b"\x05\x01\x00" + address + b"\x20\xfb"


def test_socks_with_credentials_says_them_when_asked() -> None:
    tunnel = tunnel_through(SOCKS_AUTH, HOST, 443)

    offer, credentials, request, _ = questions(tunnel, WITH_PASSWORD, b"\x01\x00", BOUND)

    assert offer == b"\x05\x02\x00\x02"
    assert credentials == b"\x01\x03bot\x09p@ss:word"
    assert request.startswith(b"\x05\x01\x00\x03")
    assert tunnel.established


def test_socks_with_credentials_that_nobody_asks_for() -> None:
    tunnel = tunnel_through(SOCKS_AUTH, HOST, 443)

    asked = list(questions(tunnel, NO_AUTH, BOUND))

    assert PASSWORD.encode() not in b"".join(asked)
    assert tunnel.established


def test_socks_what_follows_the_last_reply_is_the_others() -> None:
    tunnel = answered(SOCKS, NO_AUTH)

    assert hear(tunnel, BOUND_NAME + b"220 the other end speaks first") == b"220 the other end speaks first"
    assert hear(tunnel, BOUND) == BOUND


def test_a_name_that_socks_cannot_say_is_a_refusal() -> None:
    tunnel = answered(SOCKS, host="a." * 200 + "example")

    failure = refused(tunnel)
    assert (failure.kind, failure.message) == (FailureKind.PROXY, "the host's name is too long for a SOCKS5 proxy")


def test_without_socksio_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)

    with pytest.raises(ImportError, match=r"pip install 'qqproto\[socks\]'"):
        tunnel_through(SOCKS, HOST, 443)


# -- however it is cut -------------------------------------------------------------------------------------------------

CONVERSATIONS = [
    (HTTP, OPENED + b"and more"),
    (HTTP, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: squid\r\n\r\n\x16\x03\x03"),
    (SOCKS, NO_AUTH + BOUND + b"and more"),
    (SOCKS, NO_AUTH + BOUND_V6),
    (SOCKS_AUTH, WITH_PASSWORD + b"\x01\x00" + BOUND_NAME + b"and more"),
    *((proxy, reply) for proxy, reply, *_ in REFUSALS),
]


def outcome(proxy: Proxy, reads: Iterable[bytes]) -> tuple[bool, bytes, bytes, Failure | None]:
    tunnel = tunnel_through(proxy, HOST, 443)
    tunnel.start()
    asked = said = b""
    for read in reads:
        asked += tunnel.data_to_send()
        said += tunnel.receive_data(read)
    return tunnel.established, asked + tunnel.data_to_send(), said, tunnel.failure


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(bounds)]


@pytest.mark.parametrize(("proxy", "reply"), CONVERSATIONS)
def test_byte_by_byte_it_is_the_same(proxy: Proxy, reply: bytes) -> None:
    assert outcome(proxy, cut(reply, range(len(reply)))) == outcome(proxy, [reply])


@given(st.sampled_from(CONVERSATIONS), st.lists(st.integers(0, 400)))
def test_however_it_is_cut_it_is_the_same(conversation: tuple[Proxy, bytes], places: list[int]) -> None:
    proxy, reply = conversation

    assert outcome(proxy, cut(reply, places)) == outcome(proxy, [reply])


@given(st.sampled_from(PROXIES), st.lists(st.binary(max_size=60)))
@example(HTTP, [b"HTTP/1.1 200 \xff\xfe\r\nX: \x00\r\n\r\n"])
@example(HTTP, [b"HTTP/1.1 100 \r\n\r\n", b""])
def test_whatever_comes_nothing_is_raised(proxy: Proxy, reads: list[bytes]) -> None:
    tunnel = answered(proxy, *reads)

    assert not (tunnel.established and tunnel.failure)


SHAPES = st.lists(
    st.one_of(
        st.sampled_from(
            [OPENED, NO_AUTH, WITH_PASSWORD, b"\x01\x00", BOUND, BOUND_V6, BOUND_NAME, BASIC, b"\r\n", b""]
        ),
        st.binary(max_size=4),
        st.integers(100, 999).map(lambda status: b"HTTP/1.1 %d x\r\n" % status),
    )
)


@given(st.sampled_from(PROXIES), SHAPES)
def test_whatever_almost_right_comes_nothing_is_raised(proxy: Proxy, reads: list[bytes]) -> None:
    tunnel = answered(proxy, *reads)

    assert tunnel.failure is None or tunnel.failure.kind in (FailureKind.PROXY, FailureKind.PROXY_AUTH)


# -- secrets, and the words of others ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [b"200", b"302", b"407", b"502"])
def test_no_word_of_the_proxys_and_no_secret_gets_into_a_message(status: bytes) -> None:
    words = b"\x1b[31mCALL-0900-EVIL"
    reply = b"HTTP/1.1 %s %s\r\nProxy-Authenticate: %s\r\nbroken %s" % (status, words, words, words)

    for proxy in (HTTP, HTTP_AUTH):
        for read in (reply, reply.replace(b"broken", b"X-Header:") + b"\r\n\r\n"):
            tunnel = answered(proxy, read, b"")
            shown = f"{tunnel.failure} {tunnel!r} {proxy!r} {proxy}"
            assert "EVIL" not in shown
            assert "\x1b" not in shown
            assert PASSWORD not in shown


def test_each_kind_of_proxy_has_its_tunnel() -> None:
    assert isinstance(tunnel_through(parse_proxy("http://proxy.example"), HOST, 443), ConnectTunnel)
    assert isinstance(tunnel_through(parse_proxy("https://proxy.example"), HOST, 443), ConnectTunnel)
    assert isinstance(tunnel_through(parse_proxy("socks5://proxy.example"), HOST, 443), SOCKS5Tunnel)
