"""What to do about what an examination finds: one sentence for each thing that can be wrong."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from qqproto.conversation import Ending
from qqproto.failures import Failure, FailureKind
from qqproto.protocol.close_codes import Phase, Verdict, row_of
from qqproto.protocol.intents import INTENTS, Intents
from qqproto.protocol.rest import error_row
from qqproto.recovery import CONFLICT_HINT, IDENTIFY_HINT, KIND_HINTS
from qqproto.wire.proxies import Proxy
from qqproto_transports._doctor_certificates import EXPIRED, NOT_YET_VALID, OTHER_NAME, UNKNOWN_ISSUER
from qqproto_transports._doctor_look import Seen
from qqproto_transports._doctor_time import REMEDY as SET_THE_CLOCK
from qqproto_transports._doctor_time import TOLERATED
from qqproto_transports._doctor_time import describe as describe_clock

_NOT_ALLOWED = (11298, 40023002)
_TAKEN_OVER = 4902
_IN_A_WHILE = "this is the platform's own trouble: try again in a few minutes"
_LIMITED = (
    "wait a few minutes; then see what asks so often: a bot that is restarted over and over, or another program with"
    " the same AppID"
)
_NO_WORD = (
    "somebody on the way may let no WebSocket pass (a proxy, a firewall): try another network; otherwise it is the"
    " platform's own trouble: try again in a few minutes"
)


@dataclass(slots=True)
class Target:
    """What is to be reached, and by what; ``origin`` says where the address comes from, ``variable`` names what names
    the proxy."""

    url: str
    origin: str
    proxy: Proxy | None = None
    variable: str | None = None

    @property
    def host(self) -> str:
        """The host's name."""
        return urlsplit(self.url).hostname or ""

    @property
    def authority(self) -> str:
        """Host and port as in the URL."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


# -- the way -----------------------------------------------------------------------------------------------------------


def of_choice(target: Target) -> str:
    """The proxy's address is none."""
    return f"correct {target.variable}"


def of_network(failure: Failure, target: Target) -> str:
    """A step on the way to ``target`` failed."""
    match failure.kind:
        case FailureKind.PROXY:
            return _of_proxy(failure, target)
        case FailureKind.PROXY_AUTH:
            return f"{KIND_HINTS[failure.kind]}; here it is {target.variable}"
        case FailureKind.TLS_UNTRUSTED:
            return KIND_HINTS[failure.kind]
        case FailureKind.DNS:
            return (
                f"{target.origin}; see whether this machine's name servers know it (nslookup {target.host}); where"
                " names are looked up by a proxy alone, name the proxy in https_proxy"
            )
        case FailureKind.REFUSED:
            return f"{target.origin}: nothing listens at {target.authority}, or a firewall answers for it"
        case FailureKind.TLS:
            return (
                f"{target.origin}: what answers at {target.authority} may speak no TLS, or a firewall on the way"
                " interferes; try another network or a proxy"
            )
        case _:
            return (
                f"{target.origin}; see whether this machine gets out at all (curl -v {_as_http(target.url)}): a"
                f" firewall may drop or cut what goes to {target.authority}; where a network has a proxy, name it in"
                " https_proxy"
            )


def _of_proxy(failure: Failure, target: Target) -> str:
    if failure.http_status == 403:
        return f"have {target.authority} allowed by whoever runs the proxy, or exempt it with no_proxy"
    if failure.http_status is not None:
        return (
            f"ask the proxy itself: curl -v -x {target.proxy} {_as_http(target.url)}; or exempt the host with no_proxy"
        )
    return (
        f"start the proxy {target.proxy}, or correct {target.variable}, which names it; if there is no proxy any more,"
        f" unset {target.variable}"
    )


def _as_http(url: str) -> str:
    """The root of a URL's host, as curl takes it."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme in ('wss', 'https') else 'http'}://{parts.netloc.rpartition('@')[2]}/"


def of_certificate(verify_code: int, seen: Seen, target: Target, *, of_host: bool) -> tuple[str, str]:
    """A certificate is not trusted: what that comes to, if more is known, and what to do."""
    whose, name = ("the host", target.authority) if of_host else ("the proxy", str(target.proxy))
    certificate = seen.certificate
    if verify_code in (EXPIRED, NOT_YET_VALID):
        if seen.clock_ahead is not None and abs(seen.clock_ahead) > TOLERATED:
            return describe_clock(seen.clock_ahead, target.host), SET_THE_CLOCK
        clock = "if this machine's clock is right" if seen.clock_ahead is None else "this machine's clock is right"
        return "", f"{clock}: whoever runs {name} has to renew its certificate"
    if verify_code in OTHER_NAME:
        return (
            f"somebody else answers for {name}",
            f"{target.origin}; on a network that has to be logged in to (a captive portal), log in with a browser",
        )
    if verify_code in UNKNOWN_ISSUER:
        issuer = certificate.issuer if certificate is not None else "its issuer"
        return (
            f"{whose}'s certificate is signed by {issuer}, whom this machine does not trust",
            "if that is your company's proxy or an antivirus program, which reads along: write its root certificate"
            " into a file and name the file in SSL_CERT_FILE (in a program: ssl_context=); if it is a public"
            " authority, install this machine's root certificates (the package ca-certificates)",
        )
    return "", KIND_HINTS[FailureKind.TLS_UNTRUSTED]


# -- the platform's HTTP endpoints -------------------------------------------------------------------------------------


def of_reply(failure: Failure, target: Target) -> str:
    """An exchange with one of the platform's endpoints failed."""
    if failure.code is not None:
        if failure.code in _NOT_ALLOWED:
            return _of_allowlist(failure, target)
        hint = error_row(failure.code).hint
        return hint or (_LIMITED if failure.kind is FailureKind.RATE_LIMITED else _IN_A_WHILE)
    if failure.kind is FailureKind.RATE_LIMITED:
        return _LIMITED
    if failure.kind in (FailureKind.HTTP_STATUS, FailureKind.OTHER):
        return (
            f"{target.origin}: what answers at {target.authority} is not the QQ platform; a proxy, or the login page"
            " of a network (a captive portal), may answer in its place"
        )
    return of_network(failure, target)


def meaning(failure: Failure) -> str:
    """What a reply says, for people: what it means first."""
    if failure.code is None:
        return failure.message
    return f"{error_row(failure.code).meaning}: {failure.message}"


def _of_allowlist(failure: Failure, target: Target) -> str:
    seen = next(iter(_addresses(failure.message)), None)
    if seen is not None:
        what = f"add {seen}, the address that the platform saw,"
    elif target.proxy is not None:
        what = f"add the public IPv4 address of the proxy {target.proxy}, which the platform sees in place of yours,"
    else:
        what = "add this machine's public IPv4 address (your router's or your provider's, if it has none of its own)"
    return f"{what} to the IP allowlist on the bot's page in the QQ console; the sandbox asks for none"


def _addresses(text: str) -> list[str]:
    """The IP addresses that a text names."""
    found = []
    for word in re.findall(r"[0-9A-Fa-f:.]*[0-9A-Fa-f]", text):
        try:
            found.append(str(ipaddress.ip_address(word)))
        except ValueError:
            continue
    return found


# -- the gateway -------------------------------------------------------------------------------------------------------


def of_ending(ending: Ending, intents: Intents, target: Target) -> tuple[str, str]:
    """The connection to the gateway ended: why, and what to do."""
    text, failure = _why(ending), ending.failure
    if ending.phase is Phase.AUTH and (ending.identify_refused or ending.code in (4013, 4014)):
        hint = row_of(ending.code).hint if ending.code in (4013, 4014) and ending.code is not None else IDENTIFY_HINT
        what = "the intents" if ending.code in (4013, 4014) else "it seems that the intents"
        return f"{what} {_names(intents)} are refused: {text}", f"{hint}. Who may have them: {_permissions(intents)}"
    if ending.code == _TAKEN_OVER:
        return text, CONFLICT_HINT
    if ending.verdict is Verdict.STOP and ending.code is not None:
        return text, row_of(ending.code).hint
    if ending.verdict is Verdict.REFRESH_TOKEN:
        return text, "the gateway refuses the access token: try again, and if it stays so, renew the AppSecret"
    if failure is not None and failure.kind is FailureKind.HTTP_STATUS:
        return text, (
            f"what answers at {target.authority} gives no WebSocket: a proxy on the way may not know them; the platform"
            " itself refuses on a bad day, so try again in a few minutes"
        )
    if failure is not None and failure.kind is FailureKind.RATE_LIMITED:
        return text, _LIMITED
    if failure is not None and failure.kind in (FailureKind.RESET, FailureKind.EOF, FailureKind.TIMEOUT):
        return text, _NO_WORD
    return text, _IN_A_WHILE


def of_silence(failure: Failure) -> str:
    """The gateway does not say what is waited for."""
    return _NO_WORD


def _why(ending: Ending) -> str:
    if ending.code is not None:
        said = f", which says: {ending.reason}" if ending.reason else ""
        return f"the gateway closed with {ending.code}, {row_of(ending.code).meaning}{said}"
    if ending.failure is not None:
        return ending.failure.message
    return "the gateway said that the session is invalid (op 9)"


def _names(intents: Intents) -> str:
    return " ".join(intents.names)


def _permissions(intents: Intents) -> str:
    """Who may have the intents that were asked for, so that a person sees which of them is the one."""
    rows = [row for row in INTENTS if row.intent & intents]
    unknown = Intents(int(intents) & ~sum(int(row.intent) for row in rows))
    told = [f"{_names(row.intent)}: {row.permission}" for row in rows]
    told += [f"{_names(unknown)}: not documented"] if unknown else []
    return "; ".join(told)
