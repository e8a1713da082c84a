"""T11: idle connections in simulated time, text by text, next to a bare heap loop over the same heartbeats."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping

from benchmarks.figures import Figure
from benchmarks.race import figure, race
from qqproto import (
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    OpenConnection,
    ReserveIdentify,
    SendText,
    Shard,
    ShardConfig,
    Token,
)

CONNECTIONS = 10_000
INTERVAL = 41.25
PERIOD = 39.1875
"""From one heartbeat to the next: Hello's interval, less the margin that is kept."""
SPAN = 300.0
"""Simulated seconds a round; a day is 288 of them, each like the others."""


def simulated(rounds: int) -> list[Figure]:
    """In microseconds a heartbeat, its ACK included."""
    bots, bare = Bots(CONNECTIONS), BareHeap(CONNECTIONS)
    heartbeats = int(CONNECTIONS * SPAN / PERIOD)

    def prepare(number: int) -> Mapping[str, Callable[[], object]]:
        return {"bots": lambda: bots.run(SPAN), "a bare heap loop": lambda: bare.run(SPAN)}

    times = race(rounds, prepare, heartbeats)
    assert bots.sent == bare.sent, "both had the same heartbeats"
    return [figure("T11", f"{CONNECTIONS:,} idle, simulated", times, "bots", "a bare heap loop", target=12.0)]


class BareHeap:
    """What is left when nobody speaks a protocol: when each is due, in order."""

    def __init__(self, connections: int) -> None:
        self._heap = [(phase * PERIOD, index) for index, phase in enumerate(_phases(connections))]
        heapq.heapify(self._heap)
        self._now = 0.0
        self._sent = [0] * connections

    @property
    def sent(self) -> int:
        return sum(self._sent)

    def run(self, span: float) -> None:
        heap, sent = self._heap, self._sent
        end = self._now + span
        while heap[0][0] < end:
            due, index = heap[0]
            sent[index] += 1
            heapq.heapreplace(heap, (due + PERIOD, index))
        self._now = end


class Bots:
    """Live shards in framing TEXT, and a host whose only work is to wake them and to acknowledge their heartbeats."""

    def __init__(self, connections: int) -> None:
        shards = [_live_shard(phase) for phase in _phases(connections)]
        self._heap = [(_due(shard), index, shard, connection) for index, (shard, connection) in enumerate(shards)]
        heapq.heapify(self._heap)
        self._now = 0.0
        self.sent = 0

    def run(self, span: float) -> None:
        heap = self._heap
        end = self._now + span
        while heap[0][0] < end:
            due, index, shard, connection = heap[0]
            shard.handle_timer(due)
            while (output := shard.next_output()) is not None:
                if type(output) is SendText:
                    self.sent += 1
                    shard.receive_message(connection, '{"op":11}', due)
            at = shard.next_timer()
            assert at is not None
            heapq.heapreplace(heap, (at, index, shard, connection))
        self._now = end


def _phases(connections: int) -> Iterator[float]:
    """Where in its first period each of them is, spread evenly and in no order."""
    return (number * 0.6180339887 % 1.0 for number in range(connections))


def _live_shard(phase: float) -> tuple[Shard, int]:
    shard = Shard(ShardConfig("1", 1 << 25), random=lambda: phase, framing=Framing.TEXT)
    shard.start(0.0)
    connection = 0
    while (output := shard.next_output()) is not None:
        if isinstance(output, FetchToken):
            shard.answer(output.id, Token("token"), 0.0)
        elif isinstance(output, FetchGateway):
            shard.answer(output.id, GatewayInfo("ws://localhost/"), 0.0)
        elif isinstance(output, OpenConnection):
            connection = output.id
            shard.connection_opened(connection, 0.0)
            interval = int(INTERVAL * 1000)
            shard.receive_message(connection, json.dumps({"op": 10, "d": {"heartbeat_interval": interval}}), 0.0)
        elif isinstance(output, ReserveIdentify):
            shard.answer(output.id, IdentifySlot(0.0), 0.0)
        elif isinstance(output, SendText):
            ready = {"op": 0, "s": 1, "t": "READY", "d": {"session_id": "S", "user": {"id": "1"}}}
            shard.receive_message(connection, json.dumps(ready), 0.0)
    return shard, connection


def _due(shard: Shard) -> float:
    at = shard.next_timer()
    assert at is not None
    return at
