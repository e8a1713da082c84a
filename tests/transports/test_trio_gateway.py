"""The trio driver on trio and on asyncio: what leaves its block, what cancellation leaves, threads and other loops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from qqproto import (
    Credentials,
    Disconnected,
    Dispatch,
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
from qqproto_transports.stores import MemoryStore
from qqproto_transports.trio import BotAccount, Gateway, GatewayStopped, open_gateway
from tests.scenarios.bots import INTENTS
from tests.scenarios.stage import Stage
from tests.transports.backends import bot_at, eventually, meanwhile, on_backends, platform, run_on, until
from tests.transports.loops import open_files


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A platform in a thread."""
    with platform() as stage:
        yield stage


async def live(gateway: Gateway, handler: Callable[[Event], object] = lambda event: None) -> None:
    """A bot's whole life."""
    async with gateway:
        async for event in gateway:
            handler(event)


# -- what leaves the block ---------------------------------------------------------------------------------------------


@on_backends
async def test_a_stop_of_its_own_leaves_bare(stage: Stage) -> None:
    stage.do(lambda: stage.platform.behaviour.identify.append(Refusal(code=4914, op9=None)))
    with pytest.raises(GatewayStopped) as caught:
        await live(bot_at(stage))

    assert caught.value.stopped.code == 4914


@on_backends
async def test_the_bodys_own_exception_leaves_bare(stage: Stage) -> None:
    def handler(event: Event) -> None:
        if isinstance(event, Ready):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await live(bot_at(stage), handler)


@on_backends
async def test_a_bug_leaves_bare_though_nobody_iterates() -> None:
    async def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("clientSecret")

    async def bot() -> None:
        async with open_gateway(BotAccount(Credentials("11111111", "s"), http=http), intents=INTENTS) as gateway:
            assert not await gateway.wait_connected(10.0)

    with pytest.raises(KeyError):
        await bot()


def test_ctrl_c_in_a_handler_says_goodbye_on_trio(stage: Stage) -> None:
    """Trio raises KeyboardInterrupt in the task that was given to ``trio.run``."""

    def handler(event: Event) -> None:
        if isinstance(event, Ready):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trio.run(live, bot_at(stage), handler)
    stage.until(lambda: not stage.platform.sessions)


# -- cancellation ------------------------------------------------------------------------------------------------------


@on_backends
async def test_a_cancelled_body_says_goodbye(stage: Stage) -> None:
    gateway = bot_at(stage)
    with anyio.CancelScope() as scope:
        await live(gateway, lambda event: scope.cancel() if isinstance(event, Ready) else None)

    assert scope.cancelled_caught
    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.CLOSED
    stage.until(lambda: not stage.platform.sessions)


@on_backends
async def test_the_goodbye_of_a_cancelled_body_is_waited_for_so_long(stage: Stage) -> None:
    gateway = bot_at(stage, policy=Policy(close_timeout=0.2))
    with anyio.CancelScope() as scope:
        async with gateway:
            await until(gateway, Ready)
            stage.do(stage.wire.lose)
            before = anyio.current_time()
            scope.cancel()
            await anyio.sleep_forever()

    assert 0.15 < anyio.current_time() - before < 5.0
    assert scope.cancelled_caught


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks, and cancels a scope after some of them."""

    def __init__(self, scope: trio.CancelScope, limit: float) -> None:
        self._scope = scope
        self._limit = limit
        self.count = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
        if self.count == self._limit:
            self._scope.cancel()


@pytest.mark.parametrize("part", range(4))
def test_cancelled_after_any_step_it_leaves_nothing(stage: Stage, part: int) -> None:
    """From before the token is asked for to after the goodbye; and nothing but the cancellation comes out."""

    async def bot() -> None:
        async with bot_at(stage) as gateway:
            async for event in gateway:
                if isinstance(event, Ready):
                    stage.say("hello")
                if isinstance(event, Dispatch):
                    gateway.close()

    async def steps(limit: float) -> tuple[int, bool]:
        with trio.CancelScope() as scope:
            counter = Steps(scope, limit)
            trio.lowlevel.add_instrument(counter)
            try:
                await bot()
            finally:
                trio.lowlevel.remove_instrument(counter)
        return counter.count, scope.cancelled_caught

    async def main() -> None:
        total, cancelled = await steps(float("inf"))
        assert not cancelled
        files, tasks = len(open_files()), len(anyio.get_running_tasks())
        caught = 0
        for limit in range(1 + part, total, 4):
            _, cancelled = await steps(limit)
            caught += cancelled
            assert len(anyio.get_running_tasks()) == tasks
            await eventually(lambda: len(open_files()) <= files)  # The platform's are among them.
        assert caught > total / 8, "most of its life it waits for something"

    run_on("trio", main)
    stage.until(lambda: not stage.platform.conversations)


@on_backends
async def test_a_busy_bot_can_be_cancelled_at_each_event_that_lies_ready(stage: Stage) -> None:
    heard: list[Event] = []
    with anyio.CancelScope() as scope:
        async with bot_at(stage) as gateway:
            await until(gateway, Ready)
            stage.say(*range(100))
            await eventually(lambda: gateway.status()[0].counters.get("dispatches", 0) == 100)
            async for event in gateway:
                heard.append(event)
                if len(heard) == 3:
                    scope.cancel()

    assert scope.cancelled_caught
    assert len(heard) == 3


@on_backends
async def test_what_lies_ready_is_handed_out_in_one_go(stage: Stage) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with bot_at(stage) as gateway:
        await until(gateway, Ready)
        stage.say(*range(50))
        await eventually(lambda: gateway.status()[0].counters.get("dispatches", 0) == 50)
        async with meanwhile(count) as counting:
            await checkpoint()
            before = turns
            for _ in range(50):
                assert isinstance(await anext(gateway), Dispatch)
            assert turns == before
            counting.cancel()


# -- threads, tasks, other loops ---------------------------------------------------------------------------------------


@on_backends
async def test_close_from_another_thread(stage: Stage) -> None:
    async with bot_at(stage) as gateway:
        await until(gateway, Ready)
        thread = threading.Thread(target=gateway.close)
        thread.start()
        events = [event async for event in gateway]
        thread.join()

    assert [type(event) for event in events] == [Stopped]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
@on_backends
async def test_close_from_a_signal_handler(stage: Stage) -> None:
    async with bot_at(stage) as gateway:
        before = signal.signal(signal.SIGUSR1, lambda *args: gateway.close())
        try:
            await until(gateway, Ready)
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            events = [event async for event in gateway]
        finally:
            signal.signal(signal.SIGUSR1, before)

    assert [type(event) for event in events] == [Stopped]


@on_backends
async def test_a_host_that_connects_and_disconnects_in_different_tasks(stage: Stage) -> None:
    """ADOPTION of frameworks with a pair of methods: a task pumps, others wait, close and look."""
    gateway = await anyio.to_thread.run_sync(bot_at, stage)
    heard: list[Event] = []

    async with anyio.create_task_group() as host:
        host.start_soon(live, gateway, heard.append)
        assert await gateway.wait_connected(10.0)
        assert await gateway.wait_online(10.0)
        async with anyio.create_task_group() as closers:
            closers.start_soon(gateway.aclose)
            closers.start_soon(gateway.aclose)
    assert isinstance(heard[-1], Stopped)
    assert not await gateway.wait_connected(10.0)
    assert not await gateway.wait_online(10.0)
    await gateway.aclose()
    gateway.close()


@pytest.mark.parametrize("keep_session", [False, True])
@on_backends
async def test_entering_a_closed_one_ends_at_once(keep_session: bool) -> None:
    gateway = open_gateway(Credentials("11111111", "s"), intents=INTENTS)
    gateway.close(keep_session=keep_session)
    heard: list[Event] = []
    await live(gateway, heard.append)

    assert [type(event) for event in heard] == [Stopped]
    with pytest.raises(RuntimeError, match="entered once"):
        await live(gateway)


@on_backends
async def test_misuse_is_told(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await anext(bot_at(stage))
    async with bot_at(stage) as gateway:
        await until(gateway, Ready)
        async with meanwhile(lambda: until(gateway, Dispatch)) as waiting:
            await eventually(lambda: gateway._waited_for)
            with pytest.raises(RuntimeError, match="somebody else waits"):
                await anext(gateway)
            waiting.cancel()


def test_one_backend_after_another(stage: Stage) -> None:
    """The same account; and a gateway that was made where no loop ran."""
    account = stage.account()
    for backend in ("trio", "asyncio", "trio"):
        gateway = bot_at(stage, account=account)

        async def bot(gateway: Gateway = gateway) -> None:
            async with gateway:
                await until(gateway, Ready)

        run_on(backend, bot)
    assert len([request for request in stage.platform.requests if "AccessToken" in request.path]) == 1


@on_backends
async def test_two_loops_at_once_are_misuse(stage: Stage) -> None:
    account = stage.account()
    async with bot_at(stage, account=account) as gateway:
        await until(gateway, Ready)

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="one event loop at a time"):
                await account.token()
            with pytest.raises(RuntimeError, match="one event loop at a time"):
                await live(bot_at(stage, account=account))

        await anyio.to_thread.run_sync(lambda: anyio.run(elsewhere, backend="trio"))
        await anyio.to_thread.run_sync(lambda: anyio.run(elsewhere, backend="asyncio"))


# -- sessions ----------------------------------------------------------------------------------------------------------


@on_backends
async def test_the_next_gateway_goes_on_with_the_session(stage: Stage) -> None:
    store = MemoryStore()
    async with bot_at(stage, store=store) as gateway:
        await until(gateway, Ready)
        stage.say("one")
        await until(gateway, Dispatch)
    stage.say("two")
    async with bot_at(stage, store=store) as gateway:
        repeated, missed = await until(gateway, Dispatch), await until(gateway, Dispatch)
        resumed = await until(gateway, Resumed)
        assert isinstance(resumed, Resumed)
        assert resumed.restored
        await gateway.aclose(drain=5.0, keep_session=False)
    stage.until(lambda: not stage.platform.sessions)

    assert isinstance(repeated, Dispatch)
    assert isinstance(missed, Dispatch)
    assert (repeated.data["content"], missed.data["content"]) == ("one", "two")


def test_cancelled_while_its_session_is_being_loaded_it_leaves_when_a_goodbye_would_be_over(stage: Stage) -> None:
    """A store that hangs is left to its thread."""
    hanging = threading.Event()

    class Hangs(MemoryStore):
        def load(self, app_id: str, shard: tuple[int, int], /) -> None:
            hanging.wait()

    async def main() -> None:
        before = anyio.current_time()
        with anyio.move_on_after(0.05) as scope:
            await live(bot_at(stage, store=Hangs()))
        assert scope.cancelled_caught
        assert anyio.current_time() - before < 10.0

    try:
        run_on("trio", main)
    finally:
        hanging.set()


# -- what is left ------------------------------------------------------------------------------------------------------


@on_backends
async def test_rotations_and_failed_connects_leave_no_file_open(stage: Stage) -> None:
    policy = Policy(backoff=(0.001,), stable_after=0.0, rotation_jitter=0.0, gateway_burst=10_000)
    async with bot_at(stage, policy=policy) as gateway:
        await until(gateway, Ready)
        before = len(open_files())
        for _ in range(20):
            stage.rotate()
            await until(gateway, Resumed)
        stage.do(stage.wire.refuse)
        for _ in range(100):
            await until(gateway, Disconnected)
        await eventually(lambda: len(open_files()) <= before)


def test_importing_changes_nothing() -> None:
    script = """
import asyncio, logging, signal, sys, threading
def state():
    return (
        logging.root.level, list(logging.root.handlers), logging.lastResort, logging.getLogger("qqproto").level,
        {number: signal.getsignal(number) for number in signal.valid_signals()}, threading.active_count(),
    )
before = state()
import qqproto_transports.trio
assert state() == before
assert not {"httpx", "trio", "websockets", "aiohttp"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
