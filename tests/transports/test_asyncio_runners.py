"""Alarms: at the right time, after what has arrived, and soon after a clock that jumped."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from qqproto_transports import _asyncio_runners
from qqproto_transports._asyncio_runners import Alarm, Watch
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


@on_loop
async def test_what_has_arrived_goes_first() -> None:
    """After a stall the socket is readable and the time is up: the bytes may be what was waited for."""
    loop = asyncio.get_running_loop()
    order: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)

        def read() -> None:
            order.append("bytes")
            ours.recv(100)

        loop.add_reader(ours, read)
        alarm = Alarm(clock, lambda: order.append("deadline"))
        alarm.set(clock() + 0.01)
        time.sleep(0.05)  # noqa: ASYNC251  # the stall
        theirs.send(b"an acknowledgement")
        await eventually(lambda: "deadline" in order)
        loop.remove_reader(ours)

    assert order == ["bytes", "deadline"]


def test_a_jump_of_the_clock_is_noticed_within_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_asyncio_runners, "LONGEST_WAIT", 0.05)

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
    monkeypatch.setattr(_asyncio_runners, "LONGEST_WAIT", 0.05)

    @on_loop
    async def scenario() -> None:
        now, asked = 1000.0, 0

        def frozen() -> float:
            nonlocal asked
            asked += 1
            return now

        bells, watch = [Bell() for _ in range(3)], Watch()
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
