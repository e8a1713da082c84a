"""What the platform refuses: codes that only a person can mend, tokens, HTTP that fails; each as what it is."""

from __future__ import annotations

import dataclasses
import itertools
import time

import pytest

from qqproto import (
    ConfigurationError,
    Credentials,
    Disconnected,
    Failure,
    FailureKind,
    HTTPResponse,
    Offline,
    Ready,
    Resumed,
    Stopped,
    StopReason,
)
from qqproto.testing import HTTPFault, Refusal, reply
from qqproto_transports.asyncio import GatewayStopped
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.drivers import eventually
from tests.scenarios.stage import Stage

TOKEN, GATEWAY = "/app/getAppAccessToken", "/gateway/bot"


def stops(stage: Stage, bot: Bot) -> Stopped:
    """It is told once, raised bare, and nothing more is done."""
    error = bot.end()
    assert isinstance(error, GatewayStopped)
    assert bot.heard(Stopped) == [error.stopped]
    assert bot.events[-1] is error.stopped is bot.stopped
    assert error.stopped.hint in str(error)
    assert not bot.gateway.connected
    stage.until(lambda: stage.wire.clients == stage.web.clients == 0)
    return error.stopped


# -- codes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(4013, StopReason.INTENTS), (4914, StopReason.SANDBOX_ONLY)])
@pytest.mark.parametrize("when", ["at Identify", "in the middle of its life"])
def test_a_fatal_code_ends_it_with_a_hint(stage: Stage, code: int, reason: StopReason, when: str) -> None:
    """Row 13: codes for a person, retried for ever."""
    if when == "at Identify":
        stage.platform.behaviour.identify = [Refusal(code=code, op9=None, times=float("inf"))]
        bot = stage.bot().start()
    else:
        bot = stage.bot().start()
        bot.until(Ready)
        stage.close(code)
    stopped = stops(stage, bot)

    assert (stopped.code, stopped.reason, stopped.retryable) == (code, reason, False)
    assert len(stopped.hint) > 20
    assert stage.ops() == [2]


def test_a_benign_code_ends_nothing(stage: Stage) -> None:
    """Row 14: a close with 1000, after which the bot was never seen again."""
    bot = stage.bot(policy=dataclasses.replace(QUICK, conflicts=100)).start()
    bot.until(Ready)
    for code in (1000, 1001, 1011, 4000, 4900, 4006, 4007, 4902, 4903, 4999):
        stage.close(code, "goodbye")
        gone = bot.until(Disconnected)
        bot.until(lambda event: isinstance(event, (Ready, Resumed)))
        assert (gone.code, gone.reason) == (code, "goodbye")

    assert bot.stopped is None
    assert bot.heard(Offline) == []


def test_a_refused_resume_is_not_tried_again(stage: Stage) -> None:
    """Row 10: a dead session, resumed for ever."""
    bot = stage.bot().start()
    for _ in range(3):
        bot.until(Ready)
        stage.platform.behaviour.resume = [Refusal(code=4006, op9=None)]
        stage.reset()
    bot.until(Ready)

    assert stage.ops() == [2] + [6, 2] * 3


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_a_token_that_is_refused_is_replaced(stage: Stage) -> None:
    """Row 16: the same refused token, a hundred times."""
    bot = stage.bot().start()
    bot.until(Ready)
    first = bot.gateway.account.current_token
    stage.do(stage.platform.bot.revoke_tokens)
    stage.close(4004)
    gone = bot.until(Disconnected)
    bot.until(lambda event: isinstance(event, (Ready, Resumed)))
    second = bot.gateway.account.current_token

    assert gone.code == 4004
    assert first != second
    assert stage.ops() == [2, 6]
    assert [request.path for request in stage.platform.requests].count(TOKEN) == 2
    bot.close()
    assert bot.end() is None


def test_a_token_that_has_expired_is_fetched_anew(stage: Stage) -> None:
    """Row 17. It grows too old while the bot is connected, and nobody minds before the next connection."""
    stage.platform.bot.token_life = 60.2
    bot = stage.bot().start()
    bot.until(Ready)
    for _ in range(2):
        beyond = time.monotonic() + 0.3
        eventually(lambda beyond=beyond: time.monotonic() > beyond)  # type: ignore[misc]  # it takes nothing
        stage.rotate()
        bot.until(Resumed)

    assert [request.path for request in stage.platform.requests].count(TOKEN) >= 3
    assert [gone.planned for gone in bot.heard(Disconnected)] == [True] * 2


def test_a_wrong_secret_ends_it(stage: Stage) -> None:
    account = stage.account(credentials=Credentials(stage.credentials.app_id, "the-wrong-secret"))
    stopped = stops(stage, stage.bot(account=account).start())

    assert stopped.reason is StopReason.CREDENTIALS
    assert "AppSecret" in stopped.hint
    assert stage.ops() == []


def test_what_a_person_can_mend_is_told_once_and_tried_again(stage: Stage) -> None:
    """Row 39: an allowlist that looks like a network error."""
    refused = reply(401, {"code": 11298, "message": "ip not in whitelist"})
    stage.platform.behaviour.http = [HTTPFault(refused, GATEWAY, times=5)]
    bot = stage.bot().start()
    told = bot.until(ConfigurationError)
    bot.until(Ready)

    assert "allowlist" in told.hint
    assert len(bot.heard(ConfigurationError)) == 1


# -- HTTP that fails ---------------------------------------------------------------------------------------------------

PAGE = b"<html><body>Please log in to the hotel's network</body></html>"

FAULTS = {
    "an error of the platform's": reply(500, {"code": 500, "message": "internal error"}),
    "a proxy's error": HTTPResponse(502, {"Content-Type": "text/html"}, PAGE),
    "a captive portal": HTTPResponse(200, {"Content-Type": "text/html"}, PAGE),
    "a redirect": HTTPResponse(302, {"Location": "http://portal.example/"}, b""),
    "a forbidden page": HTTPResponse(403, {"Content-Type": "text/html"}, PAGE),
    "half of the JSON": HTTPResponse(200, {"Content-Type": "application/json"}, b'{"url":"wss://api.sg'),
    "an empty reply": HTTPResponse(200, {"Content-Type": "application/json"}, b""),
    "JSON of somebody else's": reply(200, {"status": "ok"}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_http_that_fails_is_tried_again(stage: Stage, fault: HTTPResponse) -> None:
    """Row 30: one 500 at the start, and no connection ever after."""
    stage.platform.behaviour.http = [HTTPFault(fault, TOKEN, times=2), HTTPFault(fault, GATEWAY, times=2)]
    bot = stage.bot().start()
    failures = failing(bot, 4)
    bot.until(Ready)

    assert [failure.http_status for failure in failures] == [fault.status] * 4
    assert bot.heard(ConfigurationError) == []


def failing(bot: Bot, times: int = 3) -> list[Failure]:
    """How its next attempts fail."""
    return [gone.failure for gone in (bot.until(Disconnected) for _ in range(times)) if gone.failure is not None]


def test_a_reply_that_is_too_long_is_not_read(stage: Stage) -> None:
    stage.platform.behaviour.http = [HTTPFault(HTTPResponse(200, {}, b" " * (2 << 20)), TOKEN, times=3)]
    bot = stage.bot().start()
    assert {failure.message for failure in failing(bot)} == {"the reply's body has more than 1048576 bytes"}
    bot.until(Ready)


def test_http_that_hangs_is_given_up(stage: Stage) -> None:
    stage.web.swallows = True
    bot = stage.bot(policy=dataclasses.replace(QUICK, http_timeout=0.2)).start()
    assert {failure.kind for failure in failing(bot)} == {FailureKind.TIMEOUT}
    stage.web.swallows = False
    bot.until(Ready)
    stage.until(lambda: stage.web.clients == 0)


def test_http_that_trickles_has_a_deadline_for_the_whole_of_it(stage: Stage) -> None:
    """Each byte in time, and the last one never."""
    stage.web.pace = (1, 0.05)
    bot = stage.bot(policy=dataclasses.replace(QUICK, http_timeout=0.3)).start()
    assert {failure.kind for failure in failing(bot)} == {FailureKind.TIMEOUT}
    stage.web.pace = None
    bot.until(Ready)


def test_http_that_is_refused(stage: Stage) -> None:
    stage.do(stage.web.refuse)
    bot = stage.bot().start()
    assert {failure.kind for failure in failing(bot)} == {FailureKind.REFUSED}
    stage.do(stage.web.accept)
    bot.until(Ready)


@pytest.mark.parametrize("length", [0, 1, 20, 150])
def test_http_that_breaks_off(stage: Stage, length: int) -> None:
    stage.web.cut_after = length
    bot = stage.bot().start()
    assert {failure.kind for failure in failing(bot)} <= {FailureKind.RESET, FailureKind.EOF}
    stage.web.cut_after = None
    bot.until(Ready)


IMPOSTORS = {
    "an SSH server": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500_000,
}


@pytest.mark.parametrize("impostor", IMPOSTORS.values(), ids=IMPOSTORS.keys())
def test_http_that_is_none(stage: Stage, impostor: bytes) -> None:
    stage.web.impostor = impostor
    bot = stage.bot(policy=dataclasses.replace(QUICK, http_timeout=0.5)).start()
    assert len(failing(bot, 2)) == 2
    stage.web.impostor = None
    bot.until(Ready)


def test_the_token_endpoint_is_left_alone_while_it_fails(stage: Stage) -> None:
    """Row 40: two requests a second, until the platform blocks the address."""
    stage.platform.behaviour.http = [HTTPFault(reply(500, {"code": 1, "message": "no"}), TOKEN, times=float("inf"))]
    bot = stage.bot(policy=dataclasses.replace(QUICK, token_failure_pause=0.5, backoff=(0.001,))).start()
    failing(bot, 3)
    at = [request.at for request in stage.do(lambda: list(stage.platform.requests)) if request.path == TOKEN]

    assert all(later - earlier >= 0.45 for earlier, later in itertools.pairwise(at))
