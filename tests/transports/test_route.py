"""The way to the gateway, over bytes that these tests carry."""

from __future__ import annotations

import ssl

import pytest

from qqproto import FailureKind
from qqproto_transports._failures import Failed
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
