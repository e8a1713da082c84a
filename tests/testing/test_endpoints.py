from __future__ import annotations

import datetime
from typing import Any

import pytest

from qqproto import Failure, FailureKind, HTTPRequest, HTTPResponse
from qqproto.protocol import rest
from qqproto.testing import FakeBot, FakePlatform, HTTPFault, at_message, c2c_message, group_at_message, reply
from qqproto.testing.wording import EPOCH, timestamp
from tests.core import samples
from tests.testing.clients import decoded, fetch_token, get, online, post

TOKEN_PATH = "/app/getAppAccessToken"


def matches(response: HTTPResponse, sample: str) -> bool:
    """Whether the reply has the sample's status and says everything that the sample says, traces aside."""
    wanted: dict[str, Any] = {key: value for key, value in samples.body(sample).items() if key != "trace_id"}
    got = decoded(response)
    assert {key: got.get(key) for key in wanted} == wanted
    if "trace_id" in samples.body(sample):
        assert isinstance(got["trace_id"], str)
    status: int = samples.SAMPLES[sample].get("http_status", 200)
    return response.status == status


def authorized(platform: FakePlatform, now: float = 0.0) -> dict[str, str]:
    return {"Authorization": f"QQBot {fetch_token(platform, now)}"}


# -- the token ---------------------------------------------------------------------------------------------------------


def test_the_token_reply_has_the_shape_of_the_wire_with_expires_in_as_a_string() -> None:
    platform = FakePlatform()
    body = {**samples.body("token_request"), "appId": platform.bot.app_id, "clientSecret": platform.bot.secret}
    response = post(platform, TOKEN_PATH, body)
    sample = samples.body("token_response_string_expires")
    assert {key: type(value) for key, value in decoded(response).items()} == {
        key: type(value) for key, value in sample.items()
    }
    assert decoded(response)["expires_in"] == sample["expires_in"]
    assert rest.parse_token(response) == (decoded(response)["access_token"], 7200.0)


@pytest.mark.parametrize("change", [{"clientSecret": "wrong"}, {"appId": "999"}, {"clientSecret": None}])
def test_wrong_credentials_are_refused_with_status_200(change: dict[str, Any]) -> None:
    platform = FakePlatform()
    body = {"appId": platform.bot.app_id, "clientSecret": platform.bot.secret, **change}
    assert matches(post(platform, TOKEN_PATH, body), "token_error_100016")


@pytest.mark.parametrize("body", [{}, {"appId": 11111111, "clientSecret": "x"}, {"appId": ""}, ["appId"]])
def test_without_an_app_id_as_a_string_the_app_id_is_invalid(body: Any) -> None:
    assert matches(post(FakePlatform(), TOKEN_PATH, body), "token_error_100007")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"appId=11111111&clientSecret=the-secret-of-a-fake-bot"),
        ("application/json", b"{not json"),
        ("application/json", b"[" * 100_000),
    ],
)
def test_a_form_body_or_broken_json_has_no_app_id(kind: str, body: bytes) -> None:
    request = HTTPRequest("POST", f"https://bots.test{TOKEN_PATH}", {"content-type": kind}, body)
    assert matches(FakePlatform().handle_request(request, 0.0), "token_error_100007")


def test_everybody_gets_the_same_token_until_its_last_minute_and_then_both_are_valid_until_the_old_one_expires() -> (
    None
):
    platform = FakePlatform()
    first = fetch_token(platform, 0.0)
    assert fetch_token(platform, 3600.0) == first
    assert fetch_token(platform, 7139.9) == first
    body = {"appId": platform.bot.app_id, "clientSecret": platform.bot.secret}
    assert decoded(post(platform, TOKEN_PATH, body, 7139.9))["expires_in"] == "60"
    second = fetch_token(platform, 7140.0)
    assert second != first
    assert platform.bot.takes(first, 7199.9)
    assert not platform.bot.takes(first, 7200.0)
    assert platform.bot.takes(second, 7200.0)
    assert fetch_token(platform, 7200.0) == second


def test_revoked_tokens_are_worth_nothing() -> None:
    platform = FakePlatform()
    first = fetch_token(platform)
    platform.bot.revoke_tokens()
    assert not platform.bot.takes(first, 0.0)
    assert fetch_token(platform) != first


def test_secrets_and_tokens_are_in_no_repr() -> None:
    platform = FakePlatform()
    token = fetch_token(platform)
    client = online(platform)
    shown = f"{platform.bot!r} {platform.requests!r} {platform.frames!r} {client.talk!r} {platform.session()!r}"
    assert platform.bot.secret not in shown
    assert token not in shown


# -- who may ask -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/gateway", "/gateway/bot", "/users/@me"])
def test_a_token_that_is_missing_or_unknown_is_refused(path: str) -> None:
    platform = FakePlatform()
    for headers in ({}, {"Authorization": ""}, {"Authorization": "QQBot nonsense"}, {"Authorization": "QQBot "}):
        assert matches(get(platform, path, headers=headers), "http_error_old_style")


def test_a_token_is_refused_once_it_has_expired() -> None:
    platform = FakePlatform()
    headers = authorized(platform)
    assert get(platform, "/gateway", 7199.0, headers=headers).status == 200
    assert matches(get(platform, "/gateway", 7200.0, headers=headers), "http_error_old_style")


@pytest.mark.parametrize(("scheme", "code"), [("Bot 11111111.abc", 11245), ("Bearer abc", 11273)])
def test_forms_that_are_switched_off_have_errors_of_their_own(scheme: str, code: int) -> None:
    response = get(FakePlatform(), "/gateway", headers={"authorization": scheme})
    assert (response.status, decoded(response)["code"]) == (401, code)


def test_every_reply_has_a_trace_id_of_its_own() -> None:
    platform = FakePlatform()
    traces = [get(platform, path).header("x-tps-trace-id") for path in ("/gateway", "/nowhere", "/gateway")]
    assert all(traces)
    assert len(set(traces)) == 3


# -- the gateway -------------------------------------------------------------------------------------------------------


def test_gateway_and_gateway_bot_have_the_shapes_of_the_wire() -> None:
    platform = FakePlatform(gateway_url="wss://api.sgroup.qq.com/websocket")
    headers = authorized(platform)
    assert decoded(get(platform, "/gateway", headers=headers)) == samples.body("gateway_response")
    assert decoded(get(platform, "/gateway/bot", headers=headers)) == samples.body("gateway_bot_response")


def test_the_gateway_may_move() -> None:
    platform = FakePlatform()
    headers = authorized(platform)
    platform.gateway_url = "wss://elsewhere.test/websocket"
    for path in ("/gateway", "/gateway/bot"):
        assert decoded(get(platform, path, headers=headers))["url"] == "wss://elsewhere.test/websocket"


def test_the_gateway_endpoints_allow_ten_calls_in_a_burst_and_two_a_minute() -> None:
    platform = FakePlatform()
    headers = authorized(platform)
    assert [get(platform, "/gateway/bot", headers=headers).status for _ in range(11)] == [200] * 10 + [429]
    assert len(platform.violations) == 1
    assert "GET /gateway/bot" in platform.violations[0]
    assert get(platform, "/gateway", headers=headers).status == 200, "each endpoint has a bucket of its own"
    assert get(platform, "/gateway/bot", 29.0, headers=headers).status == 429
    assert get(platform, "/gateway/bot", 30.0, headers=headers).status == 200
    assert get(platform, "/gateway/bot", 31.0, headers=headers).status == 429
    failure = rest.parse_gateway(get(platform, "/gateway/bot", 32.0, headers=headers))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.RATE_LIMITED


def test_the_identify_budget_is_told_counted_and_refilled_after_a_day() -> None:
    platform = FakePlatform(FakeBot(total=2))

    def limits(now: float) -> Any:
        return decoded(get(platform, "/gateway/bot", now, headers=authorized(platform, now)))["session_start_limit"]

    online(platform, 10.0).leave(1000, 11.0)
    assert limits(12.0) == {"total": 2, "remaining": 1, "reset_after": 86_398_000, "max_concurrency": 1}
    online(platform, 20.0).leave(1000, 21.0)
    assert limits(22.0)["remaining"] == 0
    assert limits(86_409.0)["remaining"] == 0
    assert limits(86_410.0) == {"total": 2, "remaining": 2, "reset_after": 86_400_000, "max_concurrency": 1}
    platform.bot.set_remaining(0, 90.0, 86_420.0)
    assert limits(86_420.0)["reset_after"] == 90_000
    assert limits(86_510.0)["remaining"] == 2


def test_users_me_is_the_bot() -> None:
    platform = FakePlatform()
    assert decoded(get(platform, "/users/@me", headers=authorized(platform))) == platform.bot.user


# -- what bots send ----------------------------------------------------------------------------------------------------

TARGETS = [("groups", "/v2/groups/G/messages", "send_group_text"), ("users", "/v2/users/U/messages", "send_c2c_text")]


@pytest.mark.parametrize(("place", "path", "sample"), TARGETS)
def test_a_reply_to_a_message_is_taken_and_kept(place: str, path: str, sample: str) -> None:
    platform = FakePlatform()
    online(platform)
    message_id = samples.body(sample)["msg_id"]
    platform.session().dispatch("C2C_MESSAGE_CREATE", c2c_message("ping", id=message_id), 1.0)
    response = post(platform, path, samples.body(sample), 2.0, token=fetch_token(platform))
    assert response.status == 200
    wanted = samples.body("send_response_str_ts")
    got = decoded(response)
    assert isinstance(got["id"], str)
    assert got["timestamp"] == wanted["timestamp"].replace(":00+", ":02+")
    (message,) = platform.messages
    assert (message.at, message.app_id, message.place, message.target) == (2.0, platform.bot.app_id, place, path[-10])
    assert (message.body, message.id) == (samples.body(sample), got["id"])


def test_the_same_msg_id_and_msg_seq_is_a_duplicate_and_another_msg_seq_is_not() -> None:
    platform = FakePlatform()
    online(platform)
    platform.session().dispatch("C2C_MESSAGE_CREATE", c2c_message("ping", id="M"), 1.0)
    token = fetch_token(platform)

    def send(**changes: Any) -> HTTPResponse:
        body = {"content": "pong", "msg_type": 0, "msg_id": "M", **changes}
        return post(platform, "/v2/users/U/messages", body, 2.0, token=token)

    assert send().status == 200
    assert matches(send(), "send_error_duplicate")
    assert matches(send(msg_seq=1), "send_error_duplicate"), "1 is the default"
    assert send(msg_seq=2).status == 200
    assert len(platform.messages) == 2


@pytest.mark.parametrize(
    ("path", "window", "most"), [("/v2/users/U/messages", 3600.0, 4), ("/v2/groups/G/messages", 300.0, 5)]
)
def test_replies_are_limited_in_number_and_time(path: str, window: float, most: int) -> None:
    platform = FakePlatform()
    online(platform)
    platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", group_at_message("ping", id="M"), 0.0)
    platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", group_at_message("ping", id="N"), 0.0)
    token = fetch_token(platform)

    def send(id: str, number: int, now: float) -> HTTPResponse:
        return post(platform, path, {"content": "pong", "msg_id": id, "msg_seq": number}, now, token=token)

    assert [send("M", number, 1.0).status for number in range(1, most + 2)] == [200] * most + [400]
    assert decoded(send("M", most + 1, 1.0))["err_code"] == 40034128
    assert send("N", 1, window).status == 200
    assert matches(send("N", 2, window + 1.0), "http_error_new_style")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": "x", "msg_id": "unknown"}, 40034024),
        ({"content": "x", "event_id": "unknown"}, 40034025),
        ({"content": "x", "msg_id": 5}, 11255),
        ({"content": "x", "msg_seq": "1"}, 11255),
        ({"content": ""}, 304061),
        ({}, 304061),
        ({"msg_type": 2, "content": "x"}, 304061),
        ({"msg_type": 99, "content": "x"}, 340069),
        ({"msg_type": "0", "content": "x"}, 340069),
        (["content"], 11255),
    ],
)
def test_what_is_missing_or_wrong_in_a_message_is_named(body: Any, code: int) -> None:
    platform = FakePlatform()
    online(platform)
    response = post(platform, "/v2/groups/G/messages", body, token=fetch_token(platform))
    assert (response.status, decoded(response)["code"]) == (400, code)
    assert decoded(response)["message"]
    assert platform.messages == []


def test_an_event_can_be_replied_to_by_its_event_id_and_too_late_is_too_late() -> None:
    platform = FakePlatform()
    online(platform)
    body = samples.body("send_group_by_event")
    platform.session().dispatch("GROUP_ADD_ROBOT", {"group_openid": "G"}, 0.0, id=body["event_id"])
    token = fetch_token(platform)
    assert post(platform, "/v2/groups/G/messages", body, 1.0, token=token).status == 200
    late = post(platform, "/v2/groups/G/messages", {**body, "msg_seq": 2}, 301.0, token=token)
    assert decoded(late)["err_code"] == 40034026


def test_a_message_of_the_bots_own_accord_needs_no_id() -> None:
    platform = FakePlatform()
    online(platform)
    body = {"msg_type": 2, "markdown": {"content": "# hi"}}
    assert post(platform, "/v2/users/U/messages", body, token=fetch_token(platform)).status == 200


@pytest.mark.parametrize(
    ("path", "place", "where"),
    [("/channels/10/messages", "channels", {"channel_id": "10"}), ("/dms/7/messages", "dms", {"guild_id": "7"})],
)
def test_channels_and_direct_messages_need_a_connection_and_answer_with_the_message(
    path: str, place: str, where: dict[str, str]
) -> None:
    platform = FakePlatform()
    body = samples.body("send_channel_text")
    token = fetch_token(platform)
    offline = post(platform, path, body, token=token)
    assert (offline.status, decoded(offline)["code"]) == (400, 304018)
    online(platform)
    platform.session().dispatch("AT_MESSAGE_CREATE", at_message("ping", id=body["msg_id"]), 0.0)
    empty = post(platform, path, {"msg_id": body["msg_id"]}, token=token)
    assert (empty.status, decoded(empty)["code"]) == (400, 304061)
    for _ in range(6):
        response = post(platform, path, body, 1.0, token=token)
        assert response.status == 200
        assert decoded(response).items() >= {**where, "content": body["content"]}.items()
    assert {message.place for message in platform.messages} == {place}


def test_an_interaction_is_acknowledged_without_a_body() -> None:
    platform = FakePlatform()
    headers = {"Content-Type": "application/json", **authorized(platform)}
    for body in (b'{"code":0}', b'{"code":3}'):
        response = platform.handle_request(HTTPRequest("PUT", "/interactions/I%201", headers, body), 0.0)
        assert (response.status, response.body) == (204, b"")
    assert platform.acknowledged == {"I 1": [0, 3]}
    bad = platform.handle_request(HTTPRequest("PUT", "/interactions/I", headers, b'{"code":"0"}'), 0.0)
    assert (bad.status, decoded(bad)["code"]) == (400, 11255)


# -- the rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["/", "/nowhere", "/v2/groups//messages", "https://api.test/gateway/bot/x", "//[", "http://["]
)
def test_an_unknown_path_is_no_api(url: str) -> None:
    response = FakePlatform().handle_request(HTTPRequest("GET", url, {}, b""), 0.0)
    assert (response.status, decoded(response)["code"]) == (404, 404)


@pytest.mark.parametrize(("method", "path", "allow"), [("GET", TOKEN_PATH, "POST"), ("POST", "/gateway", "GET")])
def test_a_known_path_takes_its_own_method(method: str, path: str, allow: str) -> None:
    response = FakePlatform().handle_request(HTTPRequest(method, path, {}, b""), 0.0)
    assert (response.status, response.header("Allow")) == (405, allow)


def test_a_query_does_not_belong_to_the_path() -> None:
    platform = FakePlatform()
    assert get(platform, "/gateway?x=/y", headers=authorized(platform)).status == 200
    assert platform.handle_request(HTTPRequest("GET", "/gateway?x", authorized(platform), b""), 0.0).status == 200


def test_faults_are_answered_as_often_as_they_say_on_their_path_alone() -> None:
    platform = FakePlatform()
    headers = authorized(platform)
    sample = samples.body("http_error_ip_not_whitelisted")
    platform.behaviour.http += [
        HTTPFault(reply(401, sample), "/gateway/bot", times=2),
        HTTPFault(reply(500, {}, Retry_After="3")),
    ]
    assert matches(get(platform, "/gateway/bot", headers=headers), "http_error_ip_not_whitelisted")
    other = get(platform, "/gateway", headers=headers)
    assert (other.status, other.header("retry-after")) == (500, "3")
    assert [get(platform, "/gateway/bot", headers=headers).status for _ in range(2)] == [401, 200]
    assert platform.behaviour.http == []
    asked = [(request.method, request.path, request.status) for request in platform.requests[1:]]
    assert asked == [
        ("GET", "/gateway/bot", 401),
        ("GET", "/gateway", 500),
        ("GET", "/gateway/bot", 401),
        ("GET", "/gateway/bot", 200),
    ]


def test_the_platform_remembers_a_bounded_number_of_messages_to_reply_to() -> None:
    platform = FakePlatform()
    online(platform)
    for number in range(10_001):
        platform.session().dispatch("A", None, 0.0, id=f"M{number}")
    token = fetch_token(platform)

    def status(id: str) -> int:
        return post(platform, "/v2/users/U/messages", {"content": "x", "event_id": id}, token=token).status

    assert [status("M0"), status("M1"), status("M10000")] == [400, 200, 200]


@pytest.mark.parametrize("now", [0.0, 59.9, 3600.0, 86_400.0 * 163, 86_400.0 * 590, 86_400.0 * 27_000])
def test_timestamps_are_the_platforms_time_of_day(now: float) -> None:
    china = datetime.timezone(datetime.timedelta(hours=8))
    assert timestamp(now) == datetime.datetime.fromtimestamp(EPOCH + int(now), china).isoformat()


def test_message_builders_have_the_shapes_of_the_samples() -> None:
    pairs = [
        (c2c_message("hello", id="I"), "ev_c2c_message_create"),
        (group_at_message("ping", id="I"), "ev_group_at_message_create"),
        (at_message("ping", id="I"), "ev_at_message_create"),
    ]
    for data, name in pairs:
        sample = samples.body(name)["d"]
        for key in data:
            assert key in sample, f"{name} has no {key}"
            assert type(data[key]) is type(sample[key])
    assert group_at_message("ping", id="I")["content"] == samples.body("ev_group_at_message_create")["d"]["content"]
