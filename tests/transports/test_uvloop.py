"""The asyncio driver under uvloop, whose loop, timers and transports are not asyncio's."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from qqproto import Disconnected, Dispatch, Event, Ready, Resumed, Stopped, StopReason
from qqproto_transports._asyncio_alarm import Alarm
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import QUICK, bot_at, say
from tests.transports.loops import GUARD, eventually, no_task_left

uvloop = pytest.importorskip("uvloop", reason="there is no uvloop for this platform")


def on_uvloop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def guarded() -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with no_task_left():
            await asyncio.wait_for(main(), GUARD)

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(guarded())
    finally:
        loop.close()


def test_a_bots_life_under_uvloop() -> None:
    """It comes up, hears what is said, comes back from a rotation with a Resume, and leaves nothing behind."""
    events: list[Event] = []

    async def live() -> None:
        async with LocalGateway() as local:
            gateway = bot_at(local)
            async with gateway:
                async for event in gateway:
                    events.append(event)
                    if isinstance(event, Ready):
                        say(local, "one")
                    elif isinstance(event, Dispatch) and event.data["content"] == "one":
                        local.platform.conversations[-1].send_reconnect(local.now)
                    elif isinstance(event, Resumed):
                        say(local, "two")
                    elif isinstance(event, Dispatch):
                        gateway.close()
            await eventually(lambda: not local.platform.conversations)

    on_uvloop(live)
    said = [event.data["content"] for event in events if isinstance(event, Dispatch)]
    assert said == ["one", "two"]
    assert [type(event) for event in events if isinstance(event, (Disconnected, Resumed))] == [Disconnected, Resumed]
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason is StopReason.CLOSED


def test_a_burst_is_heard_whole_under_uvloop() -> None:
    """More than its buffer holds, so that reading is paused, and goes on."""
    count = 300

    async def live() -> None:
        async with LocalGateway() as local:
            gateway = bot_at(local, policy=replace(QUICK, max_buffered=50))
            heard: list[str] = []
            async with gateway:
                async for event in gateway:
                    if isinstance(event, Ready):
                        say(local, *range(count))
                    elif isinstance(event, Dispatch):
                        heard.append(event.data["content"])
                        if len(heard) == count:
                            break
            assert heard == [str(number) for number in range(count)]

    on_uvloop(live)


def test_what_has_arrived_goes_first_under_uvloop_too() -> None:
    """It may call what is due at the end of the turn in which it has called somebody who took long, before it looks at
    its sockets once more; and he may have ended just when it was due."""

    async def live() -> None:
        loop, now = asyncio.get_running_loop(), 1000.0
        order: list[str] = []
        (busy, caller), (ours, theirs) = socket.socketpair(), socket.socketpair()
        with busy, caller, ours, theirs:

            def stall() -> None:
                nonlocal now
                order.append("stall")
                busy.recv(100)
                time.sleep(0.05)
                now += 0.01
                theirs.send(b"an acknowledgement")

            def read() -> None:
                order.append("bytes")
                ours.recv(100)

            loop.add_reader(busy, stall)
            loop.add_reader(ours, read)
            Alarm(lambda: now, lambda: order.append("deadline")).set(now + 0.01)
            caller.send(b"come in")
            await eventually(lambda: "deadline" in order)
            loop.remove_reader(busy)
            loop.remove_reader(ours)
        assert order == ["stall", "bytes", "deadline"]

    on_uvloop(live)
