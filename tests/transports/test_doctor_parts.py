"""What the doctor is made of, where no network has to go wrong for it."""

from __future__ import annotations

import asyncio
import datetime
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from qqproto import Failure, FailureKind
from qqproto.wire.proxies import parse_proxy
from qqproto_transports import _doctor_look
from qqproto_transports._doctor_certificates import public_context, read_certificate
from qqproto_transports._doctor_deadline import within
from qqproto_transports._doctor_findings import Finding, State
from qqproto_transports._doctor_look import Seen
from qqproto_transports._doctor_names import is_address
from qqproto_transports._doctor_remedies import Target, of_certificate, of_network, of_reply
from qqproto_transports._doctor_time import describe, span
from qqproto_transports._network import Network
from tests.transports.certificates import server_context, trusting_once
from tests.transports.doctor import endpoints_at, examined, gateway_here
from tests.transports.loops import on_loop, on_quick_loop

NOW = datetime.datetime.now(datetime.timezone.utc)
TARGET = Target("https://api.example:8443/x", "check QQ_API_BASE")


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (-119.4, "119 s"),
        (120, "2 min"),
        (7140, "119 min"),
        (7199.6, "2 h"),
        (9000, "2.5 h"),
        (-47 * 3600, "47 h"),
        (48 * 3600, "2 days"),
        (1000.5 * 86_400, "1000.5 days"),
    ],
)
def test_spans_of_time(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(60, "agrees with h's"), (-60, "agrees with h's"), (61, "is 61 s ahead of h's"), (-61, "is 61 s behind h's")],
)
def test_a_minute_is_tolerated(ahead: float, words: str) -> None:
    assert describe(ahead, "h") == f"this machine's clock {words}"


def test_a_sentence_says_where_what_and_what_to_do() -> None:
    assert Finding("dns", State.FAILED, "no", host="h", remedy="x").sentence == "dns (h) failed: no. What to do: x"
    assert Finding("clock", State.WARNING, "off", remedy="x").sentence == "clock: off. What to do: x"


@pytest.mark.parametrize(
    ("host", "expected"), [("10.0.0.1", True), ("::1", True), ("fe80::1%eth0", True), ("a.example", False), ("", False)]
)
def test_what_is_an_address(host: str, expected: bool) -> None:
    assert is_address(host) is expected


# -- remedies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_has_a_remedy(kind: FailureKind) -> None:
    assert len(of_network(Failure(kind), TARGET)) > 20
    assert len(of_reply(Failure(kind), TARGET)) > 20


@pytest.mark.parametrize(
    ("message", "address"),
    [
        ("your IP: 203.0.113.7.", "203.0.113.7"),
        ("当前IP203.0.113.7不在白名单", "203.0.113.7"),
        ("2001:db8::7 is not allowed (trace 00000000deadbeef)", "2001:db8::7"),
        ("error 40023002 at 12:30:59, 1.2.3.4.5 (trace deadbeef)", None),
        ("接口访问源IP不在白名单", None),
    ],
)
def test_the_address_that_the_platform_saw(message: str, address: str | None) -> None:
    remedy = of_reply(Failure(FailureKind.HTTP_STATUS, message, 401, 11298), TARGET)

    saw = "this machine's public IPv4 address" if address is None else f"{address}, the address that the platform saw,"
    assert remedy.startswith(f"add {saw}")


def test_behind_a_proxy_it_is_the_proxys_address_that_the_platform_sees() -> None:
    target = Target(TARGET.url, TARGET.origin, parse_proxy("http://bot:secret@proxy.example:3128"), "https_proxy")
    remedy = of_reply(Failure(FailureKind.HTTP_STATUS, "no", 401, 11298), target)

    assert remedy.startswith("add the public IPv4 address of the proxy http://proxy.example:3128")


def test_any_other_reason_not_to_trust_a_certificate_has_a_remedy_too() -> None:
    what, remedy = of_certificate(24, Seen(), TARGET, of_host=True)

    assert what == ""
    assert "root certificates" in remedy


# -- certificates ------------------------------------------------------------------------------------------------------


def certificate(*extensions: x509.ExtensionType) -> bytes:
    """One without any names but those of its extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(hours=3))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_certificate_without_names() -> None:
    nameless = read_certificate(certificate())
    named = read_certificate(certificate(x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.DNSName("b")])))

    assert nameless is not None
    assert named is not None
    assert (nameless.subject, nameless.issuer) == ("nobody", "nobody")
    assert named.subject == "a.example, b"
    assert "3 h left" in named.describe(NOW.timestamp())
    assert "left" not in named.describe(NOW.timestamp() + 86_400)


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x30\x03\x02\x01\x00", certificate()[:-40]])
def test_a_certificate_that_is_none(junk: bytes) -> None:
    assert read_certificate(junk) is None


def test_without_the_public_authorities_nothing_is_said_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    public_context.cache_clear()
    monkeypatch.setitem(sys.modules, "certifi", None)

    assert public_context() is None
    public_context.cache_clear()


@pytest.mark.parametrize("known", [True, False])
@on_quick_loop
async def test_a_public_authority_is_not_worth_a_word(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor_look, "public_context", trusting_once if known else lambda: None)
    async with gateway_here() as gateway, Network(gateway.port, tls=server_context("127.0.0.1")) as network:
        case = {"endpoints": endpoints_at(network.port, "https"), "ssl_context": trusting_once()}
        found = await examined(gateway, **case)

    assert found.step("tls").facts["public"] is (True if known else None)
    assert "public authority" not in found.step("tls").text


# -- deadlines ---------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_deadline_leaves_nothing_behind() -> None:
    cleaned = []

    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    with pytest.raises(TimeoutError):
        await within(0.01, hang())
    assert cleaned == [True]


@on_loop
async def test_a_cancellation_is_not_swallowed_when_the_result_comes_in_the_same_moment() -> None:
    """As asyncio.wait_for does until Python 3.11; Ctrl-C was lost by it."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[int] = loop.create_future()

    async def wait() -> int:
        return await result

    waiting = asyncio.ensure_future(within(60, wait()))
    await asyncio.sleep(0)
    result.set_result(1)
    for _ in range(2):
        await asyncio.sleep(0)  # The result has come, and is not taken yet.
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
