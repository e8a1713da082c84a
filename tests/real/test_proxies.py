"""Behind squid, tinyproxy and dante, on every driver: the way through, each refusal, and their end in the middle."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from qqproto import ConfigurationError, Disconnected, FailureKind, Phase, Ready, Resumed
from tests.real.proxies import Dante, RealProxy, Squid, SquidWithTLS, TinyProxy, running
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.stage import Stage
from tests.transports.certificates import server_context

LOGIN = ("bot", "s3cretpassword")
WRONG = ("bot", "wr0ngpassword")

KINDS = [Squid, SquidWithTLS, TinyProxy, Dante]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def proxy(request: pytest.FixtureRequest) -> Iterator[RealProxy]:
    """A proxy that wants no credentials."""
    with running(request.param) as proxy:
        yield proxy


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def guarded(request: pytest.FixtureRequest) -> Iterator[RealProxy]:
    """A proxy that wants credentials."""
    with running(request.param, LOGIN) as proxy:
        yield proxy


@pytest.fixture
def platform(stages: Callable[..., Stage]) -> Stage:
    """As in life: TLS everywhere."""
    stage = stages(tls=server_context("127.0.0.1"), web_tls=server_context("127.0.0.1"))
    stage.passwords |= {LOGIN[1], WRONG[1]}
    return stage


def behind(stage: Stage, proxy: Any, **policy: Any) -> Bot:
    """A bot whose account has this ``proxy=``."""
    changed = dataclasses.replace(QUICK, **policy)
    return stage.bot(account=stage.account(proxy=proxy, policy=changed), policy=changed)


def lives(stage: Stage, bot: Bot) -> None:
    """It comes, hears what is said, and comes again after a rotation."""
    bot.until(Ready)
    stage.say("hello")
    bot.until_hears("hello")
    stage.rotate()
    bot.until(Resumed)
    assert [told for told in bot.heard(Disconnected) if not told.planned] == []


def test_a_bot_lives_behind_it(platform: Stage, proxy: RealProxy) -> None:
    lives(platform, behind(platform, proxy.url()).start())


def test_credentials_that_nobody_asks_for_do_no_harm(platform: Stage, proxy: RealProxy) -> None:
    lives(platform, behind(platform, proxy.url(LOGIN)).start())


def test_a_bot_lives_behind_it_with_credentials(platform: Stage, guarded: RealProxy) -> None:
    lives(platform, behind(platform, guarded.url(LOGIN)).start())


@pytest.mark.parametrize("given", [None, WRONG], ids=["none", "wrong"])
def test_credentials_that_it_refuses_are_for_a_person_to_mend(
    platform: Stage, guarded: RealProxy, given: tuple[str, str] | None
) -> None:
    url = guarded.url(given)
    bot = behind(platform, lambda _: url, configuration_retry=0.3).start()

    error = bot.until(ConfigurationError)
    assert error.failure is not None
    assert error.failure.kind is FailureKind.PROXY_AUTH
    url = guarded.url(LOGIN)
    bot.until(Ready)


def test_a_gateway_that_it_cannot_reach_is_an_outage(platform: Stage, proxy: RealProxy) -> None:
    bot = behind(platform, proxy.url()).start()
    bot.until(Ready)
    platform.do(platform.wire.refuse)

    told = bot.until(lambda event: isinstance(event, Disconnected) and event.phase is Phase.DIAL)
    assert isinstance(told, Disconnected)
    assert told.failure is not None
    assert told.failure.kind is FailureKind.PROXY
    assert "cannot be reached" not in told.failure.message, "it is the host that cannot be reached, and not the proxy"
    platform.do(platform.wire.accept)
    bot.until(Resumed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_its_end_in_the_middle_is_an_outage(platform: Stage, kind: type[RealProxy]) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(running(kind, LOGIN))
        bot = behind(platform, proxy.url(LOGIN)).start()
        stack.callback(bot.see_out)
        bot.until(Ready)
        proxy.stop()

        told = bot.until(lambda event: isinstance(event, Disconnected) and event.phase is Phase.DIAL)
        assert isinstance(told, Disconnected)
        assert told.failure is not None
        assert told.failure.kind is FailureKind.PROXY
        assert told.failure.message.startswith("the proxy cannot be reached: ")
        platform.say("while it was away")
        proxy.start()
        bot.until(Resumed)
        bot.until_hears("while it was away")
