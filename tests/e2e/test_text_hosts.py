"""Hosts with a WebSocket client of their own, under each driver that awaits: the driver opens no socket."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from qqproto import Disconnected, Dispatch, Failure, FailureKind, Policy, Ready, Resumed, Stopped
from qqproto.recording import Recorder, read, replay
from qqproto_transports.asyncio import Closed
from qqproto_transports.local_gateway import LocalGateway
from tests.e2e.text_hosts import AiohttpHost, Gone, Host, TrioHost, WebsocketsHost
from tests.scenarios.bots import INTENTS, QUICK
from tests.scenarios.diary import Diary, find_leaks
from tests.scenarios.drivers import AsyncioDriver, Driver, TrioDriver
from tests.scenarios.stage import Stage
from tests.transports.backends import eventually, run_on, until
from tests.transports.bots import say
from tests.transports.commands import launched, settings_of
from tests.transports.loops import eventually as eventually_on_asyncio
from tests.transports.loops import nothing_left_behind, on_loop

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "text_host.py"


@dataclass(frozen=True)
class Setting:
    """A driver on an event loop, and a host's client that runs on it."""

    driver: Callable[[], Driver]
    backend: str
    host: type[Host]


SETTINGS = {
    "asyncio-aiohttp": Setting(AsyncioDriver, "asyncio", AiohttpHost),
    "asyncio-websockets": Setting(AsyncioDriver, "asyncio", WebsocketsHost),
    "anyio-aiohttp": Setting(TrioDriver, "asyncio", AiohttpHost),
    "anyio-websockets": Setting(TrioDriver, "asyncio", WebsocketsHost),
    "trio-websocket": Setting(TrioDriver, "trio", TrioHost),
}


class World:
    """A platform in a thread, and a host beside it in which a bot can live."""

    def __init__(self, stage: Stage, host: Host) -> None:
        self.stage = stage
        self.host = host

    def bot(self, host: Host | None = None, policy: Policy = QUICK, **options: Any) -> Any:
        """The bot's gateway, not entered yet."""
        host = host or self.host
        account = self.stage.account(http=host.http, policy=policy)
        return self.stage.driver.module.open_gateway(account, intents=INTENTS, websocket=host, **options)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds, which is looked at in the platform's thread."""
        await eventually(lambda: self.stage.do(condition))


def in_settings(*names: str) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Run an async test in each of these settings, or in all; nothing may be left of it."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(setting: str, **options: Any) -> None:
            chosen = SETTINGS[setting]

            async def main() -> None:
                host = chosen.host()
                async with nothing_left_behind() if chosen.backend == "asyncio" else nullcontext():
                    await test(World(stage, host), **options)
                assert host.inside == 0

            with Stage(chosen.driver(), heartbeat=0.25) as stage:
                run_on(chosen.backend, main)
                assert stage.do(lambda: stage.platform.violations) == []

        first = inspect.Parameter("setting", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        _, *rest = inspect.signature(test).parameters.values()
        run.__signature__ = inspect.Signature([first, *rest])  # type: ignore[attr-defined]  # where pytest looks
        in_each: Callable[..., None] = pytest.mark.parametrize("setting", names or SETTINGS)(run)
        return in_each

    return decorate


@in_settings()
async def test_connects_hears_and_says_goodbye(world: World) -> None:
    stage = world.stage
    async with world.bot() as gateway:
        await until(gateway, Ready)
        stage.say("hello")
        event = await until(gateway, Dispatch)
        assert isinstance(event, Dispatch)
        assert event.data["content"] == "hello"
        gateway.close()
        assert [type(event) async for event in gateway] == [Stopped]
    assert (world.host.dialled, world.host.inside, len(stage.wire.links)) == (1, 0, 1)
    await world.until(lambda: not stage.platform.conversations)
    assert stage.platform.sessions == {}, "it has said 1000"


@pytest.mark.parametrize("how", ["op 7", "4009", "reset"])
@in_settings()
async def test_a_new_connection_resumes(world: World, how: str) -> None:
    stage = world.stage
    async with world.bot() as gateway:
        await until(gateway, Ready)
        for number in range(3):
            if how == "op 7":
                stage.rotate()
            elif how == "4009":
                stage.close(4009, "session timed out")
            else:
                stage.reset()
            gone = await until(gateway, Disconnected)
            assert isinstance(gone, Disconnected)
            assert gone.planned == (how != "reset")
            assert gone.code == (4009 if how == "4009" else None)
            await until(gateway, Resumed)
            stage.say(number)
            await until(gateway, Dispatch)
        assert stage.ops() == [2, 6, 6, 6]
        await eventually(lambda: world.host.inside == 1)


@in_settings()
async def test_with_the_clients_loggers_at_info_no_token_is_logged_at_debug(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What the page on seams says to do; a client that is left at DEBUG may tell every frame."""
    caplog.set_level(logging.INFO, logger=world.host.logger)
    with Diary() as diary:
        async with world.bot() as gateway:
            await until(gateway, Ready)
            world.stage.reset()
            await until(gateway, Resumed)
            token = gateway.account.current_token

    assert token is not None
    assert any(line.startswith("qqproto:") for line in diary.lines), "the driver has talked"
    assert find_leaks({token.value, world.stage.credentials.secret}, diary.lines) == []


@in_settings()
async def test_a_link_that_is_given_up_says_no_1000(world: World) -> None:
    """A client's context that is left says 1000 or 1011, either of which may end the session."""
    stage = world.stage
    async with world.bot(policy=dataclasses.replace(QUICK, probe_after=0.3, dead_after=0.6)) as gateway:
        await until(gateway, Ready)
        stage.mute()
        stage.talk(lambda talk, now: talk.ignore())
        gone = await until(gateway, Disconnected)
        assert isinstance(gone, Disconnected)
        assert gone.failure is not None
        assert gone.failure.kind is FailureKind.TIMEOUT
        await until(gateway, Resumed)
        assert stage.ops() == [2, 6], "the session was not ended"


@in_settings()
async def test_what_cannot_be_reached_is_a_failure_and_tried_again(world: World) -> None:
    platform = world.stage.platform
    url, platform.gateway_url = platform.gateway_url, "ws://127.0.0.1:1/websocket"
    async with world.bot(policy=dataclasses.replace(QUICK, gateway_fresh_for=0.0)) as gateway:
        gone = await until(gateway, Disconnected)
        assert isinstance(gone, Disconnected)
        assert gone.failure is not None
        assert gone.failure.kind is FailureKind.REFUSED
        platform.gateway_url = url
        await until(gateway, Ready)


@in_settings()
async def test_a_client_that_hangs_while_it_closes_is_left_within_a_second(world: World) -> None:
    async with world.bot() as gateway:
        await until(gateway, Ready)
        world.stage.talk(lambda talk, now: talk.ignore())
        began = anyio.current_time()
        await gateway.aclose(0.1)
        assert anyio.current_time() - began < 5.0
        assert world.host.inside == 0


@in_settings("anyio-aiohttp", "anyio-websockets", "trio-websocket")
async def test_a_body_that_is_cancelled_says_goodbye_and_leaves_nothing(world: World) -> None:
    stage = world.stage
    with anyio.CancelScope() as scope:
        async with world.bot() as gateway:
            await until(gateway, Ready)
            scope.cancel()
            await until(gateway, Dispatch)
    assert scope.cancelled_caught
    assert world.host.inside == 0
    await world.until(lambda: not stage.platform.conversations)
    assert stage.platform.sessions == {}, "it has said 1000"


@in_settings("asyncio-aiohttp", "anyio-aiohttp")
async def test_an_exception_that_the_host_cannot_explain_is_a_bug(world: World) -> None:
    class Puzzled(AiohttpHost):
        def explain(self, error: Exception) -> Closed | Failure:
            raise error

    with pytest.raises(Gone):
        await live_until_closed(world, world.bot(Puzzled()))


async def live_until_closed(world: World, gateway: Any) -> None:
    async with gateway:
        await until(gateway, Ready)
        world.stage.close(4000)
        await until(gateway, Stopped)


@on_loop
async def test_the_example() -> None:
    async with LocalGateway() as local:
        async with launched(sys.executable, "-W", "error", str(EXAMPLE), settings=settings_of(local)) as process:
            await process.line("Ready(")
            local.platform.conversations[0].send_reconnect(local.now)
            await eventually_on_asyncio(lambda: local.platform.ops() == [2, 6])
            say(local, "hello")
            await process.line("'hello'")
            assert process.errors == []


@in_settings("asyncio-aiohttp", "trio-websocket")
async def test_a_host_with_its_own_websocket_is_recorded_by_its_messages(world: World) -> None:
    written: list[str] = []
    recorder = Recorder(written.append)
    async with world.bot(record=recorder) as gateway:
        await until(gateway, Ready)
        world.stage.say("hello")
        await until(gateway, Dispatch)
        world.stage.reset()
        await until(gateway, Resumed)

    report = replay(read(written))
    assert report.difference is None, str(report.difference)
    assert any('"in":"message"' in line for line in written)
    for secret in world.stage.secrets():
        assert secret not in "".join(written)
