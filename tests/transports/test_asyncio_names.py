"""What ``qqproto_transports.asyncio`` offers, and what is not imported before somebody needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import qqproto_transports.asyncio
from qqproto_transports._webhook_server import WebhookServer


def test_every_name_is_there() -> None:
    for name in qqproto_transports.asyncio.__all__:
        assert getattr(qqproto_transports.asyncio, name) is not None
    assert qqproto_transports.asyncio.WebhookServer is WebhookServer


def test_a_name_that_is_none_is_none() -> None:
    with pytest.raises(AttributeError, match=r"'qqproto_transports.asyncio' has no attribute 'WebHookServer'"):
        _ = getattr(qqproto_transports.asyncio, "WebHookServer")  # noqa: B009


def test_what_a_gateway_needs_is_imported_when_it_is_made_and_nothing_else() -> None:
    program = """
import sys
import qqproto_transports.asyncio as driver
def some(*names):
    return sorted(set(names) & set(sys.modules))
print(some("wsproto", "h11", "httpx", "sqlite3", "qqproto.wire.tunnel", "qqproto.webhook"))
driver.open_gateway(driver.BotAccount(driver.Credentials("1", "secret")), intents=1)
print(some("wsproto", "httpx", "sqlite3", "qqproto.wire.tunnel", "qqproto.webhook"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['httpx', 'wsproto']"]
