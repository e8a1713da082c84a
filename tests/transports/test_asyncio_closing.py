"""Ending in every phase of a connection's life: in time, and with nothing left (FAILURES.md, rows 9 and 28)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import pytest

from qqproto import Credentials, Disconnected, Endpoints, Phase, Policy, Ready, Stopped, StopReason
from qqproto.testing import Refusal
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import INTENTS, BotAccount, Gateway, bot_at, on_both_drivers, open_gateway, say, until
from tests.transports.certificates import server_context, trusting
from tests.transports.loops import eventually, nothing_left_behind, on_loop
from tests.transports.servers import closed_port, full_port, serving, silence

pytestmark = on_both_drivers

Story: TypeAlias = Callable[[], AbstractAsyncContextManager["tuple[Gateway, Callable[[], object]]"]]
"""Gives a gateway to enter, and what tells that it has come so far."""


def hears(gateway: Gateway) -> int:
    return gateway.status()[0].counters.get("connections", 0)


@contextlib.asynccontextmanager
async def token_endpoint_hangs() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        asked.set()
        await silence(reader, writer)

    async with serving(hang) as port:
        endpoints = Endpoints(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/token")
        account = BotAccount(Credentials("11111111", "s"), endpoints=endpoints)
        yield open_gateway(account, intents=INTENTS), asked.is_set


@contextlib.asynccontextmanager
async def at(url: str) -> AsyncIterator[Gateway]:
    """A bot whose gateway is at ``url``; the rest is the local gateway's."""
    async with LocalGateway() as local:
        endpoints = Endpoints(local.endpoints.api_base, local.endpoints.token_url, gateway_url=url)
        account = BotAccount(local.credentials, endpoints=endpoints, ssl_context=trusting())
        yield open_gateway(account, intents=INTENTS)


@contextlib.asynccontextmanager
async def dial_hangs() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    with full_port() as port:
        async with at(f"ws://127.0.0.1:{port}/") as gateway:
            yield gateway, lambda: gateway.status()[0].phase is Phase.DIAL


@contextlib.asynccontextmanager
async def tls_hangs() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    said_hello = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        said_hello.set()
        await silence(reader, writer)

    async with serving(hang) as port, at(f"wss://127.0.0.1:{port}/") as gateway:
        yield gateway, said_hello.is_set


@contextlib.asynccontextmanager
async def upgrade_hangs() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with serving(silence) as port, at(f"ws://127.0.0.1:{port}/") as gateway:
        yield gateway, lambda: hears(gateway)


@contextlib.asynccontextmanager
async def upgrade_hangs_behind_tls() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    context = server_context("127.0.0.1")
    async with serving(silence, ssl=context) as port, at(f"wss://127.0.0.1:{port}/") as gateway:
        yield gateway, lambda: hears(gateway)


@contextlib.asynccontextmanager
async def never_reads() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(deaf) as port, at(f"ws://127.0.0.1:{port}/") as gateway:
        yield gateway, lambda: hears(gateway)


@contextlib.asynccontextmanager
async def hello_hangs() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with LocalGateway() as local:
        local.platform.behaviour.hello = False
        yield bot_at(local), lambda: local.platform.conversations


@contextlib.asynccontextmanager
async def ready_hangs() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with LocalGateway() as local:
        local.platform.behaviour.answers = False
        yield bot_at(local), lambda: 2 in local.platform.ops()


@contextlib.asynccontextmanager
async def refused_and_waiting() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    with closed_port() as port:
        async with at(f"ws://127.0.0.1:{port}/") as gateway:
            yield gateway, lambda: gateway.status()[0].retry_in


@contextlib.asynccontextmanager
async def refused_token_is_held_back() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with LocalGateway() as local:
        local.platform.behaviour.identify = [Refusal()]
        gateway = bot_at(local)

        def reached() -> bool:
            """The platform has returned the same token: the account waits for 5 s, and no longer for a reply, 15 s."""
            runner = gateway.account.runner
            due = runner.account.next_timer()
            return hears(gateway) == 1 and due is not None and due - runner.clock() < 5.5

        yield gateway, reached


@contextlib.asynccontextmanager
async def waiting_for_an_identify_slot() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with LocalGateway() as local:
        gateway = bot_at(local, policy=Policy(backoff=(0.01,), invalid_session_wait=0.01))

        def reached() -> bool:
            if hears(gateway) == 1 and gateway.connected:
                local.platform.conversations[0].invalidate(local.now)
            return hears(gateway) == 2 and gateway.status()[0].phase is Phase.AUTH

        yield gateway, reached


@contextlib.asynccontextmanager
async def ready() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with LocalGateway() as local:
        gateway = bot_at(local)
        yield gateway, lambda: gateway.connected


@contextlib.asynccontextmanager
async def black_hole() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    """The link is dead, and nobody knows yet."""
    async with LocalGateway() as local:
        gateway = bot_at(local)

        def reached() -> bool:
            if gateway.connected:
                local.platform.conversations[0].ignore()
            return gateway.connected

        yield gateway, reached


@contextlib.asynccontextmanager
async def buffer_is_full() -> AsyncIterator[tuple[Gateway, Callable[[], object]]]:
    async with LocalGateway() as local:
        gateway = bot_at(local, policy=Policy(max_buffered=5))
        said = False

        def reached() -> bool:
            nonlocal said
            if gateway.connected and not said:
                said = True
                say(local, *range(20))
            return gateway.status()[0].counters.get("dispatches", 0) >= 5

        yield gateway, reached


STORIES: list[Story] = [
    token_endpoint_hangs,
    dial_hangs,
    tls_hangs,
    upgrade_hangs,
    upgrade_hangs_behind_tls,
    never_reads,
    hello_hangs,
    ready_hangs,
    refused_and_waiting,
    refused_token_is_held_back,
    waiting_for_an_identify_slot,
    ready,
    black_hole,
    buffer_is_full,
]

every_phase = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)

TIMEOUT = 0.5


@every_phase
@on_loop
async def test_aclose_is_done_within_its_timeout(story: Story) -> None:
    loop = asyncio.get_running_loop()
    async with story() as (gateway, reached):
        async with nothing_left_behind(), gateway:
            await eventually(reached)
            async with nothing_left_behind():
                before = loop.time()
                await gateway.aclose(TIMEOUT)
                assert loop.time() - before < TIMEOUT + 0.4
            events = [event async for event in gateway]
            await gateway.aclose()

    assert [type(event) for event in events] == [Stopped]
    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.CLOSED


@every_phase
@on_loop
async def test_close_ends_the_iteration(story: Story) -> None:
    async with story() as (gateway, reached):
        async with nothing_left_behind(), gateway:
            await eventually(reached)
            gateway.close()
            events = [event async for event in gateway]

    assert [type(event) for event in events] == [Stopped]


@every_phase
@on_loop
async def test_cancelling_the_body_leaves_nothing(story: Story) -> None:
    async with story() as (gateway, reached):

        async def bot() -> None:
            async with gateway:
                await asyncio.Event().wait()

        async with nothing_left_behind():
            task = asyncio.create_task(bot())
            await eventually(reached)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@on_loop
async def test_aclose_from_a_handler_and_from_another_task_at_once() -> None:
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        say(local, "stop")
        async for event in gateway:
            if not isinstance(event, (Stopped, Disconnected)):
                await asyncio.gather(gateway.aclose(), asyncio.create_task(gateway.aclose()), gateway.aclose())
        assert isinstance(event, Stopped)


@on_loop
async def test_a_cancelled_aclose_has_closed_all_the_same() -> None:
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        local.platform.conversations[0].ignore()
        closing = asyncio.create_task(gateway.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

        assert [type(event) async for event in gateway] == [Stopped]
