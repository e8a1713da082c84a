"""What tests of the drivers that run on asyncio share: a bot at a local gateway, and what it is sent.

There are two, the asyncio driver and the trio driver, which serves every anyio program. A module whose tests hold for
both imports from here what it would import from the driver, and has :data:`on_both_drivers` for its mark.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import qqproto_transports.asyncio
import qqproto_transports.trio
from qqproto import Event, Intents, Policy
from qqproto.decoding import Unread
from qqproto.testing import c2c_message
from qqproto_transports.local_gateway import LocalGateway

__all__ = [
    "INTENTS",
    "QUICK",
    "BotAccount",
    "Buggy",
    "Gateway",
    "account_at",
    "bot_at",
    "on_both_drivers",
    "open_gateway",
    "run",
    "say",
    "until",
]

if TYPE_CHECKING:
    from qqproto_transports.asyncio import BotAccount, Gateway, open_gateway, run
else:
    Gateway = Any

    def BotAccount(*args, **options):
        return driver.BotAccount(*args, **options)

    def open_gateway(*args, **options):
        return driver.open_gateway(*args, **options)

    def run(*args, **options):
        return driver.run(*args, **options)


driver: ModuleType = qqproto_transports.asyncio
"""The one under test."""

DRIVERS = {"asyncio": qqproto_transports.asyncio, "anyio": qqproto_transports.trio}

on_both_drivers = pytest.mark.usefixtures("each_driver")

INTENTS = Intents.GROUP_AND_C2C_EVENT

QUICK = Policy(backoff=(0.02,), close_timeout=3.0)
"""The house's policy, in a hurry to come back."""


class Buggy(Unread):
    """What no JSON decoder gives: a message that cannot be asked."""

    t = "C2C_MESSAGE_CREATE"
    s = id = None

    @property
    def named(self) -> str:
        raise LookupError("a bug")

    def read(self) -> dict[str, Any]:
        raise LookupError("a bug")


def account_at(local: LocalGateway, **options: Any) -> BotAccount:
    """The bot's account at a local gateway."""
    options.setdefault("policy", QUICK)
    return BotAccount(local.credentials, endpoints=local.endpoints, **options)


def bot_at(local: LocalGateway, **options: Any) -> Gateway:
    """The bot's gateway at a local gateway, not entered yet."""
    options.setdefault("intents", INTENTS)
    return open_gateway(account_at(local, policy=options.pop("policy", QUICK)), **options)


async def until(gateway: Gateway, wanted: Callable[[Event], object]) -> Event:
    """Iterate up to the first event that is wanted."""
    async for event in gateway:
        if wanted(event):
            return event
    raise AssertionError("the gateway ended without it")


def say(local: LocalGateway, *contents: object) -> None:
    """Somebody writes to the bot."""
    session = local.platform.session()
    for content in contents:
        message = c2c_message(str(content), id=f"ROBOT1.0_{content}_{session.sequence}", now=local.now)
        session.dispatch("C2C_MESSAGE_CREATE", message, local.now)
