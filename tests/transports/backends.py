"""What the tests of the trio driver share: each runs on trio and on asyncio, and may leave nothing behind."""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec

import anyio
import pytest

from qqproto import Event, Policy
from qqproto_transports.trio import BotAccount, Gateway, open_gateway
from tests.scenarios.bots import INTENTS, QUICK
from tests.scenarios.drivers import TrioDriver
from tests.scenarios.stage import Stage
from tests.transports.loops import GUARD

P = ParamSpec("P")

BACKENDS = ["trio", "asyncio"]


def run_on(backend: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``main`` on a backend of anyio's, with a guard; no task may be left, and no socket."""

    async def guarded() -> None:
        before = set(anyio.get_running_tasks())
        with anyio.fail_after(GUARD):
            await main()
        assert set(anyio.get_running_tasks()) <= before

    anyio.run(guarded, backend=backend, backend_options={"debug": True} if backend == "asyncio" else {})
    gc.collect()  # A socket that is left is a ResourceWarning, and that is an error here.


def on_backends(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on each backend."""

    @functools.wraps(test)
    def run(backend: str, *args: P.args, **options: P.kwargs) -> None:
        run_on(backend, lambda: test(*args, **options))

    first = inspect.Parameter("backend", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = inspect.signature(test).parameters.values()
    run.__signature__ = inspect.Signature([first, *rest])  # type: ignore[attr-defined]  # where pytest looks
    on_each: Callable[..., None] = pytest.mark.parametrize("backend", BACKENDS)(run)
    return on_each


@contextlib.contextmanager
def platform() -> Iterator[Stage]:
    """A platform in a thread beside the test, which has its bots itself; it takes an Identify whenever one comes."""
    with Stage(TrioDriver()) as stage:
        stage.do(lambda: setattr(stage.platform.bot, "max_concurrency", 1000))
        yield stage


def bot_at(stage: Stage, *, account: BotAccount | None = None, policy: Policy = QUICK, **options: Any) -> Gateway:
    """The bot's gateway at the platform, not entered yet."""
    options.setdefault("intents", INTENTS)
    return open_gateway(account or stage.account(policy=policy), **options)


async def until(gateway: Gateway, wanted: type[Event] | Callable[[Event], object]) -> Event:
    """Iterate up to the first event that is wanted."""
    async for event in gateway:
        if isinstance(event, wanted) if isinstance(wanted, type) else wanted(event):
            return event
    raise AssertionError("the gateway ended without it")


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; the guard of the test limits it."""
    while not condition():  # noqa: ASYNC110  # what it is about tells nobody
        await anyio.sleep(0.005)


@contextlib.asynccontextmanager
async def meanwhile(work: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[anyio.CancelScope]:
    """Let ``work`` go on beside the block, until the scope is cancelled or the work is done."""
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await work()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        yield scope
