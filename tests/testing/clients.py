"""Clients of the fake platform, written by hand: they say what a test wants, right or wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qqproto import Abort, CloseConnection, Framing, HTTPRequest, HTTPResponse, SendData, SendText
from qqproto.testing import FakeBot, FakeConversation, FakePlatform

INTENTS = 1 << 25


def drain(platform: FakePlatform) -> list[SendData | SendText | CloseConnection | Abort]:
    """Everything the platform has to say."""
    outputs = []
    while (output := platform.next_output()) is not None:
        outputs.append(output)
    return outputs


def post(platform: FakePlatform, path: str, body: Any, now: float = 0.0, *, token: str | None = None) -> HTTPResponse:
    """POST ``body`` as JSON."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"QQBot {token}"
    return platform.handle_request(
        HTTPRequest("POST", f"https://api.test{path}", headers, json.dumps(body).encode()), now
    )


def get(
    platform: FakePlatform, path: str, now: float = 0.0, *, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    """GET with these headers."""
    return platform.handle_request(HTTPRequest("GET", f"https://api.test{path}", headers or {}, b""), now)


def decoded(response: HTTPResponse) -> Any:
    """The JSON of a reply."""
    return json.loads(response.body)


def fetch_token(platform: FakePlatform, now: float = 0.0, bot: FakeBot | None = None) -> str:
    """An access token, the way every client gets one."""
    bot = bot or platform.bot
    response = post(platform, "/app/getAppAccessToken", {"appId": bot.app_id, "clientSecret": bot.secret}, now)
    token: str = decoded(response)["access_token"]
    return token


class TextClient:
    """One WebSocket in framing TEXT."""

    def __init__(self, platform: FakePlatform, now: float = 0.0, *, bot: FakeBot | None = None) -> None:
        self.platform = platform
        self.token = f"QQBot {fetch_token(platform, now, bot)}"
        self.id = platform.connect(now, Framing.TEXT)
        self.heard: list[dict[str, Any]] = []
        self.ended: CloseConnection | Abort | None = None
        self.listen()

    @property
    def talk(self) -> FakeConversation:
        """The platform's side of it."""
        return next(talk for talk in self.platform.conversations if talk.id == self.id)

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame, None without one."""
        return self.ended.code if isinstance(self.ended, CloseConnection) else None

    def listen(self) -> list[dict[str, Any]]:
        """What the gateway has said since the last time, decoded."""
        news = []
        for output in drain(self.platform):
            if output.id != self.id:
                continue
            if isinstance(output, SendText):
                news.append(json.loads(output.text))
            elif isinstance(output, SendData):
                news.append(json.loads(output.data))
            else:
                self.ended = output
        self.heard += news
        return news

    def say_raw(self, message: str | bytes, now: float) -> list[dict[str, Any]]:
        """Say this as it is; returns the answers."""
        self.platform.receive_message(self.id, message, now)
        return self.listen()

    def say(self, op: int, d: Any, now: float) -> list[dict[str, Any]]:
        """Say an envelope; returns the answers."""
        return self.say_raw(json.dumps({"op": op, "d": d}), now)

    def identify(self, now: float, **changes: Any) -> list[dict[str, Any]]:
        """Identify, with ``changes`` to what is right."""
        return self.say(2, {"token": self.token, "intents": INTENTS, "shard": [0, 1], **changes}, now)

    def resume(self, session_id: str, seq: Any, now: float, **changes: Any) -> list[dict[str, Any]]:
        """Resume, with ``changes`` to what is right."""
        return self.say(6, {"token": self.token, "session_id": session_id, "seq": seq, **changes}, now)

    def beat(self, sequence: Any, now: float) -> list[dict[str, Any]]:
        """A heartbeat."""
        return self.say(1, sequence, now)

    def leave(self, code: int | None, now: float) -> None:
        """Close with ``code``; None: the stream ends without a close frame."""
        if code is None:
            self.platform.connection_lost(self.id, now)
        else:
            self.platform.connection_closed(self.id, code, now)


def online(platform: FakePlatform, now: float = 0.0, *, bot: FakeBot | None = None) -> TextClient:
    """A client with a live session."""
    client = TextClient(platform, now, bot=bot)
    assert [message["t"] for message in client.identify(now)] == ["READY"]
    return client
