"""What tests of the asyncio driver share: a bot at a local gateway, and what it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qqproto import Event, Intents, Policy
from qqproto.testing import c2c_message
from qqproto_transports.asyncio import BotAccount, Gateway, open_gateway
from qqproto_transports.local_gateway import LocalGateway

INTENTS = Intents.GROUP_AND_C2C_EVENT

QUICK = Policy(backoff=(0.02,), close_timeout=3.0)
"""The house's policy, in a hurry to come back."""


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
