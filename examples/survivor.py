"""The bot of the tutorial, grown up: it answers, guards its handler, and goes on where it was after a crash."""

import asyncio
import contextlib
import logging
import os

import httpx

from qqproto import Credentials, Dispatch, Endpoints, Intents
from qqproto_transports.asyncio import BotAccount, open_gateway
from qqproto_transports.stores import SQLiteStore

BOT = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
LOCAL = [os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ]  # of `qqproto serve`
ENDPOINTS = Endpoints(*LOCAL)


async def answer(event: Dispatch, account: BotAccount, http: httpx.AsyncClient) -> None:
    """Say the same again in the group, or in private, where it was said."""
    if event.type == "GROUP_AT_MESSAGE_CREATE":
        path = f"/v2/groups/{event.data['group_openid']}/messages"
    elif event.type == "C2C_MESSAGE_CREATE":
        path = f"/v2/users/{event.data['author']['user_openid']}/messages"
    else:
        return
    print("heard:", event.data["content"].strip(), "(perhaps again)" if event.redelivered else "", flush=True)
    body = {"content": event.data["content"].strip(), "msg_type": 0, "msg_id": event.data["id"], "msg_seq": 1}
    reply = await http.post(ENDPOINTS.api_base + path, json=body, headers=await account.authorization())
    reply.raise_for_status()


async def main() -> None:
    account = BotAccount(BOT, endpoints=ENDPOINTS)
    with SQLiteStore("bot.sqlite") as store:
        gateway = open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT, store=store)
        async with httpx.AsyncClient() as http, gateway:
            async for event in gateway:
                if isinstance(event, Dispatch):
                    try:
                        await answer(event, account, http)
                    except Exception:  # one message that cannot be answered must not end the bot
                        logging.exception("%s was not answered", event.id)


logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
