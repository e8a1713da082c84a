from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Credentials, Dispatch, Policy
from qqproto.webhook import Webhook, WebhookReply, app_id_of
from qqproto.wire.signatures import SigningKey, seed_of
from tests.core.callbacks import CREDENTIALS, NOW, doubled, encoded, headers_of, private_key, sign
from tests.core.samples import SAMPLES, body, names

VECTORS = {vector["id"]: vector for vector in body("ed25519_vectors")}
A, B, C = VECTORS["A"], VECTORS["B"], VECTORS["C"]
EVENT = body("ev_c2c_message_create")


def webhook(**options: Any) -> Webhook:
    return Webhook(CREDENTIALS, **options)


def post(hook: Webhook, message: Any, *, at: float = NOW, now: float | None = None) -> WebhookReply:
    """The platform posts a message, signed."""
    raw = message if isinstance(message, bytes) else encoded(message)
    return hook.handle(headers_of(raw, at=at), raw, at if now is None else now)


def validation(token: Any = "Arq0D5A61EgUu4OxUvOp", time: Any = "1725442341") -> bytes:
    return encoded({"d": {"plain_token": token, "event_ts": time}, "op": 13})


def refused(reply: WebhookReply, status: int, reason: str) -> None:
    assert (reply.status, reply.dispatches) == (status, [])
    assert reply.refused is not None
    assert reason in reply.refused
    assert json.loads(reply.body) == {"message": reply.refused}


# -- the keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(1, 100))
def test_the_seed_of_a_secret_of_any_length_is_that_of_the_documentation(length: int) -> None:
    secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-+=!?."[:length].ljust(length, "~")

    assert seed_of(secret) == doubled(secret)
    assert len(seed_of(secret)) == 32


@given(st.text(min_size=1))
def test_any_secret_has_a_seed(secret: str) -> None:
    assert len(seed_of(secret)) == 32


def test_vector_b_the_public_key_of_the_documentation() -> None:
    key = private_key(B["secret"]).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    assert seed_of(B["secret"]) == B["seed"].encode()
    assert key.hex() == B["public_key_hex"]


def test_vector_b_the_event_of_the_documentation_verifies_in_its_pretty_printed_form_alone() -> None:
    key = SigningKey(B["secret"])

    assert key.verifies(B["signature"], B["timestamp"], B["body"].encode())
    assert not key.verifies(B["signature"], B["timestamp"], B["body_as_printed_in_docs"].encode())
    assert not key.verifies(B["signature"], B["timestamp"], B["body"].encode() + b"\n")
    assert key.sign(B["timestamp"], B["body"].encode()) == B["signature"]


def test_vector_c_the_event_of_botgo() -> None:
    assert SigningKey(C["secret"]).verifies(C["signature"], C["timestamp"], C["body"].encode())


def test_the_first_three_bits_of_a_signature_beyond_its_number_are_zero() -> None:
    key, raw = SigningKey(B["secret"]), bytes.fromhex(B["signature"])
    for bit in (0x20, 0x40, 0x80):
        spoilt = raw[:63] + bytes([raw[63] | bit])
        assert not key.verifies(spoilt.hex(), B["timestamp"], B["body"].encode())


# -- validation -------------------------------------------------------------------------------------------------------


def test_vector_a_the_platform_validates_the_address() -> None:
    sample = SAMPLES["webhook_validation_request"]
    reply = webhook().handle(sample["headers"], encoded(sample["body"]), NOW)

    assert reply.status == SAMPLES["webhook_validation_response"]["http_status"]
    assert json.loads(reply.body) == body("webhook_validation_response")
    assert json.loads(reply.body)["signature"] == A["signature"]
    assert reply.headers == {"Content-Type": "application/json"}
    assert (reply.dispatches, reply.refused) == ([], None)


def test_a_number_as_event_ts_is_signed_like_the_string() -> None:
    """The older documentation shows one."""
    reply = webhook().handle({}, validation(time=1725442341), NOW)

    assert json.loads(reply.body)["signature"] == A["signature"]


def test_a_signed_validation_is_answered_and_a_wrongly_signed_one_is_not() -> None:
    hook, raw = webhook(), validation()
    assert hook.handle(headers_of(raw), raw, NOW).status == 200
    refused(hook.handle(headers_of(raw, secret="another"), raw, NOW), 401, "does not fit")


def test_signed_validations_can_be_demanded() -> None:
    hook, raw = webhook(require_signature=True), validation()
    refused(hook.handle({}, raw, NOW), 401, "not signed")
    assert hook.handle(headers_of(raw), raw, NOW).status == 200


@pytest.mark.parametrize(
    ("token", "time", "reason"),
    [
        (body("webhook_oracle_attempt")["d"]["plain_token"], "1725442341", "plain_token"),
        ('{"op":0}', "1725442341", "plain_token"),
        ("", "1725442341", "plain_token"),
        ("a" * 129, "1725442341", "plain_token"),
        ("abc\n", "1725442341", "plain_token"),
        ("a b", "1725442341", "plain_token"),
        ("\uff14\uff12", "1725442341", "plain_token"),
        (None, "1725442341", "plain_token"),
        (42, "1725442341", "plain_token"),
        ("abc", "", "event_ts"),
        ("abc", "1" * 21, "event_ts"),
        ("abc", 10**20, "event_ts"),
        ("abc", -1, "event_ts"),
        ("abc", 1.5, "event_ts"),
        ("abc", True, "event_ts"),
        ("abc", "1725442341\n", "event_ts"),
        ("abc", "\uff11\uff12", "event_ts"),
        ("abc", '1{"op":0', "event_ts"),
        ("abc", None, "event_ts"),
    ],
)
def test_nothing_else_is_signed(token: Any, time: Any, reason: str) -> None:
    hook = webhook()
    refused(hook.handle({}, validation(token, time), NOW), 400, reason)
    raw = validation(token, time)
    refused(hook.handle(headers_of(raw), raw, NOW), 400, reason)


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
def test_a_validation_without_its_fields(data: Any) -> None:
    refused(webhook().handle({}, encoded({"op": 13, "d": data}), NOW), 400, "event_ts")


# -- the signing oracle -----------------------------------------------------------------------------------------------


def attack(handle: Callable[[dict[str, str], bytes, float], WebhookReply]) -> list[Dispatch]:
    """Somebody without the secret has an event of their own signed by the bot, and then posts it."""
    forged = json.dumps({"op": 0, "t": "C2C_MESSAGE_CREATE", "id": "forged", "d": {"content": "pay me"}})
    answer = handle({}, validation(forged, str(int(NOW))), NOW)
    signature = json.loads(answer.body).get("signature", "0" * 128)
    headers = {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": str(int(NOW))}
    return handle(headers, forged.encode(), NOW).dispatches


def test_the_signing_oracle_signs_no_event() -> None:
    assert attack(webhook().handle) == []


def test_the_attack_works_on_a_bot_that_signs_whatever_it_is_given() -> None:
    """Otherwise the test above would prove nothing."""
    hook = webhook()

    def naive(headers: dict[str, str], raw: bytes, now: float) -> WebhookReply:
        message = json.loads(raw)
        if message["op"] != 13:
            return hook.handle(headers, raw, now)
        data = message["d"]
        signature = sign(data["plain_token"].encode(), data["event_ts"])
        return WebhookReply(200, {}, json.dumps({"signature": signature}).encode())

    assert [event.data for event in attack(naive)] == [{"content": "pay me"}]


TOKENS = st.text("abcXYZ019_+/=-{}\"' :,\n", max_size=30)
TIMES = st.text("0123456789", min_size=1, max_size=21) | st.just("1725442341")


@given(TOKENS, TIMES, st.integers(0, 60))
def test_no_answer_is_the_signature_of_an_event_however_it_is_cut(token: str, time: str, cut: int) -> None:
    """Time and body are signed one after the other without a mark between them."""
    hook = webhook(max_skew=math.inf)
    answer = hook.handle({}, validation(token, time), NOW)
    if answer.status != 200:
        return
    whole = time + token
    headers = {
        "X-Signature-Ed25519": json.loads(answer.body)["signature"],
        "X-Signature-Timestamp": whole[:cut],
    }
    reply = hook.handle(headers, whole[cut:].encode(), NOW)

    assert reply.dispatches == []
    assert 400 <= reply.status < 500


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names("ev_"))
def test_a_signed_event_is_acknowledged_and_handed_over_as_it_came(name: str) -> None:
    sample = body(name)
    reply = post(webhook(), sample)

    assert reply.status == SAMPLES["webhook_ack_ok"]["http_status"]
    assert json.loads(reply.body) == body("webhook_ack_ok")
    (event,) = reply.dispatches
    assert (event.type, event.id, event.data) == (sample["t"], sample["id"], sample["d"])
    assert event.sequence == sample["s"]
    assert event.envelope == sample
    assert (event.shard, event.redelivered, event.session_id) == (0, False, None)


def test_the_body_counts_byte_by_byte() -> None:
    """A body that was decoded and encoded again has another signature (AstrBot#2842)."""
    hook = webhook()
    raw = json.dumps(EVENT, indent=2).encode()
    refused(hook.handle(headers_of(raw), encoded(EVENT), NOW), 401, "does not fit")
    assert len(hook.handle(headers_of(raw), raw, NOW).dispatches) == 1


def test_vector_b_is_an_event() -> None:
    hook = Webhook(Credentials("11111111", B["secret"]))
    headers = {"x-signature-ed25519": B["signature"], "x-signature-timestamp": B["timestamp"]}
    (event,) = hook.handle(headers, B["body"].encode(), float(B["timestamp"])).dispatches

    assert (event.type, event.data, event.id, event.sequence) == ("GATEWAY_EVENT_NAME", {}, None, None)


def test_an_event_without_a_signature_is_refused() -> None:
    refused(webhook().handle({"X-Bot-Appid": "11111111"}, encoded(EVENT), NOW), 401, "not signed")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"X-Signature-Ed25519": None}, "one of them is missing"),
        ({"X-Signature-Timestamp": None}, "one of them is missing"),
        ({"X-Signature-Ed25519": ""}, "128 hexadecimal"),
        ({"X-Signature-Ed25519": "zz" * 64}, "128 hexadecimal"),
        ({"X-Signature-Ed25519": "ab" * 63}, "128 hexadecimal"),
        ({"X-Signature-Ed25519": "ab" * 65}, "128 hexadecimal"),
        ({"X-Signature-Ed25519": "ab" * 64 + "\n"}, "128 hexadecimal"),
        ({"X-Signature-Ed25519": "\uff41\uff42" * 64}, "128 hexadecimal"),
        ({"X-Signature-Ed25519": "00" * 64}, "does not fit"),
        ({"X-Signature-Ed25519": "ff" * 64}, "does not fit"),
        ({"X-Signature-Timestamp": ""}, "no number"),
        ({"X-Signature-Timestamp": "1e9"}, "no number"),
        ({"X-Signature-Timestamp": "-1"}, "no number"),
        ({"X-Signature-Timestamp": "1725442341.0"}, "no number"),
        ({"X-Signature-Timestamp": "9" * 21}, "no number"),
        ({"X-Signature-Timestamp": "\uff11\uff17\uff12\uff15"}, "no number"),
        ({"X-Signature-Timestamp": "1725442342"}, "does not fit"),
        ({"X-Signature-Method": "HMAC"}, "another method"),
        ({"X-Bot-Appid": "22222222"}, "another bot"),
    ],
)
def test_what_is_wrong_with_a_signature_is_told(change: dict[str, str | None], reason: str) -> None:
    raw = encoded(EVENT)
    headers = {name: value for name, value in {**headers_of(raw), **change}.items() if value is not None}
    status = 403 if "another bot" in reason else 401
    refused(webhook().handle(headers, raw, NOW), status, reason)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_other_body_is_refused(place: int, change: int) -> None:
    raw = encoded(EVENT)
    headers = headers_of(raw)
    spoilt = bytearray(raw)
    spoilt[place % len(raw)] ^= change
    refused(webhook().handle(headers, bytes(spoilt), NOW), 401, "does not fit")


@given(st.integers(0, 511))
def test_any_other_signature_is_refused(bit: int) -> None:
    raw = encoded(EVENT)
    headers = headers_of(raw)
    signature = int(headers["X-Signature-Ed25519"], 16) ^ (1 << bit)
    headers["X-Signature-Ed25519"] = f"{signature:0128x}"
    refused(webhook().handle(headers, raw, NOW), 401, "does not fit")


@pytest.mark.parametrize(
    "spelling",
    [
        lambda headers: {name.lower(): value for name, value in headers.items()},
        lambda headers: {name.upper(): value for name, value in headers.items()},
        lambda headers: list(headers.items()),
        lambda headers: iter([("Accept", "a"), ("Accept", "b"), *headers.items()]),
        lambda headers: {**headers, "X-Signature-Ed25519": headers["X-Signature-Ed25519"].upper()},
        lambda headers: {name: value for name, value in headers.items() if name != "X-Signature-Method"},
        lambda headers: {name: value for name, value in headers.items() if name != "X-Bot-Appid"},
    ],
)
def test_headers_come_in_many_forms(spelling: Callable[[dict[str, str]], Any]) -> None:
    raw = encoded(EVENT)

    assert len(webhook().handle(spelling(headers_of(raw)), raw, NOW).dispatches) == 1


def test_a_header_that_comes_twice_is_none_of_both() -> None:
    raw = encoded(EVENT)
    pairs = list(headers_of(raw).items())
    again = [("x-signature-ed25519", "00" * 64)]
    refused(webhook().handle(again + pairs, raw, NOW), 401, "128 hexadecimal")
    refused(webhook().handle(pairs + again, raw, NOW), 401, "128 hexadecimal")


def test_which_bot_of_several_a_request_is_for() -> None:
    assert app_id_of({"X-BOT-APPID": "1"}) == "1"
    assert app_id_of([("Host", "x"), ("x-bot-appid", "2")]) == "2"
    assert app_id_of({}) is None


# -- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "taken"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_a_request_is_good_for_five_minutes_before_and_after(age: float, taken: bool) -> None:
    reply = post(webhook(), EVENT, now=NOW + age)
    if taken:
        assert reply.status == 200
    else:
        refused(reply, 401, "too old or too young")


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_clock_that_tells_no_time_lets_nothing_in(now: float) -> None:
    refused(post(webhook(), EVENT, now=now), 401, "too old or too young")


def test_the_window_can_be_chosen() -> None:
    assert post(webhook(max_skew=10), EVENT, now=NOW + 11).status == 401
    assert post(webhook(max_skew=math.inf), EVENT, now=0.0).status == 200
    for nonsense in (0, -1, math.nan):
        with pytest.raises(ValueError, match="max_skew"):
            webhook(max_skew=nonsense)


# -- repetitions ------------------------------------------------------------------------------------------------------


def test_an_event_that_the_platform_delivers_again_is_acknowledged_and_not_handed_over() -> None:
    hook = webhook()
    first = post(hook, EVENT)
    again = post(hook, EVENT, at=NOW + 20.0)

    assert len(first.dispatches) == 1
    assert (again.status, again.body) == (200, first.body)
    assert (again.dispatches, again.refused) == ([], None)
    assert hook.counters == {"dispatches": 1, "repetitions": 1}


def test_an_event_is_known_by_its_id_or_by_the_id_of_its_message() -> None:
    hook = webhook()
    post(hook, EVENT)

    assert post(hook, {**EVENT, "d": {**EVENT["d"], "id": "another"}}).dispatches == []
    assert post(hook, {**EVENT, "id": "another"}).dispatches == []
    assert len(post(hook, {**EVENT, "id": "another", "d": {**EVENT["d"], "id": "another"}}).dispatches) == 1


def test_two_events_about_one_guild_are_two_events() -> None:
    hook, event = webhook(), body("ev_guild_update")

    assert len(post(hook, event).dispatches) == 1
    assert len(post(hook, {**event, "id": "GUILD_UPDATE:another"}).dispatches) == 1


@pytest.mark.parametrize("without", [{}, {"id": ""}, {"id": None}, {"id": 5}])
def test_an_event_without_a_name_is_known_by_its_signature(without: dict[str, Any]) -> None:
    """So that whoever overhears a request cannot have it handled twice."""
    hook = webhook()
    event = {"op": 0, "t": "GROUP_ADD_ROBOT", "d": {}, **without}

    assert len(post(hook, event).dispatches) == 1
    assert post(hook, event, now=NOW + 100.0).dispatches == []
    assert len(post(hook, event, at=NOW + 1.0).dispatches) == 1


def test_the_memory_is_bounded_in_size_and_in_time() -> None:
    hook = webhook(policy=Policy(remember_seen=2, remember_for=60.0), max_skew=math.inf)

    def event(number: int, at: float = NOW) -> int:
        return len(post(hook, {"op": 0, "t": "X", "id": f"X:{number}", "d": {}}, at=at).dispatches)

    assert [event(number) for number in (1, 1)] == [1, 0]
    assert event(1, at=NOW + 61.0) == 1
    assert [event(number, at=NOW + 62.0) for number in range(2, 20)] == [1] * 18
    assert event(1, at=NOW + 63.0) == 1


# -- what else the platform may send ----------------------------------------------------------------------------------


def test_a_heartbeat_is_answered_as_botgo_does() -> None:
    hook = webhook()
    reply = post(hook, {"op": 1, "d": 42})

    assert json.loads(reply.body) == body("webhook_heartbeat_ack")
    for odd in (None, "x", -1, True, 1.5):
        assert json.loads(post(hook, {"op": 1, "d": odd}).body) == {"op": 11, "d": 0}
    assert hook.counters == {"heartbeats": 6}


def test_an_opcode_that_nobody_knows_is_acknowledged_and_counted() -> None:
    hook = webhook()
    reply = post(hook, {"op": 99, "d": {}})

    assert (reply.status, reply.dispatches, reply.refused) == (200, [], None)
    assert hook.counters == {"unknown_opcodes": 1}
    refused(hook.handle({}, encoded({"op": 99}), NOW), 401, "not signed")


# -- junk -------------------------------------------------------------------------------------------------------------

JUNK = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"5",
    b"\xff\xfe{",
    b"\xef\xbb\xbf{}",
    b'{"op":0',
    b'{"op":"0"}',
    b'{"op":0.0}',
    b'{"op":true}',
    b'{"op":null}',
    '{"op":0,"t":"X"}'.encode("utf-16"),
    b"[" * 200_000,
    b'{"op":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("raw", JUNK, ids=lambda raw: repr(raw[:12]))
def test_junk_is_refused_signed_or_not(raw: bytes) -> None:
    hook = webhook()
    unsigned, signed = hook.handle({}, raw, NOW), post(hook, raw)
    for reply in (unsigned, signed):
        refused(reply, 400, "the body is no")
    assert hook.counters == {"refused": 2}


@pytest.mark.parametrize("type", [None, "", 5, ["X"], {}])
def test_a_dispatch_without_a_type_is_refused(type: Any) -> None:
    refused(post(webhook(), {"op": 0, "t": type, "d": {}}), 400, "without a type")


def test_a_body_beyond_the_limit_is_refused_unread() -> None:
    hook = webhook(policy=Policy(max_http_body=100))
    raw = b" " * 101
    refused(hook.handle(headers_of(raw), raw, NOW), 413, "more than 100 bytes")
    assert hook.handle({}, validation("x", "1").ljust(100), NOW).status == 200


def test_what_json_allows_passes_through() -> None:
    hook = webhook()
    raw = b'{"op":0,"t":"X","id":"\\ud800","d":{"a":1e400,"a":2,"n":NaN,"b":123456789012345678901234567890}}'
    (event,) = post(hook, raw).dispatches

    assert event.data["a"] == 2
    assert event.data["b"] == 123456789012345678901234567890
    assert event.id == "\ud800"


# -- secrets and imports ----------------------------------------------------------------------------------------------


def test_the_secret_is_in_no_repr_and_in_no_reply() -> None:
    hook, raw = webhook(), validation()
    replies = [hook.handle({}, raw, NOW), hook.handle({}, b"", NOW), post(hook, EVENT)]
    key = SigningKey(CREDENTIALS.secret)
    said = [repr(hook), repr(key), *(f"{reply!r} {reply.refused} {reply.body!r}" for reply in replies)]

    assert repr(hook) == "Webhook('11111111')"
    for text in said:
        assert CREDENTIALS.secret not in text
        assert doubled(CREDENTIALS.secret).hex() not in text


def test_nothing_of_a_request_is_quoted_in_a_refusal() -> None:
    """What ends up in a log must not be written by a stranger."""
    raw = encoded({"op": 13, "d": {"plain_token": "INJECTED\n", "event_ts": "INJECTED"}})
    for headers in ({"X-Bot-Appid": "INJECTED"}, {"X-Signature-Ed25519": "INJECTED", "X-Signature-Timestamp": "1"}, {}):
        reply = webhook().handle(headers, raw, NOW)
        assert reply.refused is not None
        assert "INJECTED" not in reply.refused + reply.body.decode()


def test_cryptography_is_loaded_when_a_webhook_is_made_and_missing_it_is_one_sentence() -> None:
    program = (
        "import sys\n"
        "import qqproto, qqproto.webhook, qqproto.testing\n"
        "assert 'cryptography' not in sys.modules\n"
        "sys.modules['cryptography'] = None\n"
        "try:\n"
        "    qqproto.webhook.Webhook(qqproto.Credentials('1', 'a-secret'))\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "webhooks need cryptography: python -m pip install 'qqproto[webhook]'"
