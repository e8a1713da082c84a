"""The HTTP endpoints a gateway connection needs: what is asked, what is read out of the replies, what errors mean."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from qqproto.failures import Failure, FailureKind
from qqproto.protocol.close_codes import StopReason


@dataclass(slots=True)
class HTTPRequest:
    """One request. Headers and body hold secrets and appear in no repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class HTTPResponse:
    """One reply, its body whole. Header names are matched without regard to case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The value of a header, None if it is not there."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@dataclass(slots=True)
class GatewayInfo:
    """What ``/gateway/bot`` says (gateway.html): where to connect, with how many shards, and the identify budget.

    ``remaining`` of ``total`` sessions may still be started, all of them again in ``reset_after`` seconds, and
    ``max_concurrency`` in any five seconds. None where the platform did not say.
    """

    url: str
    shards: int = 1
    total: int | None = None
    remaining: int | None = None
    reset_after: float | None = None
    max_concurrency: int = 1


class RestVerdict(enum.Enum):
    """What an error of the platform's HTTP endpoints allows."""

    RETRY = "retry"
    """An incident or a limit: again, with backoff."""
    REFRESH = "refresh"
    """The token was refused: once more with another one; refused again, it is as ``CONFIGURATION`` if there is a hint
    for people, and as ``RETRY`` otherwise."""
    CONFIGURATION = "configuration"
    """A person can mend it: told once, tried again slowly."""
    STOP = "stop"
    """Only a person can mend it, and no retry will notice."""


@dataclass(frozen=True, slots=True)
class RestError:
    """One row: what an error code means, what follows, and who says so."""

    code: int
    meaning: str
    verdict: RestVerdict
    source: str
    reason: StopReason | None = None
    hint: str = ""


_ERRORS = "openapi/error/error.html"
_TOKEN = "dev-prepare/access-token.html"
_CHECK_BOTH = "check AppID and AppSecret against the bot's page in the QQ console"

_ROWS = (
    RestError(100016, "wrong AppID or AppSecret", RestVerdict.STOP, _TOKEN, StopReason.CREDENTIALS, _CHECK_BOTH),
    RestError(
        100007, "AppID invalid, or the bot was deleted or banned", RestVerdict.STOP, _TOKEN, StopReason.CREDENTIALS,
        f"{_CHECK_BOTH}; the bot may have been deleted or banned",
    ),
    RestError(
        10004, "the robot does not exist", RestVerdict.STOP, _TOKEN, StopReason.CREDENTIALS,
        f"{_CHECK_BOTH}; the bot may have been deleted",
    ),
    RestError(100001, "too many requests", RestVerdict.RETRY, f"{_TOKEN}"),
    RestError(100017, "too many requests", RestVerdict.RETRY, "Reasonix#7816"),
    RestError(11244, "the token is missing or expired", RestVerdict.REFRESH, _ERRORS),
    *(
        RestError(code, "the token or the AppID is wrong", RestVerdict.REFRESH, _ERRORS, hint=_CHECK_BOTH)
        for code in (11241, 11243, 11251, 11261, 11275)
    ),
    *(
        RestError(code, "a check on the server failed", RestVerdict.RETRY, _ERRORS)
        for code in (11242, 11252, 11263, 11281)
    ),
    RestError(
        11245, "fixed bot tokens are switched off", RestVerdict.STOP, "satori#381", StopReason.CREDENTIALS,
        "the platform takes access tokens only: give AppID and AppSecret, not the old bot token",
    ),
    RestError(
        11265, "the bot is banned", RestVerdict.STOP, _ERRORS, StopReason.BANNED,
        "the platform has banned this bot: see its page in the QQ console",
    ),
    *(
        RestError(
            code, "no privilege for this interface", RestVerdict.CONFIGURATION, _ERRORS,
            hint="the bot may not use this interface: see its permissions in the QQ console",
        )
        for code in (11253, 11254, 11262, 11264, 11282)
    ),
    *(
        RestError(
            code, "this address is not on the bot's IP allowlist", RestVerdict.CONFIGURATION, _ERRORS,
            hint="add this machine's public IPv4 address to the IP allowlist on the bot's page in the QQ console",
        )
        for code in (11298, 40023002)
    ),
    *(
        RestError(code, "rate limited", RestVerdict.RETRY, _ERRORS)
        for code in (20028, 22009, 1100100, 1100308, 40034100)
    ),
    *(RestError(code, "the server failed", RestVerdict.RETRY, _ERRORS) for code in (500, 504, 50055001)),
)  # fmt: skip

REST_ERRORS: dict[int, RestError] = {row.code: row for row in _ROWS}
"""Every error code that the token and gateway endpoints are known to answer with."""

_RATE_LIMITS = frozenset((100001, 100017, 20028, 22009, 1100100, 1100308, 40034100))

SHORT_TOKEN_LIFE = 60.0
"""The life taken for a token whose ``expires_in`` is missing or absurd: the minute the old one stays valid for."""

LONGEST_FOREIGN_WAIT = 300.0
"""The longest Retry-After that is heeded, in seconds, where the reply is not the platform's JSON."""

LONGEST_TOKEN_LIFE = 7200.0
"""The longest life the platform gives (access-token.html)."""

_LARGEST_COUNT = 1 << 53


def error_row(code: int) -> RestError:
    """The table's row for ``code``; an unknown code is a configuration error: told, and retried slowly."""
    known = REST_ERRORS.get(code)
    if known is not None:
        return known
    hint = f"the platform answered with an error that is not in our table ({code}); look it up in its documentation"
    return RestError(code, "unknown error of the platform", RestVerdict.CONFIGURATION, "none", hint=hint)


def verdict_of(failure: Failure) -> RestVerdict:
    """What a failed exchange allows. Only the platform's own error body is a verdict; a bare status never is."""
    if failure.code is None:
        return RestVerdict.RETRY
    return error_row(failure.code).verdict


def token_request(url: str, *, app_id: str, secret: str) -> HTTPRequest:
    """``POST /app/getAppAccessToken`` (access-token.html). A form body would be answered with 100007."""
    body = json.dumps({"appId": app_id, "clientSecret": secret}).encode()
    return HTTPRequest("POST", url, {"Content-Type": "application/json", "Accept": "application/json"}, body)


def gateway_request(api_base: str, *, app_id: str, authorization: str) -> HTTPRequest:
    """``GET /gateway/bot`` (gateway.html). X-Union-Appid is sent as botpy and botgo do."""
    headers = {"Authorization": authorization, "X-Union-Appid": app_id, "Accept": "application/json"}
    return HTTPRequest("GET", f"{api_base.rstrip('/')}/gateway/bot", headers, b"")


def parse_token(response: HTTPResponse, *, hide: str = "") -> tuple[str, float] | Failure:
    """The access token and its remaining life in seconds, or why there is none.

    Errors come with status 200 and a JSON body with ``code`` and ``message``; ``expires_in`` comes as string or number
    (access-token.html says number and shows a string). ``hide`` is what no message may repeat, should the server do so.
    """
    body = _json_object(response)
    if isinstance(body, Failure):
        return body
    value = body.get("access_token")
    if _error_code(body) is not None or not 200 <= response.status < 300:
        return _failure(response, body, hide)
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        return Failure(FailureKind.OTHER, "the token reply has no usable access_token", response.status)
    return value, _token_life(body.get("expires_in"))


def parse_gateway(response: HTTPResponse, *, hide: str = "") -> GatewayInfo | Failure:
    """The gateway information, or why there is none. A missing ``session_start_limit`` or part of it is tolerated.

    ``hide`` is what no message may repeat, should the server do so.
    """
    body = _json_object(response)
    if isinstance(body, Failure):
        return body
    if _error_code(body) is not None or not 200 <= response.status < 300:
        return _failure(response, body, hide)
    url = body.get("url")
    if not isinstance(url, str) or not usable_gateway_url(url):
        return Failure(FailureKind.OTHER, "the gateway reply has no ws:// or wss:// url", response.status)
    limit = body.get("session_start_limit")
    if not isinstance(limit, dict):
        limit = {}
    reset_after = _count(limit.get("reset_after"))
    return GatewayInfo(
        url=url,
        shards=max(1, _count(body.get("shards")) or 1),
        total=_count(limit.get("total")),
        remaining=_count(limit.get("remaining")),
        reset_after=None if reset_after is None else min(reset_after / 1000.0, 86_400.0),
        max_concurrency=max(1, _count(limit.get("max_concurrency")) or 1),
    )


def usable_gateway_url(url: str) -> bool:
    """Whether ``url`` can be dialled: ``ws://`` or ``wss://``, and :func:`usable_url`."""
    return usable_url(url, ("ws", "wss"))


def usable_url(url: str, schemes: Collection[str]) -> bool:
    """Whether ``url`` has one of ``schemes``, a host, a port from 1 on if any, and nothing that breaks a request."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        # As the Host header will be encoded: an empty or an endless label fails here and not in the handshake.
        parts.netloc.rpartition("@")[2].encode("idna")
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _json_object(response: HTTPResponse) -> dict[str, Any] | Failure:
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    return _failure(response, {}, "")


def _failure(response: HTTPResponse, body: dict[str, Any], hide: str) -> Failure:
    code = _error_code(body)
    limited = response.status == 429 or code in _RATE_LIMITS
    kind = FailureKind.RATE_LIMITED if limited else FailureKind.HTTP_STATUS
    message = f"HTTP {response.status}"
    if code is not None:
        said = body.get("message")
        message += f", error {code}: {_shown(said, hide)[:200] if isinstance(said, str) else error_row(code).meaning}"
    else:
        message += " without the platform's JSON; a proxy or a captive portal may have answered"
    trace = response.header("X-Tps-trace-ID") or body.get("trace_id")
    if isinstance(trace, str) and trace:
        message += f" (trace {_shown(trace, hide)[:64]})"
    wait = retry_after(response.header("Retry-After"))
    if wait is not None and code is None:
        # Not the platform's word: a proxy does not keep a bot offline for a day.
        wait = min(wait, LONGEST_FOREIGN_WAIT)
    return Failure(kind, message, response.status, code, wait)


def _shown(text: str, hide: str) -> str:
    return text.replace(hide, "[hidden]") if hide else text


def _error_code(body: dict[str, Any]) -> int | None:
    """``err_code``, else ``code`` (error.html); zero is success."""
    for key in ("err_code", "code"):
        value = body.get(key)
        if type(value) is int and value != 0:
            return value
    return None


def retry_after(value: str | None) -> float | None:
    """The header Retry-After in seconds; its date form, which needs a wall clock, is not read. A day at most."""
    if value is None or not value.strip().isdecimal():
        return None
    return min(float(value), 86_400.0)


def _token_life(value: Any) -> float:
    try:
        seconds = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        seconds = 0.0
    if not math.isfinite(seconds) or seconds < 1.0:
        return SHORT_TOKEN_LIFE
    return min(seconds, LONGEST_TOKEN_LIFE)


def _count(value: Any) -> int | None:
    """A count; brought into a range that floats can reckon with, as an integer of four hundred digits is legal JSON."""
    return min(value, _LARGEST_COUNT) if type(value) is int and value >= 0 else None
