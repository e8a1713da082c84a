"""The bot of the tutorial: it says what it hears."""

import asyncio
import contextlib
import logging
import os

from qqproto import Credentials, Dispatch, Endpoints, Intents
from qqproto_transports.asyncio import BotAccount, open_gateway

BOT = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
# Nothing for the real platform; to try it on `qqproto serve`, what that says.
LOCAL = [os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ]


async def main() -> None:
    account = BotAccount(BOT, endpoints=Endpoints(*LOCAL))
    async with open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT) as gateway:
        async for event in gateway:
            if isinstance(event, Dispatch):
                print("heard:", event.data.get("content"), flush=True)


logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
