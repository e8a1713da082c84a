"""Row 38: an address that the platform cannot validate, or at which everybody's events are taken for its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest

from qqproto import HTTPRequest
from qqproto.memory import Memory
from qqproto.protocol.rest import HTTPResponse
from qqproto.testing import FakeBot, FakeCallbacks, c2c_message
from qqproto.webhook import Webhook, WebhookReply
from qqproto.wire.signatures import SigningKey
from tests.core.callbacks import CREDENTIALS, NOW, encoded
from tests.core.samples import body
from tests.outages.bugs import around, replaced
from tests.outages.catalogue import Bug, outage

Handle = Callable[[Webhook, object, bytes, float], WebhookReply]


def _encoded_again(handle: Handle, hook: Webhook, headers: object, raw: bytes, now: float) -> WebhookReply:
    """A framework gives the JSON that it has decoded (AstrBot#2842)."""
    try:
        raw = json.dumps(json.loads(raw)).encode()
    except ValueError:
        pass
    return handle(hook, headers, raw, now)


def _takes_any(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(f"qqproto.webhook.{name}", re.compile(".*", re.DOTALL))


def _always_in_time(handle: Handle, hook: Webhook, headers: object, raw: bytes, now: float) -> WebhookReply:
    hook._max_skew = math.inf
    return handle(hook, headers, raw, now)


@outage(
    38,
    Bug("events are not checked", replaced(SigningKey.verifies, lambda *_: True)),
    Bug("what is checked is the body encoded again", around(Webhook.handle, _encoded_again)),
    Bug("a signature that is none is read", _takes_any("SIGNATURE"), ValueError),
    Bug("whatever is asked for is signed", _takes_any("_TOKEN")),
    Bug("a request is good for ever", around(Webhook.handle, _always_in_time)),
    Bug("repetitions are handed out", replaced(Memory.knows, lambda *_: False)),
)
def test_row_38_the_platform_is_answered_and_nobody_else_is_believed() -> None:
    bot = FakeBot(CREDENTIALS.app_id, CREDENTIALS.secret)
    platform, hook = FakeCallbacks(bot), Webhook(CREDENTIALS)

    def post(request: HTTPRequest, at: float = NOW) -> WebhookReply:
        reply = hook.handle(request.headers, request.body, at)
        assert reply.status < 500
        assert (reply.status >= 400) == (reply.refused is not None)
        return reply

    question = platform.validation(NOW)
    answer = post(question)
    assert platform.confirms(HTTPResponse(answer.status, answer.headers, answer.body))

    event = platform.dispatch("C2C_MESSAGE_CREATE", c2c_message("hello", id="M-1"), NOW)
    pretty = platform.signed(json.dumps(body("ev_friend_add"), indent=2).encode(), NOW)
    assert [len(post(request).dispatches) for request in (event, pretty)] == [1, 1]
    assert post(platform.again(event, NOW + 60.0), NOW + 60.0).dispatches == [], "the same event twice"

    stranger = FakeCallbacks(FakeBot(bot.app_id, "another secret"))
    forged = stranger.dispatch("C2C_MESSAGE_CREATE", c2c_message("pay me", id="M-2"), NOW)
    assert post(forged).dispatches == []
    late = platform.dispatch("FRIEND_DEL", {"openid": "U"}, NOW)
    assert post(late, NOW + 3600.0).dispatches == [], "a replay of what somebody has overheard"

    data = {"plain_token": forged.body.decode(), "event_ts": str(int(NOW))}
    oracle = post(HTTPRequest("POST", "", {}, encoded({"op": 13, "d": data})))
    stolen = json.loads(oracle.body).get("signature", "00" * 64)
    headers = {"X-Signature-Ed25519": stolen, "X-Signature-Timestamp": str(int(NOW))}
    assert post(HTTPRequest("POST", "", headers, forged.body)).dispatches == []

    for junk in ("x", "", "zz" * 64, "ff" * 64, "\N{SNOWMAN}" * 128):
        odd = {**event.headers, "X-Signature-Ed25519": junk}
        assert post(HTTPRequest("POST", "", odd, event.body)).dispatches == []
    for torn in (b"", event.body[:-1], b"\xff", b"[" * 100_000):
        assert post(HTTPRequest("POST", "", event.headers, torn)).status == 401
        assert post(platform.signed(torn, NOW)).status == 400
