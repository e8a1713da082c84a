"""Rows 20, 35, 41 and 45: bots are good guests of their host, and of each other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from qqproto import (
    Account,
    Credentials,
    Dispatch,
    Framing,
    Narrator,
    Policy,
    Shard,
    Stopped,
    StopReason,
)
from qqproto.conversation import Conversation
from qqproto.heartbeat import Heartbeat
from qqproto.narrator import _Repeats
from qqproto.recovery import Stop
from qqproto.testing import FakeBot, FakePlatform, World
from tests.outages.bugs import around, replaced, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import DAY, Scene


def _ended_but_open(self: Shard, now: float, *, keep_session: bool = False) -> None:
    self._stop(Stop(StopReason.CLOSED, False, "closed"), now)


@outage(
    20,
    Bug("close() closes nothing", without(Shard.close)),
    Bug("close() leaves the socket open", replaced(Shard.close, _ended_but_open)),
)
def test_row_20_a_bot_that_was_switched_off_hears_nothing_more(framing: Framing) -> None:
    scene = Scene.online(framing, latency=0.1)
    scene.message(1)
    scene.bot.close()
    scene.session.dispatch("C2C_MESSAGE_CREATE", {"id": "m-2"}, scene.now)
    scene.run(5.0)
    assert scene.log[-1][1] is scene.only(Stopped)
    assert not scene.told(Dispatch)
    assert scene.platform.conversations == []


@outage(20, Bug("close() leaves the bot running", without(Shard.close)))
def test_row_20_a_bot_that_is_switched_off_and_on_answers_once(framing: Framing) -> None:
    world, scenes = World(), []
    for number in range(10):
        scene = Scene(framing, world=world)
        scenes.append(scene)
        scene.run(10.0)
        for session in world.platform.sessions.values():
            session.dispatch("C2C_MESSAGE_CREATE", {"id": f"m-{number}"}, world.now)
        scene.run(1.0)
        assert sum(len(other.told(Dispatch)) for other in scenes) == number + 1
        scene.bot.close()
        scene.run(5.0)
    assert world.platform.violations == []


def _one_for_all(patch: pytest.MonkeyPatch) -> None:
    make, heartbeat = Conversation.__init__, Heartbeat(Policy())

    def share(self: Conversation, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.heartbeat = heartbeat

    patch.setattr(Conversation, "__init__", share)


@outage(35, Bug("connections share what should be their own", _one_for_all))
def test_row_35_fifty_bots_in_one_process(framing: Framing) -> None:
    platform = FakePlatform(*(FakeBot(str(1000 + number), f"secret-{number}") for number in range(50)))
    world = World(platform)
    bots = {app_id: world.bot(credentials=Credentials(app_id, bot.secret)) for app_id, bot in platform.bots.items()}
    world.run(20.0)
    for app_id in bots:
        platform.session(app_id=app_id).dispatch("C2C_MESSAGE_CREATE", {"id": f"to {app_id}"}, world.now)
    world.run()
    for app_id, driver in bots.items():
        assert [event.data["id"] for event in driver.dispatches] == [f"to {app_id}"]
    bots["1007"].close()
    world.run(50.0)
    for app_id, driver in bots.items():
        assert driver.connected == (app_id != "1007")
        assert len(driver.connections) == 1
    assert platform.violations == []


PLANTED = ""
"""What the package does besides when it is imported."""

CHILD = """
import logging, os, signal, sys, threading, warnings

def state():
    return {
        "handlers": [*map(repr, logging.root.handlers)], "level": logging.root.level, "filters": [*warnings.filters],
        "loggers": sorted(logging.root.manager.loggerDict),
        "hooks": [sys.excepthook, sys.unraisablehook, threading.excepthook],
        "signals": [signal.getsignal(number) for number in signal.valid_signals()], "files": os.listdir(),
        "environment": dict(os.environ), "threads": threading.active_count(), "arguments": sys.argv,
    }

before = state()
import qqproto
exec({planted!r}, vars(qqproto))
from qqproto.testing import Randomness
account = qqproto.Account(qqproto.Credentials("1", "secret"))
shard = qqproto.Shard(qqproto.ShardConfig("1", 1), random=Randomness(1))
shard.start(0.0)
after = state()
print(*(key for key in before if before[key] != after[key]), *({"asyncio", "trio", "httpx"} & sys.modules.keys()))
"""


def _planted(code: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(sys.modules[__name__], "PLANTED", code)


@outage(
    35,
    Bug("importing configures logging", _planted("import logging; logging.basicConfig()")),
    Bug("importing takes over a signal", _planted("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")),
    Bug("importing changes the warnings", _planted("import warnings; warnings.simplefilter('ignore')")),
)
def test_row_35_importing_and_making_a_bot_has_no_effects() -> None:
    code = CHILD.replace("{planted!r}", repr(PLANTED))
    with TemporaryDirectory() as folder:
        child = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert child.stdout.strip() == ""


@outage(41, Bug("every attempt is a line", replaced(_Repeats.tells_of, lambda self, count, now: True)))
def test_row_41_an_outage_of_a_day_is_less_than_forty_lines() -> None:
    scene, narrator = Scene.online(), Narrator()
    begun = len(scene.log)
    scene.net_down()
    scene.run(DAY)
    scene.net_up()
    scene.until_ready(61.0)
    lines = [line for at, event in scene.log[begun:] if (line := narrator.line(event, at))]
    assert 20 < len(lines) < 40
    assert "offline" in " ".join(text for _, text, _ in lines[:10])
    assert "online again" in " ".join(text for _, text, _ in lines[-2:])
    assert not any("exc_info" in extra or "Traceback" in text for _, text, extra in lines)


def _wants_a_loop(original: Callable[..., None], *args: Any, **options: Any) -> None:
    asyncio.get_running_loop()
    original(*args, **options)


@outage(
    45,
    Bug("a shard is made for the running loop", around(Shard.__init__, _wants_a_loop), noticed_as=RuntimeError),
    Bug("an account is made for the running loop", around(Account.__init__, _wants_a_loop), noticed_as=RuntimeError),
)
def test_row_45_a_bot_is_made_where_no_loop_is() -> None:
    # Where there never was one: in a thread of its own.
    with ThreadPoolExecutor(1) as pool:
        scene = pool.submit(Scene.online).result()
    assert scene.ready
