"""Several shards of one bot in one stream: as many as the platform recommends, or those of SHARDS, say 2/8,3/8."""

import asyncio
import os

from qqproto import Credentials, Dispatch, Endpoints, Intents, Offline, Online, Ready
from qqproto_transports.asyncio import BotAccount, Shards, open_gateway

CREDENTIALS = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
# Nothing for the real platform; to try it on `qqproto serve`, what that says.
ENDPOINTS = Endpoints(*(os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ))


def chosen() -> Shards:
    """Which shards this process runs: those of another process are none of its business."""
    pairs = [pair.split("/") for pair in os.environ.get("SHARDS", "").split(",") if pair]
    return [(int(index), int(count)) for index, count in pairs] or "auto"


async def main() -> None:
    account = BotAccount(CREDENTIALS, endpoints=ENDPOINTS)
    intents = Intents.GUILDS | Intents.PUBLIC_GUILD_MESSAGES
    async with open_gateway(account, intents=intents, shards=chosen()) as gateway:
        async for event in gateway:
            match event:
                case Ready(shard=shard):
                    print(f"shard {shard} is ready, {sum(each.connected for each in gateway.status())} are", flush=True)
                case Offline(shard=shard) | Online(shard=shard):
                    print(f"shard {shard}: {type(event).__name__.lower()}", flush=True)
                case Dispatch(shard=shard, type=type_):
                    print(f"shard {shard}: {type_}", flush=True)
                case _:
                    pass


if __name__ == "__main__":
    asyncio.run(main())
