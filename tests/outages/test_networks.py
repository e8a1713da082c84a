"""Rows 29 and 32: proxies that let nobody through, certificates that nobody trusts; neither is a matter of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qqproto import ConfigurationError, Failure, FailureKind, Framing, Verdict
from qqproto.protocol.close_codes import StopReason
from qqproto.recovery import Plan, Recovery, Stop
from tests.outages.bugs import around
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import GATEWAY, TOKEN, Scene

MINUTE = 60.0

After = Callable[..., Plan]


def _a_proxys_word_is_a_verdict(original: After, self: Recovery, failure: Failure, *args: Any) -> Plan:
    plan = original(self, failure, *args)
    plan.refuse_token = plan.refuse_token or failure.kind in (FailureKind.PROXY, FailureKind.PROXY_AUTH)
    return plan


def _nobody_is_told(original: After, self: Recovery, failure: Failure, *args: Any) -> Plan:
    plan = original(self, failure, *args)
    return Plan(plan.verdict, self._policy.delay(self.failures, 0.5))


def _a_certificate_is_an_end(original: After, self: Recovery, failure: Failure, *args: Any) -> Plan:
    if failure.kind is not FailureKind.TLS_UNTRUSTED:
        return original(self, failure, *args)
    return Plan(Verdict.STOP, stop=Stop(StopReason.PROTOCOL, False, "TLS"))


def _survives(framing: Framing, kind: FailureKind, *, slowly: bool) -> None:
    """An hour of it in the middle of a bot's life: no token is suspected, and the session is gone on with, if it is
    still there."""
    scene = Scene.online(framing)
    tokens = len(scene.calls(TOKEN))
    scene.network.dial = Failure(kind, "it says no")
    scene.talk.reset(scene.now)
    scene.run(50 * MINUTE)
    assert not scene.bot.ended
    assert len(scene.calls(TOKEN)) - tokens <= 1, "one may have expired"
    assert all(asked.request.url.endswith((TOKEN, GATEWAY)) for asked in scene.bot.requests)
    if slowly:
        assert "it says no: check " in scene.only(ConfigurationError).hint
        assert len(scene.dials) <= 13
    else:
        assert scene.told(ConfigurationError) == []
        assert len(scene.dials) > 40
    scene.net_up()
    scene.until_ready(301.0 if slowly else 61.0)
    assert scene.ops == [2, 6]
    assert scene.platform.violations == []


@outage(
    29, Bug("a refusal of the proxy's is one of the token", around(Recovery.after_failure, _a_proxys_word_is_a_verdict))
)
def test_row_29_a_proxy_that_lets_nobody_through_is_an_outage(framing: Framing) -> None:
    _survives(framing, FailureKind.PROXY, slowly=False)


@outage(29, Bug("nobody is told of credentials", around(Recovery.after_failure, _nobody_is_told)))
def test_row_29_a_proxy_that_refuses_credentials_waits_for_a_person(framing: Framing) -> None:
    _survives(framing, FailureKind.PROXY_AUTH, slowly=True)


@outage(
    32,
    Bug("a certificate is tried at the pace of the network", around(Recovery.after_failure, _nobody_is_told)),
    Bug("a certificate is an end", around(Recovery.after_failure, _a_certificate_is_an_end)),
)
def test_row_32_a_certificate_that_is_not_trusted_waits_for_a_person(framing: Framing) -> None:
    _survives(framing, FailureKind.TLS_UNTRUSTED, slowly=True)
