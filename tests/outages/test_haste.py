"""Rows 3 and 11: whatever fails, the next attempt takes its time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qqproto import Failure, FailureKind, Framing, HTTPResponse, Policy, Shard
from qqproto.recovery import Plan, Recovery
from qqproto.testing import HTTPFault, Refusal, reply
from tests.outages.bugs import around, policy, replaced
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import MINUTE, Scene, gaps

FLOORS = (0.5, 1.0, 2.5, 5.0, 15.0, 30.0)
"""The shortest waits after one failure, two, and so on: half of 1, 2, 5, 10, 30 and 60 s."""


def _refusing(scene: Scene) -> None:
    scene.behaviour.identify = [Refusal(4000, op9=None, times=math.inf)]


def _live_for_a_moment(end: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """Each session ends a second after it began."""

    def begin(scene: Scene) -> None:
        def strike() -> None:
            if scene.ready:
                end(scene)
            scene.world.after(1.0, strike)

        strike()

    return begin


def _http(response: HTTPResponse) -> Callable[[Scene], None]:
    def fail(scene: Scene) -> None:
        scene.behaviour.http = [HTTPFault(response, times=math.inf)]

    return fail


def _network(**changes: Failure) -> Callable[[Scene], None]:
    def fail(scene: Scene) -> None:
        for name, failure in changes.items():
            setattr(scene.network, name, failure)

    return fail


TROUBLES: dict[str, Callable[[Scene], None]] = {
    "every dial is refused": _network(dial=Failure(FailureKind.REFUSED)),
    "no name resolves": _network(http=Failure(FailureKind.DNS)),
    "every endpoint says 500": _http(reply(500, {"code": 500})),
    "a captive portal answers": _http(HTTPResponse(200, {}, b"<html>log in first</html>")),
    "the upgrade is refused": lambda scene: setattr(scene.behaviour, "upgrade", reply(503, {})),
    "closed after Identify": _refusing,
    "op 7 after READY": _live_for_a_moment(lambda scene: scene.talk.send_reconnect(scene.now)),
    "4009 after READY": _live_for_a_moment(lambda scene: scene.talk.close(4009, "", scene.now)),
    "1000 after READY": _live_for_a_moment(lambda scene: scene.talk.close(1000, "", scene.now)),
    "a reset after READY": _live_for_a_moment(lambda scene: scene.talk.reset(scene.now)),
    "the end of the stream after READY": _live_for_a_moment(lambda scene: scene.talk.hang_up(scene.now)),
}


def _always_stable(original: Callable[..., Plan], self: Recovery, *args: Any) -> Plan:
    self.stable = True
    return original(self, *args)


def _at_once(original: Callable[..., None], self: Shard, *args: Any) -> None:
    self._recovery.failures = 0
    original(self, *args)


@outage(
    3,
    Bug("no wait", replaced(Recovery._next_step, lambda self, random: 0.0)),
    Bug("any rotation is a planned one", around(Recovery.after_connection, _always_stable)),
    Bug("a wait that is always the same", replaced(Policy.delay, lambda self, failures, random: 1.0)),
    Bug("a token is success", around(Shard._on_token, _at_once)),
)
def test_row_3_nothing_makes_it_spin(framing: Framing) -> None:
    for trouble, begin in TROUBLES.items():
        scene = Scene(framing, latency=0.01)
        begin(scene)
        for _ in range(30):
            scene.run(MINUTE)
            begun = sorted([*scene.dials, *(asked.at for asked in scene.bot.requests)])
            for number, (lost_at, _) in enumerate(scene.losses()):
                waited = next((at for at in begun if at > lost_at), math.inf) - lost_at
                assert waited >= FLOORS[min(number, 5)], (trouble, number)
        assert not scene.bot.ended, trouble


@outage(3, Bug("any interval is taken", policy(min_interval=0.001)))
def test_row_3_a_server_that_wants_heartbeats_all_the_time(framing: Framing) -> None:
    for milliseconds in (0, 1, -5, None, "fast"):
        scene = Scene(framing)
        scene.behaviour.hello = False
        scene.run(1.0)
        scene.talk.say({"op": 10, "d": {"heartbeat_interval": milliseconds}})
        scene.run(1.0)
        for _ in range(100):
            scene.talk.request_heartbeat()
        scene.run(1.0)
        # Three quarters of the shortest interval, and one answer a second.
        assert scene.status.counters["heartbeats"] <= 3.0 / (0.25 * 0.75) + 3


@outage(
    11,
    Bug("an open socket is success", around(Shard.connection_opened, _at_once)),
    Bug("READY is success", around(Shard._on_session_up, _at_once)),
)
def test_row_11_the_gaps_grow_to_a_minute(framing: Framing) -> None:
    for trouble in ("closed after Identify", "1000 after READY"):
        scene = Scene(framing)
        TROUBLES[trouble](scene)
        scene.run(10 * MINUTE)
        assert min(gaps(scene.dials)[6:]) >= 30.0
        assert max(gaps(scene.dials)) <= 62.0
