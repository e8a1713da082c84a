"""Several shards of one bot on asyncio: as many as asked for, as many as recommended, or some of more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qqproto import (
    Credentials,
    Disconnected,
    Dispatch,
    Event,
    Policy,
    Ready,
    Resumed,
    Stopped,
    StopReason,
)
from qqproto.protocol.opcodes import Opcode
from qqproto.testing import c2c_message, reply
from qqproto.testing.behaviour import HTTPFault
from qqproto_transports._common import GatewayStopped
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import INTENTS, BotAccount, Gateway, account_at, bot_at, on_both_drivers, open_gateway, until
from tests.transports.loops import eventually, nothing_left_behind, on_loop

pytestmark = on_both_drivers


def recommending(count: int, concurrency: int | None = None) -> LocalGateway:
    local = LocalGateway()
    local.platform.bot.shards = count
    local.platform.bot.max_concurrency = concurrency or count
    return local


def identified(local: LocalGateway) -> list[tuple[int, int]]:
    frames = [frame for frame in local.platform.frames if frame.op == Opcode.IDENTIFY]
    return sorted(tuple(frame.payload["d"]["shard"]) for frame in frames)


async def all_ready(gateway: Gateway, count: int) -> list[int]:
    ready: list[int] = []
    while len(ready) < count:
        event = await until(gateway, lambda event: isinstance(event, Ready))
        ready.append(event.shard)
    return sorted(ready)


async def live(gateway: Gateway) -> None:
    async with gateway:
        async for _ in gateway:
            pass


def of_shard(kind: type[Event], shard: int) -> Any:
    return lambda event: isinstance(event, kind) and event.shard == shard


# -- as many as recommended --------------------------------------------------------------------------------------------


@on_loop
async def test_auto_runs_as_many_as_the_platform_recommends() -> None:
    async with recommending(4) as local:
        async with nothing_left_behind(), bot_at(local, shards="auto") as gateway:
            assert await all_ready(gateway, 4) == [0, 1, 2, 3]
            assert await gateway.wait_connected(10.0)
            assert [status.shard for status in gateway.status()] == [0, 1, 2, 3]
            assert len({status.session_id for status in gateway.status()}) == 4
            message = c2c_message("to the third", id="M-1", now=local.now)
            local.platform.session(2).dispatch("C2C_MESSAGE_CREATE", message, local.now)
            event = await until(gateway, lambda event: isinstance(event, Dispatch))
            assert event.shard == 2
            gateway.close()
            assert sorted([event.shard async for event in gateway if isinstance(event, Stopped)]) == [0, 1, 2, 3]
        assert identified(local) == [(0, 4), (1, 4), (2, 4), (3, 4)]
        assert local.platform.violations == []
        assert [request.path for request in local.platform.requests].count("/gateway/bot") == 1


@on_loop
async def test_auto_with_one_recommended_is_one() -> None:
    async with recommending(1) as local, bot_at(local, shards="auto") as gateway:
        assert await gateway.wait_connected(10.0)
        assert len(gateway.status()) == 1
        assert identified(local) == [(0, 1)]


@on_loop
async def test_auto_with_an_account_that_knows_the_answer_already() -> None:
    """Then it comes while the question is being asked, and the shards are there before the block begins."""
    async with recommending(2, 3) as local:
        account = account_at(local)
        async with open_gateway(account, intents=INTENTS) as first:
            assert await first.wait_connected(10.0)
        local.platform.frames.clear()
        async with nothing_left_behind(), open_gateway(account, intents=INTENTS, shards="auto") as gateway:
            assert len(gateway.status()) == 2
            await all_ready(gateway, 2)
        assert identified(local) == [(0, 2), (1, 2)]


@on_loop
async def test_auto_outlasts_a_platform_that_fails_at_the_start_and_says_so() -> None:
    async with recommending(3) as local:
        local.platform.behaviour.http = [HTTPFault(reply(503, {}), path="/gateway/bot", times=4)]
        async with bot_at(local, shards="auto") as gateway:
            waiting = asyncio.create_task(gateway.wait_connected(20.0))
            for attempt in range(1, 5):
                gone = await until(gateway, lambda event: isinstance(event, Disconnected))
                assert isinstance(gone, Disconnected)
                assert (gone.shard, gone.attempt) == (0, attempt)
                assert gone.failure is not None
                assert gone.failure.http_status == 503
            assert await all_ready(gateway, 3) == [0, 1, 2]
            assert await waiting


@on_loop
async def test_while_the_number_is_not_known_status_tells_and_close_works() -> None:
    async with recommending(3) as local:
        local.platform.behaviour.http = [HTTPFault(reply(500, {}), path="/gateway/bot", times=1000)]
        async with nothing_left_behind():
            async with bot_at(local, shards="auto", policy=Policy(backoff=(30.0,))) as gateway:
                await until(gateway, lambda event: isinstance(event, Disconnected))
                (status,) = gateway.status()
                assert not gateway.connected
                assert not gateway.online
                assert gateway.session is None
                assert gateway.stopped is None
                assert status.attempt == 1
                assert status.retry_in is not None
                assert not await gateway.wait_connected(0.01)
                gateway.close()
                events = [event async for event in gateway]

    assert [type(event) for event in events] == [Stopped]


@pytest.mark.parametrize("when", ["before", "during"])
@on_loop
async def test_auto_closed_before_the_answer_asks_nothing_more(when: str) -> None:
    async with recommending(3) as local:
        gateway = bot_at(local, shards="auto")
        if when == "before":
            gateway.close()
        async with nothing_left_behind(), gateway:
            await gateway.aclose()
            events = [event async for event in gateway]
        assert local.platform.frames == []

    assert [type(event) for event in events] == [Stopped]


@on_loop
async def test_auto_with_wrong_credentials_stops() -> None:
    async with LocalGateway(secret="right") as local:
        account = BotAccount(Credentials("11111111", "wrong"), endpoints=local.endpoints)
        with pytest.raises(GatewayStopped) as caught:
            await live(open_gateway(account, intents=INTENTS, shards="auto"))

    assert caught.value.stopped.reason is StopReason.CREDENTIALS


@on_loop
async def test_a_recommendation_that_no_process_could_follow_is_a_failure() -> None:
    async with recommending(10**15, 1) as local, bot_at(local, shards="auto") as gateway:
        gone = await until(gateway, lambda event: isinstance(event, Disconnected))
        assert isinstance(gone, Disconnected)
        assert gone.failure is not None
        assert "too many" in gone.failure.message
        local.platform.bot.shards = local.platform.bot.max_concurrency = 2


@on_loop
async def test_auto_with_a_full_buffer_reads_from_no_shard_until_there_is_room() -> None:
    """An outage that nobody reads of, and then an answer."""
    policy = Policy(backoff=(0.02,), max_buffered=2, hello_timeout=0.2)
    async with recommending(3, 4) as local:
        local.platform.behaviour.heartbeat_interval = 0.25
        local.platform.behaviour.http = [HTTPFault(reply(503, {}), path="/gateway/bot", times=4)]
        async with bot_at(local, shards="auto", policy=policy) as gateway:
            await eventually(lambda: len(local.platform.conversations) == 3)
            async with bot_at(local, shards=[(7, 8)]) as another:
                assert await another.wait_connected(10.0)
                await eventually(lambda: another.status()[0].counters.get("acks", 0) >= 2)
            assert identified(local) == [(7, 8)], "in that time the three would have been ready"
            assert [status.counters["connections"] for status in gateway.status()] == [1, 1, 1], "nor have they left"
            assert await all_ready(gateway, 3) == [0, 1, 2]


# -- some of more ------------------------------------------------------------------------------------------------------


@on_loop
async def test_pairs_run_these_shards_alone() -> None:
    async with recommending(1, 2) as local, bot_at(local, shards=iter([(5, 8), (2, 8)])) as gateway:
        assert await all_ready(gateway, 2) == [2, 5]
        assert gateway.connected
        assert [status.shard for status in gateway.status()] == [5, 2]
        assert identified(local) == [(2, 8), (5, 8)]


@pytest.mark.parametrize("shards", [0, -1, [], [(8, 8)], [(0, 2), (0, 2)], [(0, 2), (1, 3)], "2", [(1,)]])
def test_nonsense_is_refused_at_once(shards: Any) -> None:
    with pytest.raises(ValueError, match=r"shard.*not|pairs.*not"):
        open_gateway(Credentials("1", "s"), intents=INTENTS, shards=shards)


# -- they leave each other alone ---------------------------------------------------------------------------------------


@on_loop
async def test_a_link_that_dies_is_one_shards_alone() -> None:
    async with recommending(4) as local, bot_at(local, shards=4) as gateway:
        await all_ready(gateway, 4)
        talk = local.platform.session(3).live
        assert talk is not None
        talk.reset(local.now)
        await until(gateway, of_shard(Disconnected, 3))
        assert not gateway.connected
        assert gateway.online, "within the grace"
        assert [status.connected for status in gateway.status()] == [True, True, True, False]
        await until(gateway, of_shard(Resumed, 3))
        assert gateway.connected
        assert [status.counters["connections"] for status in gateway.status()] == [1, 1, 1, 2]
        assert len(identified(local)) == 4


@on_loop
async def test_shards_that_stop_leave_the_others_and_the_first_reason_is_raised_last() -> None:
    """Of two the second stops first, and is the one that is told."""
    async with recommending(2) as local:
        async with bot_at(local, shards=2) as gateway:
            await all_ready(gateway, 2)
            end(local, 1, 4914)
            await until(gateway, of_shard(Stopped, 1))
            assert gateway.stopped is None
            assert not gateway.connected
            message = c2c_message("still there?", id="M-1", now=local.now)
            local.platform.session(0).dispatch("C2C_MESSAGE_CREATE", message, local.now)
            await until(gateway, lambda event: isinstance(event, Dispatch))
            end(local, 0, 4915)
            await until(gateway, of_shard(Stopped, 0))
            with pytest.raises(GatewayStopped) as caught:
                await anext(gateway)

    assert caught.value.stopped.shard == 1
    assert caught.value.stopped.reason is StopReason.SANDBOX_ONLY
    assert gateway.stopped is caught.value.stopped


def end(local: LocalGateway, shard: int, code: int) -> None:
    talk = local.platform.session(shard).live
    assert talk is not None
    talk.close(code, "over", local.now)


@on_loop
async def test_too_few_shards_stop_with_a_hint() -> None:
    async with recommending(2) as local:
        local.platform.bot.min_shards = 2
        with pytest.raises(GatewayStopped, match="reshard"):
            await live(bot_at(local))


@on_loop
async def test_identifies_keep_the_platforms_pace() -> None:
    """Four shards, two in any five seconds: the platform that counts finds nothing wrong."""
    async with recommending(4, 2) as local, bot_at(local, shards="auto") as gateway:
        assert await all_ready(gateway, 4) == [0, 1, 2, 3]
        at = sorted(frame.at for frame in local.platform.frames if frame.op == Opcode.IDENTIFY)
        assert at[1] - at[0] < 2.0
        assert at[2] - at[0] >= 5.0
        assert local.platform.violations == []
