"""The HTTP replies an Account may get: whatever they are, each asker is answered, and nothing raises."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from qqproto import (
    Account,
    Answer,
    Cancel,
    Credentials,
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    HTTPResponse,
    ReserveIdentify,
    SendRequest,
)
from qqproto.protocol import rest
from tests.fuzz.machines import JSON, campaign

TOKEN_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "access_token": st.sampled_from(["T-1", "T-2"]) | JSON,
        "expires_in": st.sampled_from(["7200", 7200, "60", "0.5", -1, "nan"]) | JSON,
        "code": st.sampled_from([0, 100016, 100001, 11244]) | JSON,
        "message": st.text(max_size=30) | JSON,
    },
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "total": st.integers(0, 1500) | JSON,
        "remaining": st.integers(0, 1500) | JSON,
        "reset_after": st.integers(0, 10**8) | JSON,
        "max_concurrency": st.integers(0, 8) | JSON,
    },
)
GATEWAY_BODIES = st.fixed_dictionaries(
    {},
    optional={
        "url": st.sampled_from(["wss://g.example/", "ws://[::1", "https://x", "wss://"]) | JSON,
        "shards": st.integers(0, 8) | JSON,
        "session_start_limit": LIMITS | JSON,
        "err_code": st.sampled_from([0, 11298, 40023002]) | JSON,
        "trace_id": st.text(max_size=100) | JSON,
    },
)
BODIES = (TOKEN_BODIES | GATEWAY_BODIES | JSON).map(lambda body: json.dumps(body).encode()) | st.binary(max_size=60)
HEADERS = st.dictionaries(st.sampled_from(["Retry-After", "X-Tps-trace-ID", "Date"]), st.text(max_size=20), max_size=3)
RESPONSES = st.builds(
    HTTPResponse, st.sampled_from([200, 204, 302, 400, 401, 403, 404, 429, 500, 502]), HEADERS, BODIES
)


@given(RESPONSES)
@campaign
def test_any_reply_is_a_value(response: HTTPResponse) -> None:
    token = rest.parse_token(response)
    assert isinstance(token, Failure) or (token[0] and 0 < token[1] <= rest.LONGEST_TOKEN_LIFE)
    info = rest.parse_gateway(response)
    if isinstance(info, Failure):
        assert info.message
        rest.verdict_of(info)
    else:
        assert rest.usable_gateway_url(info.url)
        assert info.max_concurrency >= 1
        assert info.shards >= 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["token", "gateway", "slot", "reply", "fail", "withdraw", "wait"]), RESPONSES),
    max_size=25,
)


@given(STEPS, st.lists(st.floats(0, 200), min_size=25, max_size=25))
@campaign
def test_every_question_is_answered_within_its_time(steps: list[tuple[str, HTTPResponse]], spans: list[float]) -> None:
    account = Account(Credentials("11111111", "SECRET-OF-THE-BOT"))
    now = 0.0
    requests: list[int] = []
    open_: set[int] = set()
    given_out: str | None = None

    def drain() -> None:
        nonlocal given_out
        while (action := account.next_output()) is not None:
            assert "SECRET" not in repr(action)
            if isinstance(action, SendRequest):
                assert action.deadline > now
                requests.append(action.id)
                assert len(requests) <= 2, "one token request and one gateway request at a time"
            elif isinstance(action, Cancel):
                requests.remove(action.id)
            else:
                assert isinstance(action, Answer)
                open_.remove(action.id)
                value = action.value
                given_out = getattr(value, "value", given_out)

    for number, ((step, response), span) in enumerate(zip(steps, spans, strict=False)):
        if step == "token":
            open_.add(number)
            account.ask("shard", FetchToken(number, now + 15.0, given_out), now)
        elif step == "gateway":
            open_.add(number)
            account.ask("shard", FetchGateway(number, now + 15.0, fresh=True), now)
        elif step == "slot":
            open_.add(number)
            account.ask("shard", ReserveIdentify(number, now + 15.0), now)
        elif step == "withdraw" and open_:
            account.withdraw("shard", open_.pop(), now)
        elif step == "reply" and requests:
            account.response_received(requests.pop(0), response, now)
        elif step == "fail" and requests:
            account.request_failed(requests.pop(0), Failure(FailureKind.RESET), now)
        drain()
        due = account.next_timer()
        assert not open_ or due is not None, "somebody waits for ever"
        if step == "wait":
            now += span
            account.handle_timer(now)
            drain()
            due = account.next_timer()
            assert due is None or due > now
    for _ in range(20):
        due = account.next_timer()
        if due is None:
            break
        now = max(now, due)
        account.handle_timer(now)
        drain()
    assert not open_
