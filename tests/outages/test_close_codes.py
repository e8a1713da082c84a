"""Rows 13 and 14: every close code does what the table says, in whatever phase it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qqproto import Framing, Stopped, StopReason, Verdict
from qqproto.protocol.close_codes import CLOSE_CODES
from qqproto.recovery import Plan, Recovery
from qqproto.shard import Shard
from qqproto.testing import Refusal, World
from tests.outages.bugs import around, verdicts, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, HOUR, Scene

FATAL = {
    4001: (StopReason.PROTOCOL, "report it"),
    4002: (StopReason.PROTOCOL, "report it"),
    4010: (StopReason.SHARDING, "same count"),
    4011: (StopReason.SHARDING, "reshard"),
    4012: (StopReason.PROTOCOL, "report it"),
    4013: (StopReason.INTENTS, "check the number"),
    4014: (StopReason.INTENTS, "apply for them"),
    4914: (StopReason.SANDBOX_ONLY, "sandbox"),
    4915: (StopReason.BANNED, "QQ console"),
}
"""What ends a shard: for which reason, and what a person can do about it."""

HARMLESS = (1000, 1001, 1011, 1012, 3000, 4000, 4008, 4009)
"""After these the session still holds."""

LOST = (4003, 4005, 4006, 4007, *range(4900, 4914), 4015, 4999)
"""After these a new session is begun, the unknown ones of the platform's range among them."""

NO_REFUSAL = (4000, 4004, 4008, 4009)
"""With these an answer to a Resume does not turn it down."""


def _live(framing: Framing, code: int) -> Scene:
    """It comes to a session that has been live for a while."""
    scene = Scene.online(framing)
    scene.talk.close(code, "", scene.now)
    scene.run()
    return scene


def _resuming(framing: Framing, code: int) -> Scene:
    """It is the answer to a Resume."""
    scene = Scene.online(framing)
    scene.behaviour.resume = [Refusal(code, op9=None)]
    scene.bot.reset()
    scene.run(1.0)
    return scene


def _identifying(framing: Framing, code: int) -> Scene:
    """It is the answer to an Identify."""
    world = World()
    world.platform.behaviour.identify = [Refusal(code, op9=None)]
    scene = Scene(framing, world=world)
    scene.run()
    return scene


PHASES = (_live, _resuming, _identifying)


def _may_be_retried(original: Callable[..., Plan], *args: Any) -> Plan:
    plan = original(*args)
    if plan.stop is not None:
        plan.stop.retryable = True
    return plan


@outage(
    13,
    Bug("everything is resumed", verdicts(Verdict.RESUME, *FATAL)),
    Bug("what is fatal costs an Identify", verdicts(Verdict.IDENTIFY, *FATAL)),
    Bug("it goes silent", without(Shard._stop)),
    Bug("a restart is said to help", around(Recovery.after_connection, _may_be_retried)),
)
def test_row_13_fatal_codes_stop_at_once_and_say_what_to_do(framing: Framing) -> None:
    for arrange in PHASES:
        for code, (reason, hint) in FATAL.items():
            scene = arrange(framing, code)
            stopped = scene.only(Stopped)
            assert (stopped.reason, stopped.code, stopped.retryable) == (reason, code, False)
            assert hint in stopped.hint
            said = len(scene.ops)
            scene.run(DAY)
            assert scene.log[-1][1] is stopped
            assert len(scene.ops) == said


@outage(
    13,
    Bug("every code is resumed", verdicts(Verdict.RESUME, *LOST)),
    Bug("every code loses the session", verdicts(Verdict.IDENTIFY, *HARMLESS)),
    Bug("a refused token loses the session", verdicts(Verdict.IDENTIFY, 4004)),
    Bug("4008 is a fault like any other", lambda patch: patch.setattr("qqproto.recovery._SENDING_TOO_FAST", 0)),
)
def test_row_13_every_other_code_does_what_the_table_says(framing: Framing) -> None:
    assert set(CLOSE_CODES) <= {*FATAL, *HARMLESS, *LOST, 4004}
    for code in (*HARMLESS, *LOST, 4004):
        kept = code in HARMLESS or code == 4004
        for arrange, before, after in (
            (_live, [2], 6 if kept else 2),
            (_resuming, [2, 6], 6 if code in NO_REFUSAL else 2),
            (_identifying, [2], 2),
        ):
            scene = arrange(framing, code)
            wait = scene.until_ready(120.0)
            assert scene.ops == [*before, after], (code, arrange)
            if code == 4008:
                assert 55.0 <= wait <= 60.0
            elif code == 4009 and arrange is _live:
                assert wait <= 0.25
            else:
                # Two steps of the backoff, and the next slot for an Identify or the pause after a refused token.
                assert wait <= 3.0 + 5.0, (code, arrange)
            assert scene.platform.violations == []


@outage(
    14,
    Bug("a normal close is a wish to end", verdicts(Verdict.STOP, 1000)),
    Bug("the server is going away for good", verdicts(Verdict.STOP, 1001)),
    Bug("a normal close ends the session", verdicts(Verdict.IDENTIFY, 1000)),
)
def test_row_14_only_our_own_close_is_the_end(framing: Framing) -> None:
    scene = Scene.online(framing)
    for number, code in enumerate((1000, 1001, 1000, 1001), 1):
        scene.talk.close(code, "", scene.now)
        scene.comes_back(1.0)
        assert scene.ops == [2] + number * [6]
        scene.run(HOUR)
    scene.bot.close()
    scene.run(5.0)
    assert scene.only(Stopped).reason is StopReason.CLOSED
    assert scene.platform.violations == []
