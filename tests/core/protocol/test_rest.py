from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Failure, FailureKind, GatewayInfo, HTTPResponse, StopReason
from qqproto.protocol.rest import (
    LONGEST_FOREIGN_WAIT,
    LONGEST_TOKEN_LIFE,
    REST_ERRORS,
    SHORT_TOKEN_LIFE,
    RestVerdict,
    error_row,
    gateway_request,
    parse_gateway,
    parse_token,
    token_request,
    usable_gateway_url,
    verdict_of,
)
from tests.core.samples import body, response

HTML = b"<html><body>Please log in to the hotel network.</body></html>"
ADDRESS = "wss://api.sgroup.qq.com/websocket"

TAKES_A_PERSON = {100016, 100007, 10004, 11245, 11265}
TAKES_A_TOKEN = {11241, 11243, 11244, 11251, 11261, 11275}
TAKES_A_SETTING = {11253, 11254, 11262, 11264, 11282, 11298, 40023002}
RATE_LIMITS = {100001, 100017, 20028, 22009, 1100100, 1100308, 40034100}
INCIDENTS = {11242, 11252, 11263, 11281, 500, 504, 50055001}


def reply(content: Any, status: int = 200, **headers: str) -> HTTPResponse:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HTTPResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def token_failure(answer: HTTPResponse) -> Failure:
    result = parse_token(answer)
    assert isinstance(result, Failure)
    return result


def gateway(answer: HTTPResponse) -> GatewayInfo:
    result = parse_gateway(answer)
    assert isinstance(result, GatewayInfo), result
    return result


def gateway_failure(answer: HTTPResponse) -> Failure:
    result = parse_gateway(answer)
    assert isinstance(result, Failure)
    return result


# -- what is asked -------------------------------------------------------------------------------------------------


def test_the_token_request_is_the_documented_one() -> None:
    request = token_request("https://bots.example/app/getAppAccessToken", app_id="11111111", secret="DG5g3B4j9X2KOErG")
    assert (request.method, request.url) == ("POST", "https://bots.example/app/getAppAccessToken")
    assert request.headers["Content-Type"] == "application/json", "a form is answered with 100007"
    assert json.loads(request.body) == body("token_request")


@pytest.mark.parametrize("base", ["https://api.example", "https://api.example/"])
def test_the_gateway_request_carries_the_authorization(base: str) -> None:
    request = gateway_request(base, app_id="11111111", authorization="QQBot T")
    assert (request.method, request.url, request.body) == ("GET", "https://api.example/gateway/bot", b"")
    assert request.headers["Authorization"] == "QQBot T"
    assert request.headers["X-Union-Appid"] == "11111111"


def test_neither_requests_nor_replies_show_what_they_carry() -> None:
    asked = [
        token_request("https://bots.example/token", app_id="1", secret="hush"),
        gateway_request("https://api.example", app_id="1", authorization="QQBot hush"),
        reply({"access_token": "hush"}, X_Note="hush"),
    ]
    assert "hush" not in repr(asked)


def test_header_names_are_matched_without_regard_to_case() -> None:
    answer = HTTPResponse(200, {"X-TPS-trace-id": "abc"}, b"")
    assert answer.header("x-tps-Trace-ID") == "abc"
    assert answer.header("Retry-After") is None


# -- the token -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "life"), [("token_response_string_expires", 7200.0), ("token_response_int_expires", 5097.0)]
)
def test_the_sampled_tokens_are_read(sample: str, life: float) -> None:
    assert parse_token(response(sample)) == ("ACCESS_TOKEN", life)


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        ("1222", 1222.0),
        (1222, 1222.0),
        (1222.5, 1222.5),
        ("1222.5", 1222.5),
        (" 7200 ", 7200.0),
        ("7.2e3", 7200.0),
        ("1", 1.0),
    ],
)
def test_a_life_is_a_number_or_a_string_of_one(expires_in: Any, life: float) -> None:
    assert parse_token(reply({"access_token": "T", "expires_in": expires_in})) == ("T", life)


@pytest.mark.parametrize(
    "expires_in",
    [None, "", "soon", "0", 0, -1, "-7200", 0.5, "1e-300", True, [], {}, "nan", "inf", "-inf", math.nan, math.inf,
     10**400, "7200s"],
)  # fmt: skip
def test_an_absurd_life_is_taken_as_a_short_one(expires_in: Any) -> None:
    assert parse_token(reply({"access_token": "T", "expires_in": expires_in})) == ("T", SHORT_TOKEN_LIFE)


def test_a_short_life_is_the_platforms_overlap_and_the_longest_its_two_hours() -> None:
    assert (SHORT_TOKEN_LIFE, LONGEST_TOKEN_LIFE) == (60.0, 7200.0)


def test_a_missing_life_is_taken_as_a_short_one() -> None:
    assert parse_token(reply({"access_token": "T"})) == ("T", SHORT_TOKEN_LIFE)


@pytest.mark.parametrize("expires_in", [7201, "86400", 1e300])
def test_no_life_is_longer_than_the_platforms(expires_in: Any) -> None:
    assert parse_token(reply({"access_token": "T", "expires_in": expires_in})) == ("T", LONGEST_TOKEN_LIFE)


def test_a_code_of_zero_is_success() -> None:
    answer = reply({"code": 0, "message": "", "access_token": "T", "expires_in": "7200"})
    assert parse_token(answer) == ("T", 7200.0)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_error_body_is_an_error_under_any_status_of_success(status: int) -> None:
    failure = token_failure(reply({"code": 100016, "message": "invalid appid or secret"}, status))
    assert (failure.kind, failure.code, failure.http_status) == (FailureKind.HTTP_STATUS, 100016, status)
    assert failure.message == f"HTTP {status}, error 100016: invalid appid or secret"


@pytest.mark.parametrize(
    ("sample", "code", "kind"),
    [
        ("token_error_100016", 100016, FailureKind.HTTP_STATUS),
        ("token_error_100007", 100007, FailureKind.HTTP_STATUS),
        ("token_error_10004", 10004, FailureKind.HTTP_STATUS),
        ("token_error_100001", 100001, FailureKind.RATE_LIMITED),
    ],
)
def test_the_sampled_token_errors_are_read(sample: str, code: int, kind: FailureKind) -> None:
    failure = token_failure(response(sample))
    assert (failure.kind, failure.code) == (kind, code)


def test_an_error_outweighs_a_token_beside_it() -> None:
    assert token_failure(reply({"code": 100001, "access_token": "T", "expires_in": "7200"})).code == 100001


@pytest.mark.parametrize("value", [None, "", 5, ["T"], "T\r\nX: 1", "T\x00", "t€ken", "\ud800"])
def test_a_token_that_no_header_could_carry_is_none(value: Any) -> None:
    failure = token_failure(reply({"access_token": value, "expires_in": "7200"}))
    assert failure == Failure(FailureKind.OTHER, "the token reply has no usable access_token", 200)


def test_a_token_reply_without_a_token_has_none() -> None:
    assert token_failure(reply({})).kind is FailureKind.OTHER


@pytest.mark.parametrize(
    "content",
    [HTML, b"", b"{", b'{"access_token": "T", "expi', b"[]", b"null", b'"T"', b"\xff\xfe\xfd", b"[" * 100_000],
)
@pytest.mark.parametrize("parse", [parse_token, parse_gateway])
def test_a_body_that_is_no_json_object_is_no_verdict(parse: Any, content: bytes) -> None:
    for status in (200, 401, 403, 502):
        failure = parse(reply(content, status))
        assert (failure.kind, failure.code, failure.http_status) == (FailureKind.HTTP_STATUS, None, status)
        assert "proxy" in failure.message
        assert verdict_of(failure) is RestVerdict.RETRY


@pytest.mark.parametrize("status", [199, 300, 302, 401, 500])
@pytest.mark.parametrize("parse", [parse_token, parse_gateway])
def test_a_good_body_under_a_bad_status_is_no_success(parse: Any, status: int) -> None:
    failure = parse(reply({"access_token": "T", "expires_in": "7200", "url": ADDRESS}, status))
    assert (failure.kind, failure.http_status) == (FailureKind.HTTP_STATUS, status)


# -- the gateway ---------------------------------------------------------------------------------------------------


def test_the_sampled_gateway_is_read() -> None:
    assert parse_gateway(response("gateway_bot_response")) == GatewayInfo(ADDRESS, 1, 1500, 1500, 86_400.0, 1)


def test_a_missing_concurrency_is_one() -> None:
    info = gateway(response("gateway_bot_response_no_concurrency"))
    assert info == GatewayInfo(ADDRESS, 1, 1000, 999, 14_400.0, 1)


@pytest.mark.parametrize("limit", [None, "none", 5, [], {}])
def test_a_missing_start_limit_leaves_the_budget_unknown(limit: Any) -> None:
    unknown = GatewayInfo(ADDRESS, 2, None, None, None, 1)
    assert parse_gateway(reply({"url": ADDRESS, "shards": 2, "session_start_limit": limit})) == unknown
    assert parse_gateway(response("gateway_response")) == GatewayInfo(ADDRESS, 1, None, None, None, 1)


@pytest.mark.parametrize("field", ["total", "remaining", "reset_after"])
@pytest.mark.parametrize("value", [None, "5", -1, True, 1.5, [5]])
def test_a_part_of_the_start_limit_that_is_no_count_is_unknown(field: str, value: Any) -> None:
    limit = {"total": 1500, "remaining": 1499, "reset_after": 1000, "max_concurrency": 2, field: value}
    info = gateway(reply({"url": ADDRESS, "session_start_limit": limit}))
    assert {"total": info.total, "remaining": info.remaining, "reset_after": info.reset_after} == {
        "total": 1500, "remaining": 1499, "reset_after": 1.0, field: None
    }  # fmt: skip
    assert info.max_concurrency == 2


def test_a_budget_of_nothing_is_not_an_unknown_one() -> None:
    limit = {"total": 0, "remaining": 0, "reset_after": 0}
    info = gateway(reply({"url": ADDRESS, "session_start_limit": limit}))
    assert (info.total, info.remaining, info.reset_after) == (0, 0, 0.0)


@pytest.mark.parametrize("value", [None, "5", 0, -1, True, 1.5])
def test_shards_and_concurrency_are_at_least_one(value: Any) -> None:
    answer = reply({"url": ADDRESS, "shards": value, "session_start_limit": {"max_concurrency": value}})
    assert (gateway(answer).shards, gateway(answer).max_concurrency) == (1, 1)


def test_a_refill_is_a_day_away_at_most() -> None:
    answer = reply({"url": ADDRESS, "session_start_limit": {"reset_after": 10**400}})
    assert gateway(answer).reset_after == 86_400.0


def test_a_count_of_hundreds_of_digits_can_be_reckoned_with() -> None:
    limit = {"total": 10**400, "remaining": 10**400, "reset_after": 0, "max_concurrency": 10**400}
    info = gateway(reply({"url": ADDRESS, "shards": 10**400, "session_start_limit": limit}))
    assert info.total == info.remaining
    for count in (info.total, info.shards, info.max_concurrency):
        assert count is not None
        assert count * 0.05 > 1e9


@pytest.mark.parametrize("url", [None, "", 5, "https://api.sgroup.qq.com/websocket", "api.sgroup.qq.com", "wss:///x"])
def test_a_gateway_without_an_address_is_none(url: Any) -> None:
    failure = gateway_failure(reply({"url": url, "shards": 1}))
    assert failure == Failure(FailureKind.OTHER, "the gateway reply has no ws:// or wss:// url", 200)


def test_the_malformed_example_of_the_documentation_has_no_address() -> None:
    assert gateway_failure(reply({"shards": 9, "session_start_limit": {"total": 1000}})).kind is FailureKind.OTHER


@pytest.mark.parametrize(
    "url",
    [
        ADDRESS,
        "wss://api.bot.qq.com/websocket/",
        "WSS://api.bot.qq.com",
        "ws://127.0.0.1:8080/websocket?v=1#part",
        "ws://[::1]:8080/",
        "wss://[2001:db8::1]",
        "wss://gateway.example.:443/",
    ],
)
def test_addresses_that_can_be_dialled(url: str) -> None:
    assert usable_gateway_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "wss://",
        "wss:",
        "wss://:443/",
        "http://gateway.example/",
        "wss://gateway.example:0/",
        "wss://gateway.example:65536/",
        "wss://gateway.example:port/",
        "wss://[::1",
        "wss://gateway example/",
        "wss://gateway.example/a b",
        "wss://gateway.example/\r\nX: 1",
        "wss://gateway.example/\x7f",
        "wss://gätewäy.example/",
        "wss://gateway..example/",
        "wss://.example/",
        f"wss://{'a' * 64}.example/",
    ],
)
def test_addresses_that_no_request_could_carry(url: str) -> None:
    assert not usable_gateway_url(url)


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        (TAKES_A_PERSON, RestVerdict.STOP),
        (TAKES_A_TOKEN, RestVerdict.REFRESH),
        (TAKES_A_SETTING, RestVerdict.CONFIGURATION),
        (RATE_LIMITS | INCIDENTS, RestVerdict.RETRY),
    ],
)
def test_each_code_allows_what_the_table_of_errors_says(codes: set[int], verdict: RestVerdict) -> None:
    assert {code for code in REST_ERRORS if error_row(code).verdict is verdict} == codes
    for code in codes:
        failure = gateway_failure(reply({"code": code, "message": "no"}, 400))
        assert verdict_of(failure) is verdict
        assert (failure.kind is FailureKind.RATE_LIMITED) is (code in RATE_LIMITS)


@pytest.mark.parametrize("code", [1, 304018, 40034005, -5, 10**30])
def test_an_unknown_code_is_told_as_a_configuration_error(code: int) -> None:
    failure = gateway_failure(reply({"err_code": code, "message": "who knows"}, 400))
    assert verdict_of(failure) is RestVerdict.CONFIGURATION
    assert str(code) in error_row(code).hint


@pytest.mark.parametrize("code", sorted(REST_ERRORS))
def test_every_row_says_who_says_so_and_what_a_person_can_do(code: int) -> None:
    row = error_row(code)
    assert row.code == code
    assert row.meaning
    assert row.source
    needs_a_person = row.verdict in (RestVerdict.CONFIGURATION, RestVerdict.STOP)
    assert bool(row.hint) is (needs_a_person or (row.verdict is RestVerdict.REFRESH and code != 11244))
    assert (row.reason is not None) is (row.verdict is RestVerdict.STOP)


def test_only_a_ban_stops_for_another_reason_than_the_credentials() -> None:
    assert {error_row(code).reason for code in TAKES_A_PERSON - {11265}} == {StopReason.CREDENTIALS}
    assert error_row(11265).reason is StopReason.BANNED


@pytest.mark.parametrize(
    ("sample", "status", "code"),
    [
        ("http_error_old_style", 401, 11244),
        ("http_error_new_style", 400, 40034005),
        ("http_error_ip_not_whitelisted", 401, 40023002),
        ("http_audit_pending", 202, 304023),
    ],
)
def test_the_sampled_errors_are_read_in_both_styles(sample: str, status: int, code: int) -> None:
    failure = gateway_failure(response(sample))
    assert (failure.kind, failure.http_status, failure.code) == (FailureKind.HTTP_STATUS, status, code)


def test_an_address_off_the_allowlist_is_a_setting_in_both_styles() -> None:
    assert verdict_of(gateway_failure(response("http_error_ip_not_whitelisted"))) is RestVerdict.CONFIGURATION
    assert verdict_of(gateway_failure(reply({"code": 11298}, 401))) is RestVerdict.CONFIGURATION
    assert "IP allowlist" in error_row(11298).hint


@pytest.mark.parametrize("value", ["11298", 11298.0, True, None, [11298]])
def test_a_code_that_is_no_integer_is_no_code(value: Any) -> None:
    assert gateway_failure(reply({"code": value, "message": "no"}, 401)).code is None


def test_a_first_code_of_zero_leaves_the_word_to_the_second() -> None:
    assert gateway_failure(reply({"err_code": 0, "code": 11244}, 401)).code == 11244


@pytest.mark.parametrize("said", [None, 5, {}])
def test_an_error_without_a_message_says_what_its_code_means(said: Any) -> None:
    failure = gateway_failure(reply({"code": 11244, "message": said}, 401))
    assert failure.message == "HTTP 401, error 11244: the token is missing or expired"


def test_an_endless_message_is_cut() -> None:
    failure = gateway_failure(reply({"code": 11244, "message": "x" * 10_000, "trace_id": "t" * 10_000}, 401))
    assert len(failure.message) < 400


def test_the_trace_id_is_told_from_the_header_or_the_body() -> None:
    content = {"code": 500, "message": "oops", "trace_id": "in-body"}
    assert gateway_failure(reply(content, 500)).message.endswith("(trace in-body)")
    assert gateway_failure(reply(content, 500, X_Tps_trace_ID="in-header")).message.endswith("(trace in-header)")
    assert "trace" not in gateway_failure(reply({**content, "trace_id": 5}, 500)).message


@pytest.mark.parametrize("content", [{"code": 22009, "message": "limited"}, HTML])
def test_too_many_requests_are_a_rate_limit_with_or_without_json(content: Any) -> None:
    failure = token_failure(reply(content, 429, Retry_After="17"))
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMITED, 17.0)
    assert verdict_of(failure) is RestVerdict.RETRY


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(" 5 ", 5.0), ("0", 0.0), ("9" * 400, 86_400.0), ("Fri, 31 Dec 1999 23:59:59 GMT", None), ("-5", None),
     ("1.5", None), ("", None), ("²", None)],
)  # fmt: skip
def test_retry_after_is_a_span_of_a_day_at_most(value: str, seconds: float | None) -> None:
    assert token_failure(reply({"code": 100017}, Retry_After=value)).retry_after == seconds


@given(st.binary(max_size=200), st.integers(100, 599), st.dictionaries(st.text(), st.text(), max_size=3))
def test_any_reply_is_read(content: bytes, status: int, headers: dict[str, str]) -> None:
    answer = HTTPResponse(status, headers, content)
    assert isinstance(parse_token(answer), (tuple, Failure))
    assert isinstance(parse_gateway(answer), (GatewayInfo, Failure))


@given(
    st.dictionaries(
        st.sampled_from(["access_token", "expires_in", "url", "shards", "session_start_limit", "code", "err_code"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(ADDRESS),
            lambda inner: st.dictionaries(
                st.sampled_from(["total", "remaining", "reset_after", "max_concurrency"]), inner
            ),
            max_leaves=6,
        ),
    )
)
def test_any_fields_are_read(content: dict[str, Any]) -> None:
    answer = reply(content)
    token, info = parse_token(answer), parse_gateway(answer)
    if not isinstance(token, Failure):
        assert 1.0 <= token[1] <= LONGEST_TOKEN_LIFE
    if not isinstance(info, Failure):
        assert info.shards >= 1
        assert info.max_concurrency >= 1
        assert info.reset_after is None or 0.0 <= info.reset_after <= 86_400.0


def test_a_proxy_may_not_keep_a_bot_away_for_a_day() -> None:
    page = HTTPResponse(503, {"Retry-After": "86400"}, b"<html>maintenance</html>")
    failure = parse_token(page)
    assert isinstance(failure, Failure)
    assert failure.retry_after == LONGEST_FOREIGN_WAIT
    word = HTTPResponse(429, {"Retry-After": "86400"}, b'{"code": 100001}')
    failure = parse_token(word)
    assert isinstance(failure, Failure)
    assert failure.retry_after == 86_400.0
