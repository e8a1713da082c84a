"""Rows 39 and 40: what the endpoints refuse, and how often they may be asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from qqproto import (
    Account,
    ConfigurationError,
    Failure,
    FailureKind,
    FetchGateway,
    Narrator,
    Question,
    Shard,
    Stopped,
    StopReason,
)
from qqproto.pacing import Bucket
from qqproto.protocol.rest import RestVerdict
from qqproto.testing import HTTPFault, World, reply
from tests.outages.bugs import around, policy, replaced
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, GATEWAY, HOUR, MINUTE, TOKEN, Scene, gaps, most_within


def _an_error_like_any_other(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("qqproto.recovery.verdict_of", lambda failure: RestVerdict.RETRY)


def _told_each_time(original: Callable[..., None], self: Shard, *args: Any) -> None:
    self._configuration_error = None
    original(self, *args)


@outage(
    39,
    Bug("it is an error like any other", _an_error_like_any_other),
    Bug("it is told each time", around(Shard._tell, _told_each_time)),
    Bug("it is never tried again", policy(configuration_retry=DAY)),
)
def test_row_39_an_address_that_is_not_on_the_allowlist() -> None:
    for code in (11298, 40023002):
        world = World()
        refused = reply(401, {"code": code, "message": "the caller's ip is not in the whitelist"})
        world.platform.behaviour.http = [HTTPFault(refused, GATEWAY, times=math.inf)]
        scene, narrator = Scene(world=world), Narrator()
        scene.run(HOUR)
        error = scene.only(ConfigurationError)
        assert "IP allowlist" in error.hint
        assert scene.status.configuration_error is error
        assert all(gap >= 300.0 for gap in gaps(scene.calls(GATEWAY)))
        lines = [line for at, event in scene.log if (line := narrator.line(event, at))]
        assert [text for level, text, _ in lines if level >= 40 and error.hint in text] != []
        assert len([text for level, text, _ in lines if level >= 40]) == 1
        world.platform.behaviour.http = []
        scene.until_ready(301.0)
        assert scene.status.configuration_error is None


@outage(39, Bug("it is an error like any other", _an_error_like_any_other))
def test_row_39_a_wrong_secret() -> None:
    scene = Scene()
    scene.platform.bot.secret = "renewed in the console"
    scene.run(DAY)
    stopped = scene.only(Stopped)
    assert (stopped.reason, stopped.retryable) == (StopReason.CREDENTIALS, False)
    assert "check AppID and AppSecret" in stopped.hint
    assert len(scene.bot.requests) == 1


@outage(40, Bug("nobody counts", replaced(Bucket.wait, lambda self, now: 0.0)))
def test_row_40_eight_shards_in_an_outage_of_an_hour() -> None:
    for fails in ("/gateway/bot", "dials"):
        world = World()
        if fails == GATEWAY:
            world.platform.behaviour.http = [HTTPFault(reply(500, {}), GATEWAY, times=math.inf)]
        else:
            world.network.dial = Failure(FailureKind.REFUSED)
        scene = Scene(world=world, shards=8)
        scene.run(HOUR)
        calls = scene.calls(GATEWAY)
        # Ten in a burst, two a minute; the platform counts as well.
        assert 60 <= len(calls) <= 10 + 2 * 60 + 1 or fails == "dials"
        assert most_within(calls, MINUTE) <= 12
        assert scene.platform.violations == []


def _always_fresh(original: Callable[..., None], self: Account, asker: object, question: Question, now: float) -> None:
    if isinstance(question, FetchGateway):
        question.fresh = True
    original(self, asker, question, now)


@outage(40, Bug("it is asked before each Resume", around(Account.ask, _always_fresh)))
def test_row_40_rotations_ask_for_the_gateway_once() -> None:
    scene = Scene.online()
    for number in range(48):
        scene.rotate(number)
        scene.until_ready(1.0)
        scene.run(2 * MINUTE)
    assert len(scene.calls(GATEWAY)) == 1


@outage(
    40, Bug("Retry-After is not read", lambda patch: patch.setattr("qqproto.protocol.rest.retry_after", lambda _: None))
)
def test_row_40_a_limit_that_names_a_time() -> None:
    for path in (TOKEN, GATEWAY):
        world = World()
        limited = reply(429, {"code": 1100100, "message": "too many requests"}, Retry_After="600")
        world.platform.behaviour.http = [HTTPFault(limited, path)]
        scene = Scene(world=world, shards=4)
        scene.run(599.0)
        assert len(scene.calls(path)) == 1
        scene.run(61.0)
        assert scene.ready
