"""How the local gateway delivers by webhook: validated first, signed, and again while nobody acknowledges."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from qqproto import Policy
from qqproto.testing import c2c_message
from qqproto_transports import _callbacks
from qqproto_transports.asyncio import WebhookServer, open_webhook
from qqproto_transports.local_gateway import Callbacks, LocalGateway
from tests.transports.loops import eventually, on_loop
from tests.transports.servers import closed_port, serving, silence


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_callbacks, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(_callbacks, "_BETWEEN_VALIDATIONS", 0.01)


def say(callbacks: Callbacks, content: str) -> None:
    callbacks.dispatch("C2C_MESSAGE_CREATE", c2c_message(content, id=f"M-{content}"), id=content)


@contextlib.asynccontextmanager
async def pair(**options: Policy) -> AsyncIterator[tuple[WebhookServer, Callbacks, list[str]]]:
    """A bot, and the platform that delivers to it."""
    told: list[str] = []
    async with LocalGateway() as local, open_webhook(local.credentials, port=0, **options) as bot:  # type: ignore[arg-type]  # a policy
        async with local.deliver_to(bot.url, say=told.append) as callbacks:
            await callbacks.validated.wait()
            yield bot, callbacks, told


@on_loop
async def test_events_go_out_in_order_once_the_address_is_validated() -> None:
    async with pair() as (bot, callbacks, told):
        for content in ("one", "two", "three"):
            say(callbacks, content)
        assert [(await bot.__anext__()).id for _ in range(3)] == ["one", "two", "three"]
        await eventually(lambda: callbacks.delivered == ["one", "two", "three"])
        assert told[0] == f"{bot.url} is the bot's: its signature is right"
        assert bot.counters == {"validations": 1, "dispatches": 3}


@on_loop
async def test_what_is_not_taken_comes_again_and_is_heard_once() -> None:
    async with pair(policy=Policy(max_buffered=1)) as (bot, callbacks, told):
        say(callbacks, "one")
        say(callbacks, "two")
        await eventually(lambda: any("not taken, again in" in line and "503" in line for line in told))
        assert (await bot.__anext__()).id == "one"
        assert (await bot.__anext__()).id == "two"
        await eventually(lambda: callbacks.delivered == ["one", "two"])
        assert callbacks.given_up == []


@on_loop
async def test_what_nobody_takes_is_given_up_in_the_end() -> None:
    async with pair() as (bot, callbacks, told):
        bot.close()
        say(callbacks, "lost")
        await eventually(lambda: callbacks.given_up == ["lost"])
        assert told[-1].startswith("not taken, and given up: lost: status 503, ")
        assert len([line for line in told if line.startswith("not taken")]) == 3


@on_loop
async def test_an_address_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_callbacks, "_PATIENCE", 0.05)
    told: list[str] = []
    async with LocalGateway() as local, serving(silence) as port:
        async with local.deliver_to(f"http://127.0.0.1:{port}/", say=told.append) as callbacks:
            await eventually(lambda: len(told) >= 2)
            assert not callbacks.validated.is_set()
    assert told[0].endswith("cannot be validated: no reply within 0.05 s")


@on_loop
async def test_an_address_at_which_nobody_listens_or_that_is_another_bots_is_told() -> None:
    told: list[str] = []
    with closed_port() as port:
        async with LocalGateway() as local, local.deliver_to(f"http://127.0.0.1:{port}/", say=told.append):
            await eventually(lambda: told)
    assert "cannot be validated: refused" in told[0]
    async with LocalGateway(secret="one") as local, LocalGateway(secret="another") as other:
        told.clear()
        async with open_webhook(other.credentials, port=0) as bot, local.deliver_to(bot.url, say=told.append):
            await eventually(lambda: told)
    assert "did not validate itself: status 200" in told[0]


@on_loop
async def test_leaving_in_the_middle_of_a_delivery_leaves_nothing_behind() -> None:
    async with LocalGateway() as local, serving(silence) as port:
        async with local.deliver_to(f"http://127.0.0.1:{port}/"):
            await asyncio.sleep(0)
