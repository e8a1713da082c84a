"""Which inputs lead a Shard from which phase to which: found by playing the real one, every input in every state."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from docs.moves import every_move
from docs.player import Move, Player
from qqproto import Stopped


class Edge(NamedTuple):
    """An input that leads from one phase to another, or within one to something else that is waited for."""

    before: str
    name: str
    after: str


@dataclass(slots=True)
class Found:
    """What came of it: the edges, for each deadline the seconds it gave, and every ``Stopped`` with its cause."""

    edges: list[Edge] = field(default_factory=list)
    deadlines: set[tuple[str, float]] = field(default_factory=set)
    stops: list[tuple[Stopped, Move]] = field(default_factory=list)


def explore() -> Found:
    """Breadth first: make every possible move in every state, each on a shard that was led there from its beginning."""
    found, moves = Found(), every_move()
    paths: deque[tuple[Move, ...]] = deque([()])
    seen = {Player().state()}
    while paths:
        path = paths.popleft()
        for move in moves:
            player = Player()
            for step in path:
                player.play(step)
            if not move.possible(player):
                continue
            phase, state, now = player.phase, player.state(), player.now
            player.play(move)
            if player.state() == state:
                continue
            edge = Edge(phase.value, move.name, player.phase.value)
            if edge not in found.edges:
                found.edges.append(edge)
            if move.name == "deadline":
                found.deadlines.add((phase.value, round(player.now - now, 3)))
            if player.stopped is not None:
                found.stops.append((player.stopped, move))
            elif player.state() not in seen:
                seen.add(player.state())
                paths.append((*path, move))
    return found
