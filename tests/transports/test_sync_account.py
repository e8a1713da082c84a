"""A bot's account in many threads: one request for all who ask, and nothing that stays when they have left."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from qqproto import Credentials, Endpoints, FailureKind, HTTPRequest, HTTPResponse, Policy, Token
from qqproto.testing import HTTPFault, reply
from qqproto_transports.sync import BotAccount, Unavailable, open_gateway
from tests.scenarios.bots import INTENTS
from tests.scenarios.drivers import eventually
from tests.scenarios.threads import GUARD
from tests.transports.interruptions import Interrupted, in_cpython, interrupter
from tests.transports.servers import closed_port, silence
from tests.transports.threads import beside, bot_at, hung_look_ups, nothing_left_behind, ours, platform

CREDENTIALS = Credentials("11111111", "the-secret")


class Desk:
    """A token endpoint as a host's callable: what it was asked, and answers when it is told to."""

    def __init__(self, *, answering: bool = True) -> None:
        self.asked: list[HTTPRequest] = []
        self.may_answer = threading.Event()
        if answering:
            self.may_answer.set()
        self.tokens = 0

    def __call__(self, request: HTTPRequest) -> HTTPResponse:
        self.asked.append(request)
        assert self.may_answer.wait(GUARD)
        self.tokens += 1
        body = {"access_token": f"token-{self.tokens}", "expires_in": "7200"}
        return HTTPResponse(200, {}, json.dumps(body).encode())


def test_headers_for_rest_calls() -> None:
    with platform() as stage, nothing_left_behind():
        account = stage.account()
        assert account.current_token is None
        headers = account.authorization()
        token = account.current_token
        assert token is not None
        assert headers == {"Authorization": f"QQBot {token.value}", "X-Union-Appid": "11111111"}
        assert account.authorization() == headers
        assert stage.do(lambda: len(stage.platform.requests)) == 1
        account.close()


def test_a_token_that_is_there_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    account = BotAccount(CREDENTIALS, http=Desk())
    token = account.token()
    monkeypatch.setattr(threading.Thread, "start", None)
    assert account.token() == token


def test_everybody_shares_one_request() -> None:
    desk = Desk(answering=False)
    account = BotAccount(CREDENTIALS, http=desk)
    with nothing_left_behind(), ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(account.token) for _ in range(8)]
        eventually(lambda: ours().count("qqproto token") == 8)
        desk.may_answer.set()
        tokens = [future.result(GUARD) for future in waiting]

    assert [token.value for token in tokens] == ["token-1"] * 8
    assert len(desk.asked) == 1


def test_many_threads_at_once_in_every_order_make_one_request_for_each_refusal() -> None:
    """No order of the threads is waited for: whoever comes when, the account is in one piece."""
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    for round in range(1, 6):
        refused = account.current_token
        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(lambda _, refused=refused: account.token(rejected=refused), range(16)))
        assert {token.value for token in tokens} == {f"token-{round}"}
        assert len(desk.asked) == round
    eventually(lambda: ours() == [])


def test_a_refused_token_is_replaced() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    headers = account.authorization()

    again = account.authorization(rejected={"authorization": headers["Authorization"]})
    assert again["Authorization"] == "QQBot token-2"
    assert account.authorization(rejected=headers) == again, "the refused one has been replaced already"
    assert account.token(rejected=Token("token-2")) == Token("token-3")
    assert len(desk.asked) == 3


def test_shared_by_gateways_and_by_those_who_have_none() -> None:
    with platform() as stage:
        account = stage.account()
        before = account.authorization()
        with nothing_left_behind(), open_gateway(account, intents=INTENTS) as first:
            with open_gateway(account, intents=INTENTS, shards=[(1, 2)]) as second:
                assert first.wait_connected(GUARD)
                assert second.wait_connected(GUARD)
                assert first.authorization() == second.authorization() == before
        assert account.authorization() == before, "and after it"
        tokens = stage.do(lambda: [request for request in stage.platform.requests if "AccessToken" in request.path])
        assert len(tokens) == 1


# -- no token ----------------------------------------------------------------------------------------------------------


def test_no_token_in_time_and_nothing_left_of_the_request() -> None:
    with beside(silence) as port:
        account = BotAccount(CREDENTIALS, endpoints=Endpoints(token_url=f"http://127.0.0.1:{port}/"))
        with nothing_left_behind():
            with pytest.raises(Unavailable) as caught:
                account.token(timeout=0.1)
            assert ours() == []

    assert caught.value.failure.kind is FailureKind.TIMEOUT


def test_who_gives_up_does_not_take_it_from_the_others() -> None:
    desk = Desk(answering=False)
    account = BotAccount(CREDENTIALS, http=desk)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(account.token)
        eventually(lambda: desk.asked)
        with pytest.raises(Unavailable):
            account.token(timeout=0.02)
        desk.may_answer.set()
        assert patient.result(GUARD).value == "token-1"

    assert len(desk.asked) == 1


def test_the_exchange_has_a_deadline_of_its_own() -> None:
    """Kept by a thread that is there only meanwhile; what nobody can call off is left to itself."""
    desk = Desk(answering=False)
    account = BotAccount(CREDENTIALS, http=desk, policy=Policy(http_timeout=0.05))
    with pytest.raises(Unavailable) as caught:
        account.token(timeout=GUARD)

    assert caught.value.failure.kind is FailureKind.TIMEOUT
    assert ours() == ["qqproto HTTP exchange"]
    desk.may_answer.set()
    eventually(lambda: ours() == [])
    assert account.current_token is None, "it came too late, and is not heard"


def test_a_look_up_that_hangs_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    account = BotAccount(CREDENTIALS, endpoints=Endpoints(token_url="http://token.example/"))
    with hung_look_ups(monkeypatch, []) as begun:
        before = time.monotonic()
        with pytest.raises(Unavailable):
            account.token(timeout=0.1)
        assert time.monotonic() - before < 5.0
        assert begun.is_set()
        assert ours() == ["qqproto name look-up"]


def test_failures_are_told_as_what_they_are() -> None:
    with closed_port() as port:
        account = BotAccount(CREDENTIALS, endpoints=Endpoints(token_url=f"http://127.0.0.1:{port}/"))
        with pytest.raises(Unavailable) as caught:
            account.token()
        assert caught.value.failure.kind is FailureKind.REFUSED

    with platform() as stage:
        stage.platform.behaviour.http = [HTTPFault(reply(502, {}))]
        with pytest.raises(Unavailable) as caught:
            stage.account().token()
        assert caught.value.failure.http_status == 502

        with pytest.raises(Unavailable) as caught:
            stage.account(credentials=CREDENTIALS).token()
        assert caught.value.failure.code == 100016
        assert str(caught.value.failure) == str(caught.value)


def test_a_bug_in_a_hosts_http_is_raised_to_who_asked() -> None:
    def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("a bug")

    account = BotAccount(CREDENTIALS, http=http)

    for _ in range(2):
        with nothing_left_behind(), pytest.raises(KeyError, match="a bug"):
            account.token(timeout=5.0)


@pytest.mark.parametrize("which", ["qqproto token", "qqproto HTTP exchange", "qqproto deadlines"])
def test_a_system_without_threads_is_told_as_a_failure(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """It may pass. Without one that keeps the deadline, the reply is waited for all the same."""
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name == which:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    account = BotAccount(CREDENTIALS, http=Desk())
    if which == "qqproto deadlines":
        assert account.token().value == "token-1"
    else:
        with pytest.raises(Unavailable) as caught:
            account.token()
        assert "no thread left" in str(caught.value)


# -- interrupted -------------------------------------------------------------------------------------------------------


@in_cpython
def test_an_exception_out_of_a_signal_handler_hurts_only_who_asked_wherever_it_comes() -> None:
    with interrupter() as interrupt:
        for instruction in itertools.count(1):
            account = BotAccount(CREDENTIALS, http=Desk())
            with contextlib.suppress(Interrupted):
                interrupt.at(instruction, account.token)
            if not interrupt.came:
                break
            assert account.token().value in ("token-1", "token-2")  # Nobody waited for the first, or somebody did.
            eventually(lambda: ours() == [])
    assert instruction > 200


@in_cpython
def test_an_exception_out_of_a_signal_handler_ends_the_wait_for_a_token() -> None:
    def answer(request: HTTPRequest) -> HTTPResponse:
        if not desk.asked:
            os.kill(os.getpid(), signal.SIGALRM)
        return desk(request)

    desk = Desk(answering=False)
    account = BotAccount(CREDENTIALS, http=answer)
    with interrupter(), pytest.raises(Interrupted):
        account.token()
    desk.may_answer.set()
    assert account.token().value.startswith("token-")
    eventually(lambda: ours() == [])


def test_with_a_gateway_that_has_hung_itself_up_tokens_are_given_all_the_same() -> None:
    """The gateway is in the middle of a dial that hangs; the account is nobody's thread."""
    with platform() as stage:
        account = stage.account()
        with bot_at(stage, account=account) as gateway:
            assert gateway.wait_connected(GUARD)
            stage.do(lambda: stage.wire.hang())
            stage.reset()
            eventually(lambda: not gateway.connected)
            refused = account.current_token
            assert account.token(rejected=refused, timeout=GUARD)
