"""Sessions, drains and stores on threads: who waits for whom, and what hangs keeps nobody (FAILURES.md, row 21)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from qqproto import (
    Disconnected,
    Dispatch,
    Endpoints,
    Event,
    HTTPRequest,
    HTTPResponse,
    Phase,
    Ready,
    Resumed,
    Stopped,
    StopReason,
    StoreFailed,
)
from qqproto_transports.stores import MemoryStore, SavedSession
from qqproto_transports.sync import Gateway
from tests.scenarios.bots import QUICK
from tests.scenarios.drivers import eventually
from tests.scenarios.stage import Stage
from tests.scenarios.threads import GUARD
from tests.transports.threads import bot_at, hung_look_ups, nothing_left_behind, ours, platform, until


@pytest.fixture
def stage() -> Iterator[Stage]:
    with platform() as stage:
        yield stage
    assert ours() == []


class Watched(MemoryStore):
    """A store that can hang, and knows who called it."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.saves = 0
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def load(self, app_id: str, shard: tuple[int, int], /) -> SavedSession | None:
        self.loads += 1
        self._enter()
        return super().load(app_id, shard)

    def save(self, saved: SavedSession, /) -> None:
        self._enter()
        super().save(saved)
        self.saves += 1

    def _enter(self) -> None:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(GUARD)


def is_ready(event: Event) -> bool:
    return isinstance(event, Ready)


def is_message(event: Event) -> bool:
    return type(event) is Dispatch


def heard(event: Event) -> tuple[str, bool]:
    assert isinstance(event, Dispatch)
    return event.data["content"], event.redelivered


def replayed(gateway: Gateway) -> int:
    resumed = until(gateway, lambda event: isinstance(event, Resumed))
    assert isinstance(resumed, Resumed)
    return resumed.replayed


# -- the next process --------------------------------------------------------------------------------------------------


def test_the_next_gateway_goes_on_with_the_session_and_gets_what_came_in_between(stage: Stage) -> None:
    store = Watched()
    with nothing_left_behind(), bot_at(stage, store=store) as gateway:
        until(gateway, is_ready)
        stage.say("before")
        until(gateway, is_message)
        gateway.close()
        assert [type(event) for event in gateway] == [Stopped]
    stage.say("in between")
    with nothing_left_behind(), bot_at(stage, store=store) as gateway:
        assert heard(until(gateway, is_message)) == ("in between", True)
        assert replayed(gateway) == 1
        stage.say("after")
        assert heard(until(gateway, is_message)) == ("after", False)

    assert stage.ops() == [2, 6]
    assert store.threads == {"qqproto-store"}


def test_what_is_settled_after_the_end_is_saved_when_the_block_is_left(stage: Stage) -> None:
    """The handler of a command shuts the gateway, and only then is the command's event settled."""
    store = MemoryStore()
    with nothing_left_behind(), bot_at(stage, store=store) as gateway:
        until(gateway, is_ready)
        stage.say("restart yourself")
        for event in gateway:
            if isinstance(event, Dispatch):
                gateway.shut(drain=GUARD)
                assert ours() == []
    with bot_at(stage, store=store) as gateway:
        assert replayed(gateway) == 0


def test_a_host_may_keep_the_session_itself(stage: Stage) -> None:
    with bot_at(stage) as gateway:
        until(gateway, is_ready)
        gateway.shut(keep_session=True)
    session = gateway.session
    assert session is not None
    assert list(stage.do(lambda: stage.platform.sessions)) == [session.id]


# -- draining ----------------------------------------------------------------------------------------------------------


def test_a_drain_hands_out_what_was_read_waits_for_it_and_reads_no_more(stage: Stage) -> None:
    store = MemoryStore()
    handled: list[str] = []
    with ThreadPoolExecutor(1) as pool, bot_at(stage, store=store) as gateway:
        until(gateway, is_ready)
        stage.say(1, 2, 3)
        eventually(lambda: gateway.status()[0].unsettled == 3)
        closing = pool.submit(gateway.shut, drain=GUARD)
        eventually(lambda: gateway._draining)
        stage.say("too late")
        for event in gateway:
            if isinstance(event, Dispatch):
                assert not closing.done()
                handled.append(event.data["content"])
        closing.result(GUARD)
    assert handled == ["1", "2", "3"]
    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.CLOSED
    with bot_at(stage, store=store) as gateway:
        assert heard(until(gateway, is_message)) == ("too late", True)


def test_a_drain_waits_for_the_workers_but_not_for_the_one_that_asks_for_it(stage: Stage) -> None:
    ended: list[str] = []
    may_end = threading.Event()

    def handle(gateway: Gateway, event: Dispatch) -> None:
        with gateway.handling(event):
            if event.data["content"] == "stop":
                gateway.shut(drain=GUARD)
            else:
                assert may_end.wait(GUARD)
            ended.append(event.data["content"])

    store = MemoryStore()
    with ThreadPoolExecutor(2) as pool, bot_at(stage, store=store, settle="manual") as gateway:
        until(gateway, is_ready)
        stage.say("slow", "stop")
        for _ in range(2):
            message = until(gateway, is_message)
            assert isinstance(message, Dispatch)
            pool.submit(handle, gateway, message)
        eventually(lambda: gateway._draining)
        may_end.set()
        assert type(list(gateway)[-1]) is Stopped
        eventually(lambda: len(ended) == 2)
    assert ended == ["slow", "stop"]
    with bot_at(stage, store=store) as gateway:
        assert replayed(gateway) == 0


def test_of_several_who_iterate_one_may_drain_and_the_others_do_the_rest(stage: Stage) -> None:
    handled: list[str] = []
    may_go_on = threading.Event()

    def iterate(gateway: Gateway) -> None:
        for event in gateway:
            if isinstance(event, Dispatch):
                assert may_go_on.wait(GUARD)
                handled.append(event.data["content"])

    with ThreadPoolExecutor(1) as pool, bot_at(stage) as gateway:
        until(gateway, is_ready)
        stage.say(*range(20))
        eventually(lambda: gateway.status()[0].unsettled == 20)
        mine = heard(until(gateway, is_message))[0]
        other = pool.submit(iterate, gateway)
        eventually(lambda: len(gateway._buffer) < 19)
        may_go_on.set()
        gateway.shut(drain=GUARD)
        other.result(GUARD)

    assert mine == "0"
    assert handled == [str(number) for number in range(1, 20)]


def test_a_drain_of_a_gateway_that_nobody_else_iterates_is_over_at_once(stage: Stage) -> None:
    with bot_at(stage) as gateway:
        until(gateway, is_ready)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(stage.say, 1, 2).result(GUARD)
        eventually(lambda: gateway.status()[0].unsettled == 2)
        before = time.monotonic()
        gateway.shut(drain=GUARD)
        assert time.monotonic() - before < GUARD / 2


def test_a_drain_ends_with_its_time_or_with_another_close(stage: Stage) -> None:
    for end_it in (False, True):
        with bot_at(stage, settle="manual") as gateway, ThreadPoolExecutor(1) as pool:
            until(gateway, is_ready)
            stage.say("forgotten")
            until(gateway, is_message)
            draining = pool.submit(gateway.shut, drain=1000.0 if end_it else 0.05)
            if end_it:
                eventually(lambda gateway=gateway: gateway._draining)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                gateway.close()
            draining.result(GUARD)
            assert [type(event) for event in gateway] == [Stopped]


# -- what hangs --------------------------------------------------------------------------------------------------------


def ends_soon(gateway: Gateway) -> None:
    """Shutting it is done in its time, whatever hangs, and says so."""
    before = time.monotonic()
    gateway.shut(0.5)
    assert time.monotonic() - before < GUARD / 2
    assert "qqproto gateway" not in ours()
    assert [type(event) for event in gateway] == [Stopped]


def test_a_store_that_hangs_while_it_loads_keeps_nobody(stage: Stage) -> None:
    store = Watched()
    store.gate.clear()
    with bot_at(stage, store=store) as gateway:
        eventually(lambda: store.loads)
        assert not gateway.wait_connected(0.01)
        ends_soon(gateway)
        store.gate.set()
    eventually(lambda: "qqproto-store" not in [thread.name for thread in threading.enumerate()])
    assert stage.do(lambda: stage.platform.requests) == []


def test_a_store_that_hangs_while_it_loads_is_told_and_the_bot_begins_anew(stage: Stage) -> None:
    store = Watched()
    store.gate.clear()
    with bot_at(stage, store=store, policy=replace(QUICK, store_timeout=0.05)) as gateway:
        failed = until(gateway, lambda event: True)
        assert failed == StoreFailed(0, "load", "TimeoutError: no answer for 0.05 s")
        until(gateway, is_ready)
        store.gate.set()
        eventually(lambda: store.saves)
    eventually(lambda: ours() == [])


def test_a_store_that_hangs_while_it_saves_keeps_neither_the_bot_nor_its_end(stage: Stage) -> None:
    store = Watched()
    with bot_at(stage, store=store) as gateway:
        until(gateway, is_ready)
        eventually(lambda: store.saves)
        store.gate.clear()
        stage.say(1, 2, 3)
        assert [heard(until(gateway, is_message))[0] for _ in range(3)] == ["1", "2", "3"]
        ends_soon(gateway)
        store.gate.set()


def test_a_choice_of_a_proxy_that_hangs_keeps_nobody_and_its_deadline_fires(stage: Stage) -> None:
    may_answer, asked = threading.Event(), []

    def choose(url: str) -> None:
        asked.append(url)
        if url.startswith("ws"):
            assert may_answer.wait(GUARD)

    policy = replace(QUICK, dial_timeout=0.1)
    with bot_at(stage, account=stage.account(proxy=choose, policy=policy)) as gateway:
        until(gateway, lambda event: isinstance(event, Disconnected))
        eventually(lambda: len(asked) > 4)
        ends_soon(gateway)
    may_answer.set()
    eventually(lambda: ours() == [])


def test_an_http_of_the_hosts_that_hangs_keeps_nobody_and_its_deadline_fires(stage: Stage) -> None:
    may_answer, asked = threading.Event(), []

    def http(request: HTTPRequest) -> HTTPResponse:
        asked.append(request)
        assert may_answer.wait(GUARD)
        return HTTPResponse(500, {}, b"")

    policy = replace(QUICK, http_timeout=0.1)
    with bot_at(stage, account=stage.account(http=http, policy=policy)) as gateway:
        until(gateway, lambda event: isinstance(event, Disconnected))
        eventually(lambda: len(asked) > 2)
        ends_soon(gateway)
    may_answer.set()
    eventually(lambda: ours() == [])


def test_a_name_look_up_that_hangs_keeps_nobody_and_its_deadline_fires(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = Endpoints(stage.endpoints.api_base, stage.endpoints.token_url, "ws://gateway.example/")
    account = stage.account(endpoints=endpoints, policy=replace(QUICK, dial_timeout=0.1))
    with hung_look_ups(monkeypatch, []), bot_at(stage, account=account) as gateway:
        gone = until(gateway, lambda event: isinstance(event, Disconnected))
        assert isinstance(gone, Disconnected)
        assert gone.phase is Phase.DIAL
        ends_soon(gateway)
