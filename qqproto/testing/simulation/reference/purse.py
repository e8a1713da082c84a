"""Promise G6 for one Account: the budgets of the platform, as requests and Identifies are sent.

How the wording is read: what counts as "remaining" is what ``/gateway/bot`` last told this process, less the Identifies
that it has sent since then, until the day that it named is over. "In any 5 s" is any window of the policy's length, by
the process's clock, over all shards of the Account.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.verdict import demand

_EPSILON = 1e-6


class Purse:
    """Tokens, gateway information and Identifies of one process."""

    __slots__ = ("_asked", "_concurrency", "_filled", "_identifies", "_level", "_policy", "_refill_at", "_remaining",
                 "_slack", "gateway_asked_at", "gateway_told_at", "last_code", "token_asked_at")  # fmt: skip

    def __init__(self, policy: Policy, slack: float, now: float) -> None:
        self._policy = policy
        self._slack = slack
        self._asked: dict[int, tuple[str, float]] = {}
        self._level = float(policy.gateway_burst)
        self._filled = now
        self._identifies: deque[float] = deque(maxlen=256)
        self._concurrency = 1
        self._remaining: int | None = None
        self._refill_at = 0.0
        self.token_asked_at = self.gateway_asked_at = self.gateway_told_at = float("-inf")
        self.last_code: int | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._asked)

    def asked(self, id: int, endpoint: str, now: float) -> None:
        """A request went out to the "token" or the "gateway" endpoint."""
        twice = any(other == endpoint for other, _ in self._asked.values())
        demand(not twice, "G6", f"two requests to the {endpoint} endpoint at once")
        self._asked[id] = endpoint, now
        self.last_code = None
        if endpoint == "token":
            self.token_asked_at = now
            return
        policy = self._policy
        self._level = min(float(policy.gateway_burst), self._level + (now - self._filled) / policy.gateway_refill)
        self._filled = now
        demand(self._level >= 1.0 - _EPSILON, "G6", "one request to /gateway/bot too many for its bucket")
        self._level -= 1.0
        self.gateway_asked_at = now

    def cancelled(self, id: int) -> None:
        """The Account does not wait for this reply any more."""
        self._asked.pop(id, None)

    def answered(self, id: int, status: int, content: bytes, now: float) -> None:
        """A reply was handed to the Account."""
        endpoint, _ = self._asked.pop(id)
        body = _object(content)
        self.last_code = error_code(body)
        if endpoint == "gateway" and self.last_code is None and 200 <= status < 300 and _is_address(body.get("url")):
            self._learn(body.get("session_start_limit"), now)

    def failed(self, id: int) -> None:
        """A request failed, without a reply."""
        del self._asked[id]
        self.last_code = None

    def identified(self, now: float) -> None:
        """An Identify was sent."""
        window = self._policy.identify_window
        before = [at for at in self._identifies if now - at < window - _EPSILON]
        most = self._concurrency
        demand(len(before) < most, "G6", f"{len(before) + 1} Identifies within {window:g} s, where {most} may be sent")
        self._identifies.append(now)
        left = self.left(now)
        if left is not None:
            demand(left > 0, "G6", "an Identify, although the budget is spent")
            assert self._remaining is not None
            self._remaining -= 1

    def left(self, now: float) -> int | None:
        """How many Identifies may still be sent, None if that is not known."""
        if now >= self._refill_at - self._slack:
            self._remaining = None
        return self._remaining

    def check(self, now: float) -> None:
        """Raise if a request has been waited for too long."""
        for endpoint, at in self._asked.values():
            late = now - at - self._policy.http_timeout
            demand(late <= self._slack, "G4", f"a reply of the {endpoint} endpoint is awaited {late:.3f} s too long")

    def begin_anew(self, now: float) -> None:
        """The process goes on after a stall: a request may take until now."""
        timeout = self._policy.http_timeout
        self._asked = {id: (endpoint, max(at, now - timeout)) for id, (endpoint, at) in self._asked.items()}

    def _learn(self, limit: Any, now: float) -> None:
        self.gateway_told_at = now
        limit = limit if isinstance(limit, dict) else {}
        most = limit.get("max_concurrency")
        self._concurrency = most if type(most) is int and most > 0 else 1
        remaining, reset_after = limit.get("remaining"), limit.get("reset_after")
        self._remaining = remaining if type(remaining) is int and remaining >= 0 else None
        known = type(reset_after) is int and reset_after >= 0
        self._refill_at = now + (reset_after / 1000.0 if known else 86_400.0)


def error_code(body: dict[str, Any]) -> int | None:
    """The platform's error number in a reply's body; zero is none."""
    for key in ("err_code", "code"):
        if type(body.get(key)) is int and body[key]:
            code: int = body[key]
            return code
    return None


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _is_address(url: Any) -> bool:
    """Whether it is something that can be dialled."""
    return isinstance(url, str) and re.fullmatch(r"wss?://[^\s/:]+(:[1-9]\d{0,3})?(/\S*)?", url) is not None
