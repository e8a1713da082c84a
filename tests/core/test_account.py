from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import (
    Account,
    Cancel,
    Credentials,
    Endpoints,
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    GatewayInfo,
    HTTPResponse,
    IdentifySlot,
    LocalProtocolError,
    Policy,
    ReserveIdentify,
    SendRequest,
    Token,
)
from tests.core.samples import response

SECRET = "SECRET-DG5g3B4j9X2KOErG"
CREDENTIALS = Credentials("11111111", SECRET)
ADDRESS = "wss://api.sgroup.qq.com/websocket"
INFO = GatewayInfo(ADDRESS, 1, 1500, 1500, 86_400.0, 1)


def reply(content: object, status: int = 200, **headers: str) -> HTTPResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HTTPResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def token_reply(value: str = "TOKEN-1", expires_in: float = 7200.0) -> HTTPResponse:
    return reply({"access_token": value, "expires_in": str(expires_in)})


def gateway_reply(**limit: Any) -> HTTPResponse:
    start = {"total": 1500, "remaining": 1500, "reset_after": 86_400_000, "max_concurrency": 1, **limit}
    return reply({"url": ADDRESS, "shards": 1, "session_start_limit": start})


HTML = reply(b"<html>log in to the hotel network</html>", 200)
RESET = Failure(FailureKind.RESET, "reset by peer")


class Desk:
    """An account, its clock, and those who ask it."""

    def __init__(self, *, endpoints: Endpoints = Endpoints(), policy: Policy = Policy()) -> None:
        self.now = 1000.0
        self.account = Account(CREDENTIALS, endpoints=endpoints, policy=policy)
        self.asked = 0
        self.requests: list[SendRequest] = []
        self.cancelled: list[int] = []
        self.answers: list[tuple[Hashable, int, Token | GatewayInfo | IdentifySlot | Failure]] = []
        self.in_flight: dict[int, str] = {}
        self.waiting: set[tuple[Hashable, int]] = set()

    def drain(self) -> None:
        while (action := self.account.next_output()) is not None:
            shown = repr(action)
            assert SECRET not in shown
            assert "TOKEN-" not in shown
            if isinstance(action, SendRequest):
                kind = "token" if "AppAccessToken" in action.request.url else "gateway"
                assert kind not in self.in_flight.values(), "single flight"
                assert action.deadline == self.now + 15.0
                self.in_flight[action.id] = kind
                self.requests.append(action)
            elif isinstance(action, Cancel):
                del self.in_flight[action.id]
                self.cancelled.append(action.id)
            else:
                self.waiting.remove((action.asker, action.id))
                self.answers.append((action.asker, action.id, action.value))
        if self.in_flight:
            assert self.account.next_timer() is not None
        if self.waiting:
            assert self.account.next_timer() is not None, "somebody waits and nothing will come"

    # what the shards do

    def token(self, asker: Hashable = 0, rejected: str | None = None) -> int:
        self.asked += 1
        return self._ask(asker, FetchToken(self.asked, self.now + 15.0, rejected))

    def gateway(self, asker: Hashable = 0, *, fresh: bool = True) -> int:
        self.asked += 1
        return self._ask(asker, FetchGateway(self.asked, self.now + 15.0, fresh))

    def slot(self, asker: Hashable = 0) -> float:
        self.asked += 1
        self._ask(asker, ReserveIdentify(self.asked, self.now + 15.0))
        value = self.take()
        assert isinstance(value, IdentifySlot)
        return value.at

    def _ask(self, asker: Hashable, question: FetchToken | FetchGateway | ReserveIdentify) -> int:
        self.waiting.add((asker, question.id))
        self.account.ask(asker, question, self.now)
        self.drain()
        return question.id

    def withdraw(self, id: int, asker: Hashable = 0) -> None:
        self.waiting.discard((asker, id))
        self.account.withdraw(asker, id, self.now)
        self.drain()

    # what the network does

    def request(self) -> SendRequest:
        """The one request that was made since the last look."""
        [request] = self.requests
        self.requests.clear()
        return request

    def reply(self, answer: HTTPResponse | Failure) -> None:
        """The one request that was made since the last look is answered."""
        self.end(self.request().id, answer)

    def end(self, id: int, answer: HTTPResponse | Failure) -> None:
        self.in_flight.pop(id, None)
        if isinstance(answer, Failure):
            self.account.request_failed(id, answer, self.now)
        else:
            self.account.response_received(id, answer, self.now)
        self.drain()

    def run(self, seconds: float) -> None:
        """Let time pass, with a driver that is on time."""
        end = self.now + seconds
        while (due := self.account.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.account.handle_timer(self.now)
            self.drain()
            later = self.account.next_timer()
            assert later is None or later > self.now, "the machine spins"
        self.now = end

    # what came of it

    def take(self) -> Token | GatewayInfo | IdentifySlot | Failure:
        """The one answer since the last look."""
        [(_, _, value)] = self.answers
        self.answers.clear()
        return value

    def failure(self) -> Failure:
        value = self.take()
        assert isinstance(value, Failure)
        return value

    def with_token(self, value: str = "TOKEN-1", expires_in: float = 7200.0) -> Desk:
        self.token()
        self.reply(token_reply(value, expires_in))
        assert self.take() == Token(value)
        return self


# -- the token -----------------------------------------------------------------------------------------------------


def test_nothing_is_asked_before_somebody_wants_to_know() -> None:
    desk = Desk()
    desk.drain()
    assert (desk.requests, desk.account.next_timer()) == ([], None)
    assert desk.account.current_token(desk.now) is None


def test_the_first_who_wants_a_token_makes_the_request() -> None:
    desk = Desk()
    id = desk.token("shard 0")
    request = desk.request().request
    assert (request.method, request.url) == ("POST", "https://bots.qq.com/app/getAppAccessToken")
    assert json.loads(request.body) == {"appId": "11111111", "clientSecret": SECRET}
    desk.end(1, response("token_response_string_expires"))
    assert desk.answers == [("shard 0", id, Token("ACCESS_TOKEN"))]
    assert desk.account.next_timer() is None


def test_the_endpoints_are_the_hosts_to_choose() -> None:
    desk = Desk(
        endpoints=Endpoints("https://api.bot.qq.com/", "https://api.bot.qq.com/app/getAppAccessToken", "ws://[::1]:9/")
    )
    desk.with_token()
    desk.gateway()
    assert desk.request().request.url == "https://api.bot.qq.com/gateway/bot"
    desk.end(2, response("gateway_bot_response"))
    assert desk.take() == GatewayInfo("ws://[::1]:9/", 1, 1500, 1500, 86_400.0, 1)


def test_one_request_answers_all_who_wait() -> None:
    desk = Desk()
    asked = [(asker, desk.token(asker)) for asker in ("a", "b", "c")]
    desk.reply(token_reply())
    assert desk.answers == [(asker, id, Token("TOKEN-1")) for asker, id in asked]


def test_ids_are_the_askers_own_and_may_be_the_same() -> None:
    desk = Desk()
    for asker in ("a", "b"):
        desk.asked = 0
        desk.token(asker)
    desk.reply(token_reply())
    assert [(asker, id) for asker, id, _ in desk.answers] == [("a", 1), ("b", 1)]


def test_the_same_token_is_given_until_its_last_minute() -> None:
    desk = Desk().with_token()
    desk.run(7139.0)
    desk.token()
    assert desk.take() == Token("TOKEN-1")
    assert desk.account.current_token(desk.now) == Token("TOKEN-1")
    assert desk.account.fresh_token(desk.now) == Token("TOKEN-1")
    desk.run(1.0)
    assert desk.account.current_token(desk.now) == Token("TOKEN-1")
    assert desk.account.fresh_token(desk.now) is None
    desk.token()
    assert desk.answers == [], "inside it the platform gives a new one"
    desk.reply(token_reply("TOKEN-2"))
    assert desk.take() == Token("TOKEN-2")


def test_a_token_that_comes_in_its_last_minute_is_given_and_asked_for_again_by_the_next() -> None:
    desk = Desk().with_token(expires_in=30.0)
    desk.token()
    desk.reply(token_reply(expires_in=29.0))
    assert desk.take() == Token("TOKEN-1")


@pytest.mark.parametrize("expires_in", [None, "soon", 0, "1e-300", -5])
def test_a_token_with_an_absurd_life_is_given_to_those_who_wait(expires_in: Any) -> None:
    desk = Desk()
    desk.token()
    desk.reply(reply({"access_token": "TOKEN-1", "expires_in": expires_in}))
    assert desk.take() == Token("TOKEN-1")


@pytest.mark.parametrize("trouble", [RESET, HTML, response("token_error_100001"), reply({}, 503), None])
def test_the_old_token_is_given_while_it_lives_when_the_refresh_fails(trouble: HTTPResponse | Failure | None) -> None:
    desk = Desk().with_token()
    desk.run(7150.0)
    desk.token("a")
    if trouble is None:
        desk.run(15.0)
    else:
        desk.reply(trouble)
    assert desk.take() == Token("TOKEN-1")
    desk.token("b")
    assert desk.take() == Token("TOKEN-1"), "and to those who ask a moment later"
    desk.gateway()
    assert len(desk.in_flight) == 1, "it is good for the gateway as well"


def test_a_refresh_that_asks_for_patience_does_not_keep_the_old_token_back() -> None:
    desk = Desk().with_token()
    desk.run(7150.0)
    desk.token()
    desk.reply(reply({"code": 100001}, 429, Retry_After="3600"))
    assert desk.take() == Token("TOKEN-1")
    desk.run(40.0)
    desk.token()
    assert desk.take() == Token("TOKEN-1")
    desk.run(10.0)
    desk.token()
    assert desk.failure().kind is FailureKind.RATE_LIMITED, "it has expired"


def test_nobody_gets_a_token_that_has_expired() -> None:
    desk = Desk().with_token()
    desk.run(7190.0)
    desk.token()
    desk.run(14.0)
    assert desk.account.current_token(desk.now) is None
    desk.reply(RESET)
    assert desk.failure() == RESET


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (response("token_error_100016"), FailureKind.HTTP_STATUS, 100016),
        (response("token_error_100007"), FailureKind.HTTP_STATUS, 100007),
        (response("token_error_10004"), FailureKind.HTTP_STATUS, 10004),
        (response("token_error_100001"), FailureKind.RATE_LIMITED, 100001),
        (response("http_error_ip_not_whitelisted"), FailureKind.HTTP_STATUS, 40023002),
        (HTML, FailureKind.HTTP_STATUS, None),
        (reply(b'{"access_token": "TOK'), FailureKind.HTTP_STATUS, None),
        (reply({"expires_in": "7200"}), FailureKind.OTHER, None),
        (RESET, FailureKind.RESET, None),
    ],
)
def test_a_request_that_fails_is_told_to_all_who_wait(
    answer: HTTPResponse | Failure, kind: FailureKind, code: int | None
) -> None:
    desk = Desk()
    desk.token("a")
    desk.gateway("b")
    desk.reply(answer)
    assert [asker for asker, _, _ in desk.answers] == ["a", "b"]
    for _, _, failure in desk.answers:
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.code) == (kind, code)
    assert desk.account.next_timer() is None


def test_a_failure_is_shared_for_a_second_and_then_asked_about_again() -> None:
    desk = Desk()
    desk.token("a")
    desk.reply(RESET)
    desk.take()
    desk.run(0.9)
    desk.token("b")
    assert desk.take() == RESET
    assert desk.requests == []
    desk.run(0.2)
    desk.token("c")
    desk.reply(token_reply())
    assert desk.take() == Token("TOKEN-1")
    desk.token("d")
    assert desk.take() == Token("TOKEN-1")


def test_a_failure_is_shared_for_as_long_as_the_policy_says() -> None:
    desk = Desk(policy=Policy(token_failure_pause=0.25))
    desk.token("a")
    desk.reply(RESET)
    assert desk.take() == RESET
    desk.run(0.25)
    desk.token("b")
    desk.reply(token_reply())
    assert desk.take() == Token("TOKEN-1")


def test_the_platforms_wish_to_be_left_alone_is_shared_with_what_is_left_of_it() -> None:
    desk = Desk()
    desk.token("a")
    desk.reply(reply({"code": 100017, "message": "too many"}, Retry_After="60"))
    assert desk.failure().retry_after == 60.0
    desk.run(45.0)
    desk.token("b")
    desk.gateway("c")
    assert [failure.retry_after for _, _, failure in desk.answers if isinstance(failure, Failure)] == [15.0, 15.0]
    assert desk.requests == []
    desk.run(15.0)
    desk.token("b")
    assert len(desk.requests) == 1, "whoever comes back when it was told to is served"


def test_a_reply_that_never_comes_is_waited_for_until_its_deadline() -> None:
    desk = Desk()
    desk.token()
    id = desk.request().id
    desk.run(14.9)
    assert desk.answers == []
    desk.run(0.2)
    assert desk.cancelled == [id]
    assert desk.failure() == Failure(FailureKind.TIMEOUT, "no reply to the token request")
    desk.end(id, token_reply())
    assert desk.answers == []
    assert desk.account.current_token(desk.now) is None, "what comes after the end is ignored"


# -- a token that was refused --------------------------------------------------------------------------------------


def test_a_refused_token_is_replaced_by_another() -> None:
    desk = Desk().with_token()
    desk.token(rejected="TOKEN-1")
    assert desk.account.current_token(desk.now) is None
    desk.reply(token_reply("TOKEN-2"))
    assert desk.take() == Token("TOKEN-2")


def test_the_refusal_of_an_old_token_does_not_touch_the_new_one() -> None:
    desk = Desk().with_token("TOKEN-2")
    desk.token(rejected="TOKEN-1")
    assert desk.take() == Token("TOKEN-2")
    assert desk.requests == []


def test_a_refused_token_that_comes_again_is_not_given_within_5_s() -> None:
    desk = Desk().with_token()
    desk.token("a", rejected="TOKEN-1")
    desk.run(0.5)
    desk.reply(token_reply("TOKEN-1"))
    desk.token("b")
    desk.gateway("c")
    assert desk.account.current_token(desk.now) is None
    assert desk.account.fresh_token(desk.now) is None
    desk.run(4.4)
    assert (desk.answers, desk.requests) == ([], [])
    desk.run(0.2)
    assert [(asker, value) for asker, _, value in desk.answers] == [("a", Token("TOKEN-1")), ("b", Token("TOKEN-1"))]
    assert desk.request().request.headers["Authorization"] == "QQBot TOKEN-1"


def test_another_token_after_a_refusal_is_given_at_once_also_to_those_who_waited() -> None:
    desk = Desk().with_token()
    desk.token("a", rejected="TOKEN-1")
    desk.reply(token_reply("TOKEN-1"))
    desk.token("b", rejected="TOKEN-1")
    desk.reply(token_reply("TOKEN-2"))
    assert [(asker, value) for asker, _, value in desk.answers] == [("a", Token("TOKEN-2")), ("b", Token("TOKEN-2"))]
    desk.answers.clear()
    desk.run(10.0)
    assert desk.answers == []


def test_the_refusal_of_the_token_makes_the_gateway_information_old() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(gateway_reply())
    assert desk.take() == INFO
    desk.token(rejected="TOKEN-1")
    desk.reply(token_reply("TOKEN-2"))
    desk.take()
    desk.gateway(fresh=False)
    desk.reply(gateway_reply())
    assert desk.take() == INFO


# -- the gateway information ---------------------------------------------------------------------------------------


def test_the_gateway_is_asked_for_with_a_token() -> None:
    desk = Desk()
    desk.gateway()
    desk.reply(token_reply())
    request = desk.request()
    assert (request.request.method, request.request.url) == ("GET", "https://api.sgroup.qq.com/gateway/bot")
    assert request.request.headers["Authorization"] == "QQBot TOKEN-1"
    assert request.request.headers["X-Union-Appid"] == "11111111"
    desk.end(request.id, response("gateway_bot_response"))
    assert desk.take() == INFO
    assert desk.account.next_timer() is None


def test_a_token_in_its_last_minute_is_good_enough_to_ask_for_the_gateway() -> None:
    desk = Desk().with_token()
    desk.run(7150.0)
    desk.gateway()
    assert desk.request().request.headers["Authorization"] == "QQBot TOKEN-1"


def test_one_request_tells_all_who_want_to_know() -> None:
    desk = Desk().with_token()
    for asker in range(4):
        desk.gateway(asker, fresh=asker % 2 == 0)
    desk.reply(gateway_reply())
    assert [value for _, _, value in desk.answers] == [INFO] * 4


def test_for_an_identify_the_information_is_a_minute_old_at_most() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(gateway_reply())
    desk.take()
    desk.run(60.0)
    desk.gateway()
    assert desk.take() == INFO
    desk.run(0.1)
    desk.gateway()
    assert desk.answers == []
    desk.reply(gateway_reply(remaining=7))
    info = desk.take()
    assert isinstance(info, GatewayInfo)
    assert info.remaining == 7


def test_for_a_resume_it_may_be_of_any_age() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(gateway_reply())
    desk.take()
    desk.run(1e6)
    desk.gateway(fresh=False)
    assert desk.take() == INFO
    assert desk.requests == [], "not even a token is needed"


def test_who_needs_no_fresh_information_does_not_wait_for_who_does() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(gateway_reply())
    desk.take()
    desk.run(61.0)
    desk.gateway("identify")
    desk.gateway("resume", fresh=False)
    assert [asker for asker, _, _ in desk.answers] == ["resume"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [(response("http_error_ip_not_whitelisted"), 40023002), (reply({"code": 11298}, 401), 11298),
     (reply({"code": 11265}, 403), 11265), (HTML, None), (reply(b"", 401), None), (reply({"shards": 1}), None),
     (reply({"url": "https://x"}), None), (reply({}, 429), None), (RESET, None)],
)  # fmt: skip
def test_a_failure_is_told_and_the_next_who_asks_makes_another_request(
    answer: HTTPResponse | Failure, code: int | None
) -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(answer)
    assert desk.failure().code == code
    desk.gateway()
    desk.reply(gateway_reply())
    assert desk.take() == INFO


def test_an_answer_from_the_gateway_that_never_comes_is_waited_for_until_its_deadline() -> None:
    desk = Desk().with_token()
    desk.gateway()
    id = desk.request().id
    desk.run(15.0)
    assert desk.cancelled == [id]
    assert desk.failure() == Failure(FailureKind.TIMEOUT, "no reply from /gateway/bot")
    desk.end(id, gateway_reply())
    assert desk.answers == []


@pytest.mark.parametrize("code", [11241, 11243, 11244, 11251, 11261, 11275])
def test_a_gateway_that_refuses_the_token_is_asked_once_more_with_another(code: int) -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(reply({"code": code, "message": "token"}, 401))
    desk.reply(token_reply("TOKEN-2"))
    assert desk.request().request.headers["Authorization"] == "QQBot TOKEN-2"
    desk.end(4, gateway_reply())
    assert desk.take() == INFO


def test_the_second_refusal_is_the_askers_to_judge() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(response("http_error_old_style"))
    desk.reply(token_reply("TOKEN-2"))
    desk.reply(response("http_error_old_style"))
    assert desk.failure().code == 11244
    assert desk.requests == []


def test_a_gateway_that_refuses_the_same_token_again_is_asked_after_5_s() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(response("http_error_old_style"))
    desk.reply(token_reply("TOKEN-1"))
    desk.run(4.9)
    assert desk.requests == []
    desk.run(0.2)
    desk.reply(gateway_reply())
    assert desk.take() == INFO


def test_a_token_that_was_replaced_meanwhile_is_used_at_once() -> None:
    desk = Desk().with_token()
    desk.gateway()
    gateway = desk.request().id
    desk.token(rejected="TOKEN-1")
    desk.reply(token_reply("TOKEN-2"))
    desk.take()
    desk.end(gateway, response("http_error_old_style"))
    assert desk.request().request.headers["Authorization"] == "QQBot TOKEN-2"


def test_each_question_has_its_second_try_also_after_one_that_came_to_nothing() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(response("http_error_old_style"))
    desk.reply(RESET)
    assert desk.failure() == RESET
    desk.run(2.0)
    desk.gateway()
    desk.reply(token_reply("TOKEN-2"))
    desk.reply(response("http_error_old_style"))
    desk.reply(token_reply("TOKEN-3"))
    desk.reply(gateway_reply())
    assert desk.take() == INFO


def test_who_waits_for_a_request_in_flight_is_not_told_of_the_tokens_trouble() -> None:
    desk = Desk().with_token()
    desk.gateway("a")
    gateway = desk.request().id
    desk.token("b", rejected="TOKEN-1")
    desk.reply(RESET)
    assert [asker for asker, _, _ in desk.answers] == ["b"]
    desk.take()
    desk.end(gateway, gateway_reply())
    assert desk.take() == INFO


def test_the_gateway_is_asked_ten_times_in_a_burst_and_then_once_in_30_s() -> None:
    desk = Desk().with_token()
    for _ in range(10):
        desk.gateway()
        desk.reply(RESET)
        assert desk.take() == RESET
    desk.run(10.0)
    desk.gateway("a")
    failure = desk.failure()
    assert (failure.kind, failure.message) == (FailureKind.RATE_LIMITED, "our own limit for /gateway/bot")
    assert failure.retry_after == pytest.approx(20.0)
    desk.run(19.5)
    desk.gateway("a")
    assert desk.failure().retry_after == pytest.approx(0.5)
    assert desk.requests == []
    desk.run(0.6)
    desk.gateway()
    desk.reply(gateway_reply())
    assert desk.take() == INFO


# -- identify slots ------------------------------------------------------------------------------------------------


def test_slots_are_given_as_the_gateway_says() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(gateway_reply(max_concurrency=2, remaining=3, reset_after=60_000))
    desk.take()
    assert [desk.slot(shard) - desk.now for shard in range(4)] == [0.0, 0.0, 5.25, 60.0]
    assert desk.slot(2) - desk.now == 5.25, "its place is kept"
    assert desk.requests == []


def test_a_day_later_the_budget_is_the_total_again_and_no_more() -> None:
    desk = Desk().with_token()
    desk.gateway()
    desk.reply(gateway_reply(total=2, remaining=0, reset_after=60_000))
    desk.take()
    desk.run(60.0)
    assert [desk.slot(shard) - desk.now for shard in range(3)] == [0.0, 5.25, 86_400.0]


def test_slots_are_given_one_in_5_s_while_nothing_is_known() -> None:
    desk = Desk()
    assert [desk.slot(shard) - desk.now for shard in range(3)] == [0.0, 5.25, 10.5]


# -- who does not want to know any more ----------------------------------------------------------------------------


def test_a_request_that_nobody_waits_for_is_called_off() -> None:
    desk = Desk()
    first, second = desk.token("a"), desk.token("b")
    id = desk.request().id
    desk.withdraw(first, "a")
    assert desk.cancelled == []
    desk.withdraw(second, "b")
    assert desk.cancelled == [id]
    assert desk.account.next_timer() is None
    desk.end(id, token_reply())
    assert desk.answers == []
    desk.token()
    desk.reply(token_reply("TOKEN-2"))
    assert desk.take() == Token("TOKEN-2")


def test_a_token_request_is_not_called_off_while_the_gateways_askers_need_it() -> None:
    desk = Desk()
    token, gateway = desk.token("a"), desk.gateway("b")
    id = desk.request().id
    desk.withdraw(token, "a")
    assert desk.cancelled == []
    desk.withdraw(gateway, "b")
    assert desk.cancelled == [id]


def test_a_gateway_request_that_nobody_waits_for_is_called_off() -> None:
    desk = Desk().with_token()
    first, second = desk.gateway("a"), desk.gateway("b")
    id = desk.request().id
    desk.withdraw(first, "a")
    assert desk.cancelled == []
    desk.withdraw(second, "b")
    assert desk.cancelled == [id]
    assert desk.account.next_timer() is None


def test_to_withdraw_what_was_answered_or_never_asked_does_no_harm() -> None:
    desk = Desk().with_token()
    for id in (1, 99):
        desk.withdraw(id)
    assert desk.cancelled == []
    assert desk.account.current_token(desk.now) == Token("TOKEN-1")


def test_who_withdraws_while_the_token_is_held_back_is_not_answered() -> None:
    desk = Desk().with_token()
    id = desk.token(rejected="TOKEN-1")
    desk.reply(token_reply("TOKEN-1"))
    desk.withdraw(id)
    desk.run(10.0)
    assert (desk.answers, desk.requests, desk.account.next_timer()) == ([], [], None)


# -- misuse, spurious calls, secrets -------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [-1, 0, 2, 99])
def test_an_id_that_was_never_issued_is_misuse_and_changes_nothing(id: int) -> None:
    desk = Desk()
    desk.token()
    with pytest.raises(LocalProtocolError, match=f"id {id} was never issued by this account"):
        desk.account.response_received(id, token_reply(), desk.now)
    with pytest.raises(LocalProtocolError, match=f"id {id} was never issued by this account"):
        desk.account.request_failed(id, RESET, desk.now)
    desk.reply(token_reply())
    assert desk.take() == Token("TOKEN-1")


def test_a_second_reply_to_a_request_is_ignored() -> None:
    desk = Desk().with_token()
    for answer in (token_reply("TOKEN-2"), RESET):
        desk.end(1, answer)
    assert desk.answers == []
    assert desk.account.current_token(desk.now) == Token("TOKEN-1")


def test_timers_that_come_too_early_do_no_harm() -> None:
    desk = Desk()
    desk.token()
    for _ in range(3):
        desk.account.handle_timer(desk.now + 14.0)
        desk.drain()
    desk.reply(token_reply())
    assert desk.take() == Token("TOKEN-1")


def test_a_server_that_repeats_what_it_was_sent_gets_it_into_no_message() -> None:
    desk = Desk()
    desk.token()
    asked = desk.request()
    echo = {"code": 1, "message": "x" * 190 + asked.request.body.decode(), "trace_id": SECRET}
    desk.end(asked.id, reply(echo, 400))
    assert "SECRET" not in str(desk.failure())
    desk.run(2.0)
    desk.with_token()
    desk.gateway()
    asked = desk.request()
    echo = {"code": 1, "message": str(asked.request.headers), "trace_id": "TOKEN-1"}
    desk.end(asked.id, reply(echo, 400))
    assert "TOKEN" not in str(desk.failure())


# -- anything, in any order ----------------------------------------------------------------------------------------

ANSWERS = [
    token_reply("TOKEN-1"),
    token_reply("TOKEN-2", 61.0),
    token_reply("TOKEN-3", 5.0),
    gateway_reply(),
    gateway_reply(remaining=0, reset_after=10_000),
    response("http_error_old_style"),
    response("token_error_100016"),
    reply({"code": 100017}, 429, Retry_After="20"),
    HTML,
    RESET,
]
STEP = st.one_of(
    st.tuples(st.just("token"), st.integers(0, 2), st.sampled_from([None, "TOKEN-1", "TOKEN-2", "TOKEN-3"])),
    st.tuples(st.just("gateway"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("withdraw"), st.integers(0, 2), st.integers(1, 10)),
    st.tuples(st.just("slot"), st.integers(0, 2), st.none()),
    st.tuples(st.just("answer"), st.integers(1, 6), st.sampled_from(ANSWERS)),
    st.tuples(st.just("run"), st.sampled_from([0.1, 1.0, 5.0, 20.0, 61.0, 7000.0]), st.none()),
)


@given(st.lists(STEP, max_size=40))
def test_whatever_happens_everybody_is_answered_once_and_soon(steps: list[tuple[str, Any, Any]]) -> None:
    desk = Desk()
    for step, what, how in steps:
        if step == "token":
            desk.token(what, how)
        elif step == "gateway":
            desk.gateway(what, fresh=how)
        elif step == "withdraw":
            desk.withdraw(how, what)
        elif step == "slot":
            desk.answers.clear()
            desk.slot(what)
        elif step == "run":
            desk.run(what)
        elif what <= len(desk.requests):
            desk.end(desk.requests[what - 1].id, how)
    # At the worst a question waits for a token, is held back, and waits for two replies from the gateway.
    desk.run(15.0 + 5.0 + 15.0 + 15.0 + 5.0 + 15.0)
    assert desk.waiting == set()
    assert desk.in_flight == {}
    assert desk.account.next_timer() is None
