"""All wire samples, each taken by whoever it is meant for: not one lies there unread."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qqproto import (
    Dispatch,
    Failure,
    GatewayInfo,
    HTTPRequest,
    Malformed,
    Phase,
    Ready,
    Resumed,
    Verdict,
    classify,
)
from qqproto.protocol import payloads, rest
from qqproto.protocol.dispatches import DISPATCH_TYPES
from qqproto.testing import FakePlatform, c2c_message
from qqproto.webhook import Webhook
from tests.core.callbacks import CREDENTIALS, NOW, encoded, headers_of, sign
from tests.core.hosts import SESSION, Host, Talk, hello
from tests.core.samples import SAMPLES, body, response
from tests.testing.clients import fetch_token, online


def said(name: str, talk: Talk) -> Talk:
    """The server says a sample; nothing of it may be misunderstood."""
    talk.say(json.dumps(body(name)))
    assert talk.take(Malformed) == []
    return talk


def live() -> Talk:
    talk = Talk()
    talk.up()
    return talk


# -- from the gateway -------------------------------------------------------------------------------------------------


def hellos(name: str) -> None:
    assert said(name, Talk()).machine.phase is Phase.AUTH


def readies(name: str) -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    assert said(name, talk).only(Ready).session_id == body(name)["d"]["session_id"]


def resumed(name: str) -> None:
    talk = Talk(SESSION)
    talk.say(hello())
    assert said(name, talk).only(Resumed).session_id == SESSION.id


def acknowledgements(name: str) -> None:
    assert said(name, live()).outputs == []


def heartbeats_asked_for(name: str) -> None:
    assert said(name, live()).sent() == [{"op": 1, "d": 1}]


def rotations(name: str) -> None:
    assert said(name, live()).machine.verdict is Verdict.RESUME


def refused_sessions(name: str) -> None:
    talk = said(name, live())
    talk.run(10.0)
    assert talk.machine.verdict is (Verdict.RESUME if body(name)["d"] else Verdict.IDENTIFY)


def unknown_opcodes(name: str) -> None:
    host = Host()
    host.up()
    host.say(json.dumps(body(name)))
    assert host.outputs == []
    assert host.shard.status(host.now).counters["unknown_opcodes"] == 1


def dispatches(name: str) -> None:
    event = said(name, live()).only(Dispatch)
    assert (event.type, event.data, event.envelope) == (body(name)["t"], body(name)["d"], body(name))
    assert event.type in DISPATCH_TYPES or name == "ev_some_future_event"


# -- to the gateway ---------------------------------------------------------------------------------------------------


def identifies(name: str) -> None:
    data = body(name)["d"]
    text = payloads.identify(
        token=data["token"],
        intents=data["intents"],
        shard=tuple(data["shard"]),
        properties=data.get("properties", {}),
    )
    assert json.loads(text) == body(name)


def resumes(name: str) -> None:
    data = body(name)["d"]
    text = payloads.resume(token=data["token"], session_id=data["session_id"], sequence=data["seq"])
    assert json.loads(text) == body(name)


def heartbeats(name: str) -> None:
    assert json.loads(payloads.heartbeat(body(name)["d"])) == body(name)


# -- HTTP -------------------------------------------------------------------------------------------------------------


def token_requests(name: str) -> None:
    sample = body(name)
    request = rest.token_request("https://x.test/", app_id=sample["appId"], secret=sample["clientSecret"])
    assert json.loads(request.body) == sample


def tokens(name: str) -> None:
    assert rest.parse_token(response(name)) == ("ACCESS_TOKEN", float(body(name)["expires_in"]))


def errors(name: str) -> None:
    """Of whichever endpoint: the code and what it allows."""
    failure = rest.parse_gateway(response(name))
    assert isinstance(failure, Failure)
    assert failure.code == body(name).get("err_code", body(name)["code"] if "code" in body(name) else None)
    assert rest.verdict_of(failure) in rest.RestVerdict


def gateway_infos(name: str) -> None:
    info = rest.parse_gateway(response(name))
    assert isinstance(info, GatewayInfo)
    assert info.url == body(name)["url"]


def other_replies(name: str) -> None:
    """Of endpoints that are the host's business: no errors, and no gateway either."""
    failure = rest.parse_gateway(response(name))
    assert isinstance(failure, Failure)
    assert failure.code is None


def messages_of_bots(name: str) -> None:
    """What a host sends; the fake platform takes it as the real one does."""
    platform = FakePlatform()
    online(platform)
    about = body(name).get("msg_id"), body(name).get("event_id")
    platform.session().dispatch("C2C_MESSAGE_CREATE", c2c_message("ping", id=about[0] or "m"), 1.0, id=about[1])
    path = (
        SAMPLES[name]["where"].split(" ")[2].format(group_openid="G", openid="U", channel_id="10", guild_id="7", id="I")
    )
    method = SAMPLES[name]["where"].split(" ")[1]
    headers = {"Authorization": f"QQBot {fetch_token(platform)}", "Content-Type": "application/json"}
    assert platform.handle_request(HTTPRequest(method, path, headers, encoded(body(name))), 2.0).status in (200, 204)


# -- webhooks ---------------------------------------------------------------------------------------------------------


def posted(message: Any) -> Any:
    """What a webhook answers to a signed message."""
    raw = encoded(message)
    return json.loads(Webhook(CREDENTIALS).handle(headers_of(raw), raw, NOW).body)


def validations(name: str) -> None:
    request = body("webhook_validation_request")
    answer = Webhook(CREDENTIALS).handle(SAMPLES["webhook_validation_request"]["headers"], encoded(request), NOW).body
    assert json.loads(answer) == body("webhook_validation_response")


def callback_acknowledgements(name: str) -> None:
    """We give the good one. The other is botgo's, after a handler failed; our replies go out before handlers run."""
    assert posted(body("ev_friend_add")) == body("webhook_ack_ok") != body("webhook_ack_fail")


def callback_heartbeats(name: str) -> None:
    assert posted({"op": 1, "d": 42}) == body(name)


def oracles(name: str) -> None:
    reply = Webhook(CREDENTIALS).handle({}, encoded(body(name)), NOW)
    assert (reply.status, reply.dispatches) == (400, [])


def vectors(name: str) -> None:
    for vector in body(name):
        content = vector.get("plain_token", vector.get("body")).encode()
        time = vector.get("event_ts", vector.get("timestamp"))
        assert sign(content, time, vector["secret"]) == vector["signature"]


def close_codes(name: str) -> None:
    for code, action in body(name).items():
        stops = classify(int(code), Phase.READY) is Verdict.STOP
        assert stops == action.startswith("FATAL"), code


READERS = {
    hellos: ["hello", "hello_field"],
    readies: ["ready", "ready_field"],
    resumed: ["resumed"],
    acknowledgements: ["heartbeat_ack"],
    heartbeats_asked_for: ["server_heartbeat_request"],
    rotations: ["reconnect"],
    refused_sessions: ["invalid_session", "invalid_session_resumable"],
    unknown_opcodes: ["unknown_opcode"],
    dispatches: [name for name in SAMPLES if name.startswith("ev_")],
    identifies: ["identify", "identify_minimal"],
    resumes: ["resume"],
    heartbeats: ["heartbeat", "heartbeat_first"],
    token_requests: ["token_request"],
    tokens: ["token_response_string_expires", "token_response_int_expires"],
    errors: [
        *(name for name in SAMPLES if name.startswith(("token_error_", "http_"))),
        "send_error_duplicate",
    ],
    gateway_infos: ["gateway_response", "gateway_bot_response", "gateway_bot_response_no_concurrency"],
    other_replies: ["send_response_int_ts", "send_response_str_ts"],
    messages_of_bots: [
        "send_group_text",
        "send_c2c_text",
        "send_group_by_event",
        "send_channel_text",
        "send_dm_text",
        "interaction_ack",
    ],
    validations: ["webhook_validation_request", "webhook_validation_response"],
    callback_acknowledgements: ["webhook_ack_ok", "webhook_ack_fail"],
    callback_heartbeats: ["webhook_heartbeat_ack"],
    oracles: ["webhook_oracle_attempt"],
    vectors: ["ed25519_vectors"],
    close_codes: ["close_code_actions"],
}
CASES = [(reader, name) for reader, names in READERS.items() for name in names]


@pytest.mark.parametrize(("reader", "name"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_sample_is_understood(reader: Any, name: str) -> None:
    reader(name)


def test_there_are_110_and_each_has_its_reader() -> None:
    assert len(SAMPLES) == 110
    assert sorted(name for _, name in CASES) == sorted(SAMPLES)
