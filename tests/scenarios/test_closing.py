"""Ending in every phase of a connection's life: in time, and with nothing left (FAILURES.md, rows 9 and 28)."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from qqproto import Disconnected, Phase, Policy, Ready, Stopped, StopReason
from qqproto.testing import Refusal
from qqproto_transports._addresses import Address
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.drivers import AnyioDriver, AsyncioDriver, TrioDriver, eventually
from tests.scenarios.stage import Stage
from tests.transports.certificates import server_context

PATIENT = dataclasses.replace(QUICK, close_timeout=60.0, unsent_timeout=60.0, backoff=(60.0,), token_refused_pause=60.0)
"""Whoever waits for a deadline of the machine's waits too long."""

BRISK = dataclasses.replace(PATIENT, close_timeout=0.3)
"""The same, but for that of the goodbye."""

TIMEOUT = 0.3

AT_MOST = 10.0
"""Seconds: more than any of it takes on a busy machine, and less than the deadlines that are not waited for."""

State: TypeAlias = Callable[[Stage, Policy], Bot]


# -- the states --------------------------------------------------------------------------------------------------------


def not_entered(stage: Stage, policy: Policy) -> Bot:
    return stage.bot(policy=policy)


def token_endpoint_hangs(stage: Stage, policy: Policy) -> Bot:
    stage.web.swallows = True
    bot = stage.bot(policy=policy).start()
    stage.until(lambda: stage.web.clients)
    return bot


def refused_token_is_held_back(stage: Stage, policy: Policy) -> Bot:
    """The platform has returned the token that it refused, and the account waits until it asks again."""
    stage.platform.behaviour.identify = [Refusal(times=float("inf"))]
    bot = stage.bot(policy=dataclasses.replace(policy, backoff=(0.01,))).start()
    bot.until(Disconnected)
    stage.until(lambda: [request.path for request in stage.platform.requests].count("/app/getAppAccessToken") == 2)
    stage.until(lambda: stage.web.clients == 0)
    return bot


def name_hangs(stage: Stage, policy: Policy) -> Bot:
    stage.platform.gateway_url = stage.platform.gateway_url.replace("127.0.0.1", HANGING)
    bot = stage.bot(policy=policy).start()
    eventually(LOOKED_UP.is_set)
    return bot


def dial_hangs(stage: Stage, policy: Policy) -> Bot:
    try:
        stage.do(stage.wire.hang)
    except OSError:
        pytest.skip("this system accepts connections without end")
    bot = stage.bot(policy=policy).start()
    eventually(lambda: bot.status().phase is Phase.DIAL)
    return bot


def nobody_says_a_word(stage: Stage, policy: Policy) -> Bot:
    """Behind TLS: in its handshake. Without: the upgrade."""
    stage.wire.swallows = True
    bot = stage.bot(policy=policy).start()
    stage.until(lambda: stage.wire.clients)
    return bot


def upgrade_hangs_behind_tls(stage: Stage, policy: Policy) -> Bot:
    stage.gateway_way.inside.swallows = True
    bot = stage.bot(policy=policy).start()
    eventually(lambda: bot.status().phase is Phase.HELLO)
    return bot


def hello_hangs(stage: Stage, policy: Policy) -> Bot:
    stage.platform.behaviour.hello = False
    bot = stage.bot(policy=policy).start()
    stage.until(lambda: stage.platform.conversations)
    return bot


def ready_hangs(stage: Stage, policy: Policy) -> Bot:
    stage.platform.behaviour.answers = False
    bot = stage.bot(policy=policy).start()
    stage.until(lambda: stage.platform.ops() == [2])
    return bot


def waiting_to_try_again(stage: Stage, policy: Policy) -> Bot:
    stage.do(stage.wire.refuse)
    bot = stage.bot(policy=policy).start()
    bot.until(Disconnected)
    return bot


def waiting_for_an_identify_slot(stage: Stage, policy: Policy) -> Bot:
    bot = stage.bot(
        policy=dataclasses.replace(policy, identify_window=14.0, identify_margin=0.5, backoff=(0.01,))
    ).start()
    bot.until(Ready)
    stage.talk(lambda talk, now: talk.invalidate(now))
    bot.until(Disconnected)
    eventually(lambda: bot.status().phase is Phase.AUTH)
    return bot


def live(stage: Stage, policy: Policy) -> Bot:
    bot = stage.bot(policy=policy).start()
    bot.until(Ready)
    return bot


def black_hole(stage: Stage, policy: Policy) -> Bot:
    """The link is dead, and nobody knows yet."""
    bot = live(stage, policy)
    stage.do(stage.wire.lose)
    return bot


def pipe_is_full(stage: Stage, policy: Policy) -> Bot:
    """An Identify that the gateway does not take."""
    stage.platform.behaviour.hello = False
    policy = dataclasses.replace(policy, max_unsent=64 << 20)
    bot = stage.bot(policy=policy, properties={"padding": "x" * (12 << 20)}).start()
    stage.until(lambda: stage.platform.conversations)
    stage.do(stage.wire.stall)
    stage.do(lambda: stage.platform.conversations[0].greet(stage.local.now))
    eventually(lambda: bot.status().phase is Phase.AUTH)
    return bot


def buffer_is_full(stage: Stage, policy: Policy) -> Bot:
    """The handler is busy, and reading has paused."""
    bot = stage.bot(policy=dataclasses.replace(policy, max_buffered=5)).start()
    bot.until(Ready)
    bot.busy = True
    stage.say(*range(20))
    eventually(lambda: bot.count("dispatches") >= 5)
    bot.busy = False
    return bot


def stopped_by_itself(stage: Stage, policy: Policy) -> Bot:
    stage.platform.behaviour.identify = [Refusal(code=4914, op9=None)]
    bot = stage.bot(policy=policy).start()
    bot.until(Stopped)
    return bot


PLAIN: list[State] = [
    not_entered,
    token_endpoint_hangs,
    refused_token_is_held_back,
    name_hangs,
    dial_hangs,
    nobody_says_a_word,
    hello_hangs,
    ready_hangs,
    waiting_to_try_again,
    waiting_for_an_identify_slot,
    live,
    black_hole,
    pipe_is_full,
    buffer_is_full,
    stopped_by_itself,
]
BEHIND_TLS: list[State] = [nobody_says_a_word, upgrade_hangs_behind_tls, live, black_hole, pipe_is_full]

in_every_plain_state = pytest.mark.parametrize("state", PLAIN, ids=lambda state: state.__name__)
in_every_state_behind_tls = pytest.mark.parametrize("state", BEHIND_TLS, ids=lambda state: state.__name__)

# -- a name server that does not answer --------------------------------------------------------------------------------

HANGING = "gateway.example"
LOOKED_UP, MAY_ANSWER = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def _name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """The look-up of :data:`HANGING` takes until the end of the scenario, as it can take a resolver minutes."""
    look_up = socket.getaddrinfo

    def getaddrinfo(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Address]:
        if host in (HANGING, HANGING.encode()) and not flags & socket.AI_NUMERICHOST:
            LOOKED_UP.set()
            MAY_ANSWER.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answered")
        return list(look_up(host, port, family, type, proto, flags))

    LOOKED_UP.clear()
    MAY_ANSWER.clear()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield MAY_ANSWER.set
    MAY_ANSWER.set()


# -- the endings -------------------------------------------------------------------------------------------------------


def nothing_is_left_of(stage: Stage, bot: Bot) -> None:
    """Its connections are gone while everything else goes on; of what is stuck in a full pipe nobody can tell."""
    stage.until(lambda: stage.web.clients == 0)
    stage.until(lambda: stage.wire.clients == sum(link.near.stalled for link in stage.wire.links))
    assert bot.stopped is not None
    assert len(bot.heard(Stopped)) <= 1


@in_every_plain_state
def test_aclose_is_done_within_its_timeout(stage: Stage, state: State) -> None:
    aclose(stage, state)


@in_every_state_behind_tls
def test_aclose_is_done_within_its_timeout_behind_tls(stages: Callable[..., Stage], state: State) -> None:
    aclose(stages(tls=server_context("127.0.0.1")), state)


def aclose(stage: Stage, state: State) -> None:
    bot = state(stage, PATIENT)
    began = time.monotonic()
    bot.aclose(TIMEOUT)
    took = time.monotonic() - began
    bot.aclose(TIMEOUT)
    MAY_ANSWER.set()

    assert took < AT_MOST
    if state is not not_entered:
        bot.end()
    nothing_is_left_of(stage, bot)


@in_every_plain_state
def test_close_ends_the_iteration(stage: Stage, state: State) -> None:
    bot = state(stage, BRISK)
    handed = bot.handed
    bot.close()
    bot.close()
    assert not bot.gateway.connected
    assert not bot.gateway.online
    if state is not not_entered:
        bot.end()
    MAY_ANSWER.set()
    nothing_is_left_of(stage, bot)

    assert bot.handed <= handed + 2, "the one in hand, and Stopped"
    assert bot.stopped is not None
    if state is not stopped_by_itself:
        assert bot.stopped.reason is StopReason.CLOSED
        assert bot.error is None


@pytest.mark.parametrize("driver", [AsyncioDriver, TrioDriver, AnyioDriver], indirect=True, ids=lambda each: each.name)
@pytest.mark.parametrize("state", PLAIN[1:-1], ids=lambda state: state.__name__)
def test_a_cancelled_body_leaves_nothing(stage: Stage, state: State) -> None:
    """Threads know no cancellation."""
    bot = state(stage, BRISK)
    began = time.monotonic()
    bot.cancel()
    error = bot.end()
    MAY_ANSWER.set()

    assert error is not None
    assert not isinstance(error, Exception)
    assert time.monotonic() - began < AT_MOST
    nothing_is_left_of(stage, bot)
