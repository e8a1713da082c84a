"""Rows 20, 27, 33, 35, 41 and 45: what a host sees of its bots, and what it never sees."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from qqproto import (
    Account,
    Conversation,
    Credentials,
    Dispatch,
    Event,
    FetchToken,
    Framing,
    HTTPRequest,
    LocalProtocolError,
    Malformed,
    Narrator,
    Phase,
    Policy,
    SendText,
    Shard,
    ShardConfig,
    Stopped,
    StopReason,
    Token,
)
from qqproto.actions import AccountAction
from qqproto.heartbeat import Beat, Heartbeat
from qqproto.narrator import _Repeats
from qqproto.outbox import Output
from qqproto.recovery import Stop
from qqproto.testing import FakeBot, FakePlatform, HTTPFault, MemoryDriver, Randomness, World, reply
from tests.core.hosts import Host
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


ODD: tuple[str | bytes, ...] = (
    *("", " ", "null", "[]", "1", '"x"', "{", "{}", "NaN", "\ufeff{}", "[" * 100_000, "1" * 5000),
    *('{"op": null}', '{"op": "0"}', '{"op": 0.0}', '{"op": true}', '{"op": 99}', '{"op": -1}', '{"op": 12}'),
    *('{"op": 0}', '{"op": 0, "t": null}', '{"op": 0, "t": 5, "d": {}}', '{"op": 0, "t": "NEW"}'),
    *('{"op": 0, "t": "NEW", "s": "5", "d": null}', '{"op": 0, "t": "NEW", "s": -1}'),
    *('{"op": 0, "t": "NEW", "s": 1.5}', '{"op": 0, "t": "NEW", "s": true, "id": []}'),
    '{"op": 0, "t": "NEW", "d": "\\ud800"}',
    *('{"op": 0, "t": "READY"}', '{"op": 0, "t": "READY", "d": []}', '{"op": 0, "t": "RESUMED", "d": {}}'),
    *('{"op": 10}', '{"op": 10, "d": {"heartbeat_interval": "soon"}}', '{"op": 11, "d": []}', '{"op": 11, "d": NaN}'),
    *('{"op": 1, "d": {}}', b"\xff\xfe", b"", b'{"op": 11}', b"\x00" * 100),
)


def _leaves(original: Callable[..., None], self: Conversation, what: str, message: str | bytes) -> None:
    original(self, what, message)
    self.say_goodbye(keep_session=True)


def _subscript(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("qqproto.protocol.payloads.sequence_of", lambda message: message["s"])


@outage(
    27,
    Bug("a missing s is a KeyError", _subscript, noticed_as=KeyError),
    Bug("what is odd ends the connection", around(Conversation._malformed, _leaves)),
    Bug("what is odd is swallowed", without(Conversation._malformed)),
)
def test_row_27_odd_payloads_leave_the_link_alone(framing: Framing) -> None:
    scene = Scene.online(framing)
    for message in ODD:
        scene.talk.send_raw(message)
        scene.run(0.1)
        assert scene.ready, message
    assert len(scene.told(Malformed)) > 20
    assert [event.data for event in scene.told(Dispatch)] == [*5 * [None], "\ud800"]
    scene.message(1)
    scene.run(1.0)
    assert scene.told(Dispatch)[-1].sequence == 2
    assert len(scene.dials) == 1
    assert scene.platform.violations == []


PIECES = (
    *('{"op":', "0", "7", "9", "10", "11", ',"s":', "1", "2", "41", "-1", "null", "true", "false", "1e400", "{}", "[]"),
    *(',"t":', '"READY"', '"RESUMED"', '"C2C_MESSAGE_CREATE"', ',"d":', '{"session_id":', '"S-2"', ',"id":', "}", '"'),
    *('{"heartbeat_interval":', "41250", "0", '{"op":11}', '{"op":0,"s":2,"t":"C2C_MESSAGE_CREATE","d":{},"id":"e"}'),
    *('{"op":10,"d":{"heartbeat_interval":1000}}', '{"op":0,"s":1,"t":"READY","d":{"session_id":"S"}}', '{"op":7}'),
    '{"op":0,"t":"NEW","d":[]}',
)


@outage(27, Bug("a missing s is a KeyError", _subscript, noticed_as=KeyError))
def test_row_27_twenty_thousand_random_frames() -> None:
    host, random = Host(), Randomness(27)
    for _ in range(20_000):
        text = "".join(PIECES[int(random() * len(PIECES))] for _ in range(1 + int(random() * 8)))
        host.say(text)
        if host.shard.phase is Phase.WAIT:
            host.redial(301.0)
        host.outputs.clear()
    assert not host.shard.ended


class _Overheard:
    """A bot all of whose actions and events are listened to, the account's as well."""

    def __init__(self, world: World, framing: Framing) -> None:
        heard = self.heard = deque[str]()
        narrator = Narrator()
        bot = world.platform.bot

        class ListenedShard(Shard):
            def next_output(self) -> Output | None:
                output = super().next_output()
                heard.append(f"{output!r} {output} {self!r} {self.status(world.now)!r} {self.session!r}")
                if isinstance(output, Event):
                    heard.append(repr(narrator.line(output, world.now)))
                return output

        class ListenedAccount(Account):
            def next_output(self) -> AccountAction | None:
                output = super().next_output()
                heard.append(f"{output!r} {output} {self!r}")
                return output

        credentials = Credentials(bot.app_id, bot.secret)
        account = ListenedAccount(credentials)
        shard = ListenedShard(ShardConfig(bot.app_id, 1 << 25), random=Randomness(33), framing=framing)
        self.driver = MemoryDriver(world, account, [shard], framing=framing)
        heard.append(f"{credentials!r} {world!r} {self.driver!r}")
        world.add(self.driver)


def _shown(kind: type, field: str) -> Callable[[pytest.MonkeyPatch], None]:
    """The field is in the repr."""
    return lambda patch: patch.setattr(kind, "__repr__", lambda self: f"{kind.__name__}({getattr(self, field)!r})")


@outage(
    33,
    Bug("a refused token is shown", _shown(FetchToken, "rejected")),
    Bug("Identify is shown", _shown(SendText, "text")),
    Bug("what the server repeats is shown", replaced(Conversation._redacted, lambda self, text: text)),
    Bug("the secret is shown", _shown(Credentials, "secret")),
    Bug("requests are shown", _shown(HTTPRequest, "body")),
)
def test_row_33_nothing_that_is_said_holds_a_secret(framing: Framing) -> None:
    world = World()
    platform, bot = world.platform, world.platform.bot
    overheard = _Overheard(world, framing)
    world.run(100.0)
    token = bot.access_token(world.now)[0]
    platform.conversations[-1].send_raw(f"you are {token}, are you not?")
    platform.conversations[-1].close(4000, f"not with {token}", world.now)
    world.run(100.0)
    bot.revoke_tokens()
    echo = {"code": 100017, "message": f"too many from {bot.secret}"}
    platform.behaviour.http = [HTTPFault(reply(200, echo), "/app/getAppAccessToken")]
    overheard.driver.reset()
    world.run(100.0)
    token = bot.access_token(world.now)[0]
    platform.behaviour.http = [HTTPFault(reply(500, {"code": 500, "message": f"no {token}"}), "/gateway/bot")]
    platform.conversations[-1].close(4006, "", world.now)
    world.run(100.0)
    assert overheard.driver.connected
    with pytest.raises(LocalProtocolError) as misuse:
        overheard.driver.shard.answer(10**6, Token(token), world.now)
    overheard.heard.append(f"{misuse.value!r} {misuse.value}")
    overheard.driver.close()
    world.run(5.0)
    everything = "\n".join(overheard.heard)
    for hidden in ("not with [token]", "you are [token]", "too many from [hidden]", "no [hidden]"):
        assert hidden in everything
    assert bot.secret not in everything
    assert "fake-access-token" not in everything


def _one_for_all(patch: pytest.MonkeyPatch) -> None:
    make, deadlines = Heartbeat.__init__, dict[Beat, float]()

    def share(self: Heartbeat, policy: Policy) -> None:
        make(self, policy)
        self._timers._due = deadlines

    patch.setattr(Heartbeat, "__init__", share)


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


@outage(41, Bug("every attempt is a line", replaced(_Repeats.tells, lambda self, count, now: True)))
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
