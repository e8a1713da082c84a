from __future__ import annotations

import json

import pytest

from qqproto import Credentials, HTTPRequest, HTTPResponse
from qqproto.testing import FakeBot, FakeCallbacks, FakePlatform, c2c_message
from qqproto.webhook import Webhook
from tests.core.callbacks import headers_of
from tests.core.samples import SAMPLES, body
from tests.testing.clients import decoded, fetch_token, post

NOW = 1_725_442_341.0


def pair() -> tuple[FakeCallbacks, Webhook]:
    """The platform's side and the bot's."""
    bot = FakeBot()
    return FakeCallbacks(bot), Webhook(Credentials(bot.app_id, bot.secret))


def sent(hook: Webhook, request: HTTPRequest, now: float = NOW) -> HTTPResponse:
    reply = hook.handle(request.headers, request.body, now)
    return HTTPResponse(reply.status, reply.headers, reply.body)


def test_a_validation_looks_like_that_of_the_documentation_and_is_confirmed() -> None:
    callbacks, hook = pair()
    sample = SAMPLES["webhook_validation_request"]
    request = callbacks.validation(NOW)

    assert (request.method, request.url) == ("POST", "https://bot.test/callback")
    assert sample["headers"].items() <= request.headers.items()
    assert json.loads(request.body).keys() == sample["body"].keys()
    assert json.loads(request.body)["d"].keys() == sample["body"]["d"].keys()
    assert callbacks.confirms(sent(hook, request))


def test_the_answer_to_another_validation_confirms_nothing() -> None:
    callbacks, hook = pair()
    answer = sent(hook, callbacks.validation(NOW))
    callbacks.validation(NOW)

    assert not callbacks.confirms(answer)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b""),
        (200, b"no json"),
        (200, b"[]"),
        (200, b'{"plain_token":"FakePlainToken000001"}'),
        (200, b'{"plain_token":"FakePlainToken000001","signature":"zz"}'),
        (200, json.dumps({"plain_token": "FakePlainToken000001", "signature": "00" * 64}).encode()),
        (404, b"{}"),
    ],
)
def test_a_wrong_answer_confirms_nothing(status: int, answer: bytes) -> None:
    callbacks, _ = pair()
    callbacks.validation(NOW)

    assert not callbacks.confirms(HTTPResponse(status, {}, answer))


def test_an_event_is_signed_as_the_platform_signs() -> None:
    callbacks, hook = pair()
    request = callbacks.dispatch("C2C_MESSAGE_CREATE", c2c_message("你好", id="M-1"), NOW)
    expected = headers_of(request.body, secret=callbacks.bot.secret, at=NOW, app_id=callbacks.bot.app_id)

    assert expected.items() <= request.headers.items()
    assert json.loads(request.body).keys() == body("ev_c2c_message_create").keys()
    assert callbacks.acknowledged(sent(hook, request))


def test_an_event_that_is_delivered_again_is_the_same_event_with_another_signature() -> None:
    callbacks, hook = pair()
    request = callbacks.dispatch("FRIEND_ADD", {"openid": "U"}, NOW)
    again = callbacks.again(request, NOW + 5.0)

    assert again.body == request.body
    assert again.headers["X-Signature-Ed25519"] != request.headers["X-Signature-Ed25519"]
    assert len(hook.handle(request.headers, request.body, NOW).dispatches) == 1
    assert hook.handle(again.headers, again.body, NOW + 5.0).dispatches == []


@pytest.mark.parametrize(
    ("status", "answer", "taken"),
    [
        (200, body("webhook_ack_ok"), True),
        (200, body("webhook_ack_fail"), False),
        (200, {"op": 12, "d": {}}, True),
        (200, None, True),
        (503, body("webhook_ack_ok"), False),
    ],
)
def test_what_counts_as_an_acknowledgement(status: int, answer: object, taken: bool) -> None:
    callbacks, _ = pair()
    raw = b"" if answer is None else json.dumps(answer).encode()

    assert callbacks.acknowledged(HTTPResponse(status, {}, raw)) is taken


def test_an_answer_that_is_no_json_is_an_acknowledgement_too() -> None:
    assert pair()[0].acknowledged(HTTPResponse(200, {}, b"ok"))


def test_the_bot_may_reply_to_what_came_by_webhook() -> None:
    platform = FakePlatform()
    token, body = fetch_token(platform), {"content": "pong", "msg_type": 0, "msg_id": "M-1", "msg_seq": 1}
    assert decoded(post(platform, "/v2/users/U/messages", body, 1.0, token=token))["code"] == 40034024
    platform.allow_replies("e-1", c2c_message("ping", id="M-1"), 2.0)
    assert post(platform, "/v2/users/U/messages", body, 3.0, token=token).status == 200
