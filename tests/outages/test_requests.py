"""Rows 16, 17, 39 and 40: the token, /gateway/bot, and what their refusals mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from qqproto import (
    Account,
    Answer,
    ConfigurationError,
    Credentials,
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    Narrator,
    Question,
    SendRequest,
    Shard,
    Stopped,
    StopReason,
    Token,
    Verdict,
)
from qqproto.credentials import TokenLife
from qqproto.pacing import Bucket
from qqproto.protocol.rest import RestVerdict
from qqproto.recovery import Plan, Recovery
from qqproto.testing import FakePlatform, HTTPFault, Refusal, World, reply
from tests.outages.bugs import around, policy, replaced, verdicts
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, HOUR, MINUTE, Scene, gaps, most_within

GATEWAY, TOKEN = "/gateway/bot", "/app/getAppAccessToken"


def _calls(scene: Scene, path: str) -> list[float]:
    """When an endpoint was asked."""
    return [asked.at for asked in scene.bot.requests if asked.request.url.endswith(path)]


def _tokens(scene: Scene) -> list[str]:
    """The token of each Identify and Resume."""
    return [frame.payload["d"]["token"] for frame in scene.platform.frames if frame.op in (2, 6)]


def _not_named(original: Callable[..., Plan], *args: Any) -> Plan:
    plan = original(*args)
    plan.refuse_token = False
    return plan


_KEPT = Bug("the account keeps the refused token", replaced(TokenLife.refuse, lambda self, value, now: False))


@outage(
    16,
    _KEPT,
    Bug("the shard does not name the refused token", around(Recovery.after_connection, _not_named)),
    Bug("the session is lost with the token", verdicts(Verdict.IDENTIFY, 4004)),
)
def test_row_16_a_token_that_the_gateway_refuses(framing: Framing) -> None:
    scene = Scene.online(framing)
    scene.platform.bot.revoke_tokens()
    scene.bot.reset()
    scene.comes_back(4.0)
    assert scene.ops == [2, 6, 6]
    old, refused, new = _tokens(scene)
    assert old == refused != new
    assert len(_calls(scene, TOKEN)) == 2
    assert scene.platform.violations == []


@outage(16, _KEPT)
def test_row_16_a_token_that_an_endpoint_refuses(framing: Framing) -> None:
    scene = Scene.online(framing)
    scene.platform.bot.revoke_tokens()
    scene.talk.close(4006, "session no longer valid", scene.now)
    # The attempt goes on with the token that it began with, and its Identify is refused; not twice.
    scene.comes_back(10.0)
    assert len(scene.ops) <= 3
    assert _tokens(scene)[0] != _tokens(scene)[-1]
    assert scene.platform.violations == []


def _never_the_end(original: Callable[..., None], self: Recovery, plan: Plan, now: float) -> None:
    original(self, plan, now)
    plan.stop = None


@outage(
    16,
    Bug("it goes on for ever", around(Recovery._judge_token, _never_the_end)),
    Bug("the first refusal is the end", policy(token_refusals=1, token_refusals_within=0.0)),
)
def test_row_16_every_token_is_refused(framing: Framing) -> None:
    world = World()
    world.platform.behaviour.identify = [Refusal(4004, op9=None, times=math.inf)]
    scene = Scene(framing, world=world)
    scene.run(HOUR)
    stopped = scene.only(Stopped)
    assert (stopped.reason, stopped.retryable) == (StopReason.TOKEN_REFUSED, True)
    assert "AppSecret" in stopped.hint
    assert scene.log[-1][0] >= 30.0
    assert 3 <= len(scene.ops) <= 10
    assert scene.platform.violations == []


class _Host:
    """A host that asks an Account for a token now and then, and has it fetched at once."""

    def __init__(self) -> None:
        self.platform = FakePlatform()
        bot = self.platform.bot
        self.account = Account(Credentials(bot.app_id, bot.secret))
        self.questions = 0
        self.fetches: list[float] = []

    def token(self, now: float) -> Token | Failure | None:
        """What the account answers."""
        self.questions += 1
        self.account.ask("host", FetchToken(self.questions, now + 15.0), now)
        answer = None
        while (action := self.account.next_output()) is not None:
            if isinstance(action, SendRequest):
                self.fetches.append(now)
                self.account.response_received(action.id, self.platform.handle_request(action.request, now), now)
            elif isinstance(action, Answer):
                assert not isinstance(action.value, (GatewayInfo, IdentifySlot))
                answer = action.value
        return answer


def _older_than(seconds: float) -> Callable[[TokenLife, float], Token | None]:
    """A token is refreshed when so much of its life is left."""

    def fresh(self: TokenLife, now: float) -> Token | None:
        return None if self._value is None or self._expires_at - now <= seconds else Token(self._value)

    return fresh


def _the_first_failure_is_the_last(original: Callable[..., None], self: Account, result: Any, now: float) -> None:
    original(self, result, now)
    if self._token_failure is not None:
        self._token_failure = (math.inf, self._token_failure[1])


@outage(
    17,
    Bug("it is refreshed when it is over", replaced(TokenLife.fresh, _older_than(-7.0))),
    Bug("it is refreshed while the platform returns the same", replaced(TokenLife.fresh, _older_than(300.0))),
    Bug("one failed refresh ends them all", around(Account._token_done, _the_first_failure_is_the_last)),
    Bug("a failed refresh takes the good token away", replaced(TokenLife.usable, _older_than(60.0))),
)
def test_row_17_three_days_of_tokens() -> None:
    host = _Host()
    bot, faults = host.platform.bot, host.platform.behaviour.http
    for step in range(int(3 * DAY / 7)):
        now = 7.0 * step
        if step % 5000 == 0:
            # The next two refreshes fail, each in its own way.
            faults[:] = [HTTPFault(reply(500, {})), HTTPFault(reply(200, {"code": 100017, "message": "too many"}))]
        token = host.token(now)
        if step > 1:
            assert isinstance(token, Token)
            assert bot.takes(token.value, now)
    # One a period, and those that failed.
    periods = 3 * DAY / 7200.0
    assert periods <= len(host.fetches) <= periods * 7200.0 / 7140.0 + 1 + 2 * 8


def _always_two_hours(self: TokenLife, value: str, expires_in: float, now: float) -> None:
    self._value, self._expires_at = value, now + 7200.0


@outage(17, Bug("every token is taken to live for two hours", replaced(TokenLife.store, _always_two_hours)))
def test_row_17_tokens_of_any_life() -> None:
    for life in (5.0, 59.0, 61.0, 100.0, 1222.0):
        host = _Host()
        host.platform.bot.token_life = life
        for step in range(500):
            token = host.token(7.0 * step)
            assert isinstance(token, Token)
            assert host.platform.bot.takes(token.value, 7.0 * step)
        assert len(host.fetches) <= 500


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
        assert all(gap >= 300.0 for gap in gaps(_calls(scene, GATEWAY)))
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
        calls = _calls(scene, GATEWAY)
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
    assert len(_calls(scene, GATEWAY)) == 1


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
        assert len(_calls(scene, path)) == 1
        scene.run(61.0)
        assert scene.ready
