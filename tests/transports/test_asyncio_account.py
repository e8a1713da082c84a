"""A bot's account: before, beside and without a gateway."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from qqproto import Credentials, Endpoints, FailureKind, HTTPRequest, HTTPResponse, Policy, Token
from qqproto.testing import HTTPFault, reply
from qqproto_transports._common import Unavailable
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import BotAccount, account_at, bot_at, on_both_drivers, open_gateway
from tests.transports.loops import eventually, nothing_left_behind, on_loop, open_files
from tests.transports.servers import closed_port, serving, silence

pytestmark = on_both_drivers

CREDENTIALS = Credentials("11111111", "the-secret")


class Desk:
    """A token endpoint as a host's callable: what it was asked, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[HTTPRequest] = []
        self.cancelled = 0
        self.may_answer = asyncio.Event()
        self.tokens = 0

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        self.asked.append(request)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.tokens += 1
        body = {"access_token": f"token-{self.tokens}", "expires_in": "7200"}
        return HTTPResponse(200, {}, json.dumps(body).encode())


def answering() -> Desk:
    desk = Desk()
    desk.may_answer.set()
    return desk


@on_loop
async def test_headers_for_rest_calls() -> None:
    async with LocalGateway() as local:
        account = account_at(local)
        assert account.current_token is None
        headers = await account.authorization()
        token = account.current_token
        assert token is not None
        assert headers == {"Authorization": f"QQBot {token.value}", "X-Union-Appid": "11111111"}
        assert await account.authorization() == headers
        assert len(local.platform.requests) == 1
        await account.aclose()


@on_loop
async def test_everybody_shares_one_request() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    waiting = [asyncio.create_task(account.token()) for _ in range(5)]
    await eventually(lambda: desk.asked)
    desk.may_answer.set()

    tokens = await asyncio.gather(*waiting)

    assert [token.value for token in tokens] == ["token-1"] * 5
    assert len(desk.asked) == 1


@on_loop
async def test_a_refused_token_is_replaced() -> None:
    desk = answering()
    account = BotAccount(CREDENTIALS, http=desk)
    headers = await account.authorization()

    again = await account.authorization(rejected={"authorization": headers["Authorization"]})
    assert again["Authorization"] == "QQBot token-2"
    assert await account.authorization(rejected=headers) == again, "the refused one has been replaced already"
    assert await account.token(rejected=Token("token-2")) == Token("token-3")
    assert len(desk.asked) == 3


@on_loop
async def test_shared_with_a_gateway() -> None:
    async with LocalGateway() as local:
        gateway = bot_at(local)
        before = await gateway.account.authorization()
        async with gateway:
            assert await gateway.wait_connected(10.0)
            assert await gateway.authorization() == before
        assert await gateway.account.authorization() == before, "and after it"
        tokens = [request for request in local.platform.requests if "AccessToken" in request.path]
        assert len(tokens) == 1


@on_loop
async def test_no_token_in_time() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)

    async with nothing_left_behind():
        with pytest.raises(Unavailable) as caught:
            await account.token(timeout=0.05)

    assert caught.value.failure.kind is FailureKind.TIMEOUT
    assert desk.cancelled == 1, "nobody waits for it any more"


@on_loop
async def test_who_gives_up_does_not_take_it_from_the_others() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    patient = asyncio.create_task(account.token())
    await eventually(lambda: desk.asked)
    with pytest.raises(Unavailable):
        await account.token(timeout=0.02)
    desk.may_answer.set()

    assert (await patient).value == "token-1"
    assert (len(desk.asked), desk.cancelled) == (1, 0)


@on_loop
async def test_cancelled_it_leaves_nothing() -> None:
    async with serving(silence) as port:
        endpoints = Endpoints(token_url=f"http://127.0.0.1:{port}/")
        account = BotAccount(CREDENTIALS, endpoints=endpoints)
        before = open_files()
        async with nothing_left_behind():
            task = asyncio.create_task(account.token())
            await eventually(lambda: len(open_files()) > len(before))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await eventually(lambda: len(open_files()) <= len(before))


@on_loop
async def test_the_exchange_has_a_deadline_of_its_own() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk, policy=Policy(http_timeout=0.05))

    with pytest.raises(Unavailable) as caught:
        await account.token(timeout=60.0)

    assert caught.value.failure.kind is FailureKind.TIMEOUT
    assert desk.cancelled == 1


@on_loop
async def test_failures_are_told_as_what_they_are() -> None:
    with closed_port() as port:
        account = BotAccount(CREDENTIALS, endpoints=Endpoints(token_url=f"http://127.0.0.1:{port}/"))
        with pytest.raises(Unavailable) as caught:
            await account.token()
        assert caught.value.failure.kind is FailureKind.REFUSED

    async with LocalGateway() as local:
        local.platform.behaviour.http = [HTTPFault(reply(502, {}))]
        with pytest.raises(Unavailable) as caught:
            await account_at(local).token()
        assert caught.value.failure.http_status == 502

        wrong = BotAccount(CREDENTIALS, endpoints=local.endpoints)
        with pytest.raises(Unavailable) as caught:
            await wrong.token()
        assert caught.value.failure.code == 100016
        assert str(caught.value.failure) == str(caught.value)


@on_loop
async def test_a_bug_in_a_hosts_http_is_raised_to_who_asked() -> None:
    async def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("a bug")

    account = BotAccount(CREDENTIALS, http=http)

    for _ in range(2):
        with pytest.raises(KeyError, match="a bug"):
            await account.token(timeout=5.0)


def test_one_loop_after_another() -> None:
    account = BotAccount(CREDENTIALS, http=Later())

    @on_loop
    async def first() -> None:
        assert (await account.token()).value == "token-1"

    @on_loop
    async def second() -> None:
        assert (await account.token(rejected=Token("token-1"))).value == "token-2"

    first()
    second()
    assert account.current_token == Token("token-2")


def test_gateways_on_one_loop_after_another() -> None:
    account = BotAccount(CREDENTIALS, http=Later())

    @on_loop
    async def live() -> None:
        async with open_gateway(account, intents=1) as gateway:
            assert not await gateway.wait_connected(0.05)

    live()
    live()


class Later:
    """A token endpoint of no loop in particular."""

    def __init__(self) -> None:
        self.tokens = 0

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        await asyncio.sleep(0)
        self.tokens += 1
        return HTTPResponse(200, {}, b'{"access_token":"token-%d","expires_in":7200}' % self.tokens)


@on_loop
async def test_two_loops_at_once_are_misuse() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    ours = asyncio.create_task(account.token())
    await eventually(lambda: desk.asked)
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(account.token())
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await eventually(lambda: not thread.is_alive())
    desk.may_answer.set()
    await ours

    assert "one event loop at a time" in str(errors[0])
