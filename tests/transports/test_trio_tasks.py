"""Tasks that end when their owner says so and never later, changes that are waited for, calls from other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from qqproto_transports._anyio_tasks import Changes, Inbox, Tasks, this_loop, this_task
from tests.transports.backends import eventually, meanwhile, on_backends, run_on


class Work:
    """What a task does: nothing, and for as long as it may."""

    def __init__(self) -> None:
        self.begun = False
        self.ended = False

    async def __call__(self) -> None:
        self.begun = True
        try:
            await anyio.sleep_forever()
        finally:
            self.ended = True


# -- tasks -------------------------------------------------------------------------------------------------------------


@on_backends
async def test_leaving_the_block_ends_them() -> None:
    works = [Work(), Work()]
    async with Tasks() as tasks:
        for work in works:
            tasks.start(work)
        await eventually(lambda: all(work.begun for work in works))

    assert all(work.ended for work in works)


@on_backends
async def test_one_may_be_ended_alone() -> None:
    one, other = Work(), Work()
    async with Tasks() as tasks:
        scope = tasks.start(one)
        tasks.start(other)
        await eventually(lambda: one.begun and other.begun)
        scope.cancel()
        await eventually(lambda: one.ended)
        assert not other.ended


@on_backends
async def test_one_that_is_ended_before_it_began_never_begins() -> None:
    work = Work()
    async with Tasks() as tasks:
        scope = tasks.start(work)
        assert not work.begun, "a machine may be being drained"
        scope.cancel()
        await tasks.gone(10.0)

    assert not work.begun


@on_backends
async def test_what_cancels_the_block_around_them_does_not_cancel_them() -> None:
    work = Work()
    with anyio.CancelScope() as outer:
        async with Tasks() as tasks:
            tasks.start(work)
            await eventually(lambda: work.begun)
            outer.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    for _ in range(10):
                        await checkpoint()
                assert not work.ended, "it may be what says goodbye"

    assert outer.cancelled_caught
    assert work.ended


async def raise_in_a_block(*works: Work, cancel: bool = False) -> None:
    with anyio.CancelScope() as outer:
        async with Tasks() as tasks:
            for work in works:
                tasks.start(work)
            await eventually(lambda: all(work.begun for work in works))
            if cancel:
                outer.cancel()
            raise ZeroDivisionError


@on_backends
async def test_an_exception_leaves_the_block_bare_with_tasks_and_without() -> None:
    with pytest.raises(ZeroDivisionError):
        await raise_in_a_block(Work())
    with pytest.raises(ZeroDivisionError):
        await raise_in_a_block()


@on_backends
async def test_an_exception_is_not_lost_to_a_cancellation_that_comes_with_it() -> None:
    with pytest.raises(ZeroDivisionError):
        await raise_in_a_block(Work(), cancel=True)


@on_backends
async def test_one_that_is_slow_to_end_is_waited_for() -> None:
    begun = ended = False

    async def slow() -> None:
        nonlocal begun, ended
        begun = True
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            ended = True

    async with Tasks() as tasks:
        tasks.start(slow)
        await eventually(lambda: begun)
        tasks.cancel()
        await tasks.gone(0.001)
        assert not ended

    assert ended


@pytest.mark.parametrize("factory", [None, getattr(asyncio, "eager_task_factory", None)], ids=["lazy", "eager"])
def test_cancelled_as_asyncio_does_it_the_block_ends_them_too(factory: Any) -> None:
    work = Work()

    async def block() -> None:
        async with Tasks() as tasks:
            tasks.start(work)
            assert not work.begun
            await anyio.sleep_forever()

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        task = asyncio.get_running_loop().create_task(block())
        await eventually(lambda: work.begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        asyncio.get_running_loop().set_task_factory(None)

    run_on("asyncio", main)
    assert work.ended


# -- changes -----------------------------------------------------------------------------------------------------------


@on_backends
async def test_a_change_is_told_from_any_thread() -> None:
    changes, happened = Changes(), False

    def happen() -> None:
        nonlocal happened
        happened = True
        changes.tell()

    async with meanwhile(lambda: changes.until(lambda: happened, None)) as waiting:
        for _ in range(5):
            await checkpoint()
        changes.tell()  # Nothing that they wait for.
        thread = threading.Thread(target=happen)
        thread.start()
        thread.join()

    assert not waiting.cancelled_caught


@on_backends
async def test_a_change_between_the_first_look_and_the_waiting_is_not_missed() -> None:
    """Another thread is as quick as that."""
    changes, looks = Changes(), 0

    def happens_after_the_first_look() -> bool:
        nonlocal looks
        looks += 1
        return looks > 1

    await changes.until(happens_after_the_first_look, None)


@on_backends
async def test_what_does_not_change_is_waited_for_in_vain() -> None:
    before = anyio.current_time()
    await Changes().until(lambda: False, 0.05)

    assert 0.04 < anyio.current_time() - before < 5.0


# -- calls from elsewhere ----------------------------------------------------------------------------------------------


@on_backends
async def test_calls_from_threads_are_made_in_the_task_in_their_order() -> None:
    inbox, made, tasks_seen = Inbox(), list[int](), list[object]()

    def call(number: int) -> Callable[[], object]:
        def made_here() -> None:
            made.append(number)
            tasks_seen.append(this_task())

        return made_here

    def put() -> None:
        for number in range(100):
            inbox.put(call(number))

    async with meanwhile(inbox.work) as working:
        inbox.put(call(-1))
        thread = threading.Thread(target=put)
        thread.start()
        await eventually(lambda: len(made) == 101)
        thread.join()
        working.cancel()

    assert made == list(range(-1, 100))
    assert len(set(tasks_seen)) == 1
    assert this_task() not in tasks_seen


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_call_into_a_loop_that_is_over_is_for_nothing(backend: str) -> None:
    calls: list[Callable[[Callable[[], object]], None]] = []

    async def main() -> None:
        calls.append(this_loop())

    run_on(backend, main)
    calls[0](lambda: pytest.fail("there is nobody to call it"))
