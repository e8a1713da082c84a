"""Certificates: whose is not to be trusted hears nothing that is secret, and is told as what he is, on every driver."""

from __future__ import annotations

import dataclasses
import datetime
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from qqproto import ConfigurationError, Disconnected, FailureKind, Ready, Resumed
from qqproto_transports._tls import default_context
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.stage import Stage, Way
from tests.transports.certificates import authority, self_signed, server_context

SLOWLY = dataclasses.replace(QUICK, configuration_retry=0.3)
YESTERDAY = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)

BAD = [
    pytest.param(lambda: server_context("127.0.0.1", ca=trustme.CA()), "issuer", id="unknown authority"),
    pytest.param(lambda: self_signed("127.0.0.1"), "self-signed", id="self-signed"),
    pytest.param(lambda: server_context("127.0.0.2"), "mismatch", id="wrong address"),
    pytest.param(lambda: server_context("localhost"), "mismatch", id="wrong name"),
    pytest.param(lambda: server_context("127.0.0.1", not_after=YESTERDAY), "expired", id="expired"),
]


def bot_at(stage: Stage, **options: Any) -> Bot:
    return stage.bot(account=stage.account(policy=SLOWLY, **options), policy=SLOWLY)


def heard(stage: Stage, way: Way) -> list[bytes]:
    """What came out of TLS at this door."""
    return stage.do(lambda: [bytes(link.from_client) for link in way.inside.links])


@pytest.mark.parametrize("door", ["HTTP", "WebSocket"])
@pytest.mark.parametrize(("context", "why"), BAD)
def test_who_is_not_to_be_trusted_hears_nothing(
    stages: Callable[..., Stage], context: Callable[[], ssl.SSLContext], why: str, door: str
) -> None:
    """Row 32. A certificate is mended where it is served, and the bot comes without being started again."""
    bad, good = context(), server_context("127.0.0.1")
    stage = stages(tls=good, web_tls=bad) if door == "HTTP" else stages(tls=bad, web_tls=good)
    way = stage.web_way if door == "HTTP" else stage.gateway_way
    bot = bot_at(stage).start()

    error = bot.until(ConfigurationError)
    bot.until(Disconnected)
    assert error.failure is not None
    assert error.failure.kind is FailureKind.TLS_UNTRUSTED
    assert why in error.hint
    assert "ssl_context=" in error.hint
    assert all(told.retry_in and told.retry_in >= SLOWLY.configuration_retry for told in bot.heard(Disconnected))
    assert heard(stage, way) == []
    stage.do(lambda: authority().issue_cert("127.0.0.1").configure_cert(bad))
    bot.until(Ready)
    assert len(bot.heard(ConfigurationError)) == 1


def test_roots_of_the_hosts_own_count_for_both_doors(stages: Callable[..., Stage]) -> None:
    """A company's proxy that looks into TLS has an authority of its own."""
    company = trustme.CA()
    theirs = default_context()
    company.configure_trust(theirs)
    stage = stages(tls=server_context("127.0.0.1", ca=company), web_tls=server_context("127.0.0.1", ca=company))

    bot_at(stage, ssl_context=theirs).start().until(Ready)


def test_the_doors_are_told_whom_the_bot_wants_and_what_it_speaks(stages: Callable[..., Stage]) -> None:
    wanted: list[str | None] = []
    context = server_context("localhost", "127.0.0.1")
    context.sni_callback = lambda connection, name, context: wanted.append(name)
    stage = stages(tls=context, web_tls=context)
    stage.do(lambda: setattr(stage.platform, "gateway_url", f"{stage.gateway_way.url('ws', 'localhost')}/websocket"))

    bot_at(stage).start().until(Ready)

    assert wanted == [None, None, "localhost"], "an address is no name (RFC 6066 §3)"


def test_tls_that_breaks_in_the_middle_is_a_lost_link(stages: Callable[..., Stage]) -> None:
    stage = stages(tls=server_context("127.0.0.1"))
    bot = bot_at(stage).start()
    bot.until(Ready)
    stage.inject(b"\x17\x03\x03\x00\x20" + bytes(32))

    told = bot.until(Disconnected)
    assert told.failure is not None
    assert told.failure.kind is FailureKind.TLS
    bot.until(Resumed)
    assert bot.heard(ConfigurationError) == []
