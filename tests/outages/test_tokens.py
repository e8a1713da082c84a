"""Rows 16 and 17: tokens are refreshed in time, and a refused one is not used again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qqproto import (
    Account,
    Answer,
    Credentials,
    Failure,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    SendRequest,
    Stopped,
    StopReason,
    Token,
    Verdict,
)
from qqproto.credentials import TokenLife
from qqproto.recovery import Plan, Recovery
from qqproto.testing import FakePlatform, HTTPFault, Refusal, World, reply
from tests.outages.bugs import around, policy, replaced, verdicts
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, HOUR, TOKEN, Scene


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
    assert len(scene.calls(TOKEN)) == 2
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
