"""What a driver keeps in memory of a live connection: counted, as in tests/core/test_footprint.py.

The platform is in the same process, so what is allocated is told apart by who asked for it: the innermost frame of the
package's own, and that is a driver's or a machine's, or one of the platform's.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import tracemalloc
from collections import deque
from pathlib import Path

import pytest

import qqproto
import qqproto_transports
from qqproto import Ready
from qqproto_transports._route import Route
from qqproto_transports._stream import StreamCore
from qqproto_transports.asyncio import Gateway, open_gateway
from qqproto_transports.local_gateway import LocalGateway
from tests.core.test_footprint import judge
from tests.transports.bots import INTENTS, account_at, until
from tests.transports.loops import GUARD

FEW, MANY = 5, 35
DEEP = 30
"""Frames that are looked at, from the innermost on."""

ON_ASYNCIO = {(3, 10): 3800, (3, 11): 3000, (3, 12): 3800, (3, 13): 4150}
"""Bytes of a runner, its alarm, its stream and the transport, when the shard is ready; without the shard's own."""

_CORE, _DRIVERS = Path(qqproto.__file__).parent, Path(qqproto_transports.__file__).parent
_PLATFORM = (_CORE / "testing", *(_DRIVERS / name for name in ("local_gateway.py", "_listener.py", "_http_server.py")))


def footprint() -> float:
    """The bytes that the driver keeps of one shard more."""
    # Not by on_loop: in debug mode a loop remembers where its things were made.
    return asyncio.run(asyncio.wait_for(_footprint(), GUARD))


async def _footprint() -> float:
    local = LocalGateway()
    local.platform.bot.max_concurrency = MANY
    async with local:
        await _kept(local, 1)  # What is needed once is there.
        return (await _kept(local, MANY) - await _kept(local, FEW)) / (MANY - FEW)


async def _kept(local: LocalGateway, shards: int) -> int:
    """The bytes that the driver keeps of so many."""
    gc.collect()
    tracemalloc.start(DEEP)
    try:
        async with gateway_at(local, shards=shards) as gateway:
            await all_ready(gateway, shards)
            gc.collect()
            traces = tracemalloc.take_snapshot().traces
    finally:
        tracemalloc.stop()
    return sum(trace.size for trace in traces if asked_for_by(trace.traceback) == "driver")


def gateway_at(local: LocalGateway, *, shards: int) -> Gateway:
    return open_gateway(account_at(local), intents=INTENTS, shards=shards)


async def all_ready(gateway: Gateway, count: int) -> None:
    for _ in range(count):
        await until(gateway, lambda event: isinstance(event, Ready))


@functools.cache
def place_of(filename: str) -> str | None:
    """Whose file it is, None if it is nobody's of ours."""
    path = Path(filename)
    if any(path.is_relative_to(place) for place in _PLATFORM):
        return "platform"
    if path.is_relative_to(_DRIVERS):
        return "driver"
    return "machine" if path.is_relative_to(_CORE) else None


def asked_for_by(traceback: tracemalloc.Traceback) -> str | None:
    """Who asked for this memory: the innermost of ours that did."""
    return next(filter(None, (place_of(frame.filename) for frame in reversed(traceback))), None)


def test_what_a_driver_keeps_of_a_live_connection() -> None:
    judge(footprint(), ON_ASYNCIO)


def test_what_is_kept_for_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two empty queues for each connection, say."""
    kept: list[deque[bytes]] = []
    opened = StreamCore._open

    def keep(stream: StreamCore, route: Route) -> None:
        kept.extend((deque(), deque()))
        opened(stream, route)

    monkeypatch.setattr(StreamCore, "_open", keep)
    with pytest.raises(AssertionError):
        test_what_a_driver_keeps_of_a_live_connection()
    assert len(kept) >= 2 * MANY
