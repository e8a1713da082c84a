"""Rows 1, 2, 3, 11 and 30: a bot goes on for ever, and is never in a hurry."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qqproto import Failure, FailureKind, Framing, HTTPResponse, Offline, Policy, Shard, Stopped
from qqproto.protocol.close_codes import StopReason
from qqproto.recovery import Plan, Recovery, Stop
from qqproto.shard import Timer
from qqproto.testing import HTTPFault, Refusal, World, reply
from tests.outages.bugs import around, never_armed, policy, replaced
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, HOUR, MINUTE, STABLE, Scene, gaps, many

FLOORS = (0.5, 1.0, 2.5, 5.0, 15.0, 30.0)
"""The shortest waits after one failure, two, and so on: half of 1, 2, 5, 10, 30 and 60 s."""


def _at_most(retries: int) -> Callable[..., Plan]:
    """There is a budget of retries, and then it stops."""

    def judge(original: Callable[..., Plan], self: Recovery, *args: Any) -> Plan:
        plan = original(self, *args)
        if self.failures >= retries:
            plan.stop = Stop(StopReason.PROTOCOL, False, "too many retries")
        return plan

    return judge


def _just_return(original: Callable[..., None], self: Shard, now: float) -> None:
    if self._recovery.failures < 100:
        original(self, now)


@outage(
    1,
    Bug("the retries run out", around(Recovery.after_failure, _at_most(100))),
    Bug("the retries run out and nothing is said", around(Shard._begin, _just_return)),
    Bug("the waits grow without end", replaced(Policy.delay, lambda self, failures, random: 2.0 ** min(failures, 20))),
    Bug("nobody is told", never_armed(Timer.GRACE)),
    Bug("the session of last week is tried first", replaced(Shard._left_at, lambda self, live: math.inf)),
)
def test_row_1_seven_days_without_network(framing: Framing) -> None:
    for length in (10 * MINUTE, 2 * HOUR, many(7 * 24, framing) * HOUR):
        scene = Scene.online(framing)
        scene.net_down()
        scene.run(length)
        status = scene.status
        assert not status.connected
        assert not status.online
        assert status.retry_in is not None
        assert len(scene.told(Offline)) == 1
        assert not scene.told(Stopped)
        scene.net_up()
        scene.run(61.0)
        assert scene.ready
        assert scene.status.online
        assert scene.platform.violations == []


@outage(
    1,
    Bug("five refused Identifies are the end", around(Recovery.after_connection, _at_most(5))),
    Bug("after five refusals only a person helps", policy(configuration_retry=DAY)),
)
def test_row_1_the_platform_refuses_every_identify_for_an_hour(framing: Framing) -> None:
    for refusal in (Refusal(), Refusal(None, op9=None), Refusal(None, hangs=True), Refusal(4900, op9=None)):
        scene = Scene(framing)
        refusal.times = math.inf
        scene.behaviour.identify = [refusal]
        scene.run(HOUR)
        assert not scene.told(Stopped)
        scene.behaviour.identify = []
        scene.run(301.0)
        assert scene.ready
        assert scene.platform.violations == []


def _only_ready_counts(original: Callable[..., None], self: Shard, now: float) -> None:
    original(self, now)
    if self._outbox.counters["resumes"]:
        self._timers.stop(Timer.STABLE)


@outage(
    2,
    Bug("stability does not reset the counter", replaced(Recovery.connection_is_stable, lambda self: None)),
    Bug("RESUMED is no success", around(Shard._on_session_up, _only_ready_counts)),
)
def test_row_2_a_thousand_interruptions_leave_nothing_behind(framing: Framing) -> None:
    scene = Scene.online(framing)
    for number in range(many(1000, framing)):
        if number % 3 == 2:
            scene.bot.reset()
        else:
            scene.rotate(number)
        assert scene.until_ready(2.0) <= 1.0
        scene.run(STABLE)
        assert scene.status.attempt == 0
        assert not scene.told(Offline)
        scene.forget()
    assert scene.platform.violations == []


def _stop_at_hello(scene: Scene) -> None:
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
    "closed after Hello": _stop_at_hello,
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
    for trouble in ("closed after Hello", "1000 after READY"):
        scene = Scene(framing)
        TROUBLES[trouble](scene)
        scene.run(10 * MINUTE)
        assert min(gaps(scene.dials)[6:]) >= 30.0
        assert max(gaps(scene.dials)) <= 62.0


def _a_status_is_a_verdict(original: Callable[..., Plan], self: Recovery, failure: Failure, *args: Any) -> Plan:
    plan = original(self, failure, *args)
    if failure.http_status == 401:
        plan.stop = Stop(StopReason.CREDENTIALS, False, "unauthorized")
    return plan


NOT_FATAL = (
    *(reply(status, {}) for status in (400, 401, 403, 404, 429, 500, 502, 503, 504)),
    HTTPResponse(200, {}, b"<html>log in first</html>"),
    HTTPResponse(401, {}, b"<html>log in first</html>"),
    HTTPResponse(200, {}, b'{"access_token": "abc", "expi'),
    HTTPResponse(204, {}, b""),
    reply(200, {"url": "javascript:alert(1)", "access_token": ""}),
    reply(500, {"code": 500, "message": "server error"}),
    reply(200, {"code": 100017, "message": "too many requests"}),
)


def _booting_is_different(original: Callable[..., None], self: Shard, failure: Failure, now: float) -> None:
    if self._last_up is None:
        self._stop(Stop(StopReason.CREDENTIALS, False, "cannot start"), now, failure=failure)
    else:
        original(self, failure, now)


@outage(30, Bug("starting is not reconnecting", around(Shard._attempt_failed, _booting_is_different)))
def test_row_30_ten_minutes_of_any_network_failure_at_boot(framing: Framing) -> None:
    for kind in FailureKind:
        for where in ("http", "dial"):
            world = World()
            setattr(world.network, where, Failure(kind))
            scene = Scene(framing, world=world)
            scene.run(10 * MINUTE)
            assert not scene.bot.ended
            assert {lost.failure.kind for _, lost in scene.losses() if lost.failure} == {kind}
            scene.net_up()
            scene.until_ready(61.0)
            assert scene.platform.violations == []


@outage(30, Bug("a status is a verdict", around(Recovery.after_failure, _a_status_is_a_verdict)))
def test_row_30_ten_minutes_of_any_http_reply_at_boot() -> None:
    for path in ("/app/getAppAccessToken", "/gateway/bot"):
        for response in NOT_FATAL:
            scene = Scene()
            scene.behaviour.http = [HTTPFault(response, path, times=math.inf)]
            scene.run(10 * MINUTE)
            assert not scene.bot.ended
            scene.behaviour.http = []
            scene.until_ready(61.0)
            assert scene.platform.violations == []
