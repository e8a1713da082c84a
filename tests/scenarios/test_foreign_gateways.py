"""Each driver against gateways that are none of ours, on `websockets` and on aiohttp: samples, rotations, an end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from qqproto import Disconnected, Dispatch, Ready, Stopped
from tests.core.samples import body
from tests.e2e.aiohttp_platform import AiohttpPlatform
from tests.e2e.foreign_platform import DISPATCHES, ForeignPlatform, play, play_everything, rotating
from tests.e2e.test_foreign_gateways import INTENTS
from tests.e2e.websockets_platform import WebsocketsPlatform
from tests.scenarios.bots import Bot
from tests.scenarios.stage import Stage
from tests.scenarios.threads import LoopThread
from tests.transports.certificates import server_context

pytestmark = [
    pytest.mark.parametrize("server", [WebsocketsPlatform, AiohttpPlatform]),
    pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"]),
]


@pytest.fixture(autouse=True)
def _the_server_keeps_its_frames_to_itself() -> Iterator[None]:
    """`websockets` logs each of them at DEBUG, tokens and all; that is the other end, and nothing of ours."""
    log = logging.getLogger("websockets.server")
    log.setLevel(logging.INFO)
    yield
    log.setLevel(logging.NOTSET)


def bot_at(stage: Stage, platform: ForeignPlatform) -> Bot:
    """HTTP is the server's, if it has any, or else the stage's own."""
    stage.platform.gateway_url = platform.url
    stage.passwords.add(body("token_response_string_expires")["access_token"])
    account = stage.account(endpoints=platform.endpoints or stage.endpoints)
    return stage.bot(account=account, intents=INTENTS).start()


def serving(platform: ForeignPlatform, secure: bool) -> LoopThread:
    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        async with platform.open(server_context("127.0.0.1") if secure else None):
            yield

    return LoopThread(around)


def test_every_sample_arrives_as_it_was_sent(stage: Stage, server: type[ForeignPlatform], secure: bool) -> None:
    platform = server(play_everything)
    with serving(platform, secure):
        bot = bot_at(stage, platform)
        bot.until_true(lambda: len(bot.heard(Dispatch)) == len(DISPATCHES))
        bot.close()
        assert bot.end() is None

    assert [event.envelope for event in bot.heard(Dispatch)] == [body(name) for name in DISPATCHES]
    assert len(bot.heard(Ready)) == 1
    assert type(bot.events[-1]) is Stopped
    assert [message["op"] for message in platform.heard] == [2]
    assert platform.closes == [1000]
    assert bool(platform.asked) == (platform.endpoints is not None)


@pytest.mark.parametrize("how", ["op 7", "4009", "reset"])
def test_a_new_connection_resumes_where_the_old_one_was(
    stage: Stage, server: type[ForeignPlatform], secure: bool, how: str
) -> None:
    platform = server(rotating(how, DISPATCHES[:20]), rotating(how, DISPATCHES[20:40]), play(DISPATCHES[40:]))
    with serving(platform, secure):
        bot = bot_at(stage, platform)
        bot.until_true(lambda: len(bot.heard(Dispatch)) == len(DISPATCHES))
        bot.close()
        assert bot.end() is None

    assert [message["op"] for message in platform.heard] == [2, 6, 6]
    assert [message["d"]["seq"] for message in platform.heard[1:]] == [21, 41]
    assert [event.envelope for event in bot.heard(Dispatch)] == [body(name) for name in DISPATCHES]
    assert [gone.planned for gone in bot.heard(Disconnected)] == [how != "reset"] * 2
    assert platform.closes.count(1000) == 1, "a goodbye, and no session ended before it"
