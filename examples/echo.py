"""An echo bot: answers in groups and in private. QQ_API_BASE and QQ_TOKEN_URL only to try it on `qqproto serve`."""

from __future__ import annotations

import asyncio
import os
import sys

import httpx

from qqproto import Credentials, Disconnected, Dispatch, Endpoints, Intents, Ready
from qqproto_transports import asyncio as driver

DEFAULTS = Endpoints()
ENDPOINTS = Endpoints(
    api_base=os.environ.get("QQ_API_BASE", DEFAULTS.api_base),
    token_url=os.environ.get("QQ_TOKEN_URL", DEFAULTS.token_url),
)


async def reply(http: httpx.AsyncClient, account: driver.BotAccount, message: Dispatch) -> None:
    """Say the same again, where it was said."""
    data = message.data
    if message.type == "GROUP_AT_MESSAGE_CREATE":
        path = f"/v2/groups/{data['group_openid']}/messages"
    elif message.type == "C2C_MESSAGE_CREATE":
        path = f"/v2/users/{data['author']['user_openid']}/messages"
    else:
        return
    body = {"content": data["content"].strip(), "msg_type": 0, "msg_id": data["id"], "msg_seq": 1}
    response = await http.post(ENDPOINTS.api_base + path, json=body, headers=await account.authorization())
    print("replied" if response.is_success else f"the reply was refused: {response.text}", flush=True)


async def main() -> None:
    account = driver.BotAccount(Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"]), endpoints=ENDPOINTS)
    # Over webhooks this is `driver.open_webhook(account, port=8080)`, and nothing else changes.
    bot = driver.open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT)
    async with httpx.AsyncClient() as http, bot as events:
        async for event in events:
            match event:
                case Dispatch():
                    try:
                        await reply(http, account, event)
                    except Exception as error:  # one message that cannot be answered must not end the bot
                        print(f"{event.type}: {error!r}", file=sys.stderr, flush=True)
                case Ready(user=user):
                    print(f"ready as {user.username}", flush=True)
                case Disconnected(failure=failure, code=code):
                    print(f"disconnected: {failure or code}", flush=True)
                case _:
                    pass


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except driver.GatewayStopped as stopped:
        sys.exit(str(stopped))
