"""What HTTP endpoints answer when something is wrong: the platform's errors, other people's pages, and nonsense."""

from __future__ import annotations

import json
from typing import Any

from qqproto.failures import Failure, FailureKind
from qqproto.protocol.rest import HTTPResponse


def _json(status: int, body: Any, **headers: str) -> HTTPResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPResponse(status, {"Content-Type": "application/json", **names}, json.dumps(body).encode())


def _error(code: int, status: int = 200) -> HTTPResponse:
    return _json(status, {"code": code, "message": "refused"})


_PAGE = b"<html><body>Sign in to the guest network</body></html>"
_WITH_LIMITS = {
    "url": "wss://gateway.test/websocket",
    "shards": "many",
    "session_start_limit": {"total": None, "remaining": -1, "reset_after": "soon", "max_concurrency": 0},
}

REPLIES: dict[str, HTTPResponse] = {
    **{f"error {code}": _error(code) for code in (100001, 100017, 20028, 11242, 11281, 500, 99999)},
    **{f"error {code}": _error(code, 401) for code in (11244, 11243, 11298, 11253)},
    "error 40023002": _json(401, {"code": 11298, "err_code": 40023002, "message": "not in whitelist"}),
    "error 1100100": _error(1100100, 429),
    "429": HTTPResponse(429, {}, b""),
    "429 for 20 s": _json(429, {"message": "slow down"}, Retry_After="20"),
    "429 until a date": HTTPResponse(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b""),
    "401": HTTPResponse(401, {}, b""),
    "407": HTTPResponse(407, {}, _PAGE),
    "502 page": HTTPResponse(502, {"Content-Type": "text/html"}, _PAGE),
    "503": HTTPResponse(503, {}, b""),
    "portal": HTTPResponse(200, {"Content-Type": "text/html"}, _PAGE),
    "redirect": HTTPResponse(302, {"Location": "http://login.test/"}, b""),
    "empty": HTTPResponse(200, {}, b""),
    "truncated": HTTPResponse(200, {}, b'{"access_token": "abc", "url": "wss://gat'),
    "no object": _json(200, ["access_token", "url"]),
    "null": _json(200, None),
    "no field": _json(200, {}),
    "wrong types": _json(200, {"access_token": 12, "expires_in": [], "url": {}}),
    "empty strings": _json(200, {"access_token": "", "expires_in": "", "url": ""}),
    "no gateway": _json(200, {"access_token": "a b\n", "url": "http://gateway.test/"}),
    "odd port": _json(200, {"access_token": None, "url": "wss://gateway.test:99999/"}),
    "deep": HTTPResponse(200, {}, b"[" * 50_000),
    "not UTF-8": HTTPResponse(200, {}, b'{"url": "\xff\xfe"}'),
}
"""By name, whole replies that anything may get. None of them may end a bot."""

LIMITS = HTTPResponse(200, {}, json.dumps(_WITH_LIMITS).encode())
"""``/gateway/bot``'s, with an address that is good and numbers that are not."""

LIVES: tuple[Any, ...] = ("0", -5, None, "soon", "1222.5", 1e300, [], 61)
"""``expires_in`` as it should not be; the token that comes with it is good."""

FATAL = (100016, 100007, 10004, 11265, 11245)
"""Error codes after which only a person can help."""

FAILURES: dict[str, Failure] = {
    kind.value: Failure(kind, "made up") for kind in FailureKind if kind not in (FailureKind.RATE_LIMITED,)
}
"""By name, what the network does to a dial or an exchange."""
