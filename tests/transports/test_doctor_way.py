"""The doctor on the way out: proxies, names, TCP, tunnels, certificates, each going wrong on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme

from qqproto_transports._doctor_findings import State
from qqproto_transports._network import Network
from qqproto_transports._proxy import ProxyServer
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.certificates import self_signed, server_context, trusting_once
from tests.transports.doctor import Examination, endpoints_at, examined, gateway_here
from tests.transports.loops import eventually, on_loop, on_quick_loop
from tests.transports.proxies import SOCKSServer
from tests.transports.servers import closed_port, serving, silence

PASSWORD = "a-password-for-the-proxy"
TODAY = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def proxy_url(proxy: ProxyServer, scheme: str = "http", login: str = "") -> str:
    return f"{scheme}://{login}127.0.0.1:{proxy.port}"


# -- which proxy -------------------------------------------------------------------------------------------------------


@on_quick_loop
async def test_the_variable_that_decides_is_named_for_each_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_here() as gateway, ProxyServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy_url(proxy))
        monkeypatch.setenv("ws_proxy", proxy_url(proxy, login=f"bot:{PASSWORD}@"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1:1")
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
        found = await examined(gateway, endpoints=endpoints_at(gateway.port, host="localhost"))

    chosen = [finding for finding in found.findings if finding.step == "proxy"]
    assert [finding.text for finding in chosen] == [
        *[f"http://127.0.0.1:{proxy.port}, from http_proxy"] * 2,
        f"http://127.0.0.1:{proxy.port}, from ws_proxy",
    ]
    assert chosen[2].facts == {"proxy": f"http://127.0.0.1:{proxy.port}", "variable": "ws_proxy", "exempted_by": None}
    variables = found.step("environment").facts["variables"]
    assert [name for name in variables if "PROXY" in name.upper()] == ["http_proxy", "ws_proxy", "NO_PROXY"]
    assert "; set: http_proxy, ws_proxy, NO_PROXY" in found.step("environment").text
    assert found.step("environment").text.endswith("; set and not heeded: HTTP_PROXY")
    assert found.verdict.state is State.OK
    assert PASSWORD not in repr(found.findings)
    assert ("localhost", gateway.port) in proxy.targets


@on_quick_loop
async def test_an_exempted_host_is_told_with_what_exempts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_here() as gateway:
        monkeypatch.setenv("all_proxy", "http://proxy.invalid:3128")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        found = await examined(gateway)

    assert found.step("proxy").text == "none: no_proxy exempts the host from all_proxy"
    assert found.step("proxy").facts == {"proxy": None, "variable": "all_proxy", "exempted_by": "no_proxy"}
    assert found.verdict.state is State.OK


@pytest.mark.parametrize("named", [True, False])
@on_quick_loop
async def test_the_option_goes_before_the_environment(named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_here() as gateway, ProxyServer() as proxy:
        monkeypatch.setenv("all_proxy", "http://proxy.invalid:3128")
        found = await examined(gateway, proxy=proxy_url(proxy) if named else None)

    told = f"http://127.0.0.1:{proxy.port}" if named else "none"
    assert found.step("proxy").text == f"{told}, as --proxy says"
    assert bool(proxy.targets) == named
    assert found.verdict.state is State.OK


@on_quick_loop
async def test_a_proxys_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_here() as gateway:
        monkeypatch.setenv("http_proxy", f"ftp://bot:{PASSWORD}@proxy.example")
        found = await examined(gateway)

    found.ends_with("proxy", "the proxy's address cannot be used", "correct http_proxy")
    assert PASSWORD not in repr(found.findings)


# -- names -------------------------------------------------------------------------------------------------------------


def answering(**families: list[str] | OSError) -> Callable[..., list[Any]]:
    """Instead of ``getaddrinfo``: the addresses of a name by family, or what is raised."""

    def look_up(host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
        result = families["ipv6" if family == socket.AF_INET6 else "ipv4"]
        if isinstance(result, OSError):
            raise result
        end = (0, 0) if family == socket.AF_INET6 else ()
        return [(family, socket.SOCK_STREAM, 6, "", (address, port, *end)) for address in result]

    return look_up


@on_quick_loop
async def test_names_are_looked_up_in_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = socket.gaierror(socket.EAI_NONAME, "whatever")
    async with gateway_here() as gateway, ProxyServer() as proxy:
        monkeypatch.setattr(socket, "getaddrinfo", answering(ipv4=["127.0.0.1", "127.0.0.2", "127.0.0.3"], ipv6=nobody))
        found = await examined(gateway, proxy=f"http://proxy.example:{proxy.port}", deadline=0.5)

    dns = found.step("dns")
    assert dns.text == (
        "the proxy proxy.example: IPv4 127.0.0.1, 127.0.0.2 and 1 more;"
        f" IPv6 none (there is no such name (EAI {int(socket.EAI_NONAME)}))"
    )
    assert dns.facts == {"ipv4": ["127.0.0.1", "127.0.0.2", "127.0.0.3"], "ipv6": []}
    assert found.step("tcp").facts == {"peer": f"127.0.0.1:{proxy.port}"}


@on_quick_loop
async def test_a_dead_ipv6_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway_here() as gateway:
        monkeypatch.setattr(socket, "getaddrinfo", answering(ipv4=["127.0.0.1"], ipv6=["::2"]))
        found = await examined(gateway, endpoints=endpoints_at(gateway.port, host="gateway.example"))

    assert found.step("dns", "gateway.example").text == "IPv4 127.0.0.1; IPv6 ::2"
    assert found.step("tcp", "gateway.example").facts == {"peer": f"127.0.0.1:{gateway.port}"}


@on_quick_loop
async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = socket.gaierror(socket.EAI_NONAME, "whatever")
    async with gateway_here() as gateway:
        monkeypatch.setattr(socket, "getaddrinfo", answering(ipv4=nobody, ipv6=nobody))
        found = await examined(gateway, endpoints=endpoints_at(80, host="gateway.example"))

    found.ends_with("dns", "there is no such name", "nslookup gateway.example", "check QQ_TOKEN_URL")


@on_quick_loop
async def test_the_proxys_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = socket.gaierror(socket.EAI_AGAIN, "whatever")
    async with gateway_here() as gateway:
        monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
        monkeypatch.setattr(socket, "getaddrinfo", answering(ipv4=nobody, ipv6=[]))
        found = await examined(gateway)

    found.ends_with("dns", "the proxy cannot be reached: the name server does not answer", "correct http_proxy")


@on_loop
async def test_a_look_up_that_hangs_costs_its_deadline_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*args: object, **options: object) -> list[Any]:
        over.wait(30)
        return []

    async with gateway_here() as gateway:
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        found = await examined(gateway, endpoints=endpoints_at(80, host="gateway.example"), deadline=0.2)
        over.set()

    found.ends_with("dns", "no reply in time")
    assert found.seconds < 10


# -- TCP and tunnels ---------------------------------------------------------------------------------------------------


@on_quick_loop
async def test_a_port_at_which_nobody_listens() -> None:
    with closed_port() as port:
        async with gateway_here() as gateway:
            found = await examined(gateway, endpoints=endpoints_at(port))

    found.ends_with("tcp", "nobody listens there", "check QQ_TOKEN_URL", f"nothing listens at 127.0.0.1:{port}")


@on_quick_loop
async def test_a_network_that_answers_nothing() -> None:
    async with gateway_here() as gateway, Network(gateway.port) as network:
        try:
            await network.hang()
        except OSError:
            pytest.skip("this system accepts without end")
        found = await examined(gateway, endpoints=endpoints_at(network.port), deadline=0.3)

    found.ends_with("tcp", "no reply in time", "a firewall may drop or cut what goes to", "name it in https_proxy")


@on_quick_loop
async def test_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port:
        monkeypatch.setenv("http_proxy", f"http://bot:{PASSWORD}@127.0.0.1:{port}")
        async with gateway_here() as gateway:
            found = await examined(gateway)

    text = found.ends_with("tcp", "the proxy cannot be reached: nobody listens there", "unset http_proxy")
    assert f"start the proxy http://127.0.0.1:{port}, or correct http_proxy" in text
    assert PASSWORD not in repr(found.findings)


@on_loop
async def test_a_proxy_that_drops_connections() -> None:
    async with gateway_here() as gateway, ProxyServer() as proxy:
        proxy.drops = True
        found = await examined(gateway, proxy=proxy_url(proxy))

    found.ends_with("tunnel", "the proxy cannot be reached: the connection was cut", "correct --proxy")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("403 Forbidden", ("does not allow this host", "allowed by whoever runs the proxy")),
        ("502 Bad Gateway", ("could not reach the host", "curl -v -x http://127.0.0.1:")),
        ("405 Method Not Allowed", ("a web server", "curl -v -x")),
    ],
)
@on_quick_loop
async def test_a_proxy_that_opens_no_tunnel(status: str, words: tuple[str, ...]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await reader.read()

    async with gateway_here() as gateway, serving(talk) as port:
        found = await examined(gateway, proxy=f"http://127.0.0.1:{port}")

    found.ends_with("tunnel", *words)


@on_quick_loop
async def test_a_proxy_that_says_nothing() -> None:
    async with gateway_here() as gateway, serving(silence) as port:
        found = await examined(gateway, proxy=f"http://127.0.0.1:{port}", deadline=0.2)

    found.ends_with("tunnel", "the proxy cannot be reached: no reply in time", "start the proxy")


@pytest.mark.parametrize("server", [ProxyServer, SOCKSServer])
@pytest.mark.parametrize("login", ["", f"bot:{PASSWORD}@"])
@on_quick_loop
async def test_a_proxy_that_wants_other_credentials(
    server: type[ProxyServer], login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway_here() as gateway, server(login=("bot", "another one")) as proxy:
        monkeypatch.setenv("all_proxy", proxy_url(proxy, "socks5" if server is SOCKSServer else "http", login))
        found = await examined(gateway)

    found.ends_with("tunnel", "user name and ", "check the user name and the password", "here it is all_proxy")
    assert PASSWORD not in repr(found.findings)


@pytest.mark.parametrize("server", [ProxyServer, SOCKSServer])
@on_quick_loop
async def test_tunnels_that_are_opened(server: type[ProxyServer]) -> None:
    scheme = "socks5" if server is SOCKSServer else "http"
    async with gateway_here() as gateway, server(login=("bot", PASSWORD)) as proxy:
        found = await examined(gateway, proxy=proxy_url(proxy, scheme, f"bot:{PASSWORD}@"), identify=True)

    told = f"{scheme}://127.0.0.1:{proxy.port} opened a tunnel to 127.0.0.1:{gateway.port}"
    assert found.step("tunnel").text == told
    assert found.verdict.state is State.OK
    assert PASSWORD not in repr(found.findings)


# -- TLS ---------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def behind_tls(context: ssl.SSLContext) -> AsyncIterator[tuple[LocalGateway, Network, dict[str, Any]]]:
    """A gateway behind TLS, what is carried to it, and the case that leads there."""
    async with gateway_here() as gateway, Network(gateway.port, tls=context) as network:
        gateway.platform.gateway_url = f"wss://127.0.0.1:{network.port}/websocket"
        yield gateway, network, {"endpoints": endpoints_at(network.port, "https"), "ssl_context": trusting_once()}


@on_quick_loop
async def test_a_certificate_is_told_with_its_signer_and_its_end() -> None:
    async with behind_tls(server_context("127.0.0.1", not_after=TODAY + 3 * DAY)) as (gateway, _, case):
        found = await examined(gateway, identify=True, **case)

    tls = found.step("tls")
    assert tls.text.startswith("TLSv1.")
    assert ", signed by trustme v" in tls.text
    assert f"until {TODAY + 3 * DAY:%Y-%m-%d}, 3 days left" in tls.text
    assert tls.facts["issuer"].startswith("trustme v")
    assert found.steps.count("tls") == 1, "the WebSocket goes the same way"
    assert found.verdict.state is State.OK
    found.hides_secrets()


@on_quick_loop
async def test_a_certificate_that_only_this_machine_trusts_may_be_somebody_who_reads_along() -> None:
    """A proxy that inspects TLS, and whose root this machine was given, stops nothing; a person may want to know."""
    async with behind_tls(server_context("127.0.0.1")) as (gateway, _, case):
        found = await examined(gateway, **case)

    assert found.step("tls").facts["public"] is False
    assert "no public authority vouches for it" in found.step("tls").text
    assert found.step("tls").state is State.OK


async def refused(context: ssl.SSLContext, **options: Any) -> tuple[Examination, bytes]:
    """What is found where a certificate is not trusted, and what was said to its owner behind TLS."""
    async with behind_tls(context) as (gateway, network, case):
        gateway.clock_ahead = options.pop("clock_ahead", 0.0)
        found = await examined(gateway, **{**case, **options})
        return found, b"".join(bytes(link.from_client) for link in network.links)


@on_loop
async def test_somebody_who_reads_along_is_named() -> None:
    company = trustme.CA(organization_name="Example Corp TLS Inspection")
    found, heard = await refused(server_context("127.0.0.1", ca=company))

    text = found.ends_with("tls", "is signed by Example Corp TLS Inspection", "whom this machine does not trust")
    assert "SSL_CERT_FILE" in text
    assert found.step("tls").facts["issuer"].startswith("Example Corp TLS Inspection")
    assert heard == b""


@on_quick_loop
async def test_a_certificate_that_signed_itself() -> None:
    found, heard = await refused(self_signed("127.0.0.1"))

    found.ends_with("tls", "is signed by 127.0.0.1, whom this machine does not trust")
    assert heard == b""


@on_quick_loop
async def test_somebody_elses_certificate() -> None:
    found, heard = await refused(server_context("portal.example"))

    found.ends_with("tls", "somebody else answers for 127.0.0.1", "captive portal", "check QQ_TOKEN_URL")
    assert heard == b""


@on_quick_loop
async def test_a_certificate_that_has_expired() -> None:
    """The clock is right, as the host says himself: he is asked for the time, and for nothing else."""
    found, heard = await refused(server_context("127.0.0.1", not_after=TODAY - 3 * DAY))

    found.ends_with(
        "tls", "certificate has expired", f"until {TODAY - 3 * DAY:%Y-%m-%d}", "has to renew its certificate"
    )
    assert heard.startswith(b"HEAD / HTTP/1.1\r\n")
    assert b"uthorization" not in heard
    assert abs(found.step("tls").facts["clock_ahead"]) < 60


@on_quick_loop
async def test_a_certificate_that_seems_to_have_expired_because_the_clock_is_off() -> None:
    context = server_context("127.0.0.1", not_after=TODAY - 3 * DAY)
    found, _ = await refused(context, clock_ahead=-10 * 86_400.0)

    found.ends_with("tls", "this machine's clock is 10 days ahead of 127.0.0.1's", "set this machine's clock")


@on_quick_loop
async def test_a_port_without_tls() -> None:
    async with gateway_here() as gateway:
        found = await examined(gateway, endpoints=endpoints_at(gateway.port, "https"))

    found.ends_with("tls", "TLS failed: ", "may speak no TLS")


@on_quick_loop
async def test_a_connection_that_is_cut_during_tls() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)

    async with gateway_here() as gateway, serving(talk) as port:
        found = await examined(gateway, endpoints=endpoints_at(port, "https"))

    found.ends_with("tls", "in the middle of TLS", "a firewall may drop or cut")


@on_loop
async def test_tls_in_a_proxys_tunnel_and_to_the_proxy() -> None:
    context = server_context("127.0.0.1")
    async with behind_tls(context) as (gateway, _, case), ProxyServer(tls=context) as proxy:
        found = await examined(gateway, proxy=proxy_url(proxy, "https"), **case)

    at = found.steps.index("tcp")
    assert found.steps[at + 1 : at + 4] == ["proxy-tls", "tunnel", "tls"]
    assert found.step("tls").facts["public"] is False
    assert found.verdict.state is State.OK


@on_quick_loop
async def test_a_proxy_whose_certificate_is_not_trusted_hears_no_credentials() -> None:
    """He is looked at a second time, by somebody who believes everybody, and is told nothing then either."""
    other = server_context("127.0.0.1", ca=trustme.CA(organization_name="Nobody Ltd"))
    async with behind_tls(server_context("127.0.0.1")) as (gateway, _, case):
        async with ProxyServer(login=("bot", PASSWORD), tls=other) as proxy:
            found = await examined(gateway, proxy=proxy_url(proxy, "https", f"bot:{PASSWORD}@"), **case)

    found.ends_with("proxy-tls", "of the proxy", "the proxy's certificate is signed by Nobody Ltd")
    assert proxy.targets == []
    assert PASSWORD not in repr(found.findings)


@on_quick_loop
async def test_a_host_behind_a_proxy_whose_certificate_is_not_trusted() -> None:
    context = server_context("127.0.0.1", ca=trustme.CA(organization_name="Nobody Ltd"))
    async with behind_tls(context) as (gateway, _, case), ProxyServer(tls=server_context("127.0.0.1")) as proxy:
        found = await examined(gateway, proxy=proxy_url(proxy, "https"), **case)

    found.ends_with("tls", "the host's certificate is signed by Nobody Ltd", "your company's proxy")


@on_loop
async def test_a_second_look_that_hangs_costs_a_part_of_the_deadline() -> None:
    async with behind_tls(server_context("127.0.0.1", ca=trustme.CA())) as (gateway, inside, case):
        async with Network(inside.port) as network:
            lost = asyncio.ensure_future(lose_the_second(network))
            found = await examined(gateway, deadline=1.0, **{**case, "endpoints": endpoints_at(network.port, "https")})
            await lost

    found.ends_with("tls", "its issuer, whom this machine does not trust")
    assert found.seconds < 10


async def lose_the_second(network: Network) -> None:
    """The second connection is taken, and nothing is carried on it."""
    await eventually(lambda: network.links)
    network.swallows = True
