"""Behind a proxy: the way through each kind, each refusal told as what it is, and every outage survived."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from qqproto import ConfigurationError, Disconnected, FailureKind, Phase, Ready, Resumed
from qqproto_transports._network import Network
from qqproto_transports._proxy import ProxyServer
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.stage import Stage
from tests.transports.certificates import server_context
from tests.transports.proxies import SOCKSServer

PASSWORD = "p@ss/word:of the proxy"
LOGIN = ("bot", PASSWORD)
WRITTEN = "bot:p%40ss%2Fword%3Aof%20the%20proxy@"


class Proxy:
    """A proxy and the network in front of it, both in the platform's thread."""

    def __init__(self, stage: Stage, stack: ExitStack, scheme: str, server: ProxyServer) -> None:
        self._stage = stage
        self._scheme = scheme
        self.server = self._begin(stack, server)
        self.network = self._begin(stack, Network(server.port))

    def _begin(self, stack: ExitStack, what: Any) -> Any:
        self._stage.do(what.__aenter__)
        stack.callback(lambda: self._stage.do(lambda: what.__aexit__(None, None, None)))
        return what

    def url(self, login: str = "", host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{login}{host}:{self.network.port}"

    @property
    def ports(self) -> set[int]:
        """To which ports it has opened tunnels, or tried to."""
        return {port for _, port in self.server.targets}


Proxies = Callable[..., Proxy]


@pytest.fixture
def proxies(stages: Callable[..., Stage]) -> Iterator[Proxies]:
    """Makes proxies; they are there for longer than the bots of the story."""
    with ExitStack() as stack:

        def make(stage: Stage, scheme: str = "http", login: tuple[str, str] | None = None) -> Proxy:
            stage.passwords |= {PASSWORD, WRITTEN.strip("bot:@")}
            kind = SOCKSServer if scheme.startswith("socks5") else ProxyServer
            tls = server_context("127.0.0.1") if scheme == "https" else None
            proxy = Proxy(stage, stack, scheme, kind(login=login, tls=tls))
            stack.callback(see_out, stage)
            return proxy

        yield make


def see_out(stage: Stage) -> None:
    for bot in stage.bots:
        bot.see_out()


def behind(stage: Stage, proxy: Any, **policy: Any) -> Bot:
    """A bot whose account has this ``proxy=``."""
    changed = dataclasses.replace(QUICK, **policy)
    return stage.bot(account=stage.account(proxy=proxy, policy=changed), policy=changed)


def ports_of(stage: Stage) -> set[int]:
    return {stage.wire.port, stage.web.port}


# -- the way through ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "login", "tls"),
    [
        pytest.param("http", None, False, id="http"),
        pytest.param("http", LOGIN, True, id="http, login, TLS"),
        pytest.param("https", LOGIN, True, id="https, login, TLS in TLS"),
        pytest.param("socks5", None, True, id="socks5, TLS"),
        pytest.param("socks5h", LOGIN, False, id="socks5, login"),
    ],
)
def test_a_bot_lives_behind_each_kind_of_proxy(
    stages: Callable[..., Stage], proxies: Proxies, scheme: str, login: tuple[str, str] | None, tls: bool
) -> None:
    secure = {"tls": server_context("127.0.0.1"), "web_tls": server_context("127.0.0.1")} if tls else {}
    stage = stages(**secure)
    proxy = proxies(stage, scheme, login)
    bot = behind(stage, proxy.url(WRITTEN if login else "")).start()

    bot.until(Ready)
    assert proxy.ports == ports_of(stage), "HTTP and the WebSocket go the same way"
    stage.say("hello")
    bot.until_hears("hello")
    stage.rotate()
    bot.until(Resumed)
    assert [port for _, port in proxy.server.targets].count(stage.wire.port) == 2
    assert proxy.server.turned_away == 0


def test_a_name_is_looked_up_by_the_proxy(stage: Stage, proxies: Proxies) -> None:
    """Behind a SOCKS5 proxy the name servers on this side often tell lies."""
    proxy = proxies(stage, "socks5")
    url = f"ws://localhost:{stage.wire.port}/websocket"

    def name_it() -> None:
        stage.platform.gateway_url = url

    stage.do(name_it)
    bot = behind(stage, proxy.url()).start()

    bot.until(Ready)
    assert ("localhost", stage.wire.port) in proxy.server.targets


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_trickles_is_a_proxy(stage: Stage, proxies: Proxies, scheme: str) -> None:
    """One byte at a time, in both directions: replies are torn everywhere."""
    proxy = proxies(stage, scheme, LOGIN)
    proxy.network.pace = (1, 0.0)
    bot = behind(stage, proxy.url(WRITTEN)).start()

    bot.until(Ready)
    stage.say("hello")
    bot.until_hears("hello")
    assert bot.heard(Disconnected) == []


def test_the_environment_says_which_proxy_and_for_whom_there_is_none(
    stages: Callable[..., Stage], proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stages(tls=server_context("127.0.0.1"))
    proxy = proxies(stage, "http", LOGIN)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(WRITTEN))
    bot = stage.bot(account=stage.account(proxy="env")).start()

    bot.until(Ready)
    assert proxy.ports == {stage.wire.port}, "HTTPS_PROXY is for wss:// and not for http://"
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    stage.rotate()
    bot.until(Resumed)
    assert len(proxy.server.targets) == 1, "it is asked anew for each connection"


def test_two_bots_have_each_its_own(stage: Stage, proxies: Proxies) -> None:
    first, second = proxies(stage), proxies(stage, "socks5")
    one, other = behind(stage, first.url()).start(), behind(stage, second.url()).start()
    direct = behind(stage, None).start()

    for bot in (one, other, direct):
        bot.until(Ready)
    assert first.ports == second.ports == ports_of(stage)
    assert len(first.server.targets) + len(second.server.targets) == 6


def test_a_host_that_decides_may_take_its_time(stage: Stage, proxies: Proxies) -> None:
    proxy = proxies(stage)
    asked: list[str] = []
    threads: set[str] = set()
    may_answer = threading.Event()

    def decide(url: str) -> str | None:
        asked.append(url)
        threads.add(threading.current_thread().name)
        assert may_answer.wait(30.0)
        return proxy.url() if url.startswith("ws:") else None

    bot = behind(stage, decide).start()
    stage.until(lambda: asked)
    assert bot.status().phase is Phase.HTTP
    assert stage.driver.call(lambda: threading.current_thread().name) not in threads, "the loop goes on meanwhile"
    may_answer.set()
    bot.until(Ready)
    stage.rotate()
    bot.until(Resumed)

    ways = [url.partition(":")[0] for url in asked]
    assert ways == ["http", "http", "ws", "ws"], "anew for each connection"
    assert proxy.ports == {stage.wire.port}


def test_a_host_that_never_decides_keeps_no_bot_from_ending(stage: Stage) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def decide(url: str) -> str | None:
        asked.set()
        assert may_answer.wait(30.0)
        return None

    bot = behind(stage, decide).start()
    assert asked.wait(30.0)
    try:
        bot.aclose(timeout=3.0)
        assert bot.end() is None
    finally:
        may_answer.set()


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "given", "only"),
    [
        pytest.param("http", "", "", id="http, none"),
        pytest.param("http", "bot:wr0ng@", "ws:", id="http, wrong, for the dial alone"),
        pytest.param("https", "bot:wr0ng@", "", id="https, wrong"),
        pytest.param("socks5", "bot:wr0ng@", "", id="socks5, wrong"),
        pytest.param("socks5", "", "ws:", id="socks5, none, for the dial alone"),
    ],
)
def test_credentials_that_it_refuses_are_for_a_person_to_mend(
    stage: Stage, proxies: Proxies, scheme: str, given: str, only: str
) -> None:
    """Row 29: never a token error, and never the end."""
    stage.passwords.add("wr0ng")
    proxy = proxies(stage, scheme, LOGIN)
    written = given
    bot = behind(stage, lambda url: proxy.url(written) if url.startswith(only) else None, configuration_retry=0.3)
    bot.start()

    error = bot.until(ConfigurationError)
    stage.until(lambda: proxy.server.turned_away >= 3)
    assert error.failure is not None
    assert error.failure.kind is FailureKind.PROXY_AUTH
    assert "the user name and the password in the proxy's URL" in error.hint
    assert f"(by way of {scheme}://127.0.0.1:" in error.hint
    assert all(told.retry_in and told.retry_in >= 0.3 for told in bot.heard(Disconnected))
    assert bot.status().configuration_error == error
    written = WRITTEN
    bot.until(Ready)
    assert len(bot.heard(ConfigurationError)) == 1
    assert bot.status().configuration_error is None
    asked = b"".join(bytes(link.from_client) for link in stage.web_way.inside.links)
    assert asked.count(b"POST /app/getAppAccessToken") == 1, "no token was suspected"


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_that_cannot_reach_the_gateway_says_so(stage: Stage, proxies: Proxies, kind: str) -> None:
    proxy = proxies(stage, kind)
    bot = behind(stage, lambda url: proxy.url() if url.startswith("ws:") else None).start()
    bot.until(Ready)
    stage.do(stage.wire.refuse)

    told = bot.until(lambda event: isinstance(event, Disconnected) and event.phase is Phase.DIAL)
    assert isinstance(told, Disconnected)
    assert told.failure is not None
    assert told.failure.kind is FailureKind.PROXY
    assert ("(HTTP 502)" if kind == "http" else "(SOCKS5 reply 5)") in told.failure.message
    stage.do(stage.wire.accept)
    bot.until(Resumed)


ENDLESS = b"HTTP/1.1 200 OK\r\n" + b"X-Padding: padding\r\n" * 5000

IMPOSTORS = [
    pytest.param(b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "(HTTP 302)", id="portal"),
    pytest.param(b"HTTP/1.1 503 \x1b[31mcall-0900-EVIL\r\n\r\n", "(HTTP 503)", id="evil words"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "is no HTTP proxy", id="ssh"),
    pytest.param(ENDLESS, "has more than 16384 bytes", id="endless"),
]


@pytest.mark.parametrize(("answer", "words"), IMPOSTORS)
def test_whatever_a_proxy_answers_it_is_an_outage_like_any_other(
    stage: Stage, proxies: Proxies, answer: bytes, words: str
) -> None:
    proxy = proxies(stage)
    stage.passwords |= {"EVIL", "\x1b[31m"}
    stage.do(lambda: setattr(proxy.network, "impostor", answer))
    bot = behind(stage, proxy.url(WRITTEN)).start()

    for _ in range(3):
        told = bot.until(Disconnected)
        assert told.failure is not None
        assert told.failure.kind is FailureKind.PROXY
        assert words in told.failure.message
    stage.do(lambda: setattr(proxy.network, "impostor", None))
    bot.until(Ready)


def test_the_outage_of_a_proxy_in_all_its_acts(stages: Callable[..., Stage], proxies: Proxies) -> None:
    """The first report: in the middle of a reconnect the proxy drops connections, answers 502, is gone, hangs."""
    stage = stages(tls=server_context("127.0.0.1"))
    proxy = proxies(stage, "https", LOGIN)
    bot = behind(stage, proxy.url(WRITTEN), dial_timeout=2.0, http_timeout=2.0).start()
    bot.until(Ready)
    network = proxy.network

    def failed(words: str) -> None:
        bot.until(lambda event: isinstance(event, Disconnected) and event.failure and words in event.failure.message)

    stage.do(lambda: setattr(network, "cut_after", 1))
    stage.rotate()
    failed("the proxy cannot be reached: the connection was cut")
    stage.do(network.refuse)
    failed("the proxy cannot be reached: nobody listens there")
    stage.do(lambda: setattr(network, "cut_after", None))
    stage.do(lambda: setattr(network, "swallows", True))
    stage.do(network.accept)
    failed("could not be opened in time")
    stage.do(stage.wire.refuse)
    stage.do(lambda: setattr(network, "swallows", False))
    failed("(HTTP 502)")
    stage.say("while it was away")
    stage.do(stage.wire.accept)

    bot.until(Resumed)
    bot.until_hears("while it was away")
    assert bot.heard(ConfigurationError) == []
    assert stage.ops().count(2) == 1


def test_an_address_that_cannot_be_used_is_told_and_mended_without_a_restart(
    stages: Callable[..., Stage], proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stages(tls=server_context("127.0.0.1"))
    proxy = proxies(stage, "http", LOGIN)
    monkeypatch.setenv("https_proxy", proxy.url("bot:p@ss/word:of the proxy@"))
    bot = stage.bot(account=stage.account(proxy="env")).start()

    told = bot.until(Disconnected)
    assert told.failure is not None
    assert told.failure.kind is FailureKind.PROXY
    assert "percent-encoded" in told.failure.message
    monkeypatch.setenv("https_proxy", proxy.url(WRITTEN))
    bot.until(Ready)


def test_a_proxy_without_an_address(stage: Stage) -> None:
    bot = behind(stage, "http://no-such-proxy.invalid:3128").start()

    told = bot.until(Disconnected)
    assert told.failure is not None
    assert told.failure.kind is FailureKind.PROXY
    assert told.failure.message.startswith("the proxy cannot be reached: ")


# -- certificates ------------------------------------------------------------------------------------------------------


def test_a_proxy_whose_certificate_is_not_trusted_hears_nothing(stage: Stage, proxies: Proxies) -> None:
    proxy = proxies(stage, "https", LOGIN)
    bot = behind(stage, proxy.url(WRITTEN, host="localhost"), configuration_retry=0.3).start()

    error = bot.until(ConfigurationError)
    assert error.failure is not None
    assert error.failure.kind is FailureKind.TLS_UNTRUSTED
    assert error.hint.startswith("of the proxy: the certificate is not trusted: Hostname mismatch")
    assert "ssl_context=" in error.hint
    assert proxy.server.targets == []
    assert proxy.server.turned_away == 0


def test_a_gateway_whose_certificate_is_not_trusted_hears_nothing_through_a_proxy_either(
    stages: Callable[..., Stage], proxies: Proxies
) -> None:
    stage = stages(tls=server_context("other.example"))
    proxy = proxies(stage)
    bot = behind(stage, proxy.url(), configuration_retry=0.3).start()

    error = bot.until(ConfigurationError)
    assert error.failure is not None
    assert error.failure.kind is FailureKind.TLS_UNTRUSTED
    assert error.hint.startswith("the certificate is not trusted: ")
    assert stage.do(lambda: [bytes(link.from_client) for link in stage.gateway_way.inside.links]) == []
