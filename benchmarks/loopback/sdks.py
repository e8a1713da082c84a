"""``python -m benchmarks.loopback.sdks NAME URL``: a whole SDK takes what the server sends, and says what it cost.

It runs in an environment of its own (``make bench`` makes it), with what the SDK depends on and nothing of ours. Each
is used as its readme has it, with a handler that counts; what it asks over HTTP is answered in the process, and its
logging is down to errors, so that the console is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from benchmarks.loopback.meter import Meter

_LIMIT = {"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 1000}


def _end(meter: Meter, package: str) -> None:
    """Neither SDK has an end that can be called from a handler."""
    print(json.dumps({"each": meter.each, "version": version(package)}), flush=True)
    os._exit(0)


def botpy(url: str, meter: Meter) -> None:
    import logging

    import botpy
    from botpy.api import BotAPI
    from botpy.http import BotHttp
    from botpy.robot import Token

    async def login(self: BotHttp, token: Token) -> dict[str, Any]:
        return {"id": "1", "username": "bot"}

    async def get_ws_url(self: BotAPI) -> dict[str, Any]:
        return {"url": url, "shards": 1, "session_start_limit": _LIMIT}

    async def update_access_token(self: Token) -> None:
        self.access_token, self.expires_in = "token", 1 << 40

    BotHttp.login, BotAPI.get_ws_url, Token.update_access_token = login, get_ws_url, update_access_token

    class Bot(botpy.Client):  # type: ignore[misc]  # the package has no types
        async def on_group_at_message_create(self, message: object) -> None:
            if meter():
                _end(meter, "qq-botpy")

    import asyncio

    asyncio.set_event_loop(asyncio.new_event_loop())
    intents = botpy.Intents(public_messages=True)
    Bot(intents=intents, bot_log=None, ext_handlers=False, log_level=logging.ERROR).run(appid="1", secret="secret")


def nonebot(url: str, meter: Meter) -> None:
    import nonebot
    from nonebot.adapters.qq import Adapter, Bot, GroupAtMessageCreateEvent

    async def shard_url_get(self: Bot) -> SimpleNamespace:
        return SimpleNamespace(url=url, shards=1, session_start_limit=SimpleNamespace(remaining=1000))

    async def header(self: Bot) -> str:
        return "QQBot token"

    Bot.shard_url_get, Bot._get_authorization_header = shard_url_get, header
    intent = {"c2c_group_at_messages": True}
    bot = {"id": "1", "secret": "secret", "shard": [0, 1], "intent": intent}
    nonebot.init(driver="~aiohttp", log_level="ERROR", qq_bots=[bot])
    nonebot.get_driver().register_adapter(Adapter)

    async def count(event: GroupAtMessageCreateEvent) -> None:
        if meter():
            _end(meter, "nonebot-adapter-qq")

    nonebot.on_message(handlers=[count])
    nonebot.run()


SDKS: dict[str, Callable[[str, Meter], None]] = {"qq-botpy": botpy, "nonebot-adapter-qq": nonebot}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loopback.sdks", description=__doc__)
    parser.add_argument("name", choices=SDKS)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    SDKS[options.name](options.url, Meter(options.count))
    sys.exit("it ended by itself")


if __name__ == "__main__":
    main()
