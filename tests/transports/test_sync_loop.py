"""The loop of the sync driver's threads: what is posted, what sockets have, what is due, and in which order."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from qqproto_transports import _sync_loop
from qqproto_transports._clock import clock
from qqproto_transports._sync_loop import READ, WRITE, Alarm, Loop
from tests.scenarios.drivers import eventually
from tests.scenarios.threads import GUARD
from tests.transports.loops import open_files
from tests.transports.threads import running

# -- what is posted ----------------------------------------------------------------------------------------------------


def test_what_is_posted_is_called_in_order_in_the_loops_thread() -> None:
    called: SimpleQueue[tuple[int, int]] = SimpleQueue()
    with running() as loop:
        for number in range(1000):
            loop.post(lambda number=number: called.put((number, threading.get_ident())))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

        seen = [called.get(timeout=GUARD) for _ in range(1000)]

    assert [number for number, _ in seen] == list(range(1000))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_a_loop_that_sleeps_is_woken_from_any_thread() -> None:
    """Each post comes when the loop has gone to sleep for 15 s; none may wait for the end of that."""
    with running() as loop:
        for _ in range(50):
            came = threading.Event()
            eventually(lambda: loop._asleep)
            before = time.monotonic()
            threading.Thread(target=loop.post, args=[came.set]).start()
            assert came.wait(GUARD)
            assert time.monotonic() - before < 5.0


def test_many_threads_that_post_at_once_lose_nothing() -> None:
    counts = dict.fromkeys(range(8), 0)

    def post_many(loop: Loop, number: int) -> None:
        def count() -> None:
            counts[number] += 1

        for _ in range(500):
            loop.post(count)

    with running() as loop:
        threads = [threading.Thread(target=post_many, args=[loop, number]) for number in counts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GUARD)
        eventually(lambda: set(counts.values()) == {500}, within=5.0)


def test_a_bell_that_rings_already_is_left_to_ring() -> None:
    """More posts than the socket pair holds bytes, while the loop is busy with the first."""
    may_go_on, came = threading.Event(), threading.Event()
    with running() as loop:
        eventually(lambda: loop._asleep)
        loop.post(may_go_on.wait)
        for _ in range(20_000):
            loop._ring_bell()
        loop.post(came.set)
        may_go_on.set()
        assert came.wait(GUARD)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_signal_handlers_post_whatever_they_interrupt() -> None:
    """A handler runs between any two instructions of the main thread, also in the middle of a post."""
    handled = posted = 0

    def count() -> None:
        nonlocal posted
        posted += 1

    with running() as loop:

        def handle(*args: object) -> None:
            nonlocal handled
            handled += 1
            loop.post(count)

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            deadline = time.monotonic() + GUARD
            while handled < 200 and time.monotonic() < deadline:
                loop.post(lambda: None)
                loop._ring_bell()
                loop.catch_up()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert handled >= 200
        eventually(lambda: posted == handled, within=5.0)


# -- before and after --------------------------------------------------------------------------------------------------


def test_while_nobody_runs_it_who_posts_does_it_himself() -> None:
    called: list[int] = []
    loop = Loop(clock, called.append)  # type: ignore[arg-type]  # nothing is raised
    loop.post(lambda: called.append(1))
    assert called == []
    loop.catch_up()
    assert called == [1]


def test_catching_up_is_for_one_at_a_time_and_forgets_nothing() -> None:
    """The second waits for the first."""
    called: list[str] = []
    loop = Loop(clock, print)
    at_it, may_go_on = threading.Event(), threading.Event()

    def take_time() -> None:
        at_it.set()
        assert may_go_on.wait(GUARD)
        called.append("first")

    loop.post(take_time)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(loop.catch_up)
        assert at_it.wait(GUARD)
        loop.post(lambda: called.append("second"))
        second = pool.submit(loop.catch_up)
        assert called == []
        may_go_on.set()
        first.result(GUARD)
        second.result(GUARD)
        assert called == ["first", "second"]


def test_while_a_thread_runs_it_nobody_else_does() -> None:
    threads: SimpleQueue[int] = SimpleQueue()
    with running() as loop:
        loop.post(lambda: threads.put(threading.get_ident()))
        loop.catch_up()
        assert threads.get(timeout=GUARD) != threading.get_ident()


def test_here_is_now_in_the_loops_thread_and_soon_elsewhere() -> None:
    order: list[str] = []
    came = threading.Event()
    with running() as loop:

        def nested() -> None:
            loop.here(lambda: order.append("inner"))
            order.append("outer")
            came.set()

        loop.here(nested)
        assert came.wait(GUARD)
        assert not loop.is_here

    assert order == ["inner", "outer"]


def test_questions_are_answered_before_during_and_after() -> None:
    loop = Loop(clock, print)
    assert loop.ask(threading.get_ident) == threading.get_ident()

    with running() as loop:
        there = loop.ask(threading.get_ident)
        assert there != threading.get_ident()
        assert loop.ask(lambda: loop.ask(threading.get_ident)) == there

        def fail() -> None:
            raise LookupError("no answer")

        with pytest.raises(LookupError, match="no answer"):
            loop.ask(fail)
    assert loop.ask(threading.get_ident) == threading.get_ident()


def test_questions_that_come_just_as_it_ends_are_answered() -> None:
    answers: SimpleQueue[int] = SimpleQueue()
    for _ in range(20):
        with running() as loop:
            askers = [threading.Thread(target=lambda loop=loop: answers.put(loop.ask(lambda: 1))) for _ in range(4)]
            for asker in askers:
                asker.start()
        for asker in askers:
            asker.join(GUARD)
            assert not asker.is_alive()


def test_at_its_end_no_file_is_left_and_a_late_post_harms_nobody() -> None:
    before = open_files()
    with running() as loop:
        assert len(open_files()) > len(before)
    loop.post(lambda: None)
    loop._ring_bell()
    assert open_files() == before


def test_what_cannot_be_opened_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, say."""

    def fail() -> None:
        raise OSError(24, "too many open files")

    loop = Loop(clock, print)
    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(selectors, "DefaultSelector", fail)
        with pytest.raises(OSError, match="too many"):
            loop.open()
    assert open_files() == before
    loop.open()
    loop.close()


# -- bugs --------------------------------------------------------------------------------------------------------------


def test_what_a_callback_raises_is_told_and_the_loop_goes_on() -> None:
    bugs: list[BaseException] = []
    came = threading.Event()

    def fail() -> None:
        raise SystemExit("a host's bug")

    with running(bugs) as loop:
        loop.post(fail)
        loop.post(came.set)
        assert came.wait(GUARD)

    assert [type(bug) for bug in bugs] == [SystemExit]


def test_a_selector_that_fails_ends_it_loudly() -> None:
    bugs: list[BaseException] = []
    loop = Loop(clock, bugs.append)
    before = open_files()
    loop.open()
    assert loop._selector is not None
    loop._selector.close()
    thread = threading.Thread(target=loop.run, args=[lambda: False])
    thread.start()
    thread.join(GUARD)

    assert not thread.is_alive()
    assert len(bugs) == 1
    assert open_files() == before


# -- sockets -----------------------------------------------------------------------------------------------------------


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def test_a_socket_is_called_for_what_it_is_watched_for() -> None:
    with pair() as (ours, theirs), running() as loop:
        seen: SimpleQueue[int] = SimpleQueue()

        def watch(events: int, then: Callable[[int], object] = lambda events: None) -> None:
            def on_ready(ready: int) -> None:
                seen.put(ready)
                then(ready)

            loop.ask(lambda: loop.watch(ours, events, on_ready))

        watch(0)
        assert loop.has_sockets
        theirs.send(b"hello")
        watch(WRITE, lambda ready: loop.watch(ours, 0, seen.put))
        assert seen.get(timeout=GUARD) == WRITE
        watch(READ, lambda ready: ours.recv(100))
        assert seen.get(timeout=GUARD) == READ
        watch(READ | WRITE, lambda ready: loop.forget(ours))
        assert seen.get(timeout=GUARD) == WRITE
        theirs.send(b"unheard")
        assert loop.ask(lambda: loop.has_sockets) is False
        assert seen.empty()


def test_one_that_another_has_closed_in_the_same_turn_is_not_called() -> None:
    with pair() as (first, its_peer), pair() as (second, other_peer), running() as loop:
        called: list[str] = []

        def on_ready(name: str, other: socket.socket) -> Callable[[int], None]:
            def close_the_other(events: int) -> None:
                called.append(name)
                loop.forget(first)
                loop.forget(second)
                other.close()

            return close_the_other

        def watch_both() -> None:
            its_peer.send(b"x")
            other_peer.send(b"x")
            loop.watch(first, READ, on_ready("first", second))
            loop.watch(second, READ, on_ready("second", first))

        loop.ask(watch_both)
        eventually(lambda: called)
        loop.ask(lambda: None)

    assert len(called) == 1


# -- alarms ------------------------------------------------------------------------------------------------------------


def alarm_of(loop: Loop, rung: SimpleQueue[float]) -> Alarm:
    return Alarm(loop, lambda: rung.put(clock()))


def test_rings_once_at_its_time() -> None:
    rung: SimpleQueue[float] = SimpleQueue()
    with running() as loop:
        at = clock() + 0.05
        loop.post(lambda: alarm_of(loop, rung).set(at))
        assert at <= rung.get(timeout=GUARD) < at + 5.0
        wait_for_another(loop, 0.03)
        assert rung.empty()


def wait_for_another(loop: Loop, seconds: float) -> None:
    """Wait for an alarm that rings later than the one under test."""
    rung: SimpleQueue[float] = SimpleQueue()
    loop.post(lambda: alarm_of(loop, rung).set(clock() + seconds))
    rung.get(timeout=GUARD)


def test_the_time_that_was_set_last_holds() -> None:
    rung: SimpleQueue[float] = SimpleQueue()
    with running() as loop:
        alarm = alarm_of(loop, rung)
        later = clock() + 0.1

        def later_then_earlier() -> None:
            alarm.set(clock() + 0.01)
            alarm.set(later)

        loop.post(later_then_earlier)
        assert rung.get(timeout=GUARD) >= later

        def earlier() -> None:
            alarm.set(clock() + 1000.0)
            alarm.set(clock() + 0.01)

        loop.post(earlier)
        rung.get(timeout=GUARD)


def test_none_is_silence_also_at_the_last_moment() -> None:
    rung: SimpleQueue[float] = SimpleQueue()
    with running() as loop:
        alarm = alarm_of(loop, rung)

        def set_and_take_back() -> None:
            alarm.set(clock())
            alarm.set(None)

        loop.post(set_and_take_back)
        wait_for_another(loop, 0.02)
        assert rung.empty()


def test_of_two_that_are_due_the_first_may_silence_the_second() -> None:
    rung: list[str] = []
    came = threading.Event()
    with running() as loop:
        second = Alarm(loop, lambda: rung.append("second"))

        def ring_first() -> None:
            rung.append("first")
            second.set(None)
            came.set()

        def both() -> None:
            now = clock()
            Alarm(loop, ring_first).set(now - 1.0)
            second.set(now - 0.5)

        loop.post(both)
        assert came.wait(GUARD)
        loop.ask(lambda: None)

    assert rung == ["first"]


def test_what_has_arrived_goes_before_a_deadline() -> None:
    """After a stall the socket is readable, an answer is posted and the time is up: they may be what was waited for."""
    order: list[str] = []
    came = threading.Event()
    with pair() as (ours, theirs), running() as loop:

        def read(events: int) -> None:
            order.append("bytes")
            loop.forget(ours)

        def deadline() -> None:
            order.append("deadline")
            came.set()

        def stall() -> None:
            """The alarm is set and due, and meanwhile something arrives."""
            loop.watch(ours, READ, read)
            Alarm(loop, deadline).set(clock() - 1.0)
            theirs.send(b"an acknowledgement")
            threading.Thread(target=loop.post, args=[lambda: order.append("answer")]).run()

        loop.post(stall)
        assert came.wait(GUARD)

    assert order[-1] == "deadline"
    assert sorted(order) == ["answer", "bytes", "deadline"]


def test_a_jump_of_the_clock_is_noticed_within_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sync_loop, "LONGEST_WAIT", 0.05)
    now, looks = 1000.0, 0

    def frozen() -> float:
        nonlocal looks
        looks += 1
        return now

    rung: SimpleQueue[float] = SimpleQueue()
    with running(clock=frozen) as loop:
        loop.post(lambda: alarm_of(loop, rung).set(now + 3600.0))
        eventually(lambda: looks > 5)
        assert rung.empty()
        now += 4 * 3600.0  # the lid was shut
        rung.get(timeout=GUARD)
