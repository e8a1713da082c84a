"""The platform's side of webhooks: requests to a bot's callback address, signed as the platform signs them."""

from __future__ import annotations

import json
from typing import Any

from qqproto.protocol.opcodes import Opcode
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.testing.bots import FakeBot
from qqproto.wire.signatures import SIGNATURE, SigningKey


class FakeCallbacks:
    """What the platform posts to a bot's callback address (webhook.html, sign.html); needs the package cryptography.

    Each method makes one request, to be sent by whoever can: to a :class:`~qqproto.webhook.Webhook`, to a framework's
    test client, or over a socket. The address has been proved to be the bot's when :meth:`confirms` has said so of the
    answer to :meth:`validation`. The platform delivers an event again, with a new signature, when it is not
    acknowledged: :meth:`again`. Raises ImportError without cryptography.

    >>> from qqproto import Credentials
    >>> from qqproto.webhook import Webhook
    >>> bot = FakeBot()
    >>> callbacks, hook = FakeCallbacks(bot), Webhook(Credentials(bot.app_id, bot.secret))
    >>> request = callbacks.dispatch("FRIEND_ADD", {"openid": "U"}, unix_time=1725442341.0)
    >>> hook.handle(request.headers, request.body, 1725442341.0).dispatches[0].data
    {'openid': 'U'}
    """

    def __init__(self, bot: FakeBot, url: str = "https://bot.test/callback") -> None:
        SigningKey(bot.secret)  # Without cryptography it says so now, and not at the first event.
        self.bot = bot
        self.url = url
        self._sent = 0
        self._token = ""
        self._asked_at = ""

    def validation(self, unix_time: float) -> HTTPRequest:
        """Op 13: is this the bot's address? Unsigned, as the documentation shows it."""
        self._sent += 1
        # The platform's tokens are random; what counts is that each is another one.
        self._token = f"FakePlainToken{self._sent:06}"
        self._asked_at = str(int(unix_time))
        data = {"plain_token": self._token, "event_ts": self._asked_at}
        return self._request(json.dumps({"d": data, "op": int(Opcode.CALLBACK_VALIDATION)}).encode(), {})

    def confirms(self, response: HTTPResponse) -> bool:
        """Whether this is the right answer to the last :meth:`validation`."""
        try:
            answer = json.loads(response.body)
        except ValueError:
            return False
        if response.status != 200 or not isinstance(answer, dict) or answer.get("plain_token") != self._token:
            return False
        signature = str(answer.get("signature"))
        key = SigningKey(self.bot.secret)
        return bool(SIGNATURE.fullmatch(signature)) and key.verifies(signature, self._asked_at, self._token.encode())

    def dispatch(self, type: str, data: Any, unix_time: float, *, id: str | None = None) -> HTTPRequest:
        """An event. ``id`` is the event's, by default a new one."""
        self._sent += 1
        event_id = f"{type}:fake-callback-{self._sent:06}" if id is None else id
        envelope = {"id": event_id, "op": int(Opcode.DISPATCH), "s": self._sent, "t": type, "d": data}
        return self.signed(json.dumps(envelope, ensure_ascii=False).encode(), unix_time)

    def again(self, request: HTTPRequest, unix_time: float) -> HTTPRequest:
        """The same event once more, signed at another time."""
        return self.signed(request.body, unix_time)

    def acknowledged(self, response: HTTPResponse) -> bool:
        """Whether the bot has taken the event: any 200 but botgo's ``{"op":12,"d":1}``, which asks for another try."""
        try:
            answer = json.loads(response.body or b"null")
        except ValueError:
            answer = None
        return response.status == 200 and not (isinstance(answer, dict) and answer.get("d") == 1)

    def signed(self, body: bytes, unix_time: float) -> HTTPRequest:
        """Any body, signed as the platform's own."""
        timestamp = str(int(unix_time))
        return self._request(
            body,
            {
                "X-Signature-Method": "Ed25519",
                "X-Signature-Ed25519": SigningKey(self.bot.secret).sign(timestamp, body),
                "X-Signature-Timestamp": timestamp,
            },
        )

    def _request(self, body: bytes, headers: dict[str, str]) -> HTTPRequest:
        told = {
            "User-Agent": "QQBot-Callback",
            "Content-Type": "application/json",
            "X-Bot-Appid": self.bot.app_id,
        }
        return HTTPRequest("POST", self.url, {**told, **headers}, body)
