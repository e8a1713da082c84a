"""The HTTP endpoints of the simulation: tokens, gateway information, and everything that they answer instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qqproto.failures import Failure, FailureKind
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.testing.simulation.bodies import FAILURES, LIMITS, LIVES, REPLIES

if TYPE_CHECKING:
    from qqproto.testing.simulation.desk import Desk
    from qqproto.testing.simulation.world import World

_DAY = 86_400.0
_OVERLAP = 60.0
_URL = "wss://gateway.test/websocket"


class Endpoints:
    """What the platform knows of one bot: its tokens and its identify budget."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tokens: dict[str, float] = {}
        self._current = ""
        self._issued = 0
        self._left = world.script.budget
        self._refill_at = _DAY

    # -- for the gateway and the script ---------------------------------------------------------------------------

    def takes(self, authorization: str) -> bool:
        """Whether this is a token in force, as it has to be written."""
        return self._tokens.get(authorization.removeprefix("QQBot "), 0.0) > self._world.now

    def revoke(self) -> None:
        """No token is worth anything any more."""
        self._tokens.clear()
        self._current = ""

    def spend_identify(self) -> bool:
        """Count an Identify; False if there are none left."""
        self._refill()
        self._left -= 1
        return self._left >= 0

    def set_budget(self, left: int, reset_after: float) -> None:
        self._left, self._refill_at = left, self._world.now + reset_after

    # -- requests -------------------------------------------------------------------------------------------------

    def ask(self, desk: Desk, id: int, request: HTTPRequest) -> str:
        """A request goes out; returns the endpoint's name. What comes of it is told to the desk in time."""
        world = self._world
        name = "token" if request.method == "POST" else "gateway"
        outcome, delay = self._outcome(name, request)
        if outcome is not None:
            world.at(world.now + delay, desk.done, id, outcome)
        return name

    def _outcome(self, name: str, request: HTTPRequest) -> tuple[HTTPResponse | Failure | None, float]:
        """What the request leads to, None for nothing, and after how long."""
        world = self._world
        delay = 2.0 * world.latency
        if world.on("offline"):
            return Failure(FailureKind.DNS, "offline"), delay
        expelled = world.on("expelled")
        if expelled is not None and name == "token":
            body = {"code": expelled.value, "message": "expelled"}
            return HTTPResponse(200, {}, json.dumps(body).encode()), delay
        fault = next((fault for fault in world.active.get("http", ()) if fault.value[0] in (name, "both")), None)
        if fault is None:
            return self._reply(name, request), delay
        what: str = fault.value[1]
        if what == "hang":
            return None, 0.0
        if what.startswith("slow "):
            return self._reply(name, request), delay + float(what[5:])
        if what.startswith("life ") and name == "token":
            return self._token(LIVES[int(what[5:])]), delay
        if what == "odd limits" and name == "gateway":
            return LIMITS, delay
        other = FAILURES.get(what) or REPLIES.get(what)
        return other if other is not None else self._reply(name, request), delay

    def _reply(self, name: str, request: HTTPRequest) -> HTTPResponse:
        if name == "token":
            return self._token(None)
        if not self.takes(request.headers.get("Authorization", "")):
            return HTTPResponse(401, {}, b'{"code":11244,"message":"token not exist or expire"}')
        self._refill()
        script = self._world.script
        limits = {
            "total": script.budget,
            "remaining": max(0, self._left),
            "reset_after": round((self._refill_at - self._world.now) * 1000.0),
            "max_concurrency": script.concurrency,
        }
        body = {"url": _URL, "shards": script.shards, "session_start_limit": limits}
        return HTTPResponse(200, {}, json.dumps(body).encode())

    def _token(self, life: Any) -> HTTPResponse:
        """The same token until its last minute, then a new one, while the old one stays valid."""
        now, current = self._world.now, self._current
        if self._tokens.get(current, 0.0) - now <= _OVERLAP:
            self._tokens = {token: expires for token, expires in self._tokens.items() if expires > now}
            self._issued += 1
            current = self._current = f"token-{self._issued}"
            self._tokens[current] = now + self._world.script.token_life
        left = str(int(self._tokens[current] - now))
        body = {"access_token": current, "expires_in": left if life is None else life}
        return HTTPResponse(200, {}, json.dumps(body).encode())

    def _refill(self) -> None:
        if self._world.now >= self._refill_at:
            self._left = self._world.script.budget
            self._refill_at = self._world.now + _DAY
