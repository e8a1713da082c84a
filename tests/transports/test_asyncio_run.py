"""Driving a bare Shard and a bare Account."""

from __future__ import annotations

import asyncio
import logging

import pytest

from qqproto import (
    Account,
    Dispatch,
    Event,
    Ready,
    Shard,
    ShardConfig,
    Stopped,
    StopReason,
)
from qqproto.testing import Refusal
from qqproto_transports._clock import clock
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import INTENTS, on_both_drivers, run, say
from tests.transports.loops import eventually, nothing_left_behind, on_loop

pytestmark = on_both_drivers


def shard_of(local: LocalGateway) -> Shard:
    return Shard(ShardConfig(local.credentials.app_id, INTENTS), random=lambda: 0.5)


def account_of(local: LocalGateway) -> Account:
    return Account(local.credentials, endpoints=local.endpoints)


@on_loop
async def test_until_the_handler_closes_it() -> None:
    events: list[Event] = []
    async with LocalGateway() as local:
        shard = shard_of(local)

        def on_event(event: Event) -> None:
            events.append(event)
            if isinstance(event, Ready):
                say(local, "one", "two", "three")
            if isinstance(event, Dispatch):
                shard.close(clock())

        async with nothing_left_behind():
            stopped = await run(shard, account_of(local), on_event)
        assert local.platform.violations == []

    assert [type(event).__name__ for event in events] == ["Online", "Ready", "Dispatch", "Stopped"]
    assert stopped is events[-1]
    assert stopped.reason is StopReason.CLOSED


@on_loop
async def test_until_the_platform_stops_it() -> None:
    async with LocalGateway() as local:
        local.platform.behaviour.identify = [Refusal(code=4914, op9=None)]
        events: list[Event] = []
        stopped = await run(shard_of(local), account_of(local), events.append)

    assert stopped.code == 4914
    assert events[-1] is stopped


@on_loop
async def test_cancelled_it_says_goodbye() -> None:
    events: list[Event] = []
    async with LocalGateway() as local:
        async with nothing_left_behind():
            task = asyncio.create_task(run(shard_of(local), account_of(local), events.append))
            await eventually(lambda: any(isinstance(event, Ready) for event in events))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await eventually(lambda: not local.platform.sessions)

    assert isinstance(events[-1], Stopped)


@on_loop
async def test_a_bug_in_the_handler_ends_loudly(caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    async with LocalGateway() as local:

        def on_event(event: Event) -> None:
            events.append(event)
            if isinstance(event, Ready):
                raise ZeroDivisionError("a bug")

        async with nothing_left_behind():
            with pytest.raises(ZeroDivisionError, match="a bug"):
                await run(shard_of(local), account_of(local), on_event)
        await eventually(lambda: not local.platform.conversations)

    assert isinstance(events[-1], Stopped)
    assert events[-1].reason is StopReason.HOST_FAILURE
    assert len([record for record in caplog.records if record.name == "qqproto"]) == 1
    assert caplog.records[-1].levelno == logging.CRITICAL


@on_loop
async def test_a_handler_that_fails_at_everything_ends_as_well() -> None:
    def on_event(event: Event) -> None:
        raise ZeroDivisionError(type(event).__name__)

    async with LocalGateway() as local:
        with pytest.raises(ZeroDivisionError, match="Online"):
            await run(shard_of(local), account_of(local), on_event)


@on_loop
async def test_a_shard_that_was_closed_before_ends_at_once() -> None:
    events: list[Event] = []
    async with LocalGateway() as local:
        shard = shard_of(local)
        shard.close(clock())
        stopped = await run(shard, account_of(local), events.append)
        assert local.platform.requests == []

    assert events == [stopped]
