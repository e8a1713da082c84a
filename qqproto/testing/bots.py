"""What the fake platform knows about one bot: its secret, its tokens, its budgets."""

from __future__ import annotations

from collections import deque
from typing import Any

_IDENTIFY_WINDOW = 5.0
_DAY = 86_400.0
_CALLS_BURST = 10.0


class FakeBot:
    """A bot as the platform has it on file.

    ``secret`` is what the token endpoint wants. ``total`` sessions may be started a day, ``max_concurrency`` of them in
    any five seconds (websocket.html). ``intents`` are the bits that it may ask for, None for all. ``shards`` is what
    ``/gateway/bot`` recommends, ``min_shards`` what is demanded of an Identify (close code 4011). After a burst the
    gateway endpoints may be called every ``call_every`` seconds. All of it may be changed at any time, ``remaining``
    too. The secret and the tokens appear in no repr.
    """

    def __init__(
        self,
        app_id: str = "11111111",
        secret: str = "the-secret-of-a-fake-bot",
        *,
        username: str = "fake bot",
        total: int = 1500,
        max_concurrency: int = 1,
        shards: int = 1,
    ) -> None:
        self.app_id = app_id
        self.secret = secret
        self.user: dict[str, Any] = {"id": f"9{app_id}", "username": username, "bot": True}
        self.total = total
        self.remaining = total
        self.max_concurrency = max_concurrency
        self.shards = shards
        self.min_shards = 1
        self.intents: int | None = None
        self.token_life = 7200.0
        self.call_every = 30.0
        self._tokens: dict[str, float] = {}
        self._current: str | None = None
        self._issued = 0
        self._refill_at: float | None = None
        self._started: deque[float] = deque()
        self._calls: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"FakeBot({self.app_id!r})"

    # -- the access token -----------------------------------------------------------------------------------------

    def access_token(self, now: float) -> tuple[str, float]:
        """The token that a request gets now, and its remaining life in seconds.

        The same one to every caller until its last minute, then a new one, while the old one stays valid
        (access-token.html).
        """
        current = self._current
        if current is None or self._tokens[current] - now <= 60.0:
            self._tokens = {value: expires for value, expires in self._tokens.items() if expires > now}
            self._issued += 1
            current = self._current = f"fake-access-token-{self._issued}-of-{self.app_id}"
            self._tokens[current] = now + self.token_life
        return current, self._tokens[current] - now

    def takes(self, token: str, now: float) -> bool:
        """Whether ``token`` is valid now."""
        return self._tokens.get(token, now) > now

    def revoke_tokens(self) -> None:
        """Every token given out so far is worth nothing; the next request gets a new one."""
        self._tokens.clear()
        self._current = None

    # -- the budgets ----------------------------------------------------------------------------------------------

    def limits(self, now: float) -> dict[str, int]:
        """``session_start_limit`` as ``/gateway/bot`` tells it, ``reset_after`` in milliseconds."""
        self._refill(now)
        reset_after = _DAY if self._refill_at is None else self._refill_at - now
        return {
            "total": self.total,
            "remaining": max(0, self.remaining),
            "reset_after": round(reset_after * 1000),
            "max_concurrency": self.max_concurrency,
        }

    def start_session(self, now: float, slack: float) -> str | None:
        """Count an Identify; returns what is wrong with it, None if it keeps to both limits.

        ``slack`` is by how much the network may have moved it towards an earlier one.
        """
        self._refill(now)
        if self._refill_at is None:
            self._refill_at = now + _DAY
        self.remaining -= 1
        # A microsecond is left to the arithmetic of clocks that began somewhere else.
        recent = [at for at in self._started if now - at < _IDENTIFY_WINDOW - slack - 1e-6]
        self._started = deque((*recent, now), maxlen=max(1, self.max_concurrency) + 1)
        if self.remaining < 0:
            return f"an Identify beyond the day's budget of {self.total}"
        if len(recent) >= self.max_concurrency:
            return f"{len(recent) + 1} Identifies within 5 s, where max_concurrency is {self.max_concurrency}"
        return None

    def set_remaining(self, remaining: int, reset_after: float, now: float) -> None:
        """Only ``remaining`` sessions may be started in the next ``reset_after`` seconds."""
        self.remaining, self._refill_at = remaining, now + reset_after

    def call(self, path: str, now: float) -> bool:
        """Count a call of a gateway endpoint: two a minute, ten in a burst (gateway.html). False if it is too many."""
        level, at = self._calls.get(path, (_CALLS_BURST, now))
        level = min(_CALLS_BURST, level + (now - at) / self.call_every)
        allowed = level >= 1.0 - 1e-6
        self._calls[path] = (level - 1.0 if allowed else level, now)
        return allowed

    def _refill(self, now: float) -> None:
        if self._refill_at is not None and now >= self._refill_at:
            self.remaining, self._refill_at = self.total, None
