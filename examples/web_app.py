"""A bot in a web application: the platform calls it over HTTP. Run it with `uvicorn web_app:api`."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI

from qqproto import Credentials
from qqproto_transports.asgi import WebhookApp

app = WebhookApp(Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"]))


async def bot() -> None:
    async with app:
        async for dispatch in app:
            print("heard:", dispatch.type, flush=True)


@contextlib.asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(bot())
    yield
    await app.aclose(drain=10)
    await task


api = FastAPI(lifespan=lifespan)
api.mount("/callbacks/qq", app)
