"""How a bot gets out: what a host may say of proxies, and what comes of it."""

from __future__ import annotations

import ssl
import sys
import traceback

import pytest

from qqproto import FailureKind
from qqproto.wire.proxies import Proxy, ProxyKind
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed

URL = "wss://gateway.example/websocket"
HERE = Proxy(ProxyKind.HTTP, "p.example", 3128)
SECRET = "hunter2secret"


def test_by_default_the_environment_is_asked_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    egress = Egress()

    assert egress.choose(URL) is None
    monkeypatch.setenv("https_proxy", "http://p.example:3128")
    assert egress.choose(URL) == HERE
    monkeypatch.setenv("no_proxy", "gateway.example")
    assert egress.choose(URL) is None
    assert egress.choose("https://elsewhere.example/") == HERE
    assert not egress.blocks


def test_none_is_none_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "http://p.example:3128")

    assert Egress(None).choose(URL) is None


def test_a_url_is_for_everything_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")

    assert Egress("http://p.example:3128").choose(URL) == HERE


def test_a_callable_is_asked_anew_each_time_and_may_say_no() -> None:
    asked: list[str] = []

    def decide(url: str) -> str | None:
        asked.append(url)
        return "p.example:3128" if url.startswith("wss:") else None

    egress = Egress(decide)

    assert egress.blocks
    assert egress.choose(URL) == HERE
    assert egress.choose("https://api.example/") is None
    assert asked == [URL, "https://api.example/"]


def test_a_callable_that_says_something_else_is_a_bug() -> None:
    egress = Egress(lambda url: 3128)  # type: ignore[arg-type,return-value]  # the mistake that is meant

    with pytest.raises(TypeError, match="must return a URL or None, not int"):
        egress.choose(URL)


def test_a_mistake_of_the_hosts_is_told_at_once_without_the_password() -> None:
    with pytest.raises(ValueError, match="neither http://, https://, socks5:// nor socks5h://") as caught:
        Egress(f"socks4://bot:{SECRET}@p.example")
    assert SECRET not in "".join(traceback.format_exception(caught.value))

    with pytest.raises(TypeError, match="'env', None, a URL or a callable, not int"):
        Egress(3128)  # type: ignore[arg-type]  # the mistake that is meant


def test_a_mistake_in_the_environment_is_a_failure_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://bot:{SECRET}@p.example:port")

    with pytest.raises(Failed) as caught:
        Egress().choose(URL)

    assert caught.value.failure.kind is FailureKind.PROXY
    assert "its port is no number" in caught.value.failure.message
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_what_a_socks_proxy_needs_is_missed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)

    Egress("http://p.example:3128")
    with pytest.raises(ImportError, match=r"pip install 'qqproto\[socks\]'"):
        Egress("socks5://p.example")


def test_certificates_are_verified_unless_the_host_has_a_context_of_its_own() -> None:
    ours, theirs = Egress(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    assert ours.context() is ours.context()
    assert ours.context().verify_mode is ssl.CERT_REQUIRED
    assert ours.context().check_hostname
    assert Egress(ssl_context=theirs).context() is theirs
