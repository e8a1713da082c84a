"""Accounts of the trio driver: whose tasks an exchange runs in, and what becomes of it when they leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest

from qqproto import (
    Account,
    Credentials,
    Endpoints,
    Event,
    FailureKind,
    HTTPRequest,
    HTTPResponse,
    Policy,
    Ready,
    Shard,
    ShardConfig,
    Stopped,
    StopReason,
    Token,
)
from qqproto_transports._clock import clock
from qqproto_transports.trio import BotAccount, Unavailable, open_gateway, run
from tests.scenarios.bots import INTENTS
from tests.scenarios.stage import Stage
from tests.transports.backends import eventually, meanwhile, on_backends, platform
from tests.transports.loops import open_files
from tests.transports.servers import silence
from tests.transports.streams import beside

CREDENTIALS = Credentials("11111111", "the-secret")


class Desk:
    """A token endpoint as a host's callable, which answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.answers = anyio.Event()

    async def __call__(self, request: HTTPRequest) -> HTTPResponse:
        self.asked += 1
        try:
            await self.answers.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return HTTPResponse(200, {}, json.dumps({"access_token": "the-token", "expires_in": "7200"}).encode())


@on_backends
async def test_alone_it_asks_and_leaves_nothing() -> None:
    desk = Desk()
    desk.answers.set()
    account = BotAccount(CREDENTIALS, http=desk)
    assert account.current_token is None
    headers = await account.authorization()

    assert headers == {"Authorization": "QQBot the-token", "X-Union-Appid": "11111111"}
    assert account.current_token == Token("the-token")
    assert await account.token() == Token("the-token")
    await account.aclose()
    assert desk.asked == 1


@on_backends
async def test_who_asks_later_shares_the_request_and_may_leave_it() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    tokens: list[Token] = []
    async with anyio.create_task_group() as askers:
        askers.start_soon(ask, account, tokens)
        await eventually(lambda: desk.asked)
        with pytest.raises(Unavailable) as caught:
            await account.token(timeout=0.02)
        desk.answers.set()

    assert caught.value.failure.kind is FailureKind.TIMEOUT
    assert tokens == [Token("the-token")]
    assert (desk.asked, desk.cancelled) == (1, 0)


async def ask(account: BotAccount, tokens: list[Token]) -> None:
    tokens.append(await account.token())


@on_backends
async def test_when_the_first_leaves_the_request_is_made_again_for_the_others() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    tokens: list[Token] = []
    async with anyio.create_task_group() as askers:
        async with meanwhile(account.token) as first:
            await eventually(lambda: desk.asked)
            askers.start_soon(ask, account, tokens)
            await eventually(lambda: len(account.runner._homes) == 2)
            first.cancel()
        await eventually(lambda: desk.asked == 2)
        desk.answers.set()

    assert first.cancelled_caught
    assert tokens == [Token("the-token")]
    assert (desk.asked, desk.cancelled) == (2, 1)


@on_backends
async def test_when_a_gateway_is_left_the_request_is_made_again_for_the_others() -> None:
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk)
    tokens: list[Token] = []
    async with anyio.create_task_group() as askers:
        async with open_gateway(account, intents=INTENTS) as gateway:
            await eventually(lambda: desk.asked)
            askers.start_soon(ask, account, tokens)
            await eventually(lambda: len(account.runner._homes) == 2)
            await gateway.aclose()
            await eventually(lambda: desk.asked == 2)
        desk.answers.set()

    assert tokens == [Token("the-token")]
    assert (desk.asked, desk.cancelled) == (2, 1)


@on_backends
async def test_the_deadline_of_an_exchange_is_kept_by_whoever_is_left() -> None:
    """The first asker kept the alarm as well."""
    desk = Desk()
    account = BotAccount(CREDENTIALS, http=desk, policy=Policy(http_timeout=1.0))

    async def fail() -> None:
        with pytest.raises(Unavailable, match="no reply to the token request"):
            await account.token(timeout=3600.0)

    async with anyio.create_task_group() as askers:
        async with meanwhile(account.token) as first:
            await eventually(lambda: desk.asked)
            askers.start_soon(fail)
            await eventually(lambda: len(account.runner._homes) == 2)
            first.cancel()

    assert desk.cancelled == desk.asked == 2


@on_backends
async def test_a_bug_in_a_hosts_http_is_raised_bare_to_who_asked() -> None:
    async def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("a bug")

    account = BotAccount(CREDENTIALS, http=http)
    for _ in range(2):
        with pytest.raises(KeyError, match="a bug"):
            await account.token(timeout=5.0)


@on_backends
async def test_cancelled_over_a_real_socket_it_leaves_nothing() -> None:
    async with beside(silence) as port:
        account = BotAccount(CREDENTIALS, endpoints=Endpoints(token_url=f"http://127.0.0.1:{port}/"), proxy=None)
        before = len(open_files())
        async with meanwhile(account.token) as asking:
            await eventually(lambda: len(open_files()) > before)
            asking.cancel()
        await eventually(lambda: len(open_files()) <= before)


# -- bare machines -----------------------------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A platform in a thread."""
    with platform() as stage:
        yield stage


def driven(stage: Stage, on_event: Callable[[Shard, Event], object]) -> Coroutine[Any, Any, Stopped]:
    """A bare shard and account on their way."""
    shard = Shard(ShardConfig("11111111", INTENTS), random=lambda: 0.5)
    account = Account(stage.credentials, endpoints=stage.endpoints)

    def tell(event: Event) -> None:
        on_event(shard, event)

    return run(shard, account, tell)


@on_backends
async def test_run_until_the_handler_closes_it(stage: Stage) -> None:
    stopped = await driven(stage, lambda shard, event: shard.close(clock()) if isinstance(event, Ready) else None)

    assert stopped.reason is StopReason.CLOSED


@on_backends
async def test_run_cancelled_says_goodbye(stage: Stage) -> None:
    events: list[Event] = []
    with anyio.CancelScope() as scope:

        def on_event(shard: Shard, event: Event) -> None:
            events.append(event)
            if isinstance(event, Ready):
                scope.cancel()

        await driven(stage, on_event)

    assert scope.cancelled_caught
    assert isinstance(events[-1], Stopped)
    stage.until(lambda: not stage.platform.sessions)


@on_backends
async def test_run_raises_a_bug_of_the_handler_bare(stage: Stage) -> None:
    def on_event(shard: Shard, event: Event) -> None:
        if isinstance(event, Ready):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await driven(stage, on_event)
