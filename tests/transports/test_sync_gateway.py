"""The sync driver against the local gateway, over real sockets: what is its own, that is, its threads."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from qqproto import (
    Account,
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
    Shard,
    ShardConfig,
    Stopped,
    StopReason,
)
from qqproto.testing import Refusal
from qqproto_transports._clock import clock
from qqproto_transports._sync_stream import SyncStream
from qqproto_transports.stores import MemoryStore
from qqproto_transports.sync import BotAccount, Gateway, GatewayStopped, open_gateway, run
from tests.scenarios.bots import INTENTS, QUICK
from tests.scenarios.drivers import eventually
from tests.scenarios.stage import Stage
from tests.scenarios.threads import GUARD
from tests.transports.bots import Buggy
from tests.transports.interruptions import Interrupted, in_cpython, interrupter
from tests.transports.loops import open_files
from tests.transports.servers import silence
from tests.transports.threads import beside, bot_at, nothing_left_behind, ours, platform, until


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A platform, and nothing of a bot's left at the end."""
    with platform() as stage:
        yield stage
    assert ours() == []


def is_ready(event: Event) -> bool:
    return isinstance(event, Ready)


def is_message(event: Event) -> bool:
    return type(event) is Dispatch


def content(event: Event) -> str:
    assert isinstance(event, Dispatch)
    text: str = event.data["content"]
    return text


# -- one thread --------------------------------------------------------------------------------------------------------


def test_one_background_thread_and_none_when_the_block_is_left(stage: Stage) -> None:
    with nothing_left_behind():
        with bot_at(stage) as gateway:
            until(gateway, is_ready)
            eventually(lambda: ours() == ["qqproto gateway"])
            stage.say("hello")
            assert content(until(gateway, is_message)) == "hello"
        assert ours() == []
    stage.until(lambda: not stage.platform.conversations)
    assert stage.do(lambda: stage.platform.sessions) == {}, "1000 ends the session"


def test_many_shards_share_it(stage: Stage) -> None:
    stage.platform.bot.shards = stage.platform.bot.max_concurrency = 4
    with bot_at(stage, shards="auto") as gateway:
        ready = {until(gateway, is_ready).shard for _ in range(4)}
        assert ready == {0, 1, 2, 3}
        eventually(lambda: ours() == ["qqproto gateway"])


def test_a_handler_that_blocks_costs_no_heartbeat() -> None:
    with platform(heartbeat=0.25) as stage, bot_at(stage) as gateway:
        until(gateway, is_ready)
        before = counter(gateway, "heartbeats")
        eventually(lambda: stage.ops(heartbeats=True).count(1) >= before + 4)
        assert gateway.connected
        assert stage.do(lambda: stage.platform.violations) == []


def test_a_full_buffer_pauses_reading_until_another_thread_makes_room() -> None:
    total = 600
    policy = Policy(max_buffered=50, dead_after=1.0, probe_after=0.5)
    with platform(heartbeat=0.25) as stage, bot_at(stage, policy=policy) as gateway:
        until(gateway, is_ready)
        for number in range(total):  # One by one, or the gateway would have no time for heartbeats.
            stage.say(f"{number} {'x' * 10_000}")
        eventually(lambda: counter(gateway, "dispatches") >= 50)
        target = counter(gateway, "heartbeats") + 6
        eventually(lambda: counter(gateway, "heartbeats") >= target)
        assert counter(gateway, "dispatches") < total / 2
        assert gateway.connected, "silence says nothing while nothing is read"

        numbers = [int(content(until(gateway, is_message)).split()[0]) for _ in range(total)]
        assert numbers == list(range(total))
        assert stage.ops() == [2], "on one connection"


def test_room_that_is_made_in_the_moment_of_the_pause_is_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread has taken everything before it is known that reading pauses: nobody would tell of it later."""
    with bot_at(stage, policy=Policy(max_buffered=5)) as gateway:
        until(gateway, is_ready)
        pause, taken = gateway._all.pause_reading, list[Event]()

        def pause_late() -> None:
            taken.extend(gateway._buffer)
            gateway._buffer.clear()
            pause()

        monkeypatch.setattr(gateway._all, "pause_reading", pause_late)
        monkeypatch.setattr(gateway, "_tell_aside", taken.append)  # As of a shard that has ended: it is told no more.
        stage.say(*range(5))
        eventually(lambda: taken)
        stage.say("and on")
        until(gateway, lambda event: is_message(event) and content(event) == "and on")


def counter(gateway: Gateway, name: str) -> int:
    return gateway.status()[0].counters.get(name, 0)


# -- several who iterate -----------------------------------------------------------------------------------------------


def test_several_iterate_and_each_event_goes_to_one_of_them(stage: Stage) -> None:
    heard: list[str] = []
    stops: list[Stopped] = []

    def iterate(gateway: Gateway) -> int:
        handled = 0
        for event in gateway:
            if isinstance(event, Dispatch):
                heard.append(content(event))
                handled += 1
            elif isinstance(event, Stopped):
                stops.append(event)
        return handled

    with nothing_left_behind(), bot_at(stage) as gateway, ThreadPoolExecutor(4) as pool:
        until(gateway, is_ready)
        iterating = [pool.submit(iterate, gateway) for _ in range(4)]
        stage.say(*range(400))
        eventually(lambda: len(heard) == 400)
        gateway.close()
        handled = [future.result(GUARD) for future in iterating]

    assert sorted(map(int, heard)) == list(range(400))
    assert sum(handled) == 400
    assert len(stops) == 1, "one is told, and all end"


def test_each_settles_what_it_had_itself(stage: Stage) -> None:
    with bot_at(stage) as gateway:
        until(gateway, is_ready)
        stage.say("two", "three", "four")
        other = ThreadPoolExecutor(1)
        with other:
            assert content(until(gateway, is_message)) == "two"
            assert content(other.submit(until, gateway, is_message).result(GUARD)) == "three"
            assert content(until(gateway, is_message)) == "four"
            assert settled(gateway) == 2, "the other thread has not asked again"
            waiting = other.submit(until, gateway, is_message)
            eventually(lambda: settled(gateway) == 3)
            stage.say("five")
            waiting.result(GUARD)
        assert settled(gateway) == 3, "and we still have the fourth"


def settled(gateway: Gateway) -> int:
    session = gateway.session
    assert session is not None
    return session.settled


def test_handled_in_threads_of_its_own_and_settled_at_the_end_of_each(stage: Stage) -> None:
    may_end = {number: threading.Event() for number in range(2, 6)}

    def handle(gateway: Gateway, dispatch: Dispatch) -> None:
        with gateway.handling(dispatch) as same:
            assert same is dispatch
            assert dispatch.sequence is not None
            assert may_end[dispatch.sequence].wait(GUARD)
            if dispatch.sequence == 4:
                raise ZeroDivisionError

    with bot_at(stage, settle="manual") as gateway, ThreadPoolExecutor(4) as pool:
        until(gateway, is_ready)
        stage.say(2, 3, 4, 5)
        handling = []
        for event in gateway:
            if isinstance(event, Dispatch):
                handling.append(pool.submit(handle, gateway, event))
            if len(handling) == 4:
                break
        assert settled(gateway) == 1
        may_end[3].set()
        handling[1].result(GUARD)
        assert settled(gateway) == 1, "the watermark waits for the second"
        may_end[2].set()
        may_end[4].set()
        eventually(lambda: settled(gateway) == 4)
        may_end[5].set()
        assert isinstance(handling[2].exception(GUARD), ZeroDivisionError)
        eventually(lambda: settled(gateway) == 5)


def live(gateway: Gateway, act: Callable[[], object]) -> list[Event]:
    """A bot's whole life: when it is ready something happens, and it goes on to its end."""
    with gateway:
        until(gateway, is_ready)
        act()
        return list(gateway)


def test_a_stop_of_its_own_ends_all_who_iterate(stage: Stage) -> None:
    with ThreadPoolExecutor(3) as pool:
        gateway, others = bot_at(stage), list[Future[Event]]()

        def stop() -> None:
            others.extend(pool.submit(until, gateway, lambda event: False) for _ in range(3))
            stage.close(4914)

        with pytest.raises(GatewayStopped):
            live(gateway, stop)
        errors = [other.exception(GUARD) for other in others]

    assert [type(error) for error in errors] == [GatewayStopped] * 3
    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.SANDBOX_ONLY


# -- its end -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_close_from_a_signal_handler_ends_the_wait_it_interrupts(stage: Stage) -> None:
    with bot_at(stage) as gateway:
        before = signal.signal(signal.SIGUSR1, lambda *args: gateway.close())
        try:
            until(gateway, is_ready)
            threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1]).start()
            events = list(gateway)
        finally:
            signal.signal(signal.SIGUSR1, before)

    assert [type(event) for event in events] == [Stopped]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_close_from_a_signal_handler_wherever_it_comes(stage: Stage) -> None:
    """In the middle of whatever the main thread does with a gateway, its locks included."""
    closed = 0

    def live(seconds: float) -> None:
        nonlocal closed
        gateway = bot_at(stage)

        def close(*args: object) -> None:
            nonlocal closed
            gateway.close()
            closed += 1

        signal.signal(signal.SIGALRM, close)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with gateway:
            while gateway.stopped is None:
                gateway.status()
                gateway.wait_connected(0.0005)
                if gateway.connected:
                    stage.say("hello")
                    with contextlib.suppress(StopIteration):
                        next(gateway)

    before = signal.getsignal(signal.SIGALRM)
    try:
        for number in range(25):
            live(0.0002 + 0.004 * number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert closed == 25


def test_close_and_shut_by_many_threads_at_once(stage: Stage) -> None:
    with nothing_left_behind(), ThreadPoolExecutor(8) as pool, bot_at(stage) as gateway:
        until(gateway, is_ready)
        done = [pool.submit(gateway.shut if number % 2 else gateway.close) for number in range(8)]
        assert [type(event) for event in gateway] == [Stopped]
        for future in done:
            future.result(GUARD)
        gateway.shut()
        assert ours() == []


def test_shut_in_a_handler(stage: Stage) -> None:
    events: list[Event] = []
    with nothing_left_behind(), bot_at(stage) as gateway:
        for event in gateway:
            events.append(event)
            if is_ready(event):
                gateway.shut()
                assert ours() == []
                assert not gateway.connected
                assert not gateway.online

    assert isinstance(events[-1], Stopped)


@pytest.mark.parametrize("how", [Gateway.close, Gateway.shut])
def test_closed_before_it_is_entered_it_ends_at_once(stage: Stage, how: Callable[[Gateway], None]) -> None:
    gateway = bot_at(stage)
    how(gateway)
    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.CLOSED
    with nothing_left_behind(), gateway:
        assert [type(event) for event in gateway] == [Stopped]
    assert stage.do(lambda: stage.platform.requests) == []


def test_used_in_any_order(stage: Stage) -> None:
    gateway = bot_at(stage)
    assert not gateway.connected
    assert not gateway.online
    assert gateway.stopped is None
    assert gateway.session is None
    assert len(gateway.status()) == 1
    assert not gateway.wait_connected(0.01)
    assert not gateway.wait_online(0.01)
    with pytest.raises(RuntimeError, match="enter the gateway first"):
        next(gateway)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(wait, GUARD) for wait in (gateway.wait_connected, gateway.wait_online)]
        with gateway:
            assert [future.result(GUARD) for future in waiting] == [True, True]
            assert gateway.connected
            assert gateway.online
            assert gateway.session is not None
            assert gateway.session.id == gateway.status()[0].session_id
    assert not gateway.wait_connected(GUARD)
    assert not gateway.wait_online(GUARD)
    gateway.shut()
    gateway.close()
    assert gateway.status()[0].stopped is gateway.stopped
    with pytest.raises(RuntimeError, match="entered once"):
        gateway.__enter__()


def test_a_ctrl_c_in_the_body_says_goodbye_and_leaves_nothing(stage: Stage) -> None:
    def live() -> None:
        with bot_at(stage) as gateway:
            until(gateway, is_ready)
            raise KeyboardInterrupt

    with nothing_left_behind(), pytest.raises(KeyboardInterrupt):
        live()
    stage.until(lambda: stage.platform.sessions == {})


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_a_ctrl_c_while_it_waits_says_goodbye_and_leaves_nothing(stage: Stage) -> None:
    def live() -> None:
        with bot_at(stage) as gateway:
            until(gateway, is_ready)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            next(gateway)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with nothing_left_behind(), pytest.raises(KeyboardInterrupt):
            live()
    finally:
        signal.signal(signal.SIGALRM, before)
    stage.until(lambda: stage.platform.sessions == {})


@in_cpython
def test_an_exception_out_of_a_signal_handler_hurts_only_who_waits_wherever_it_comes(stage: Stage) -> None:
    """A host that goes on after it has a gateway that lives: nothing is taken for ever."""

    def take() -> None:
        assert gateway.wait_connected(GUARD)
        gateway.wait_online(0.0)
        next(gateway)

    with bot_at(stage, settle="delivery") as gateway, interrupter() as interrupt:
        until(gateway, is_ready)
        for instruction in itertools.count(1):
            stage.say("hello")
            with contextlib.suppress(Interrupted):
                interrupt.at(instruction, take)
            if not interrupt.came:
                break
            assert gateway.status()[0].connected
    assert instruction > 200
    assert gateway.stopped is not None


@in_cpython
def test_an_exception_out_of_a_signal_handler_at_the_door_leaves_no_thread(stage: Stage) -> None:
    with interrupter() as interrupt:
        for instruction in itertools.count(1):
            gateway = bot_at(stage)
            with contextlib.suppress(Interrupted):
                interrupt.at(instruction, gateway.__enter__)
            if not interrupt.came:
                gateway.__exit__(None, None, None)
                break
            eventually(lambda: ours() == [])
    assert instruction > 100


@in_cpython
def test_an_exception_out_of_a_signal_handler_on_the_way_out_leaves_no_thread() -> None:
    """At every 61st instruction: there are more than two thousand."""
    came = True
    instruction = 20  # Before, the block has not begun to be left.
    while came:
        with platform() as stage, interrupter() as interrupt:
            for _ in range(9):  # More than that the platform takes for a flood.
                gateway = bot_at(stage, store=MemoryStore())
                gateway.__enter__()
                until(gateway, is_ready)
                with contextlib.suppress(Interrupted):
                    interrupt.at(instruction, lambda gateway=gateway: gateway.__exit__(None, None, None))  # type: ignore[misc]
                came = interrupt.came
                if not came:
                    break
                eventually(lambda: ours() == [])
                instruction += 61
    assert instruction > 1000


def test_a_thread_that_cannot_be_started_is_told_at_the_door(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gateway = bot_at(stage)
    files = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            gateway.__enter__()
    assert open_files() == files


# -- what its own thread may not do ------------------------------------------------------------------------------------


def test_in_its_own_thread_nobody_may_wait_for_it(stage: Stage) -> None:
    """A logging handler of the host's, say: it is called where the machine lives."""
    outcomes: list[str] = []

    class Meddler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for verb in (gateway.shut, gateway.wait_connected, lambda: list(gateway)):
                try:
                    verb()
                except RuntimeError as error:
                    outcomes.append(str(error))
            outcomes.append(str(len(gateway.status())))
            gateway.close()

    logger = logging.getLogger("a host's")
    logger.setLevel(logging.INFO)
    handler = Meddler()
    logger.addHandler(handler)
    try:
        with bot_at(stage, logger=logger) as gateway:
            assert type(list(gateway)[-1]) is Stopped
    finally:
        logger.removeHandler(handler)

    assert all("own thread cannot wait" in outcome for outcome in outcomes[:3])
    assert outcomes[3] == "1"


# -- bugs --------------------------------------------------------------------------------------------------------------


def test_a_bug_ends_it_loudly_for_all_who_wait(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A host's `loads` that gives what no decoder gives."""

    def loads(text: str | bytes) -> Any:
        decoded = json.loads(text)
        if isinstance(decoded, dict) and decoded.get("t") == "C2C_MESSAGE_CREATE":
            return Buggy()
        return decoded

    gateway = bot_at(stage, loads=loads)
    with ThreadPoolExecutor(1) as pool, nothing_left_behind():
        waiting = pool.submit(lambda: gateway.wait_online(0.01) or gateway.wait_connected(GUARD))
        with pytest.raises(LookupError, match="a bug"):
            live(gateway, lambda: stage.say("hello"))
        waiting.result(GUARD)
    stage.until(lambda: stage.platform.session().live is None)

    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.HOST_FAILURE
    (record,) = [record for record in caplog.records if record.name == "qqproto"]
    assert record.exc_info is not None
    assert record.levelno == logging.CRITICAL


def test_a_bug_of_the_loops_ends_it_loudly(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It is nobody's callback that raises; the sockets are closed all the same."""
    gateway = bot_at(stage)

    def break_it() -> None:
        def fail() -> None:
            raise LookupError("a bug")

        gateway._all.loop.ask(lambda: setattr(gateway._all.loop, "turn", fail))

    with nothing_left_behind(), pytest.raises(LookupError, match="a bug"):
        live(gateway, break_it)
    stage.until(lambda: stage.platform.session().live is None)

    assert gateway.stopped is not None
    assert gateway.stopped.reason is StopReason.HOST_FAILURE
    assert len([record for record in caplog.records if record.name == "qqproto"]) == 1


def test_a_bug_in_a_hosts_http_leaves_the_block_though_nobody_iterates() -> None:
    def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("clientSecret")

    def wait() -> None:
        with open_gateway(BotAccount(Credentials("11111111", "s"), http=http), intents=INTENTS) as gateway:
            assert not gateway.wait_connected(GUARD)

    with nothing_left_behind(), pytest.raises(KeyError):
        wait()


# -- many bots, and what must not be left ------------------------------------------------------------------------------


def test_ten_bots_know_nothing_of_each_other(stage: Stage) -> None:
    """Row 35: each has its thread, and its own events."""

    def one(number: int) -> str:
        with platform() as mine, bot_at(mine) as gateway:
            until(gateway, is_ready)
            mine.say(f"to {number}")
            return content(until(gateway, is_message))

    with nothing_left_behind(), ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(10))) == [f"to {number}" for number in range(10)]


def test_attempts_that_are_given_up_leave_no_file_open(stage: Stage) -> None:
    """The server never answers the ClientHello, and the machine's deadline ends each attempt."""
    policy = Policy(backoff=(0.001,), dial_timeout=0.02, gateway_burst=10_000)
    with beside(silence) as port:
        endpoints = Endpoints(stage.endpoints.api_base, stage.endpoints.token_url, f"wss://127.0.0.1:{port}/")
        with bot_at(stage, account=stage.account(endpoints=endpoints, policy=policy)) as gateway:
            failures(gateway, 1)
            before = len(open_files())
            failures(gateway, 30)
            eventually(lambda: len(open_files()) <= before + 4)


def failures(gateway: Gateway, count: int) -> None:
    """Iterate until so many attempts have failed."""
    for _ in range(count):
        until(gateway, lambda event: isinstance(event, Disconnected))


def test_rotations_leave_no_stream_behind(stage: Stage) -> None:
    def streams() -> int:
        gc.collect()
        return sum(isinstance(thing, SyncStream) for thing in gc.get_objects())

    before = streams()
    with bot_at(stage) as gateway:
        until(gateway, is_ready)
        for _ in range(20):
            stage.say("hello")
            until(gateway, is_message)
            stage.rotate()
            until(gateway, lambda event: isinstance(event, Resumed))
        eventually(lambda: streams() <= before + 1)
    assert stage.ops().count(6) == 20


# -- bare machines -----------------------------------------------------------------------------------------------------


def machines(stage: Stage) -> tuple[Shard, Account]:
    shard = Shard(ShardConfig(stage.credentials.app_id, INTENTS), random=lambda: 0.5, policy=QUICK)
    return shard, Account(stage.credentials, endpoints=stage.endpoints, policy=QUICK)


def test_bare_machines_run_until_the_handler_closes_them(stage: Stage) -> None:
    events: list[Event] = []
    shard, account = machines(stage)

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, Ready):
            shard.close(clock())

    with nothing_left_behind():
        stopped = run(shard, account, on_event)

    assert [type(event).__name__ for event in events] == ["Online", "Ready", "Stopped"]
    assert stopped is events[-1]
    assert stopped.reason is StopReason.CLOSED


def test_bare_machines_run_until_the_platform_stops_them(stage: Stage) -> None:
    stage.platform.behaviour.identify = [Refusal(code=4914, op9=None)]
    events: list[Event] = []
    with nothing_left_behind():
        stopped = run(*machines(stage), events.append)

    assert stopped.code == 4914
    assert events[-1] is stopped


def test_a_bug_in_the_handler_of_bare_machines_ends_loudly(stage: Stage) -> None:
    def on_event(event: Event) -> None:
        raise ZeroDivisionError(type(event).__name__)

    with nothing_left_behind(), pytest.raises(ZeroDivisionError, match="Online"):
        run(*machines(stage), on_event)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_a_ctrl_c_says_goodbye_for_bare_machines(stage: Stage) -> None:
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, Ready):
            os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with nothing_left_behind(), pytest.raises(KeyboardInterrupt):
            run(*machines(stage), on_event)
    finally:
        signal.signal(signal.SIGALRM, before)
    stage.until(lambda: stage.platform.sessions == {})

    assert isinstance(events[-1], Stopped)
