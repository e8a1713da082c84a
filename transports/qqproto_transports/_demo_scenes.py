"""The outages of the demo: what happens in each, and what is promised about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qqproto.testing import FakeConversation
from qqproto_transports.local_gateway import LocalGateway


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of a scene: how long the bot is away at most, and what it takes to come back.

    That nothing is lost or repeated is promised of every scene.
    """

    away_below: float
    resumes: int = 1
    identifies: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """One outage.

    ``act`` lets it happen, with the gateway's side of the bot's connection at hand, and returns when nothing stands in
    the way of a recovery any more.
    """

    name: str
    story: str
    act: Callable[[LocalGateway, FakeConversation], Awaitable[None]]
    promise: Promise


async def _op_7(gateway: LocalGateway, talk: FakeConversation) -> None:
    talk.send_reconnect(gateway.now)


async def _close_4009(gateway: LocalGateway, talk: FakeConversation) -> None:
    talk.close(4009, "session timed out", gateway.now)


async def _reset(gateway: LocalGateway, talk: FakeConversation) -> None:
    talk.reset(gateway.now)


SCENES = (
    Scene(
        "rotation by op 7",
        "the gateway asks for a new connection, as the real one does about every half hour",
        _op_7,
        Promise(away_below=1.0),
    ),
    Scene("rotation by 4009", "the gateway closes the connection with code 4009", _close_4009, Promise(away_below=1.0)),
    Scene("TCP reset", "the connection breaks off", _reset, Promise(away_below=3.0)),
)
"""In the order in which the demo shows them."""
