"""Callbacks from everybody: nothing raises, every refusal says why, and no event is anybody's but the platform's.

Each example posts :data:`REQUESTS` requests, so that a campaign has that many times its examples of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qqproto import Policy
from qqproto.webhook import Webhook, WebhookReply, app_id_of
from qqproto.wire.signatures import SigningKey
from tests.core.callbacks import CREDENTIALS, NOW
from tests.fuzz.machines import ENVELOPES, JSON, campaign, work

REQUESTS = 8

KEY = SigningKey(CREDENTIALS.secret)
"""The platform's. What hostile senders have is in NAMES, VALUES and BODIES."""
STRANGERS_KEY = SigningKey("another secret")

NAMES = st.sampled_from(
    ["X-Signature-Ed25519", "x-signature-timestamp", "X-SIGNATURE-METHOD", "X-Bot-Appid", "Content-Type", ""]
) | st.text(max_size=8)
OWN = {"x-signature-method": "Ed25519", "x-bot-appid": CREDENTIALS.app_id}
"""What the platform says in every request; who says it once more has said nothing new."""
TIMESTAMPS = st.sampled_from([str(int(NOW)), str(int(NOW) - 301), "0", "", "-1", "1e9", "9" * 20, "9" * 21, "\uff11"])
VALUES = st.one_of(
    TIMESTAMPS,
    st.sampled_from(["00" * 64, "ff" * 64, "zz" * 64, "ab" * 63, "Ed25519", "HMAC", "11111111", "22222222"]),
    st.binary(min_size=64, max_size=64).map(bytes.hex),
    st.text(max_size=12),
)
FORGED = ['{"op":0,"t":"X","d":{}}', '\n{"op":0,"t":"X"}', '0{"op":0,"t":"X"}', '{"op":1}']
ASKED = {
    "plain_token": st.text("abcAZ09_+/=-", max_size=140) | st.sampled_from(FORGED) | st.text(max_size=20) | JSON,
    "event_ts": st.just(str(int(NOW))) | st.text("0123456789", max_size=22) | st.integers() | JSON,
}
VALIDATIONS = st.fixed_dictionaries(
    {"op": st.just(13)}, optional={"d": st.fixed_dictionaries(ASKED) | st.fixed_dictionaries({}, optional=ASKED) | JSON}
)
ORACLES = st.fixed_dictionaries({"op": st.just(13), "d": st.fixed_dictionaries(ASKED)})
EVENTS = st.fixed_dictionaries(
    {"op": st.just(0), "t": st.sampled_from(["C2C_MESSAGE_CREATE", "GUILD_UPDATE"])},
    optional={
        "id": st.sampled_from(["a", "b", ""]) | JSON,
        "d": st.sampled_from([{"id": "m"}, {"id": "n"}, {}]) | JSON,
    },
)
BODIES = st.one_of(
    (ENVELOPES | VALIDATIONS | JSON).map(lambda message: json.dumps(message).encode()),
    st.binary(max_size=60),
    st.sampled_from([b"", b"{", b'{"op":0', b"[" * 5000, b"\xef\xbb\xbf{}", b'{"op":0,"t":"X","d":NaN}']),
)


@dataclass(frozen=True)
class Post:
    """One request; ``genuine``: the platform has signed this body at this time, with these very headers."""

    headers: Mapping[str, str] | Iterable[tuple[str, str]]
    body: bytes
    now: float
    genuine: bool = False


def signed(key: SigningKey, body: bytes, at: float = NOW) -> dict[str, str]:
    timestamp = str(int(at))
    return {"X-Signature-Ed25519": key.sign(timestamp, body), "X-Signature-Timestamp": timestamp}


@st.composite
def strangers(draw: st.DrawFn) -> Post:
    """Somebody who has no key posts something."""
    body = draw(BODIES)
    headers: Any = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    kind = draw(st.sampled_from(["pairs", "mapping", "a stranger's signature"]))
    if kind == "mapping":
        headers = dict(headers)
    elif kind == "a stranger's signature":
        headers = [*headers, *signed(STRANGERS_KEY, body).items()]
    return Post(headers, body, draw(st.sampled_from([NOW, NOW + 1e9, math.nan, math.inf, 0.0])))


@st.composite
def overheard(draw: st.DrawFn) -> Post:
    """Somebody has a request of the platform's, and changes one thing about it, or nothing but the time."""
    body = json.dumps(draw(EVENTS)).encode() if draw(st.booleans()) else draw(BODIES)
    post = Post(signed(KEY, body), body, NOW, genuine=True)
    headers = dict(signed(KEY, body))
    change = draw(
        st.sampled_from(
            [
                "nothing",
                "nothing",
                "nothing",
                "body",
                "cut",
                "more",
                "signature",
                "timestamp",
                "shift",
                "late",
                "header",
            ]
        )
    )
    if change == "body" and body:
        place, bit = draw(st.integers(0, len(body) - 1)), draw(st.integers(1, 255))
        return replace(post, body=body[:place] + bytes([body[place] ^ bit]) + body[place + 1 :], genuine=False)
    if change == "cut" and body:
        return replace(post, body=body[: draw(st.integers(0, len(body) - 1))], genuine=False)
    if change == "more":
        return replace(post, body=body + draw(st.sampled_from([b" ", b"\n", b"{}", b"\0"])), genuine=False)
    if change == "signature":
        number = int(headers["X-Signature-Ed25519"], 16) ^ (1 << draw(st.integers(0, 511)))
        return replace(post, headers={**headers, "X-Signature-Ed25519": f"{number:0128x}"}, genuine=False)
    if change == "timestamp":
        changed = draw(TIMESTAMPS)
        same = changed == headers["X-Signature-Timestamp"]
        return replace(post, headers={**headers, "X-Signature-Timestamp": changed}, genuine=same)
    if change == "shift":
        # Time and body are signed one after the other without a mark between them.
        whole = headers["X-Signature-Timestamp"].encode() + body
        cut = draw(st.integers(0, 20).filter(lambda cut: cut != 10))
        timestamp = whole[:cut].decode("latin-1")
        return replace(post, headers={**headers, "X-Signature-Timestamp": timestamp}, body=whole[cut:], genuine=False)
    if change == "late":
        return replace(post, now=NOW + draw(st.sampled_from([301.0, -301.0, 1e12])), genuine=False)
    if change == "header":
        name, value = draw(NAMES), draw(VALUES)
        pairs = [*headers.items(), (name, value)]
        own = {name.lower(): value for name, value in headers.items()} | OWN
        harmless = value == own.get(name.lower(), value)
        return replace(post, headers=pairs, genuine=harmless)
    return post


def judge(reply: WebhookReply, post: Post) -> None:
    """What holds of every reply."""
    told = json.loads(reply.body)
    assert (reply.refused is None) == (reply.status == 200)
    assert reply.status == 200 or 400 <= reply.status < 500
    assert reply.refused is None or told == {"message": reply.refused}
    assert CREDENTIALS.secret not in repr(reply)
    assert not reply.dispatches or post.genuine, "an event that the platform has not signed"
    for dispatch in reply.dispatches:
        assert dispatch.envelope == json.loads(post.body) or "NaN" in post.body.decode()


POSTS = st.lists(strangers() | overheard(), min_size=REQUESTS // 2, max_size=REQUESTS // 2)
"""Whatever is posted is posted twice."""


@given(POSTS)
@campaign
def test_any_requests_at_one_address(posts: list[Post]) -> None:
    hook = Webhook(CREDENTIALS)
    handed_out: list[str] = []
    for post in posts * 2:
        reply = hook.handle(post.headers, post.body, post.now)
        judge(reply, post)
        handed_out += [repr(event.id or post.body) for event in reply.dispatches]
        app_id_of(post.headers)

    assert len(handed_out) == len(set(handed_out)), "an event was handed out twice"
    assert sum(hook.counters.values()) == REQUESTS


@given(st.lists(ORACLES, min_size=REQUESTS, max_size=REQUESTS), st.just(10) | st.integers(0, 60))
@campaign
def test_nobody_gets_an_events_signature_out_of_a_validation(questions: list[dict[str, Any]], cut: int) -> None:
    hook = Webhook(CREDENTIALS, max_skew=math.inf)
    for question in questions:
        reply = hook.handle({}, json.dumps(question).encode(), NOW)
        if reply.status != 200:
            continue
        answer = json.loads(reply.body)
        whole = f"{question['d']['event_ts']}{answer['plain_token']}"
        headers = {"X-Signature-Ed25519": answer["signature"], "X-Signature-Timestamp": whole[:cut]}
        assert hook.handle(headers, whole[cut:].encode(), NOW).dispatches == []


@given(st.sampled_from([b"[", b'{"a":', b'"', b"1", b" ", b"\\u", b"\xff"]), st.integers(1, 2000))
@campaign
def test_the_work_is_linear_in_the_body(piece: bytes, times: int) -> None:
    hook = Webhook(CREDENTIALS)
    body = piece * times
    headers = signed(KEY, body)

    assert work(lambda: hook.handle(headers, body, NOW)) < 400 + len(body)


@given(st.integers(0, 300))
@campaign
def test_a_body_beyond_the_limit_costs_nothing(size: int) -> None:
    hook = Webhook(CREDENTIALS, policy=Policy(max_http_body=100))
    body = b"{" * size
    reply = hook.handle(signed(KEY, body), body, NOW)

    assert (reply.status == 413) == (size > 100)
