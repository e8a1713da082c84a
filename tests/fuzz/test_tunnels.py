"""A tunnel under a hostile proxy: nothing raises, nothing grows without bound, work is linear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import FailureKind, Policy
from qqproto.wire.proxies import parse_proxy, proxy_for
from qqproto.wire.tunnel import Tunnel, tunnel_through
from tests.fuzz.machines import campaign, size, work

PROXIES = [parse_proxy(f"{scheme}://{login}p.example") for scheme in ("http", "socks5") for login in ("", "bot:pw@")]
SMALL = Policy(max_proxy_reply=2048)

HTTP = [
    b"HTTP/1.1 200 x\r\n",
    b"HTTP/1.1 407 x\r\n",
    b"HTTP/1.1 100 x\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
]
SOCKS = [b"\x05\x00", b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01", b"\x05\x00\x00\x03\xff", bytes(6), b"\x05\x05\x00"]
CHUNKS = st.lists(st.one_of(st.sampled_from(HTTP), st.sampled_from(SOCKS), st.binary(max_size=60)), max_size=12)


def begun(url_number: int = 0, policy: Policy = SMALL) -> Tunnel:
    tunnel = tunnel_through(PROXIES[url_number], "gateway.example", 443, policy)
    tunnel.start()
    tunnel.data_to_send()
    return tunnel


@given(st.integers(0, len(PROXIES) - 1), CHUNKS, st.booleans())
@campaign
def test_any_bytes_of_a_proxy(number: int, chunks: list[bytes], ends: bool) -> None:
    tunnel = begun(number)
    for chunk in [*chunks, b""] if ends else chunks:
        tunnel.receive_data(chunk)
        tunnel.data_to_send()
    assert not (tunnel.established and tunnel.failure)
    assert tunnel.failure is None or tunnel.failure.kind in (FailureKind.PROXY, FailureKind.PROXY_AUTH)
    assert not ends or tunnel.failure is not None or tunnel.ended
    assert size(tunnel) < size(begun(number)) + (64 << 10)


@given(st.text(max_size=40), st.text(max_size=60))
@campaign
def test_any_environment(proxy: str, no_proxy: str) -> None:
    chosen = proxy_for("wss://gateway.example/websocket", {"https_proxy": proxy, "no_proxy": no_proxy})
    assert chosen in (None, proxy.strip())


@pytest.mark.parametrize("piece", [1, 7, 4096])
@pytest.mark.parametrize(
    "reply", [b"X-Padding: padding\r\n", b"HTTP/1.1 100 x\r\n\r\n"], ids=["headers", "informational"]
)
def test_a_long_reply_costs_what_it_brings(reply: bytes, piece: int) -> None:
    def feed(length: int) -> int:
        tunnel = begun(policy=Policy(max_proxy_reply=1 << 20))
        data = reply if reply.startswith(b"HTTP") else b"HTTP/1.1 200 x\r\n" + reply
        data += reply * (length // len(reply))

        def run() -> None:
            for start in range(0, len(data), piece):
                tunnel.receive_data(data[start : start + piece])

        return work(run)

    assert feed(64 << 10) <= 16 * feed(4 << 10) * 1.6
