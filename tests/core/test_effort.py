"""What an event costs may not double without a test that fails: counted, because on a busy machine clocks lie."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import qqproto.connection
import qqproto.conversation
from qqproto import Conversation, Dispatch, Shard, lazy
from qqproto.decoding import Loads
from tests.core.effort import Effort, effort
from tests.core.frames import TEXT, frame
from tests.core.hosts import Host, hello, message, ready
from tests.core.test_bytes_shard import Stream

pytestmark = pytest.mark.untraced  # A tracer at work beside it counts as work.

MANY = 256
"""Dispatches at a time: what is done for so many at once is done once among them."""
HEARTBEATS = 50
TOLERANCE = 1.25
"""A Python that is not in the table is compared with the newest that is."""

A_DISPATCH = {(3, 10): Effort(584, 16), (3, 11): Effort(589, 16), (3, 12): Effort(546, 16), (3, 13): Effort(470, 16)}
"""A group message on bytes, one a chunk, handed out and settled, with ``next_timer``."""
UNREAD = {(3, 10): Effort(583, 12), (3, 11): Effort(582, 12), (3, 12): Effort(541, 12), (3, 13): Effort(468, 12)}
"""The same, left unread."""
A_HEARTBEAT = {(3, 10): Effort(552, 3), (3, 11): Effort(546, 3), (3, 12): Effort(512, 3), (3, 13): Effort(468, 3)}
"""A heartbeat and its ACK, as texts."""
ACK = '{"op":11}'
"""As the platform says it; with a blank in it, it goes through the decoder."""

PADDING = "今天晚上八点在群里开会，请大家准时参加。" * 8


def arrivals(loads: Loads = json.loads) -> Callable[[], None]:
    """Each call of it is the arrival of many group messages of 700 bytes at a live shard."""
    stream = Stream(loads=loads)
    stream.say(hello(), ready())
    shard, sequence = stream.shard, 1

    def arrive() -> None:
        nonlocal sequence
        count = 0
        for _ in range(MANY):
            sequence += 1
            shard.receive_data(stream.connection, chunks[sequence], stream.now)
            while (output := shard.next_output()) is not None:
                count += type(output) is Dispatch
            shard.next_timer()
        assert count == MANY

    chunks = {number: chunk(number) for number in range(2, 3 * MANY + 2)}
    arrive()
    return arrive


def chunk(sequence: int) -> bytes:
    data = {"id": f"m-{sequence:020}", "content": PADDING, "author": {"id": "1"}, "group_openid": "G" * 32}
    text = {"op": 0, "s": sequence, "t": "GROUP_AT_MESSAGE_CREATE", "id": f"e-{sequence:020}", "d": data}
    return frame(TEXT, json.dumps(text, ensure_ascii=False).encode())


def heartbeats() -> Callable[[], None]:
    """Each call of it is the same number of heartbeats, each of which is acknowledged."""
    host = Host()
    host.up()
    shard, now = host.shard, host.now

    def beat() -> None:
        nonlocal now
        for _ in range(HEARTBEATS):
            now = shard.next_timer() or 0.0
            shard.handle_timer(now)
            assert shard.next_output() is not None
            shard.receive_message(host.connection, ACK, now)
            assert shard.next_output() is None

    beat()
    return beat


def each(total: Effort, count: int) -> Effort:
    return Effort(round(total.bytecodes / count), round(total.calls / count))


def recorded(table: dict[tuple[int, int], Effort]) -> Effort:
    return table.get(sys.version_info[:2]) or table[max(table)]


def judge(found: Effort, table: dict[tuple[int, int], Effort]) -> None:
    """Neither much more than was recorded, nor so much less that the record should be made anew."""
    record = recorded(table)
    assert found.bytecodes <= TOLERANCE * record.bytecodes
    assert found.calls <= TOLERANCE * record.calls
    assert found.bytecodes >= record.bytecodes / TOLERANCE, "this is good news: record it"


def test_what_a_dispatch_costs() -> None:
    judge(each(effort(arrivals()), MANY), A_DISPATCH)


def test_what_a_dispatch_costs_that_is_left_unread() -> None:
    judge(each(effort(arrivals(lazy.loads)), MANY), UNREAD)


def test_what_a_heartbeat_costs() -> None:
    judge(each(effort(heartbeats()), HEARTBEATS), A_HEARTBEAT)


def test_a_message_is_decoded_once() -> None:
    count = 0

    def counting(text: str | bytes) -> Any:
        nonlocal count
        count += 1
        return json.loads(text)

    arrive = arrivals(counting)
    count = 0
    arrive()
    assert count == MANY


def test_a_large_message_is_in_memory_as_often_as_has_to_be() -> None:
    """Its payload cut out of the frame, the text of that, which CPython makes too large at first, and the value's."""
    stream = Stream()
    stream.say(hello(), ready())
    text = PADDING * 1000
    data = frame(TEXT, message(0, t="T", s=2, d={"content": "…"}).replace("\\u2026", text).encode())
    stream.receive(data[:-1])
    before, most = tracemalloc_of(lambda: stream.shard.receive_data(stream.connection, data[-1:], stream.now))
    assert most - before < 4.5 * len(data)


def tracemalloc_of(action: Callable[[], object]) -> tuple[int, int]:
    """The bytes in use before ``action``, and the most during it."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        action()
        return before, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- would it be noticed? --------------------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def again_and_again(owner: type, name: str, *, times: int = 2) -> Plant:
    """A method does its work, and does it again."""
    method = getattr(owner, name)

    def again(*arguments: Any) -> Any:
        for _ in range(times - 1):
            method(*arguments)
        return method(*arguments)

    return lambda patch: patch.setattr(owner, name, again)


SLOWDOWNS: dict[str, Plant] = {
    "ordinary frames do not take the lane": lambda patch: patch.setattr(qqproto.connection, "ORDINARY", None),
    "the journal is worked in after each dispatch": lambda patch: patch.setattr(qqproto.conversation, "MANY", 1),
    "a message is taken in twice": again_and_again(Conversation, "receive_value"),
    "somebody asks for the status each time": lambda patch: patch.setattr(
        Shard, "next_timer", lambda self: self.status(0.0).since
    ),
    "the session is looked at after each dispatch": lambda patch: patch.setattr(
        Shard, "next_timer", lambda self: self.progress
    ),
}


@pytest.mark.parametrize("plant", SLOWDOWNS.values(), ids=SLOWDOWNS)
def test_a_dispatch_that_costs_more_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        test_what_a_dispatch_costs()


@pytest.mark.parametrize(
    "plant",
    [again_and_again(Shard, "receive_message", times=3), SLOWDOWNS["somebody asks for the status each time"]],
)
def test_a_heartbeat_that_costs_more_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        test_what_a_heartbeat_costs()
