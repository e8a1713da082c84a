"""Which proxy stands before which address, by curl's rules; tests/real asks curl itself."""

from __future__ import annotations

import traceback
from ipaddress import ip_address
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto.wire.proxies import Decision, Proxy, ProxyKind, decide, is_exempt, parse_proxy, proxy_for

P, Q = "http://p.example:1", "http://q.example:2"

VARIABLES: list[tuple[str, dict[str, str], str | None]] = [
    # Lower case goes before upper case, the scheme's own before all_proxy.
    ("https://a.example", {}, None),
    ("https://a.example", {"https_proxy": P}, P),
    ("https://a.example", {"HTTPS_PROXY": P}, P),
    ("https://a.example", {"https_proxy": P, "HTTPS_PROXY": Q}, P),
    ("https://a.example", {"https_proxy": P, "all_proxy": Q}, P),
    ("https://a.example", {"HTTPS_PROXY": P, "all_proxy": Q}, P),
    ("https://a.example", {"all_proxy": P, "ALL_PROXY": Q}, P),
    ("https://a.example", {"ALL_PROXY": P}, P),
    ("https://a.example", {"http_proxy": P}, None),
    ("https://a.example", {"ws_proxy": P, "wss_proxy": P}, None),
    # An empty one is not set.
    ("https://a.example", {"https_proxy": "", "HTTPS_PROXY": P}, P),
    ("https://a.example", {"https_proxy": "", "HTTPS_PROXY": "", "all_proxy": P}, P),
    # HTTP_PROXY is what a CGI program is given by whoever asks it.
    ("http://a.example", {"http_proxy": P}, P),
    ("http://a.example", {"HTTP_PROXY": P}, None),
    ("http://a.example", {"HTTP_PROXY": P, "ALL_PROXY": Q}, Q),
    ("http://a.example", {"https_proxy": P, "HTTPS_PROXY": P}, None),
    # no_proxy goes before NO_PROXY, and an empty one is not set.
    ("https://a.example", {"https_proxy": P, "no_proxy": "a.example"}, None),
    ("https://a.example", {"https_proxy": P, "NO_PROXY": "a.example"}, None),
    ("https://a.example", {"https_proxy": P, "no_proxy": "b.example", "NO_PROXY": "a.example"}, P),
    ("https://a.example", {"https_proxy": P, "no_proxy": "", "NO_PROXY": "a.example"}, None),
    ("https://a.example", {"all_proxy": P, "no_proxy": "a.example"}, None),
]

WEBSOCKETS: list[tuple[str, dict[str, str], str | None]] = [
    # libcurl-env(3): ws_proxy and wss_proxy, and if they are not set, those of http and https. Since curl 8.
    ("wss://a.example", {"https_proxy": P}, P),
    ("wss://a.example", {"HTTPS_PROXY": P}, P),
    ("wss://a.example", {"wss_proxy": P, "https_proxy": Q}, P),
    ("wss://a.example", {"WSS_PROXY": P, "https_proxy": Q}, P),
    ("wss://a.example", {"https_proxy": P, "all_proxy": Q}, P),
    ("wss://a.example", {"ALL_PROXY": P}, P),
    ("wss://a.example", {"http_proxy": P, "ws_proxy": P}, None),
    ("ws://a.example", {"http_proxy": P}, P),
    ("ws://a.example", {"HTTP_PROXY": P}, None),
    ("ws://a.example", {"ws_proxy": P, "http_proxy": Q}, P),
    ("ws://a.example", {"WS_PROXY": P, "http_proxy": Q}, P),
    ("ws://a.example", {"all_proxy": P}, P),
    ("ws://a.example", {"https_proxy": P, "HTTPS_PROXY": P, "wss_proxy": P}, None),
    ("wss://a.example", {"https_proxy": P, "no_proxy": "a.example"}, None),
]

OUR_OWN: list[tuple[str, dict[str, str], str | None]] = [
    ("https://a.example", {"https_proxy": "  ", "HTTPS_PROXY": f" {P}\n"}, P),
    ("ftp://a.example", {"all_proxy": P, "ftp_proxy": P}, None),
    ("https://[half", {"https_proxy": P}, None),
    ("https://a.example:x", {"https_proxy": P}, None),
]


@pytest.mark.parametrize(("url", "environment", "expected"), [*VARIABLES, *WEBSOCKETS, *OUR_OWN])
def test_which_variable_counts(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert proxy_for(url, environment) == expected


@pytest.mark.parametrize(
    ("environment", "decision"),
    [
        ({}, Decision()),
        ({"no_proxy": "a.example"}, Decision()),
        ({"HTTPS_PROXY": P, "all_proxy": Q}, Decision(P, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": P, "no_proxy": "b.example"}, Decision(P, "HTTPS_PROXY")),
        ({"https_proxy": " ", "all_proxy": Q, "no_proxy": "a.example"}, Decision(None, "all_proxy", "no_proxy")),
        ({"https_proxy": P, "no_proxy": "", "NO_PROXY": "*"}, Decision(None, "https_proxy", "NO_PROXY")),
    ],
)
def test_the_variables_that_decided_are_named(environment: dict[str, str], decision: Decision) -> None:
    assert decide("wss://a.example", environment) == decision
    assert P not in repr(decision), "it may hold a password"


def test_an_address_that_cannot_be_read_has_no_decision() -> None:
    assert decide("https://[half", {"https_proxy": P}) == Decision()


EXEMPT: list[tuple[str, str, bool]] = [
    # host, no_proxy, whether it is exempt
    ("a.example", "a.example", True),
    ("a.example", "A.EXAMPLE", True),
    ("A.Example", "a.example", True),
    ("a.example", "b.example", False),
    ("www.a.example", "a.example", True),
    ("www.a.example", ".a.example", True),
    ("x.www.a.example", "a.example", True),
    ("a.example", ".a.example", True),
    ("nota.example", "a.example", False),
    ("a.example", "www.a.example", False),
    ("a.example", "example", True),
    ("a.example", "xample", False),
    ("a.example", "a.exampl", False),
    ("a.example", "a.example.com", False),
    ("a.example", "a.example.", True),
    ("a.example.", "a.example", True),
    ("a.example.", "a.example.", True),
    ("a.example", ".a.example.", True),
    ("a.example", ".", False),
    ("a.example", "..a.example", False),
    ("a.example", "b.example,a.example", True),
    ("a.example", "b.example, a.example", True),
    ("a.example", "b.example ,a.example", True),
    ("a.example", "b.example,,a.example", True),
    ("a.example", " a.example ", True),
    ("a.example", "a.example,", True),
    ("a.example", "*", True),
    ("10.0.0.1", "*", True),
    ("a.example", "*,b.example", False),
    ("a.example", "b.example,*", False),
    ("a.example", "*.example", False),
    ("localhost", "localhost", True),
    ("localhost", "127.0.0.1", False),
    ("127.0.0.1", "localhost", False),
    ("127.0.0.1", "127.0.0.1", True),
    ("127.0.0.1", "127.0.0.1,b.example", True),
    ("127.0.0.1", "b.example,127.0.0.1", True),
    ("10.0.0.1", "0.0.1", False),
    ("10.0.0.1", ".0.0.1", False),
    ("10.1.2.3", "10.0.0.0/8", True),
    ("10.1.2.3", "10.9.9.9/8", True),
    ("11.1.2.3", "10.0.0.0/8", False),
    ("192.168.2.1", "192.168.0.0/16", True),
    ("192.168.2.1", "192.168.0.0/23", False),
    ("192.168.1.1", "192.168.0.0/23", True),
    ("192.168.0.1", "192.168.0.1/32", True),
    ("192.168.0.2", "192.168.0.1/32", False),
    ("192.168.0.1", "192.168.0.0/33", False),
    ("192.168.0.1", "192.168.0.0/x", False),
    ("a.example", "10.0.0.0/8", False),
    ("::1", "::1", True),
    ("::1", "0:0::1", True),
    ("::1", "::2", False),
    ("2001:db8::1", "2001:db8::/32", True),
    ("2001:db9::1", "2001:db8::/32", False),
    ("2001:db8::1", "2001:db8::/129", False),
    ("::1", "127.0.0.0/8", False),
    ("127.0.0.1", "::/8", False),
]

EXEMPT_HERE: list[tuple[str, str, bool]] = [
    ("a.example", "a.example:443", True),
    ("a.example", "a.example:0443", True),
    ("a.example", "a.example:8443", False),
    ("a.example", "a.example:x", False),
    ("a.example", "b.example a.example", True),
    ("a.example", "b.example\ta.example\n", True),
    ("a.example", " * ", True),
    ("www.a.example", ".a.example:443", True),
    ("10.0.0.1", "10.0.0.0/8:443", True),
    ("10.0.0.1", "10.0.0.0/8:80", False),
    ("10.0.0.1", "0.0.0.0/0", True),
    ("::1", "[::1]", True),
    ("::1", "[::1]:443", True),
    ("::1", "[::1]:80", False),
    ("::1", "[::]/64", True),
    ("::1", "[::1", False),
    ("::1", "::/0", True),
    ("[::1]", "::1", True),
    ("a.example", "[a.example]", True),
    ("a.example", "", False),
    ("a.example", " , ", False),
]


@pytest.mark.parametrize(("host", "no_proxy", "exempt"), [*EXEMPT, *EXEMPT_HERE])
def test_whom_no_proxy_means(host: str, no_proxy: str, exempt: bool) -> None:
    assert is_exempt(host, 443, no_proxy) is exempt
    url = f"wss://[{host}]" if ":" in host and not host.startswith("[") else f"wss://{host}"
    assert (proxy_for(url, {"https_proxy": P, "no_proxy": no_proxy}) is None) is exempt


def test_a_port_that_is_not_written_is_the_schemes() -> None:
    environment = {"all_proxy": P, "no_proxy": "a.example:80"}

    assert proxy_for("ws://a.example/websocket", environment) is None
    assert proxy_for("ws://a.example:8080/websocket", environment) == P
    assert proxy_for("wss://a.example/websocket", environment) == P
    assert proxy_for("wss://a.example:80/websocket", environment) is None


# -- whatever is set ---------------------------------------------------------------------------------------------------

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).filter(
    lambda label: not (label.startswith("-") or label.endswith("-"))
)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: not name[-1].isdigit())
ADDRESSES = st.ip_addresses().map(str)
JUNK = st.text(max_size=20)


@given(JUNK, st.dictionaries(st.sampled_from(["https_proxy", "all_proxy", "no_proxy", "NO_PROXY"]), JUNK))
def test_whatever_is_set_nothing_is_raised(url: str, environment: dict[str, str]) -> None:
    proxy_for(url, environment)
    proxy_for(f"wss://{url}", environment)


@given(NAMES, NAMES, st.sampled_from(["", "."]), st.sampled_from(["", "."]), st.booleans())
def test_a_name_exempts_itself_and_what_is_under_it(
    name: str, other: str, before: str, behind: str, upper: bool
) -> None:
    entry = before + (name.upper() if upper else name) + behind

    assert is_exempt(name, 443, entry)
    assert is_exempt(f"{other}.{name}", 443, entry)
    assert is_exempt(name, 443, f"{entry}:443")
    assert not is_exempt(name, 443, f"{entry}:80")
    assert not is_exempt(f"x{name}", 443, entry)
    assert not is_exempt(name, 443, f"{other}.{entry}")


@given(st.one_of(NAMES, ADDRESSES), st.lists(st.one_of(NAMES, ADDRESSES, JUNK)), st.integers(0, 9), JUNK)
def test_a_list_exempts_what_one_of_its_entries_does(host: str, entries: list[str], place: int, blank: str) -> None:
    plain = [entry for entry in entries if not set(entry) & set(", \t\n") and entry.strip() and entry.strip() != "*"]
    whole = ", ".join(plain)

    assert is_exempt(host, 443, whole) is any(is_exempt(host, 443, entry) for entry in plain if entry != "*")
    assert is_exempt(host, 443, ",".join([*plain[:place], host, *plain[place:]]))


@given(ADDRESSES, st.integers(0, 128))
def test_a_network_exempts_its_addresses(address: str, bits: int) -> None:
    length = ip_address(address).max_prefixlen
    network = f"{address}/{bits}"

    assert is_exempt(address, 443, network) is (bits <= length)
    assert not is_exempt("gateway.example", 443, network)


# -- a proxy's address -------------------------------------------------------------------------------------------------

HTTP, HTTPS, SOCKS5 = ProxyKind.HTTP, ProxyKind.HTTPS, ProxyKind.SOCKS5


@pytest.mark.parametrize(
    ("url", "proxy", "shown"),
    [
        ("http://p.example:3128", Proxy(HTTP, "p.example", 3128), "http://p.example:3128"),
        ("http://p.example:3128/", Proxy(HTTP, "p.example", 3128), "http://p.example:3128"),
        ("HTTP://P.Example:3128", Proxy(HTTP, "p.example", 3128), "http://p.example:3128"),
        (" http://p.example:3128\n", Proxy(HTTP, "p.example", 3128), "http://p.example:3128"),
        ("p.example:3128", Proxy(HTTP, "p.example", 3128), "http://p.example:3128"),
        ("bot:pw@p.example:3128", Proxy(HTTP, "p.example", 3128, b"bot", b"pw"), "http://p.example:3128"),
        ("http://p.example", Proxy(HTTP, "p.example", 1080), "http://p.example:1080"),
        ("https://p.example", Proxy(HTTPS, "p.example", 443), "https://p.example:443"),
        ("https://p.example:8443", Proxy(HTTPS, "p.example", 8443), "https://p.example:8443"),
        ("socks5://p.example", Proxy(SOCKS5, "p.example", 1080), "socks5://p.example:1080"),
        ("socks5h://p.example:9050", Proxy(SOCKS5, "p.example", 9050), "socks5://p.example:9050"),
        ("http://10.0.0.1:3128", Proxy(HTTP, "10.0.0.1", 3128), "http://10.0.0.1:3128"),
        ("http://[::1]:3128", Proxy(HTTP, "::1", 3128), "http://[::1]:3128"),
        ("http://[::1]", Proxy(HTTP, "::1", 1080), "http://[::1]:1080"),
        ("http://bot:pw@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", b"pw"), "http://p.example:1"),
        ("http://bot@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", b""), "http://p.example:1"),
        ("http://bot:@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", b""), "http://p.example:1"),
        ("http://:pw@p.example:1", Proxy(HTTP, "p.example", 1, b"", b"pw"), "http://p.example:1"),
        ("http://b%40t:p%3Aw%2F%25@p.example:1", Proxy(HTTP, "p.example", 1, b"b@t", b"p:w/%"), "http://p.example:1"),
        ("http://bot:a:b@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", b"a:b"), "http://p.example:1"),
        ("http://bot:a@b@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", b"a@b"), "http://p.example:1"),
        ("http://bot:%FF%00@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", b"\xff\0"), "http://p.example:1"),
        ("http://bot:密@p.example:1", Proxy(HTTP, "p.example", 1, b"bot", "密".encode()), "http://p.example:1"),
        ("socks5://b%3At:pw@p.example:1", Proxy(SOCKS5, "p.example", 1, b"b:t", b"pw"), "socks5://p.example:1"),
    ],
)
def test_what_a_proxys_address_says(url: str, proxy: Proxy, shown: str) -> None:
    parsed = parse_proxy(url)

    assert parsed == proxy
    assert str(parsed) == shown


SECRET = "hunter2secret"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "it names no host"),
        ("http://", "it names no host"),
        (f"http://bot:{SECRET}@", "it names no host"),
        (f"http://bot:{SECRET}@:3128", "it names no host"),
        (f"socks4://bot:{SECRET}@p.example:1", "neither http://, https://, socks5:// nor socks5h://"),
        (f"ftp://bot:{SECRET}@p.example", "neither http://, https://, socks5:// nor socks5h://"),
        (f"http://bot:{SECRET}@p.example:port", "its port is no number"),
        (f"http://bot:{SECRET}@p.example:65536", "its port is no number"),
        (f"http://bot:{SECRET}@p.example:-1", "its port is no number"),
        (f"http://bot:{SECRET}@p.example:0", "its port is 0"),
        (f"http://bot:{SECRET}/x@p.example:1", "its port is no number"),
        (f"http://bot:1/{SECRET}@p.example:1", "an @ behind its host"),
        (f"http://bot:1#{SECRET}@p.example:1", "an @ behind its host"),
        (f"http://bot:1?{SECRET}@p.example:1", "an @ behind its host"),
        (f"http://bot:[{SECRET}@p.example:1", "it is no URL"),
        (f"http://bot:{SECRET}\u2100@p.example:1", "it is no URL"),
        (f"http://bot:{SECRET}@p..example:1", "its host is no name and no address"),
        (f"http://bot:{SECRET}@p example:1", "its host is no name and no address"),
        (f"http://bot:{SECRET}@p%2Fexample:1", "its host is no name and no address"),
        (f"http://bot:{SECRET}@{'p' * 64}:1", "its host is no name and no address"),
        (f"http://b%3Aot:{SECRET}@p.example:1", "a user name for Basic authentication has no colon"),
        (f"socks5://{'b' * 256}:{SECRET}@p.example:1", "from 1 to 255 bytes"),
        (f"socks5://:{SECRET}@p.example:1", "from 1 to 255 bytes"),
        (f"socks5://bot:{SECRET}{'b' * 256}@p.example:1", "at most 255 bytes"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_with_what_to_do(url: str, what: str) -> None:
    with pytest.raises(ValueError, match="the proxy's address cannot be used") as caught:
        parse_proxy(url)

    assert what in str(caught.value)
    assert "percent-encoded" in str(caught.value)
    # Nor may a traceback have it, which shows what an exception was raised from.
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown


def test_no_repr_has_a_secret() -> None:
    proxy = parse_proxy(f"http://bot{SECRET}:{SECRET}@p.example:3128")

    assert proxy.password == SECRET.encode()
    assert SECRET not in repr(proxy) + str(proxy)


@given(st.one_of(JUNK, st.builds("{}://{}".format, st.sampled_from(["http", "https", "socks5"]), JUNK)))
def test_whatever_the_address_is_it_is_an_address_or_a_mistake(url: str) -> None:
    try:
        proxy = parse_proxy(url)
    except ValueError:
        return
    assert proxy.host
    assert 0 < proxy.port < 65536


@given(st.binary(min_size=1, max_size=30), st.binary(max_size=30), st.sampled_from(["http", "https", "socks5"]))
def test_credentials_come_back_as_they_were_encoded(username: bytes, password: bytes, scheme: str) -> None:
    if scheme != "socks5":
        username = username.replace(b":", b";")
    url = f"{scheme}://{quote(username, safe='')}:{quote(password, safe='')}@p.example:3128"

    proxy = parse_proxy(url)

    assert (proxy.username, proxy.password) == (username, password)
