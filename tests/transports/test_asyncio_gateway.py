"""The asyncio driver against the local gateway, over real sockets: what a bot's author sees."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from qqproto import (
    Credentials,
    Disconnected,
    Dispatch,
    Endpoints,
    Event,
    HTTPRequest,
    HTTPResponse,
    Policy,
    Ready,
    Resumed,
    Stopped,
    StopReason,
)
from qqproto.testing import Refusal
from qqproto_transports._common import GatewayStopped
from qqproto_transports._stream import StreamCore
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import (
    INTENTS,
    BotAccount,
    Buggy,
    Gateway,
    account_at,
    bot_at,
    on_both_drivers,
    open_gateway,
    say,
    until,
)
from tests.transports.loops import eventually, nothing_left_behind, on_loop, open_files
from tests.transports.servers import serving, silence

pytestmark = on_both_drivers


def is_message(event: Event) -> bool:
    return type(event) is Dispatch


# -- the plain road, beyond what tests/scenarios says of every driver --------------------------------------------------


@contextlib.asynccontextmanager
async def left_without_trace(local: LocalGateway) -> AsyncIterator[None]:
    """At the end of the block the bot is gone, here and, a moment later, there."""
    async with nothing_left_behind():
        yield
    await eventually(lambda: not local.platform.conversations)


@on_loop
async def test_leaving_the_block_says_goodbye() -> None:
    async with LocalGateway() as local:
        async with left_without_trace(local), bot_at(local) as gateway:
            assert await gateway.wait_connected(10.0)
        with pytest.raises(LookupError):
            local.platform.session()

    assert not gateway.connected
    assert gateway.stopped is not None


def test_the_number_of_shards_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        open_gateway(Credentials("1", "s"), intents=INTENTS, shards=0)


# -- how it ends -------------------------------------------------------------------------------------------------------


@on_loop
async def test_after_close_nothing_more_is_handed_out() -> None:
    """FAILURES.md row 20: a closed bot that still answers."""
    events: list[Event] = []
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        say(local, *range(100))
        async for event in gateway:
            events.append(event)
            gateway.close()
            assert not gateway.connected
            assert not gateway.online
            gateway.close()

    assert [type(event) for event in events] == [Dispatch, Stopped]


@on_loop
async def test_a_stop_of_its_own_is_yielded_and_raised_bare() -> None:
    events: list[Event] = []
    async with LocalGateway() as local:
        local.platform.behaviour.identify = [Refusal(code=4914, op9=None)]
        gateway = bot_at(local)
        with pytest.raises(GatewayStopped) as caught:
            async with left_without_trace(local):
                await live(gateway, events)

    assert isinstance(events[-1], Stopped)
    assert caught.value.stopped is events[-1] is gateway.stopped
    assert not caught.value.stopped.retryable
    assert caught.value.stopped.hint in str(caught.value)
    with pytest.raises(GatewayStopped):
        await anext(gateway)


async def live(gateway: Gateway, events: list[Event], handler: Callable[[Event], object] = lambda event: None) -> None:
    """A bot's whole life."""
    async with gateway:
        async for event in gateway:
            events.append(event)
            handler(event)


@on_loop
async def test_the_bodys_own_exception_leaves_bare() -> None:
    async with LocalGateway() as local:
        with pytest.raises(ZeroDivisionError):
            async with left_without_trace(local):
                await live(bot_at(local), [], lambda event: 1 / 0)


@on_loop
async def test_cancelling_the_body_says_goodbye_and_leaves_nothing() -> None:
    async with LocalGateway() as local:
        ready = asyncio.Event()

        async def bot() -> None:
            async with bot_at(local) as gateway:
                async for event in gateway:
                    if isinstance(event, Ready):
                        ready.set()

        async with left_without_trace(local):
            task = asyncio.create_task(bot())
            await ready.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(LookupError):
            local.platform.session()


@on_loop
async def test_cancelled_twice_it_leaves_at_once_and_leaves_nothing() -> None:
    """The second time while the goodbye is waited for: a server that does not hear."""
    async with LocalGateway() as local:
        ready = asyncio.Event()

        async def bot() -> None:
            async with bot_at(local) as gateway:
                await until(gateway, lambda event: isinstance(event, Ready))
                ready.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(bot())
        await ready.wait()
        local.platform.conversations[0].ignore()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@on_loop
async def test_close_from_another_thread() -> None:
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        threading.Timer(0.05, gateway.close).start()
        events = [event async for event in gateway]

    assert [type(event) for event in events] == [Stopped]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
@on_loop
async def test_close_from_a_signal_handler() -> None:
    """A handler of the `signal` module runs between any two instructions of the loop's thread."""
    async with LocalGateway() as local, bot_at(local) as gateway:
        before = signal.signal(signal.SIGUSR1, lambda *args: gateway.close())
        try:
            await until(gateway, lambda event: isinstance(event, Ready))
            asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGUSR1)
            events = [event async for event in gateway]
        finally:
            signal.signal(signal.SIGUSR1, before)

    assert [type(event) for event in events] == [Stopped]


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


# -- in every order ----------------------------------------------------------------------------------------------------


@on_loop
async def test_made_without_a_loop_and_used_in_any_order() -> None:
    async with LocalGateway() as local:
        gateway = await asyncio.to_thread(bot_at, local)
        assert not gateway.connected
        assert not gateway.online
        assert gateway.stopped is None
        assert gateway.session is None
        assert len(gateway.status()) == 1
        assert not await gateway.wait_connected(0.01)
        waiting = asyncio.create_task(gateway.wait_connected(10.0))
        async with gateway:
            assert await waiting
            assert gateway.connected
            assert gateway.online
            assert gateway.session is not None
            assert gateway.session.id == gateway.status()[0].session_id
        assert not await gateway.wait_connected(10.0)
        await gateway.aclose()
        gateway.close()
        assert gateway.status()[0].stopped is gateway.stopped
        with pytest.raises(RuntimeError, match="entered once"):
            await gateway.__aenter__()


@pytest.mark.parametrize("how", ["close", "aclose"])
@on_loop
async def test_entering_a_closed_one_ends_at_once(how: str) -> None:
    gateway = open_gateway(Credentials("11111111", "s"), intents=INTENTS)
    if how == "close":
        gateway.close()
    else:
        await gateway.aclose()

    async with gateway:
        events = [event async for event in gateway]

    assert [type(event) for event in events] == [Stopped]


@on_loop
async def test_iterating_before_entering_is_misuse() -> None:
    gateway = open_gateway(Credentials("11111111", "s"), intents=INTENTS)

    with pytest.raises(RuntimeError, match="async with"):
        await anext(gateway)


@on_loop
async def test_two_who_wait_for_the_next_event_are_misuse() -> None:
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        first = asyncio.create_task(anext(gateway))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="somebody else waits"):
            await anext(gateway)
        say(local, "hello")
        assert is_message(await first)


@on_loop
async def test_a_wait_for_the_next_event_may_be_given_up() -> None:
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(gateway), 0.02)
        say(local, "hello")
        assert is_message(await anext(gateway))


@on_loop
async def test_online_lasts_through_a_short_absence_and_connected_does_not() -> None:
    async with LocalGateway() as local, bot_at(local, policy=Policy(backoff=(3600.0,))) as gateway:
        assert await gateway.wait_online(10.0)
        assert await gateway.wait_connected(10.0)
        local.platform.conversations[0].reset(local.now)
        await eventually(lambda: not gateway.connected)
        assert not await gateway.wait_connected(0.01)
        assert await gateway.wait_online(0.0), "a sender of messages need not know"
    assert not await gateway.wait_online(10.0), "it has stopped"


@on_loop
async def test_a_bot_that_never_was_online_is_not_awaited_for_longer() -> None:
    async with LocalGateway() as local:
        local.platform.behaviour.hello = False
        async with bot_at(local) as gateway:
            assert not await gateway.wait_online(0.02)


# -- settling ----------------------------------------------------------------------------------------------------------


async def settled(local: LocalGateway, gateway: Gateway) -> int:
    assert gateway.session is not None
    return gateway.session.settled


@on_loop
async def test_asking_for_the_next_event_settles_the_one_before() -> None:
    async with LocalGateway() as local, bot_at(local) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        say(local, "two", "three", "four")
        seen = []
        async for event in gateway:
            if isinstance(event, Dispatch):
                assert event.sequence is not None
                seen.append((event.sequence, await settled(local, gateway)))
            if len(seen) == 3:
                break
        assert seen == [(2, 1), (3, 2), (4, 3)]
        assert await settled(local, gateway) == 3, "a break leaves the event in hand unsettled"
        say(local, "five")
        await until(gateway, is_message)
        assert await settled(local, gateway) == 4


@on_loop
async def test_delivery_settles_when_it_is_handed_out() -> None:
    async with LocalGateway() as local, bot_at(local, settle="delivery") as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        say(local, "two", "three")
        await until(gateway, is_message)
        await eventually(lambda: gateway.status()[0].counters.get("dispatches", 0) == 2)
        assert await settled(local, gateway) == 2, "and not before: the third lies in the buffer"


@on_loop
async def test_manual_settles_at_the_end_of_the_handling() -> None:
    async with LocalGateway() as local, bot_at(local, settle="manual") as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        say(local, 2, 3, 4, 5)
        messages = [await until(gateway, is_message) for _ in range(4)]
        two, three, four, five = [message for message in messages if isinstance(message, Dispatch)]
        assert await settled(local, gateway) == 1

        async with gateway.handling(two) as dispatch:
            assert dispatch is two
            assert await settled(local, gateway) == 1
        assert await settled(local, gateway) == 2

        with contextlib.suppress(ZeroDivisionError):
            async with gateway.handling(three):
                raise ZeroDivisionError
        assert await settled(local, gateway) == 3, "it would fail next time as well"

        with contextlib.suppress(ZeroDivisionError):
            async with gateway.handling(four, on_error="keep"):
                raise ZeroDivisionError
        with contextlib.suppress(asyncio.CancelledError):
            async with gateway.handling(four):
                raise asyncio.CancelledError
        assert await settled(local, gateway) == 3

        gateway.settle(five)
        assert await settled(local, gateway) == 3, "the watermark waits for the fourth"
        gateway.settle(four)
        assert await settled(local, gateway) == 5
        gateway.settle(Dispatch("X", {}, sequence=9, shard=7))


# -- bugs --------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_bug_ends_it_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """A host's `loads` that gives what no decoder gives."""

    def loads(text: str | bytes) -> Any:
        decoded = json.loads(text)
        if isinstance(decoded, dict) and decoded.get("t") == "C2C_MESSAGE_CREATE":
            return Buggy()
        return decoded

    events: list[Event] = []
    async with LocalGateway() as local:

        def greet(event: Event) -> None:
            if isinstance(event, Ready):
                say(local, "hello")

        gateway = bot_at(local, loads=loads)
        with pytest.raises(LookupError, match="a bug"):
            await live(gateway, events, greet)
        await eventually(lambda: not local.platform.conversations)
        assert local.platform.session().live is None, "dropped, so that the session is kept"

    assert isinstance(events[-1], Stopped)
    assert events[-1].reason is StopReason.HOST_FAILURE
    assert "LookupError" in events[-1].hint
    (record,) = [record for record in caplog.records if record.name == "qqproto"]
    assert record.exc_info is not None
    assert record.levelno == logging.CRITICAL


@on_loop
async def test_a_bug_in_a_hosts_http_leaves_the_block_though_nobody_iterates() -> None:
    async def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("clientSecret")

    account = BotAccount(Credentials("11111111", "s"), http=http)
    with pytest.raises(KeyError):
        async with open_gateway(account, intents=INTENTS) as gateway:
            assert not await gateway.wait_connected(10.0)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 brought eager tasks")
@on_loop
async def test_tasks_that_begin_at_once_change_nothing() -> None:
    """An exchange that is over before anybody waited for it."""

    async def http(request: HTTPRequest) -> HTTPResponse:
        if "AccessToken" in request.url:
            return HTTPResponse(200, {}, b'{"access_token":"t","expires_in":7200}')
        return HTTPResponse(200, {}, b'{"url":"wss://127.0.0.1:1/"}')

    factory = getattr(asyncio, "eager_task_factory")  # noqa: B009  # mypy knows Python 3.10's
    asyncio.get_running_loop().set_task_factory(factory)
    try:
        account = BotAccount(Credentials("11111111", "s"), http=http)
        async with open_gateway(account, intents=INTENTS) as gateway:
            gone = await until(gateway, lambda event: isinstance(event, Disconnected))
            assert isinstance(gone, Disconnected)
            assert gone.failure is not None
            assert gone.failure.kind.value == "refused"
    finally:
        asyncio.get_running_loop().set_task_factory(None)


# -- many bots, and what must not be seen --------------------------------------------------------------------------


@on_loop
async def test_attempts_that_are_given_up_leave_no_file_open() -> None:
    """The server never answers the ClientHello, and the machine's deadline ends each attempt."""
    policy = Policy(backoff=(0.001,), dial_timeout=0.02, gateway_burst=10_000)
    async with LocalGateway() as local, serving(silence) as port:
        endpoints = Endpoints(local.endpoints.api_base, local.endpoints.token_url, f"wss://127.0.0.1:{port}/")
        account = BotAccount(local.credentials, endpoints=endpoints, policy=policy)
        async with open_gateway(account, intents=INTENTS) as gateway:
            await failures(gateway, 1)
            before = len(open_files())
            await failures(gateway, 20)
            assert len(open_files()) <= before + 4


async def failures(gateway: Gateway, count: int) -> None:
    """Iterate until so many attempts have failed."""
    for _ in range(count):
        await until(gateway, lambda event: isinstance(event, Disconnected))


@on_loop
async def test_rotations_leave_no_stream_behind() -> None:
    def streams() -> int:
        return sum(isinstance(thing, StreamCore) for thing in gc.get_objects())

    async with LocalGateway() as local, bot_at(local, policy=Policy(stable_after=0.0, rotation_jitter=0.0)) as gateway:
        await until(gateway, lambda event: isinstance(event, Ready))
        for _ in range(20):
            say(local, "hello")
            await until(gateway, is_message)
            local.platform.conversations[-1].send_reconnect(local.now)
            await until(gateway, lambda event: isinstance(event, Resumed))
        await eventually(lambda: streams() == 1)
        assert local.platform.ops().count(6) == 20


@on_loop
async def test_no_secret_in_any_log_record_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    """Row 33, at DEBUG, with asyncio and httpcore talking as well."""
    caplog.set_level(logging.DEBUG)
    secret = "the-very-secret-secret"
    seen: list[str] = []
    async with LocalGateway(secret=secret) as local:
        account = account_at(local)
        async with open_gateway(account, intents=INTENTS) as gateway:
            await until(gateway, lambda event: isinstance(event, Ready))
            say(local, "hello")
            events = [await until(gateway, is_message)]
            local.platform.conversations[0].reset(local.now)
            events.append(await until(gateway, lambda event: isinstance(event, Resumed)))
            tasks = list(asyncio.all_tasks())
            seen += [repr(thing) for thing in [gateway, account, *events, *gateway.status(), *tasks]]
        token = account.current_token
        assert token is not None
        seen += [repr(token), repr(account.credentials)]

    seen += [f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records]
    assert any(record.name.startswith("httpcore.") for record in caplog.records), "it did talk"
    for line in seen:
        assert secret not in line
        assert token.value not in line
