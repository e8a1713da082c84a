"""Sessions that outlive a gateway on asyncio: stores, deploys, and stores that fail (FAILURES.md, rows 21 to 23)."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from qqproto import Dispatch, Event, Policy, Ready, Resumed, SessionRefused, Stopped, StopReason, StoreFailed
from qqproto.protocol.opcodes import Opcode
from qqproto_transports.local_gateway import LocalGateway
from qqproto_transports.stores import MemoryStore, SavedSession
from tests.transports.bots import QUICK, Gateway, bot_at, on_both_drivers, say, until
from tests.transports.loops import eventually, nothing_left_behind, on_loop

pytestmark = on_both_drivers

KEY = ("11111111", (0, 1))


def is_ready(event: Event) -> bool:
    return isinstance(event, Ready)


def content(event: Event) -> str:
    assert isinstance(event, Dispatch)
    return str(event.data["content"])


async def contents(gateway: Gateway, count: int) -> list[tuple[str, bool]]:
    """The next dispatches, each with whether it may be a repetition."""
    found: list[tuple[str, bool]] = []
    async for event in gateway:
        if isinstance(event, Dispatch):
            found.append((content(event), event.redelivered))
            if len(found) == count:
                return found
    raise AssertionError("the gateway ended")


def opcodes(local: LocalGateway) -> list[int]:
    return [frame.op for frame in local.platform.frames if frame.op != Opcode.HEARTBEAT]


class Watched(MemoryStore):
    """A store that can fail and can hang, and knows what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[tuple[int, int]] = []
        self.saves: list[SavedSession] = []
        self.threads: set[int] = set()
        self.failure: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.together = 0
        self._busy = threading.Lock()

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        self.loads.append(shard)
        self._enter()
        return super().load(app_id, shard)

    def save(self, saved: SavedSession, /) -> None:
        self._enter()
        self.saves.append(saved)
        super().save(saved)

    def _enter(self) -> None:
        self.threads.add(threading.get_ident())
        if not self._busy.acquire(blocking=False):
            self.together += 1
            return
        try:
            self.gate.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self._busy.release()


# -- a deploy ----------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_next_gateway_goes_on_with_the_session_and_gets_what_came_in_between() -> None:
    store = Watched()
    async with LocalGateway() as local:
        async with nothing_left_behind(), bot_at(local, store=store) as gateway:
            await until(gateway, is_ready)
            say(local, "before")
            await contents(gateway, 1)
            gateway.close()
            async for event in gateway:
                assert isinstance(event, Stopped)
        say(local, "in between")
        async with nothing_left_behind(), bot_at(local, store=store) as gateway:
            assert await contents(gateway, 1) == [("in between", True)]
            resumed = await until(gateway, lambda event: isinstance(event, Resumed))
            assert isinstance(resumed, Resumed)
            assert (resumed.restored, resumed.replayed, resumed.missing) == (True, 1, 0)
            say(local, "after")
            assert await contents(gateway, 1) == [("after", False)]
        assert opcodes(local) == [Opcode.IDENTIFY, Opcode.RESUME]
        assert local.platform.violations == []
    assert threading.get_ident() not in store.threads
    assert store.together == 0


@on_loop
async def test_without_a_store_leaving_says_goodbye_for_good() -> None:
    async with LocalGateway() as local:
        async with bot_at(local) as gateway:
            await until(gateway, is_ready)
        assert gateway.session is None
        await eventually(lambda: not local.platform.sessions)


@on_loop
async def test_a_host_may_keep_the_session_itself() -> None:
    async with LocalGateway() as local:
        async with bot_at(local) as gateway:
            await until(gateway, is_ready)
            await gateway.aclose(keep_session=True)
        session = gateway.session
        assert session is not None
        assert list(local.platform.sessions) == [session.id]


@on_loop
async def test_with_a_store_a_session_may_be_given_up_and_the_next_gateway_begins_anew_at_once() -> None:
    store = Watched()
    async with LocalGateway() as local:
        local.platform.bot.max_concurrency = 2
        async with bot_at(local, store=store) as gateway:
            await until(gateway, is_ready)
            await eventually(lambda: store.saves)
            gateway.close(keep_session=False)
            await until(gateway, lambda event: isinstance(event, Stopped))
        async with bot_at(local, store=store) as gateway:
            events = [await until(gateway, lambda event: True) for _ in range(2)]
        assert [type(event).__name__ for event in events] == ["Online", "Ready"]
        assert opcodes(local) == [Opcode.IDENTIFY, Opcode.IDENTIFY]


@on_loop
async def test_an_exception_leaves_the_event_in_hand_unsettled_and_so_does_break() -> None:
    store = MemoryStore()
    async with LocalGateway() as local:

        async def fail_at_the_second() -> None:
            async with bot_at(local, store=store) as gateway:
                await until(gateway, is_ready)
                say(local, "one", "two")
                async for event in gateway:
                    if isinstance(event, Dispatch) and content(event) == "two":
                        raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_at_the_second()
        async with bot_at(local, store=store) as gateway:
            async for event in gateway:
                if isinstance(event, Dispatch):
                    assert (content(event), event.redelivered) == ("two", True)
                    break
        async with bot_at(local, store=store) as gateway:
            assert await contents(gateway, 1) == [("two", True)]
            gateway.close()
            await until(gateway, lambda event: isinstance(event, Stopped))
        async with bot_at(local, store=store) as gateway:
            resumed = await until(gateway, lambda event: isinstance(event, Resumed))
            assert isinstance(resumed, Resumed)
            assert resumed.replayed == 0


@on_loop
async def test_what_has_the_bot_stopped_does_not_stop_the_next_one() -> None:
    """The handler of a command closes the gateway, and only then is the command's event settled."""
    store = MemoryStore()
    async with LocalGateway() as local:
        async with bot_at(local, store=store) as gateway:
            await until(gateway, is_ready)
            say(local, "restart yourself")
            async for event in gateway:
                if isinstance(event, Dispatch):
                    await gateway.aclose(drain=10.0)
        async with bot_at(local, store=store) as gateway:
            resumed = await until(gateway, lambda event: True)
            assert not isinstance(resumed, Dispatch)
            resumed = await until(gateway, lambda event: isinstance(event, Resumed))
            assert isinstance(resumed, Resumed)
            assert resumed.replayed == 0


# -- draining ----------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_drain_hands_out_what_was_read_waits_for_it_and_reads_no_more() -> None:
    store = MemoryStore()
    async with LocalGateway() as local:
        async with bot_at(local, store=store) as gateway:
            await until(gateway, is_ready)
            say(local, 1, 2, 3)
            handled: list[str] = []
            closing: asyncio.Task[None] | None = None
            async for event in gateway:
                if isinstance(event, Dispatch):
                    if closing is None:
                        await eventually(lambda: gateway.status()[0].unsettled == 3)
                        closing = asyncio.create_task(gateway.aclose(drain=20.0))
                        await asyncio.sleep(0)
                        say(local, "too late")
                    for _ in range(20):  # Turns of the loop in which it would be read.
                        await asyncio.sleep(0)
                    handled.append(content(event))
            assert closing is not None
            await closing
        assert handled == ["1", "2", "3"]
        assert gateway.stopped is not None
        assert gateway.stopped.reason is StopReason.CLOSED
        async with bot_at(local, store=store) as gateway:
            assert await contents(gateway, 1) == [("too late", True)]


@on_loop
async def test_a_drain_waits_for_handlers_in_tasks_but_not_for_the_one_that_asks_for_it() -> None:
    store = MemoryStore()
    async with LocalGateway() as local:
        ended: list[str] = []
        asked = asyncio.Event()

        async def handle(gateway: Gateway, event: Dispatch) -> None:
            async with gateway.handling(event):
                if content(event) == "stop":
                    asked.set()
                    await gateway.aclose(drain=20.0)
                else:
                    await asked.wait()
                ended.append(content(event))

        async with bot_at(local, store=store, settle="manual") as gateway:
            await until(gateway, is_ready)
            say(local, "slow", "stop")
            tasks = [
                asyncio.create_task(handle(gateway, event)) async for event in gateway if isinstance(event, Dispatch)
            ]
            await asyncio.gather(*tasks)
        assert ended == ["slow", "stop"]
        async with bot_at(local, store=store) as gateway:
            resumed = await until(gateway, lambda event: isinstance(event, Resumed))
            assert isinstance(resumed, Resumed)
            assert resumed.replayed == 0


@on_loop
async def test_a_drain_ends_with_its_time_and_what_was_not_handled_comes_again() -> None:
    store = MemoryStore()
    async with LocalGateway() as local:
        async with nothing_left_behind(), bot_at(local, store=store, settle="manual") as gateway:
            await until(gateway, is_ready)
            say(local, "forgotten")
            await contents(gateway, 1)
            await asyncio.create_task(gateway.aclose(drain=0.05))
            assert [type(event) async for event in gateway] == [Stopped]
        async with bot_at(local, store=store) as gateway:
            assert await contents(gateway, 1) == [("forgotten", True)]


@on_loop
async def test_a_drain_of_a_gateway_that_nobody_iterates_any_more_is_over_at_once() -> None:
    async with LocalGateway() as local:
        async with bot_at(local) as gateway:
            await until(gateway, is_ready)
            say(local, 1, 2)
            await eventually(lambda: gateway.status()[0].unsettled == 2)
            before = time.monotonic()
            await gateway.aclose(drain=25.0)
            assert time.monotonic() - before < 20.0


@on_loop
async def test_another_close_ends_a_drain() -> None:
    async with LocalGateway() as local:
        async with bot_at(local, settle="manual") as gateway:
            await until(gateway, is_ready)
            say(local, "forgotten")
            await contents(gateway, 1)
            draining = asyncio.create_task(gateway.aclose(drain=1000.0))
            await asyncio.sleep(0)
            gateway.close()
            await draining
            assert [type(event) async for event in gateway] == [Stopped]


@on_loop
async def test_a_cancelled_drain_has_closed_all_the_same() -> None:
    async with LocalGateway() as local:
        async with bot_at(local, settle="manual") as gateway:
            await until(gateway, is_ready)
            say(local, "forgotten")
            await contents(gateway, 1)
            draining = asyncio.create_task(gateway.aclose(drain=1000.0))
            await asyncio.sleep(0)
            draining.cancel()
            with pytest.raises(asyncio.CancelledError):
                await draining
            assert [type(event) async for event in gateway] == [Stopped]


@on_loop
async def test_closing_is_legal_before_entering_after_leaving_and_while_the_session_is_being_loaded() -> None:
    store = Watched()
    async with LocalGateway() as local:
        gateway = bot_at(local, store=store)
        await gateway.aclose(drain=1.0)
        async with nothing_left_behind(), gateway:
            assert [type(event) async for event in gateway] == [Stopped]
        await gateway.aclose(drain=1.0, keep_session=True)
        gateway.close()
        assert store.loads == []

        store.gate.clear()
        async with nothing_left_behind(), bot_at(local, store=store) as gateway:
            await eventually(lambda: store.loads)
            assert not gateway.connected
            assert not await gateway.wait_connected(0.01)
            closing = asyncio.create_task(gateway.aclose())
            await asyncio.sleep(0)
            store.gate.set()
            await closing
            assert [type(event) async for event in gateway] == [Stopped]
        assert opcodes(local) == []


# -- what is saved when ------------------------------------------------------------------------------------------------


@on_loop
async def test_what_is_settled_is_saved_soon() -> None:
    store = Watched()
    async with LocalGateway() as local, bot_at(local, store=store, policy=Policy(save_every=0.02)) as gateway:
        await until(gateway, is_ready)
        await eventually(lambda: store.saves)
        say(local, "hello")
        event = await until(gateway, lambda event: isinstance(event, Dispatch))
        assert isinstance(event, Dispatch)
        gateway.settle(event)
        await eventually(lambda: store.saves[-1].session.settled == event.sequence)
        assert abs(store.saves[-1].saved_at - time.time()) < 60


@on_loop
async def test_each_shard_has_its_session_also_when_the_platform_says_how_many_there_are() -> None:
    store = Watched()
    async with LocalGateway() as local:
        local.platform.bot.shards = local.platform.bot.max_concurrency = 2
        for kind in (Ready, Resumed):
            async with nothing_left_behind(), bot_at(local, store=store, shards="auto") as gateway:
                shards: set[int] = set()
                while len(shards) < 2:
                    event = await until(gateway, lambda event, kind=kind: isinstance(event, kind))  # type: ignore[misc]
                    shards.add(event.shard)
        assert store.loads == [(0, 2), (1, 2)] * 2
        assert sorted(opcodes(local)) == [Opcode.IDENTIFY] * 2 + [Opcode.RESUME] * 2


@on_loop
async def test_one_shard_that_was_recommended_has_its_session_too() -> None:
    store = Watched()
    async with LocalGateway() as local:
        for kind in (Ready, Resumed):
            async with bot_at(local, store=store, shards="auto") as gateway:
                await until(gateway, lambda event, kind=kind: isinstance(event, kind))  # type: ignore[misc]
        assert store.loads == [(0, 1)] * 2


# -- sessions that are refused -----------------------------------------------------------------------------------------


class Broken(MemoryStore):
    """What it has cannot be read."""

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        raise ValueError("a saved session that is no JSON object")


async def saved_by(local: LocalGateway) -> SavedSession:
    """What a first bot leaves."""
    store = MemoryStore()
    async with bot_at(local, store=store) as gateway:
        await until(gateway, is_ready)
    saved = store.load(*KEY)
    assert saved is not None
    return saved


class Given(MemoryStore):
    """Has this, whatever is asked for."""

    def __init__(self, saved: Any) -> None:
        super().__init__()
        self._given = saved

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        return self._given  # type: ignore[no-any-return]  # also what no store should give


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda saved: replace(saved, session=replace(saved.session, app_id="22222222")), "it is bot 22222222's"),
        (lambda saved: replace(saved, session=replace(saved.session, intents=1)), "it was made with intents 1"),
        (lambda saved: replace(saved, session=replace(saved.session, shard=(0, 2))), r"it is of shard \(0, 2\)"),
        (lambda saved: replace(saved, saved_at=saved.saved_at - 4000.0), "it is 400. s old"),
        (lambda saved: replace(saved, saved_at=saved.saved_at + 1000.0), "in the future"),
    ],
)
@on_loop
async def test_a_session_that_is_not_to_be_gone_on_with_is_refused_with_a_reason(change: Any, why: str) -> None:
    async with LocalGateway() as local:
        saved = change(await saved_by(local))
        async with bot_at(local, store=Given(saved)) as gateway:
            refused = await until(gateway, lambda event: True)
            assert isinstance(refused, SessionRefused)
            assert re.search(why, refused.reason)
            await until(gateway, is_ready)


@on_loop
async def test_a_clock_that_was_set_back_by_a_moment_costs_no_session() -> None:
    async with LocalGateway() as local:
        saved = await saved_by(local)
        async with bot_at(local, store=Given(replace(saved, saved_at=time.time() + 0.9))) as gateway:
            await until(gateway, lambda event: isinstance(event, Resumed))


@on_loop
async def test_what_cannot_be_read_as_a_session_is_refused() -> None:
    async with LocalGateway() as local, bot_at(local, store=Broken()) as gateway:
        refused = await until(gateway, lambda event: True)
        assert refused == SessionRefused(0, "a saved session that is no JSON object")
        await until(gateway, is_ready)


# -- stores that fail --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [OSError(5, "Input/output error"), RuntimeError("host's bug"), SystemExit(3)], ids=["OS", "bug", "exit"]
)
@on_loop
async def test_a_store_that_cannot_be_read_is_told_and_the_bot_begins_anew(failure: BaseException) -> None:
    store = Watched()
    store.failure = failure
    async with LocalGateway() as local, bot_at(local, store=store) as gateway:
        failed = await until(gateway, lambda event: True)
        store.failure = None
        assert failed == StoreFailed(0, "load", f"{type(failure).__name__}: {failure}")
        await until(gateway, is_ready)
        await eventually(lambda: store.saves)


@on_loop
async def test_a_store_that_gives_nonsense_is_told() -> None:
    async with LocalGateway() as local, bot_at(local, store=Given("nonsense")) as gateway:
        failed = await until(gateway, lambda event: True)
        assert failed == StoreFailed(0, "load", "TypeError: load() gave a str")
        await until(gateway, is_ready)


@on_loop
async def test_a_store_that_cannot_be_written_is_told_once_a_cause_and_tried_again() -> None:
    store = Watched()
    tries = 0

    def failing(saved: SavedSession, /) -> None:
        nonlocal tries
        tries += 1
        if tries <= 5:
            raise OSError(28, f"No space left on device, try {tries}")
        if tries <= 8:
            raise PermissionError(30, "Read-only file system")
        MemoryStore.save(store, saved)

    store.save = failing  # type: ignore[method-assign]
    async with LocalGateway() as local, bot_at(local, store=store, policy=Policy(save_every=0.01)) as gateway:
        events: list[Event] = []

        async def collect() -> None:
            async for event in gateway:
                events.append(event)

        collecting = asyncio.create_task(collect())
        await eventually(lambda: store.load(*KEY))
        assert gateway.connected
        failures = [event for event in events if isinstance(event, StoreFailed)]
        assert [(failed.operation, failed.reason) for failed in failures] == [
            ("save", "OSError: [Errno 28] No space left on device, try 1"),
            ("save", "PermissionError: [Errno 30] Read-only file system"),
        ]
        tries = 0
        say(local, "news")
        await eventually(lambda: len([event for event in events if isinstance(event, StoreFailed)]) == 4)
        await gateway.aclose()
        await collecting
        assert isinstance(events[-1], Stopped)


@on_loop
async def test_a_store_that_hangs_neither_keeps_the_bot_nor_its_end() -> None:
    store = Watched()
    async with LocalGateway() as local:
        async with nothing_left_behind(), bot_at(local, store=store) as gateway:
            await until(gateway, is_ready)
            await eventually(lambda: store.saves)
            store.gate.clear()
            say(local, 1, 2, 3)
            assert await contents(gateway, 3) == [("1", False), ("2", False), ("3", False)]
            before = time.monotonic()
            await gateway.aclose(0.4)
            assert time.monotonic() - before < 20.0
        assert gateway.stopped is not None
        store.gate.set()


@on_loop
async def test_a_store_that_hangs_while_it_loads_is_told_and_the_bot_begins_anew() -> None:
    store = Watched()
    store.gate.clear()
    policy = replace(QUICK, store_timeout=0.05)
    async with LocalGateway() as local, bot_at(local, store=store, policy=policy) as gateway:
        failed = await until(gateway, lambda event: True)
        assert failed == StoreFailed(0, "load", "TimeoutError: no answer for 0.05 s")
        await until(gateway, is_ready)
        say(local, "hello")
        assert await contents(gateway, 1) == [("hello", False)]
        store.gate.set()
        await eventually(lambda: store.saves)
        assert store.together == 0


@on_loop
async def test_a_save_at_the_end_that_fails_is_told_before_the_end() -> None:
    store = Watched()
    async with LocalGateway() as local, bot_at(local, store=store) as gateway:
        await until(gateway, is_ready)
        await eventually(lambda: store.saves)
        store.failure = OSError(28, "No space left on device")
        say(local, "the last one")
        await contents(gateway, 1)
        closing = asyncio.ensure_future(gateway.aclose(drain=5.0))
        events = [event async for event in gateway]
        await closing
        assert [type(event) for event in events] == [StoreFailed, Stopped]
