"""Rows 7, 8, 9 and 28: nothing is waited for longer than it deserves, from the first request to the goodbye."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from qqproto import (
    Dispatch,
    Event,
    Failure,
    FailureKind,
    Framing,
    Offline,
    Online,
    Phase,
    Ready,
    Shard,
    Stopped,
    StopReason,
    account,
    conversation,
    shard,
)
from qqproto.account import Account
from qqproto.outbox import Outbox
from qqproto.recovery import Plan, Recovery
from qqproto.testing import World
from tests.outages.bugs import around, never_armed, replaced, together, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import HOUR, Scene


def _ends_in_time(scene: Scene, phase: Phase, deadline: float) -> None:
    """Each attempt ends after ``deadline`` seconds, and the next one begins when it was said."""
    losses = scene.losses()
    assert {lost.phase for _, lost in losses[1:]} == {phase}
    for (at, lost), (later, _) in pairwise(losses):
        assert lost.retry_in is not None
        assert later - at == pytest.approx(lost.retry_in + deadline)


@outage(
    7,
    Bug("a request may take for ever", never_armed(shard.Timer.QUESTION)),
    Bug("a dial may take for ever", never_armed(shard.Timer.DIAL)),
    Bug("all wait for a request that hangs",
        together(without(Account.withdraw), never_armed(account.Timer.TOKEN, account.Timer.GATEWAY))),
)  # fmt: skip
def test_row_7_attempts_hang_for_eleven_hours(framing: Framing) -> None:
    for lever, phase, deadline in (("hang_http", Phase.HTTP, 15.0), ("hang_dials", Phase.DIAL, 20.0)):
        for at_boot in (True, False):
            world = World()
            scene = Scene(framing, world=world)
            if not at_boot:
                scene.run(100.0)
                scene.talk.close(4006, "", scene.now)
            setattr(world.network, lever, True)
            scene.run(11 * HOUR if at_boot else HOUR)
            _ends_in_time(scene, phase, deadline)
            scene.net_up()
            scene.until_ready(deadline + 61.0)
            assert scene.platform.violations == []


@outage(
    8,
    Bug("Hello is waited for, for ever", never_armed(conversation.Timer.HELLO)),
    Bug("READY is waited for, for ever", never_armed(conversation.Timer.READY)),
)
def test_row_8_connected_and_nothing_comes(framing: Framing) -> None:
    for lever, phase in (("hello", Phase.HELLO), ("answers", Phase.AUTH)):
        for at_boot in (True, False):
            scene = Scene(framing) if at_boot else Scene.online(framing)
            setattr(scene.behaviour, lever, False)
            scene.bot.reset()
            scene.run(HOUR)
            _ends_in_time(scene, phase, 20.0)
            setattr(scene.behaviour, lever, True)
            scene.until_ready(81.0)
            assert scene.platform.violations == []


@outage(9, Bug("the goodbye may take for ever", never_armed(shard.Timer.GOODBYE)))
def test_row_9_closing_a_dead_link() -> None:
    # Whoever speaks WebSocket for us waits for the answer to its close frame.
    scene = Scene.online(Framing.TEXT)
    scene.bot.black_hole()
    scene.bot.close()
    scene.run(5.0)
    assert scene.only(Stopped).reason is StopReason.CLOSED


def _after_the_goodbye(original: Callable[..., Plan], *args: Any) -> Plan:
    plan = original(*args)
    plan.delay += 5.0
    return plan


@outage(9, Bug("the next dial waits for the goodbye", around(Recovery.after_connection, _after_the_goodbye)))
def test_row_9_a_rotation_whose_goodbye_is_never_answered(framing: Framing) -> None:
    scene = Scene.online(framing, latency=0.02)
    scene.rotate()
    scene.run(0.03)
    scene.bot.black_hole()
    scene.until_ready(1.0)
    assert scene.ops == [2, 6]


def _live(scene: Scene) -> None:
    scene.run(100.0)


def _in_a_black_hole(scene: Scene) -> None:
    scene.run(100.0)
    scene.bot.black_hole()


def _paused(scene: Scene) -> None:
    scene.run(100.0)
    scene.bot.pause_reading()


def _after_op_9(scene: Scene) -> None:
    scene.run(100.0)
    scene.talk.invalidate(scene.now)
    scene.run(1.0)


def _closed_before(scene: Scene) -> None:
    scene.run(100.0)
    scene.bot.close()


def _before(**levers: object) -> Callable[[World], None]:
    """A world in which bots get no further than this."""

    def pull(world: World) -> None:
        for name, value in levers.items():
            setattr(world.network if hasattr(world.network, name) else world.platform.behaviour, name, value)

    return pull


SLOW = _before(latency=4.0)
STATES: dict[str, tuple[Callable[[World], None], Callable[[Scene], None]]] = {
    "at the start": (SLOW, lambda scene: None),
    "fetching": (_before(hang_http=True), lambda scene: scene.run(1.0)),
    "dialling": (SLOW, lambda scene: scene.run(17.0)),
    "waiting for Hello": (_before(hello=False), lambda scene: scene.run(1.0)),
    "waiting for READY": (_before(answers=False), lambda scene: scene.run(1.0)),
    "between two attempts": (_before(dial=Failure(FailureKind.REFUSED)), lambda scene: scene.run(7.0)),
    "live": (_before(), _live),
    "live, nothing read": (_before(), _paused),
    "live in a black hole": (_before(), _in_a_black_hole),
    "told that the session is over": (_before(), _after_op_9),
    "saying goodbye": (_before(), _closed_before),
}


def _only_when_live(original: Callable[..., None], self: Shard, now: float, **options: bool) -> None:
    if self.phase is Phase.READY:
        original(self, now, **options)


@outage(
    28,
    Bug("closing is for live sessions", around(Shard.close, _only_when_live)),
    Bug("what is under way is not called off", without(Shard._call_off)),
    Bug("timers go on", replaced(Shard._stop, lambda self, stop, now, **_: self._enter(Phase.ENDED, now))),
)
def test_row_28_closing_at_any_moment_ends_within_five_seconds(framing: Framing) -> None:
    for state, (before, arrive) in STATES.items():
        for keep_session in (False, True):
            world = World()
            before(world)
            scene = Scene(framing, world=world, latency=world.network.latency)
            arrive(scene)
            closed_at = scene.now
            scene.bot.close(keep_session=keep_session)
            scene.run(5.0)
            assert scene.bot.ended, state
            scene.run(30.0)
            assert scene.only(Stopped) is scene.log[-1][1], state
            assert scene.bot.next_timer() is None
            assert all(talk.opened_at <= closed_at for talk in scene.platform.conversations), state
            scene.run(100.0)
            assert scene.platform.conversations == []


@outage(28, Bug("what was not handed out comes after the goodbye", replaced(Outbox.withdraw, lambda self: set())))
def test_row_28_closing_from_any_handler(framing: Framing) -> None:
    for kind in (Online, Ready, Dispatch, Offline):
        scene = Scene(framing)

        def handle(event: Event, kind: type[Event] = kind, scene: Scene = scene) -> None:
            if isinstance(event, kind):
                scene.bot.close()

        scene.handler = handle
        scene.run(1.0)
        if not scene.bot.ended:
            scene.message(1)
            scene.message(2)
            scene.run(1.0)
            scene.net_down()
            scene.run(200.0)
        assert isinstance(scene.log[-2][1], kind)
        assert scene.only(Stopped) is scene.log[-1][1]
