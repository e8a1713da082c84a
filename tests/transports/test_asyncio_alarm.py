"""Alarms: at the right time, after what has arrived, and soon after a clock that jumped."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from qqproto_transports import _asyncio_alarm
from qqproto_transports._asyncio_alarm import Alarm, Watch
from qqproto_transports._clock import clock
from tests.transports.loops import eventually, on_loop


class Bell:
    def __init__(self) -> None:
        self.rung: list[float] = []

    def ring(self) -> None:
        self.rung.append(clock())


async def ring_of_another(delay: float) -> None:
    """Wait for an alarm that would ring later than the one under test."""
    bell = Bell()
    Alarm(clock, bell.ring).set(clock() + delay)
    await eventually(lambda: bell.rung)


@on_loop
async def test_rings_once_at_its_time() -> None:
    bell = Bell()
    at = clock() + 0.05
    Alarm(clock, bell.ring).set(at)

    await eventually(lambda: bell.rung)
    await ring_of_another(0.02)

    assert len(bell.rung) == 1
    assert at <= bell.rung[0] < at + 1.0


@on_loop
async def test_a_later_time_holds() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    alarm.set(clock() + 0.01)
    later = clock() + 0.1
    alarm.set(later)

    await eventually(lambda: bell.rung)

    assert bell.rung[0] >= later


@on_loop
async def test_an_earlier_time_holds() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    alarm.set(clock() + 60.0)
    alarm.set(clock() + 0.01)

    await eventually(lambda: bell.rung)


@on_loop
async def test_none_is_silence_and_leaves_no_timer() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    alarm.set(clock() + 0.01)
    alarm.set(None)

    await ring_of_another(0.03)

    assert bell.rung == []


@on_loop
async def test_none_is_silence_at_the_last_moment_too() -> None:
    """The time is up, and in the same turn of the loop somebody says that it is not."""
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    alarm.set(clock())
    await asyncio.sleep(0)
    alarm.set(None)

    await ring_of_another(0.03)

    assert bell.rung == []


class Hand:
    """A clock that is moved by hand, the loop's own besides: whoever moves it has kept the loop for so long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)

    def __call__(self) -> float:
        return self.now


async def some_turns() -> None:
    """More than anything here takes; each looks at the sockets."""
    for _ in range(10):
        await asyncio.sleep(0)


@on_loop
async def test_what_has_arrived_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stall the socket is readable and the time is up: the bytes may be what was waited for."""
    loop, hand = asyncio.get_running_loop(), Hand(monkeypatch)
    order: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)

        def read() -> None:
            order.append("bytes")
            ours.recv(100)

        loop.add_reader(ours, read)
        alarm = Alarm(hand, lambda: order.append("deadline"))
        alarm.set(hand.now + 0.01)
        hand.now += 0.05
        theirs.send(b"an acknowledgement")
        await some_turns()
        loop.remove_reader(ours)

    assert order == ["bytes", "deadline"]


def test_a_jump_of_the_clock_is_noticed_within_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_asyncio_alarm, "LONGEST_WAIT", 0.05)

    @on_loop
    async def scenario() -> None:
        now, looks = 1000.0, 0

        def frozen() -> float:
            nonlocal looks
            looks += 1
            return now

        bell = Bell()
        Alarm(frozen, bell.ring).set(now + 3600.0)
        await eventually(lambda: looks > 5)
        assert bell.rung == []

        now += 4 * 3600.0  # the lid was shut
        await eventually(lambda: bell.rung)

    scenario()


def test_the_clock_goes_on_while_the_system_sleeps() -> None:
    """As far as it can be tested awake: it is CLOCK_BOOTTIME's value."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no CLOCK_BOOTTIME")
    assert abs(clock() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1.0
    assert clock() <= clock()


def test_a_jump_of_the_clock_is_noticed_by_many_in_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand connections that each woke up every 15 s cost more than all their heartbeats."""
    monkeypatch.setattr(_asyncio_alarm, "LONGEST_WAIT", 0.05)

    @on_loop
    async def scenario() -> None:
        now, asked = 1000.0, 0

        def frozen() -> float:
            nonlocal asked
            asked += 1
            return now

        bells, watch = [Bell() for _ in range(3)], Watch(frozen)
        alarms = [Alarm(frozen, bell.ring, watch) for bell in bells]
        for number, alarm in enumerate(alarms):
            alarm.set(now + 3600.0 * (1 + 4 * number))
        await eventually(lambda: asked > 20)
        assert not any(bell.rung for bell in bells)

        now += 4 * 3600.0  # the lid was shut
        await eventually(lambda: bells[0].rung)
        assert not bells[1].rung

        now += 4 * 3600.0
        await eventually(lambda: bells[1].rung)
        alarms[2].set(None)  # and no timer is left, which the loop of these tests looks for

    scenario()


async def turns_until_it_rings(late: float) -> int:
    """How many turns of the loop it takes from when an alarm is set that is late by so many seconds."""
    bell = Bell()
    Alarm(lambda: 1000.0, bell.ring).set(1000.0 - late)
    turns = 0
    while not bell.rung:
        await asyncio.sleep(0)
        turns += 1
    return turns


@on_loop
async def test_who_is_on_time_rings_at_once_and_who_is_late_lets_the_loop_read_first() -> None:
    """A thousand connections pay for each turn of the loop with every heartbeat."""
    assert await turns_until_it_rings(0.01) == await turns_until_it_rings(0.0)
    assert await turns_until_it_rings(0.05) == await turns_until_it_rings(0.0) + 2


@on_loop
async def test_what_has_arrived_goes_first_if_something_else_was_due_and_took_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the very turn in which the alarm is due too: the loop has not looked at its sockets since."""
    loop, hand = asyncio.get_running_loop(), Hand(monkeypatch)
    order: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)

        def read() -> None:
            order.append("bytes")
            ours.recv(100)

        def stall() -> None:
            order.append("stall")
            hand.now += 0.05
            theirs.send(b"an acknowledgement")

        loop.add_reader(ours, read)
        loop.call_later(0.01, stall)
        alarm = Alarm(hand, lambda: order.append("deadline"))
        alarm.set(hand.now + 0.011)
        hand.now += 0.015
        await some_turns()
        loop.remove_reader(ours)

    assert order == ["stall", "bytes", "deadline"]


@on_loop
async def test_many_alarms_have_one_timer_however_often_they_are_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each heartbeat makes two timers of the loop and cancels one, and the loop sorts the cancelled ones out."""
    loop = asyncio.get_running_loop()
    made: list[float] = []
    call_later = loop.call_later

    def counted(delay: float, *call: Any, **options: Any) -> asyncio.TimerHandle:
        made.append(delay)
        return call_later(delay, *call, **options)

    monkeypatch.setattr(loop, "call_later", counted)
    watch, start = Watch(lambda: 1000.0), 1000.0
    alarms = [Alarm(clock, Bell().ring, watch) for _ in range(100)]
    for after in (1.0, 10.0, 40.0):
        for number, alarm in enumerate(alarms):
            alarm.set(start + after + number / 100)
    assert len(made) == 3, "one whenever the first of them moved by more than is worth it"
    for alarm in alarms:
        alarm.set(None)


@on_loop
async def test_an_alarm_that_raises_takes_no_other_one_with_it() -> None:
    loop = asyncio.get_running_loop()
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    bug, bell, watch = ZeroDivisionError(), Bell(), Watch(clock)

    def fail() -> None:
        raise bug

    at = clock() + 0.01
    Alarm(clock, fail, watch).set(at)
    Alarm(clock, bell.ring, watch).set(at)
    await eventually(lambda: bell.rung)
    assert errors == [bug]


@on_loop
async def test_an_alarm_that_is_set_to_now_whenever_it_rings_leaves_the_loop_its_turns() -> None:
    rings = 0

    def again() -> None:
        nonlocal rings
        rings += 1
        alarm.set(1000.0)

    alarm = Alarm(lambda: 1000.0, again)
    alarm.set(1000.0)
    await eventually(lambda: rings > 3)
    alarm.set(None)


def test_a_loop_that_ended_while_it_rang_leaves_an_alarm_for_the_next_one() -> None:
    """That of an account, which outlives the loop that its bot lived in."""
    bell = Bell()
    alarm = Alarm(clock, bell.ring)

    async def end_soon() -> None:
        alarm.set(clock() - 1.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not bell.rung

    async def go_on() -> None:
        alarm.set(clock() + 0.01)
        await eventually(lambda: bell.rung)

    asyncio.run(end_soon())
    asyncio.run(go_on())
