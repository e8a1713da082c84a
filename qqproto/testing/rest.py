"""The platform's HTTP endpoints: what they answer to whom, and with which error bodies they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.testing.behaviour import next_fault, reply
from qqproto.testing.bots import FakeBot
from qqproto.testing.registry import Registry, Request
from qqproto.testing.replies import SentMessage
from qqproto.testing.wording import timestamp

# code -> message, as the platform words them (openapi/error/error.html and the pages of the endpoints; 11255 and
# 11273 as seen on the wire).
_MESSAGES = {
    11244: "token not exist or expire",
    11245: "fixed token auth is disabled",
    11255: "invalid request",
    11273: "user token is not supported",
    304018: "the bot has no gateway connection",
    304061: "message content is invalid",
    340069: "message type is invalid",
    1100100: "too many requests",
    40034005: "msg_id expired",
    40034024: "msg_id is invalid or not yours",
    40034025: "event_id is invalid",
    40034026: "event_id expired",
    40034128: "too late for a passive reply, or too many of them",
    40054005: "duplicate msg_id+msg_seq",
}
_CONTENT_FIELDS = {0: "content", 2: "markdown", 3: "ark", 4: "embed", 6: "input_notify", 7: "media"}


class _Refused(Exception):
    """An endpoint refuses a request; the reply says why."""

    def __init__(self, response: HTTPResponse) -> None:
        super().__init__(response.status)
        self.response = response


Handler: TypeAlias = Callable[["RestApi", HTTPRequest, list[str], float], HTTPResponse]


class RestApi:
    """Answers HTTP requests for a :class:`~qqproto.testing.FakePlatform`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def handle(self, request: HTTPRequest, now: float) -> HTTPResponse:
        """The reply; the request and its status are noted."""
        path = _path(request.url)
        fault = next_fault(self._registry.behaviour.http, path)
        try:
            response = fault.response if fault is not None else self._route(request, path, now)
        except _Refused as refused:
            response = refused.response
        self._registry.requests.append(Request(now, request.method, path, response.status))
        trace = {"X-Tps-trace-ID": self._trace()}
        return HTTPResponse(response.status, {**trace, **response.headers}, response.body)

    def _route(self, request: HTTPRequest, path: str, now: float) -> HTTPResponse:
        allowed = []
        for method, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found is not None and method == request.method:
                return handler(self, request, [unquote(name) for name in found.groups()], now)
            if found is not None:
                allowed.append(method)
        if allowed:
            return reply(405, {"code": 405, "message": f"{path} takes {allowed[0]}"}, Allow=", ".join(allowed))
        return reply(404, {"code": 404, "message": f"no such API: {path}"})

    # -- the token and the gateway --------------------------------------------------------------------------------

    def _token(self, request: HTTPRequest, _: list[str], now: float) -> HTTPResponse:
        """Errors come with status 200; a body that is not sent as JSON has no AppID (zhinjs/qq-official-bot#88)."""
        body = _json_object(request)
        app_id = body.get("appId") if body is not None else None
        if body is None or not isinstance(app_id, str) or not app_id:
            return reply(200, {"code": 100007, "message": "appid invalid"})
        bot = self._registry.bots.get(app_id)
        if bot is None or body.get("clientSecret") != bot.secret:
            return reply(200, {"code": 100016, "message": "invalid appid or secret"})
        token, life = bot.access_token(now)
        return reply(200, {"access_token": token, "expires_in": str(max(1, int(life)))})

    def _gateway(self, request: HTTPRequest, _: list[str], now: float) -> HTTPResponse:
        self._count(self._authenticate(request, now), "/gateway", now)
        return reply(200, {"url": self._registry.gateway_url})

    def _gateway_bot(self, request: HTTPRequest, _: list[str], now: float) -> HTTPResponse:
        bot = self._authenticate(request, now)
        self._count(bot, "/gateway/bot", now)
        limits = bot.limits(now)
        url = self._registry.gateway_url
        return reply(200, {"url": url, "shards": bot.shards, "session_start_limit": limits})

    def _count(self, bot: FakeBot, path: str, now: float) -> None:
        if not bot.call(path, now):
            self._registry.blame(None, f"GET {path} more than twice a minute, after ten in a burst", now)
            raise self._error(429, 1100100)

    def _me(self, request: HTTPRequest, _: list[str], now: float) -> HTTPResponse:
        return reply(200, self._authenticate(request, now).user)

    # -- what bots send -------------------------------------------------------------------------------------------

    def _send_v2(self, request: HTTPRequest, names: list[str], now: float) -> HTTPResponse:
        """To a user or a group."""
        bot, body = self._authenticate(request, now), self._body(request)
        kind = body.get("msg_type", 0)
        if type(kind) is not int or kind not in _CONTENT_FIELDS:
            raise self._error(400, 340069)
        if not body.get(_CONTENT_FIELDS[kind]):
            raise self._error(400, 304061)
        number = body.get("msg_seq", 1)
        if type(number) is not int:
            raise self._error(400, 11255)
        self._use_reply(names[0], body, number, now)
        id = self._sent(bot, names, body, now)
        return reply(200, {"id": id, "timestamp": timestamp(now)})

    def _send_guild(self, request: HTTPRequest, names: list[str], now: float) -> HTTPResponse:
        """To a channel or a direct message; the bot has to be on the gateway, and there is no ``msg_seq``."""
        bot, body = self._authenticate(request, now), self._body(request)
        if not any(session.live for session in self._registry.sessions.values() if session.app_id == bot.app_id):
            raise self._error(400, 304018)
        if not any(body.get(field) for field in ("content", "embed", "ark", "image", "markdown")):
            raise self._error(400, 304061)
        number = len(self._registry.messages)
        self._use_reply(names[0], body, number, now)
        place, target = names
        id = self._sent(bot, names, body, now)
        where = {"channel_id": target} if place == "channels" else {"guild_id": target}
        message = {"id": id, **where, "content": body.get("content", ""), "timestamp": timestamp(now)}
        return reply(200, {**message, "author": bot.user})

    def _acknowledge(self, request: HTTPRequest, names: list[str], now: float) -> HTTPResponse:
        self._authenticate(request, now)
        body = self._body(request)
        if type(body.get("code")) is not int:
            raise self._error(400, 11255)
        self._registry.acknowledged.setdefault(names[0], []).append(body["code"])
        return HTTPResponse(204, {}, b"")

    # -- small things ---------------------------------------------------------------------------------------------

    def _authenticate(self, request: HTTPRequest, now: float) -> FakeBot:
        """The bot whose token the request has; ``QQBot`` is the one form in force."""
        wanted = "authorization"
        value = next((value for name, value in request.headers.items() if name.lower() == wanted), "")
        scheme, _, token = value.partition(" ")
        if scheme == "Bot":
            raise self._error(401, 11245)
        if scheme == "Bearer":
            raise self._error(401, 11273)
        bot = self._registry.bot_of(token, now) if scheme == "QQBot" else None
        if bot is None:
            raise self._error(401, 11244)
        return bot

    def _body(self, request: HTTPRequest) -> dict[str, Any]:
        body = _json_object(request)
        if body is None:
            raise self._error(400, 11255)
        return body

    def _use_reply(self, place: str, body: dict[str, Any], number: int, now: float) -> None:
        message_id, event_id = body.get("msg_id"), body.get("event_id")
        for id in (message_id, event_id):
            if id is not None and not isinstance(id, str):
                raise self._error(400, 11255)
        code = self._registry.replies.use(
            place, message_id=message_id or None, event_id=event_id or None, number=number, now=now
        )
        if code is not None:
            raise self._error(400, code)

    def _sent(self, bot: FakeBot, names: list[str], body: dict[str, Any], now: float) -> str:
        id = f"ROBOT1.0_{self._registry.new_id()}"
        self._registry.messages.append(SentMessage(now, bot.app_id, names[0], names[1], body, id))
        return id

    def _error(self, status: int, code: int) -> _Refused:
        """The platform's error body; the new eight-digit numbers are told twice (error.html)."""
        body: dict[str, Any] = {"message": _MESSAGES[code], "code": code}
        if code >= 10_000_000:
            body["err_code"] = code
        return _Refused(reply(status, {**body, "trace_id": self._trace()}))

    def _trace(self) -> str:
        return self._registry.new_id().rjust(32, "0")


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", r"/app/getAppAccessToken", RestApi._token),
    ("GET", r"/gateway", RestApi._gateway),
    ("GET", r"/gateway/bot", RestApi._gateway_bot),
    ("GET", r"/users/@me", RestApi._me),
    ("POST", r"/v2/(groups|users)/([^/]+)/messages", RestApi._send_v2),
    ("POST", r"/(channels|dms)/([^/]+)/messages", RestApi._send_guild),
    ("PUT", r"/interactions/([^/]+)", RestApi._acknowledge),
)


def _path(url: str) -> str:
    """The path of a URL, or of the target of a request line."""
    if url.startswith("/"):
        return url.partition("?")[0]
    try:
        return urlsplit(url).path
    except ValueError:
        return url


def _json_object(request: HTTPRequest) -> dict[str, Any] | None:
    """The body, None if it is not sent as JSON or is no object."""
    kind = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
