"""What a connection takes in memory on which nothing happens: counted, because a process's memory is the system's.

A bot waits nearly all of the time, and there are hosts with thousands of connections in one process. What is kept for
each of them and is empty, or over, is kept thousands of times.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import pytest
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Request

from qqproto import Shard
from qqproto.event_names import GrowingNames
from qqproto.live_session import Recall
from qqproto.settlement import Settlement
from qqproto.wire.websocket import WebSocket
from tests.core.frames import CONTINUATION, PING, TEXT, frame
from tests.core.hosts import ACK, Host, hello, ready
from tests.core.test_bytes_shard import Stream

pytestmark = pytest.mark.untraced  # A tracer at work beside it keeps things of its own.

MANY = 100
TOLERANCE = 1.25
"""A Python that is not in the table is compared with the newest that is."""

ON_BYTES = {(3, 10): 3780, (3, 11): 3890, (3, 12): 3890, (3, 13): 3890}
"""Bytes of a live shard in framing BYTES, and of all that hangs on it; its configuration and policy it shares."""
ON_TEXTS = {(3, 10): 3430, (3, 11): 3610, (3, 12): 3600, (3, 13): 3600}
"""The same in framing TEXT."""


def on_bytes() -> Shard:
    """Its session is stable, and it has had a heartbeat acknowledged."""
    stream = Stream()
    stream.say(hello(), ready())
    rest(stream)
    return stream.shard


def after_a_talk() -> Shard:
    """It has had all kinds of frames besides."""
    stream = Stream()
    stream.say(hello(), ready())
    stream.receive(frame(PING, b"are you there?"))
    text = ACK.encode()
    stream.receive(frame(TEXT, text[:3], fin=False) + frame(CONTINUATION, text[3:])[:4])
    stream.receive(frame(CONTINUATION, text[3:])[4:])
    rest(stream)
    return stream.shard


def on_texts() -> Shard:
    host = Host()
    host.up()
    host.live(100.0)
    return host.shard


def rest(stream: Stream) -> None:
    """Two heartbeats, each of which is acknowledged; by the second the session is stable."""
    for _ in range(2):
        due = stream.shard.next_timer()
        assert due is not None
        stream.now = due
        stream.shard.handle_timer(due)
        stream.drain()
        stream.say(ACK)


def footprint(make: Callable[[], Shard]) -> float:
    """The bytes that one more shard takes where there are many."""
    kept = [make()]  # What is needed once is there.
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept += [make() for _ in range(MANY)]
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / MANY
    finally:
        tracemalloc.stop()


def judge(found: float, table: dict[tuple[int, int], int]) -> None:
    """Neither much more than was recorded, nor so much less that the record should be made anew."""
    record = table.get(sys.version_info[:2]) or table[max(table)]
    assert found <= TOLERANCE * record
    assert found >= record / TOLERANCE, "this is good news: record it"


def test_what_a_live_shard_takes() -> None:
    judge(footprint(on_bytes), ON_BYTES)


def test_what_a_live_shard_takes_in_text_messages() -> None:
    judge(footprint(on_texts), ON_TEXTS)


def test_pings_and_fragments_leave_nothing_behind() -> None:
    judge(footprint(after_a_talk), ON_BYTES)


# -- would it be noticed? --------------------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def besides(owner: type, name: str, keep: Callable[[Any], object]) -> Plant:
    """What the method does, and ``keep`` with what it belongs to."""
    method = getattr(owner, name)

    def more(self: Any, *arguments: Any, **options: Any) -> Any:
        result = method(self, *arguments, **options)
        keep(self)
        return result

    return lambda patch: patch.setattr(owner, name, more)


def room_for_names(recall: Recall) -> None:
    for memory in (recall.seen, recall.done):
        memory._index = OrderedDict()
        memory.remember_all([])
    recall.done._growing = deque([GrowingNames(1)])  # type: ignore[assignment]  # with room for more


def room_for_disorder(settlement: Settlement) -> None:
    settlement._order, settlement._late, settlement.out_of_order = deque(), set(), set()
    settlement._missing = dict.fromkeys(range(10), True)
    settlement._missing.clear()


def keep_the_upgrade(websocket: WebSocket) -> None:
    wire = WSConnection(ConnectionType.CLIENT)
    wire.send(Request(host="gateway.example", target="/"))
    websocket._parts = [wire]  # type: ignore[list-item]  # any place will do


def keep_the_engine(websocket: WebSocket) -> None:
    websocket._engine = Connection(ConnectionType.CLIENT)


LEAKS: dict[str, Plant] = {
    "memories have room before there is anything to remember": besides(Recall, "__init__", room_for_names),
    "sequences have room before one is out of order": besides(Settlement, "__init__", room_for_disorder),
    "what the upgrade was made with stays": besides(WebSocket, "send_text", keep_the_upgrade),
    "the engine for frames stays": besides(WebSocket, "send_text", keep_the_engine),
}


@pytest.mark.parametrize("plant", LEAKS.values(), ids=LEAKS)
def test_what_is_kept_for_nothing_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        test_what_a_live_shard_takes()
