"""Alarms on anyio: at the right time, after what has arrived, and soon after a clock that jumped."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator

import anyio
import pytest

from qqproto_transports import _anyio_alarm
from qqproto_transports._anyio_alarm import Alarm
from qqproto_transports._clock import clock
from tests.transports.backends import eventually, on_backends


class Bell:
    def __init__(self) -> None:
        self.rung: list[float] = []

    def ring(self) -> None:
        self.rung.append(clock())


@contextlib.asynccontextmanager
async def kept(*alarms: Alarm) -> AsyncIterator[None]:
    """Each alarm has a keeper for as long as the block lasts."""
    async with anyio.create_task_group() as keepers:
        for alarm in alarms:
            keepers.start_soon(alarm.keep)
        yield
        keepers.cancel_scope.cancel()


async def ring_of_another(delay: float) -> None:
    """Wait for an alarm that would ring later than the one under test."""
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    alarm.set(clock() + delay)
    async with kept(alarm):
        await eventually(lambda: bell.rung)


@on_backends
async def test_rings_once_at_its_time() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    async with kept(alarm):
        at = clock() + 0.05
        alarm.set(at)
        await eventually(lambda: bell.rung)
        await ring_of_another(0.02)

    assert len(bell.rung) == 1
    assert at <= bell.rung[0] < at + 1.0


@on_backends
async def test_set_before_anybody_keeps_it() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    alarm.set(clock() + 0.01)
    async with kept(alarm):
        await eventually(lambda: bell.rung)


@on_backends
async def test_a_later_time_holds() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    async with kept(alarm):
        alarm.set(clock() + 0.01)
        later = clock() + 0.1
        alarm.set(later)
        await eventually(lambda: bell.rung)

    assert bell.rung[0] >= later


@on_backends
async def test_an_earlier_time_holds() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    async with kept(alarm):
        alarm.set(clock() + 60.0)
        await ring_of_another(0.0)  # Its keeper sleeps by now.
        alarm.set(clock() + 0.01)
        await eventually(lambda: bell.rung)


@on_backends
async def test_none_is_silence() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    async with kept(alarm):
        alarm.set(clock() + 0.01)
        alarm.set(None)
        await ring_of_another(0.03)

    assert bell.rung == []


@on_backends
async def test_with_two_keepers_it_rings_once_and_goes_on_with_one() -> None:
    bell = Bell()
    alarm = Alarm(clock, bell.ring)
    async with kept(alarm):
        async with kept(alarm):
            alarm.set(clock() + 0.01)
            await eventually(lambda: bell.rung)
            await ring_of_another(0.02)
        assert len(bell.rung) == 1
        alarm.set(clock() + 0.01)
        await eventually(lambda: len(bell.rung) == 2)


@on_backends
async def test_what_has_arrived_goes_first() -> None:
    """After a stall the socket is readable and the time is up: the bytes may be what was waited for."""
    order: list[str] = []
    ours, theirs = socket.socketpair()
    alarm = Alarm(clock, lambda: order.append("deadline"))

    async def read() -> None:
        await anyio.wait_readable(ours)
        order.append("bytes")

    with ours, theirs:
        async with kept(alarm), anyio.create_task_group() as readers:
            for _ in range(20):
                order.clear()
                readers.start_soon(read)
                await ring_of_another(0.0)  # Both sleep by now.
                alarm.set(clock() + 0.01)
                time.sleep(0.02)  # noqa: ASYNC251  # the stall
                theirs.send(b"an acknowledgement")
                await eventually(lambda: "deadline" in order)
                assert order == ["bytes", "deadline"]
                ours.recv(100)


def test_a_jump_of_the_clock_is_noticed_within_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_anyio_alarm, "LONGEST_WAIT", 0.05)

    @on_backends
    async def scenario() -> None:
        now, looks = 1000.0, 0

        def frozen() -> float:
            nonlocal looks
            looks += 1
            return now

        bell = Bell()
        alarm = Alarm(frozen, bell.ring)
        async with kept(alarm):
            alarm.set(now + 3600.0)
            await eventually(lambda: looks > 5)
            assert bell.rung == []

            now += 4 * 3600.0  # the lid was shut
            await eventually(lambda: bell.rung)

    scenario("trio")
    scenario("asyncio")
