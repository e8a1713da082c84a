"""Which proxy stands before which address, as curl decides it, and what a proxy's own address says.

Pure: the environment is an argument. The rules are curl's (libcurl-env(3), curl(1) under ENVIRONMENT, and
lib/noproxy.c), because they can be tried out with ``curl -v``. The differences, each because other tools of the field
do so and curl has no other meaning for it: an entry of ``no_proxy`` may name a port (``internal.example:8443``), may
stand in brackets (``[::1]``), entries may be separated by blanks alone, and ``/0`` is every address.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

_VARIABLES = {
    # http_proxy is read in lower case alone: HTTP_PROXY is a header that any client sends to a CGI program.
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
    "ws": ("ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"),
    "wss": ("wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
"""Where the proxy for a scheme is looked for; the first that is set counts (libcurl-env(3))."""


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The address of the proxy through which ``url`` is to be reached, None for none. It never raises.

    >>> proxy_for("wss://api.sgroup.qq.com/websocket", {"HTTPS_PROXY": "http://10.0.0.1:3128", "NO_PROXY": "a.example"})
    'http://10.0.0.1:3128'
    """
    return decide(url, environment).proxy


@dataclass(frozen=True, slots=True)
class Decision:
    """Which proxy, None for none, and why: ``variable`` names one, None if none does, and ``exempted_by`` takes it back
    for this address."""

    proxy: str | None = field(default=None, repr=False)
    variable: str | None = None
    exempted_by: str | None = None


def decide(url: str, environment: Mapping[str, str]) -> Decision:
    """What :func:`proxy_for` says, with the variables that decided it.

    >>> decide("https://api.sgroup.qq.com/", {"all_proxy": "socks5://10.0.0.1", "no_proxy": "qq.com"}).exempted_by
    'no_proxy'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return Decision()
    variable, proxy = _first(environment, *_VARIABLES.get(parts.scheme, ()))
    exempting, no_proxy = _first(environment, "no_proxy", "NO_PROXY")
    if proxy is not None and is_exempt(host, port or _PORTS.get(parts.scheme), no_proxy):
        return Decision(None, variable, exempting)
    return Decision(proxy, variable)


_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def _first(environment: Mapping[str, str], *names: str) -> tuple[str, str] | tuple[None, None]:
    """The first of these variables that is set, and its value; an empty one is not."""
    values = ((name, environment.get(name, "").strip()) for name in names)
    return next(((name, value) for name, value in values if value), (None, None))


# -- no_proxy ----------------------------------------------------------------------------------------------------------


def is_exempt(host: str, port: int | None, no_proxy: str | None) -> bool:
    """Whether ``no_proxy`` says that ``host`` is reached without a proxy.

    It is ``*`` alone, or a list of names, each with all names under it, and of addresses and networks; upper and lower
    case, a dot before a name and one behind it make no difference.

    >>> is_exempt("api.corp.example", 443, "localhost, .Corp.example, 10.0.0.0/8")
    True
    >>> is_exempt("notcorp.example", 443, "corp.example")
    False
    """
    if not no_proxy:
        return False
    if no_proxy.strip() == "*":
        return True
    host = host.strip("[]")
    return any(_matches(entry, host, port) for entry in re.split(r"[\s,]+", no_proxy))


def _matches(entry: str, host: str, port: int | None) -> bool:
    bracketed = re.fullmatch(r"\[([^]]*)\](/\d+)?(?::(\d+))?", entry)
    with_port = re.fullmatch(r"([^:]*):(\d+)", entry)
    if bracketed:
        entry, wanted = bracketed[1] + (bracketed[2] or ""), bracketed[3]
    elif with_port:
        entry, wanted = with_port[1], with_port[2]
    else:
        wanted = None
    if wanted is not None and wanted.lstrip("0") != str(port):
        return False
    address = _address(host)
    return _is_under(host, entry) if address is None else _is_within(address, entry)


def _is_under(host: str, name: str) -> bool:
    host, name = _plain(host), _plain(name).removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _is_within(address: IPv4Address | IPv6Address, network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


# -- a proxy's address -------------------------------------------------------------------------------------------------


class ProxyKind(enum.Enum):
    """How a proxy is spoken to."""

    HTTP = "http"
    """CONNECT."""
    HTTPS = "https"
    """CONNECT over TLS, which verifies the proxy."""
    SOCKS5 = "socks5"
    """SOCKS5; the proxy looks names up. curl means that by ``socks5h``, and by ``socks5`` that they are looked up here;
    whoever sits behind such a proxy is often told lies by the name servers on this side of it."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address, taken apart. ``username`` None: it wants no credentials."""

    kind: ProxyKind
    host: str
    port: int
    username: bytes | None = field(default=None, repr=False)
    password: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        """Its address without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind.value}://{host}:{self.port}"


_KINDS = {
    "http": (ProxyKind.HTTP, 1080),
    "https": (ProxyKind.HTTPS, 443),
    "socks5": (ProxyKind.SOCKS5, 1080),
    "socks5h": (ProxyKind.SOCKS5, 1080),
}
"""What each scheme means, and its port if none is given, which is curl's (CURLOPT_PROXY(3))."""

_LONGEST = 255
"""Bytes of a SOCKS5 user name or password (RFC 1929 §2)."""


def parse_proxy(url: str) -> Proxy:
    """What ``url`` says. An address without a scheme is an HTTP proxy's, as for curl.

    Raises :class:`ValueError` that tells what to do, and repeats nothing of it: it may hold a password.

    >>> str(parse_proxy("http://bot:a%2Fb@proxy.example:3128"))
    'http://proxy.example:3128'
    """
    parts = _split(url.strip())
    if parts.scheme not in _KINDS:
        raise _mistake("it begins with neither http://, https://, socks5:// nor socks5h://")
    kind, port = _KINDS[parts.scheme]
    try:
        host, port = parts.hostname or "", parts.port if parts.port is not None else port
    except ValueError:
        raise _mistake("its port is no number up to 65535") from None
    if not host or port == 0:
        raise _mistake("it names no host" if not host else "its port is 0")
    if not _is_name(host):
        raise _mistake("its host is no name and no address")
    if "@" in parts.path + parts.query + parts.fragment:
        raise _mistake("there is an @ behind its host")
    username, password = _credentials(parts)
    _check_credentials(kind, username, password)
    return Proxy(kind, host, port, username, password)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        raise _mistake("it is no URL") from None


def _is_name(host: str) -> bool:
    """Whether a Host header could name it: an empty or an endless label fails here and not while dialling."""
    try:
        return host.isprintable() and not set(host) & set(' "<>\\^`{|}%') and bool(host.encode("idna"))
    except UnicodeError:
        return False


def _credentials(parts: SplitResult) -> tuple[bytes | None, bytes]:
    given = parts.netloc.rpartition("@")[0]
    username, _, password = given.partition(":")
    return (unquote_to_bytes(username), unquote_to_bytes(password)) if given else (None, b"")


def _check_credentials(kind: ProxyKind, username: bytes | None, password: bytes) -> None:
    if kind is not ProxyKind.SOCKS5:
        if username is not None and b":" in username:
            raise _mistake("a user name for Basic authentication has no colon (RFC 7617)")
    elif username is not None and not 0 < len(username) <= _LONGEST:
        raise _mistake(f"a user name for SOCKS5 has from 1 to {_LONGEST} bytes (RFC 1929)")
    elif len(password) > _LONGEST:
        raise _mistake(f"a password for SOCKS5 has at most {_LONGEST} bytes (RFC 1929)")


def _mistake(what: str) -> ValueError:
    return ValueError(
        f"the proxy's address cannot be used: {what}. Write it like http://user:password@proxy.example:3128, special"
        " characters of the user name and the password percent-encoded (@ as %40, / as %2F)"
    )
