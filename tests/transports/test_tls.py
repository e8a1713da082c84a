"""TLS over memory BIOs: two ends that are connected by nothing but these tests."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme

from qqproto_transports._tls import TLS, default_context
from tests.transports.certificates import NAME, TLSServer, server_context, trusting


def shake_hands(client: TLS, server: TLSServer, piece: int = 1 << 20) -> bytes:
    """Carry bytes both ways, ``piece`` at a time, until nobody says more; returns what the client got as plaintext."""
    plaintext = b""
    client.start()
    to_server = client.data_to_send()
    while to_server:
        to_client = b"".join(server.receive(to_server[i : i + piece]) for i in range(0, len(to_server), piece))
        for i in range(0, len(to_client), piece):
            plaintext += client.receive_data(to_client[i : i + piece])
        to_server = client.data_to_send()
    return plaintext


def connected(piece: int = 1 << 20) -> tuple[TLS, TLSServer]:
    client, server = TLS(trusting(), NAME), TLSServer(server_context())
    shake_hands(client, server, piece)
    assert client.established
    return client, server


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_bytes_go_both_ways_however_they_are_cut(piece: int) -> None:
    client, server = connected(piece)
    question, reply = b"question" * 5000, b"reply" * 9000

    client.send_data(question)
    data = client.data_to_send()
    for i in range(0, len(data), piece):
        server.receive(data[i : i + piece])
    data = server.write(reply)
    got = b"".join(client.receive_data(data[i : i + piece]) for i in range(0, len(data), piece))

    assert (server.plaintext, got) == (question, reply)
    assert question[:16] not in data


def test_says_whom_it_wants_and_what_it_speaks() -> None:
    _, server = connected()

    assert server.sni == [NAME]
    assert server.tls.selected_alpn_protocol() == "http/1.1"


def test_an_address_is_checked_against_the_certificates_addresses() -> None:
    client, server = TLS(trusting(), "127.0.0.1"), TLSServer(server_context("127.0.0.1"))

    shake_hands(client, server)

    assert client.established


YESTERDAY = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        pytest.param(lambda: server_context(ca=trustme.CA()), "unable to get local issuer certificate", id="untrusted"),
        pytest.param(lambda: server_context("other.example"), "Hostname mismatch", id="wrong-host"),
        pytest.param(lambda: server_context(not_after=YESTERDAY), "certificate has expired", id="expired"),
    ],
)
def test_a_bad_certificate_ends_it_before_anything_is_said(context: object, reason: str) -> None:
    assert callable(context)
    client, server = TLS(trusting(), NAME), TLSServer(context())

    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(client, server)

    assert reason in caught.value.verify_message
    assert not client.established
    with pytest.raises(RuntimeError, match="before the TLS handshake"):
        client.send_data(b"the token")
    server.receive(client.data_to_send())
    assert server.error is not None, "the alert tells the server"
    assert "ALERT" in str(server.error)
    assert server.plaintext == b""


def test_nothing_can_be_sent_before_the_handshake() -> None:
    client = TLS(default_context(), NAME)
    client.start()

    with pytest.raises(RuntimeError, match="before the TLS handshake"):
        client.send_data(b"the token")


def test_what_follows_the_handshake_in_the_same_read_is_not_lost() -> None:
    client, server = TLS(trusting(), NAME), TLSServer(server_context())
    client.start()
    flight = server.receive(client.data_to_send())
    client.receive_data(flight)
    last = server.receive(client.data_to_send()) + server.write(b"hello")

    assert client.receive_data(last) == b"hello"


def test_a_close_notify_ends_it_after_what_came_before() -> None:
    client, server = connected()
    data = server.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()

    assert client.receive_data(data + server.outgoing.read()) == b"last words"
    assert client.ended


def test_our_own_close_notify_is_heard() -> None:
    client, server = connected()
    client.send_data(b"goodbye")
    client.close()

    server.incoming.write(client.data_to_send())

    assert server.tls.read(100) == b"goodbye"
    assert server.tls.read(100) == b"", "a clean end"


def test_closing_with_unread_data_of_the_peers_is_no_error() -> None:
    client, server = connected()
    client._incoming.write(server.write(b"never read"))

    client.close()

    server.incoming.write(client.data_to_send())
    assert server.tls.read(100) == b""


def test_closing_before_the_handshake_says_nothing() -> None:
    client = TLS(default_context(), NAME)
    client.start()
    client.data_to_send()

    client.close()

    assert client.data_to_send() == b""


def test_an_end_of_the_stream_without_a_close_notify_is_an_end() -> None:
    client, server = connected()

    assert client.receive_data(server.write(b"half")[:-3]) == b""
    assert client.receive_data(b"") == b""
    assert client.ended


def test_an_end_of_the_stream_in_the_handshake_is_an_error() -> None:
    client, server = TLS(trusting(), NAME), TLSServer(server_context())
    client.start()
    client.receive_data(server.receive(client.data_to_send())[:100])

    with pytest.raises(ssl.SSLEOFError):
        client.receive_data(b"")


def test_a_server_that_speaks_no_tls_is_an_error() -> None:
    client = TLS(default_context(), NAME)
    client.start()

    with pytest.raises(ssl.SSLError) as caught:
        client.receive_data(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert caught.value.reason == "WRONG_VERSION_NUMBER"


def test_a_broken_record_is_an_error() -> None:
    client, server = connected()
    record = bytearray(server.write(b"hello"))
    record[-1] ^= 1

    with pytest.raises(ssl.SSLError):
        client.receive_data(bytes(record))
