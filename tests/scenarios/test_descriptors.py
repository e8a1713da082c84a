"""Row 44: nothing of a connection stays open, however often it fails and however often it is made anew."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
from collections.abc import Callable, Iterator

import pytest

from qqproto import Disconnected, Ready, Resumed
from qqproto_transports._network import Network
from qqproto_transports._proxy import ProxyServer
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.drivers import Driver, eventually
from tests.scenarios.stage import Stage
from tests.transports.certificates import server_context
from tests.transports.loops import open_files

HURRY = dataclasses.replace(QUICK, backoff=(0.001,))


@pytest.fixture
def proxied(stages: Callable[..., Stage]) -> Stage:
    """A platform with TLS, to be reached by way of a proxy with TLS."""
    return stages(tls=server_context("127.0.0.1"))


@pytest.fixture(autouse=True)
def _nobody_looks_on(driver: Driver) -> Iterator[None]:
    """What asyncio checks and logs in its debug mode takes longer than what it does."""
    logging.disable(logging.DEBUG)
    if driver.name == "asyncio":
        driver.call(without_debugging)
    yield
    logging.disable(logging.NOTSET)


def without_debugging() -> None:
    asyncio.get_running_loop().set_debug(False)


def fails(bot: Bot, times: int) -> None:
    for _ in range(times):
        bot.until(Disconnected)


@pytest.mark.long
def test_a_thousand_failed_connects_leave_no_descriptor(proxied: Stage) -> None:
    stage = proxied
    stage.do(without_debugging)
    server = ProxyServer(tls=server_context("127.0.0.1"))
    stage.do(server.__aenter__)
    network = Network(server.port)
    stage.do(network.__aenter__)
    url = f"https://127.0.0.1:{network.port}"
    account = stage.account(policy=HURRY, proxy=lambda target: url if target.startswith("wss:") else None)
    bot = stage.bot(account=account, policy=HURRY).start()
    try:
        bot.until(Ready)
        before = len(open_files())

        stage.do(network.refuse)  # Nobody listens.
        fails(bot, 700)
        stage.do(lambda: setattr(network, "impostor", b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        stage.do(network.accept)  # No TLS.
        fails(bot, 100)
        stage.do(lambda: setattr(network, "impostor", None))
        stage.do(lambda: setattr(network, "cut_after", 3000))  # A reset while TLS is being agreed upon.
        fails(bot, 100)
        stage.do(lambda: setattr(network, "cut_after", None))
        stage.do(stage.wire.refuse)  # A refusal of the proxy's.
        fails(bot, 100)
        stage.do(stage.wire.accept)
        bot.until(Resumed)

        gc.collect()
        eventually(lambda: len(open_files()) <= before)
    finally:
        bot.see_out()
        stage.do(lambda: network.__aexit__(None, None, None))
        stage.do(lambda: server.__aexit__(None, None, None))


@pytest.mark.long
def test_a_thousand_rotations_leave_no_descriptor(stage: Stage) -> None:
    stage.do(without_debugging)
    bot = stage.bot(policy=HURRY).start()
    bot.until(Ready)
    before = len(open_files())

    for _ in range(1000):
        stage.rotate()
        bot.until(Resumed)

    gc.collect()
    eventually(lambda: len(open_files()) <= before)
    assert stage.ops().count(2) == 1
    assert stage.ops().count(6) == 1000
