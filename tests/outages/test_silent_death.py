"""Rows 1, 2 and 30: a bot goes on for ever, from its very start."""

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
from tests.outages.scenes import DAY, GATEWAY, HOUR, MINUTE, STABLE, TOKEN, Scene, many


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
    if self._outbox.counts().get("resumes"):
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
            slow = kind in (FailureKind.PROXY_AUTH, FailureKind.TLS_UNTRUSTED)  # Only a person can mend these.
            scene.until_ready(301.0 if slow else 61.0)
            assert scene.platform.violations == []


@outage(30, Bug("a status is a verdict", around(Recovery.after_failure, _a_status_is_a_verdict)))
def test_row_30_ten_minutes_of_any_http_reply_at_boot() -> None:
    for path in (TOKEN, GATEWAY):
        for response in NOT_FATAL:
            scene = Scene()
            scene.behaviour.http = [HTTPFault(response, path, times=math.inf)]
            scene.run(10 * MINUTE)
            assert not scene.bot.ended
            scene.behaviour.http = []
            scene.until_ready(61.0)
            assert scene.platform.violations == []
