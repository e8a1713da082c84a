"""A bot in a host that has HTTP and WebSockets of its own, here aiohttp's: the driver opens no socket."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from qqproto import Credentials, Endpoints, Failure, HTTPRequest, HTTPResponse, Intents, OpenConnection
from qqproto_transports.asyncio import BotAccount, Closed, failure_of, open_gateway

BOT = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
LOCAL = [os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ]  # of `qqproto serve`


class Socket:
    def __init__(self, ws: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        self.ws, self.send = ws, ws.send_str

    async def receive(self) -> str | bytes:
        message = await self.ws.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        raise EOFError(self.ws.close_code, str(message.extra or ""))

    async def close(self, code: int, reason: str) -> None:
        await self.ws.close(code=code, message=reason.encode())


class Host:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def http(self, asked: HTTPRequest) -> HTTPResponse:
        options = {"headers": asked.headers, "data": asked.body, "allow_redirects": False}
        async with self.session.request(asked.method, asked.url, **options) as reply:
            return HTTPResponse(reply.status, dict(reply.headers), await reply.read())

    @asynccontextmanager
    async def dial(self, opening: OpenConnection) -> AsyncIterator[Socket]:
        async with self.session.ws_connect(opening.url, headers=opening.headers, max_msg_size=16 << 20) as ws:
            yield Socket(ws)

    def explain(self, error: Exception) -> Closed | Failure:
        return Closed(*error.args) if isinstance(error, EOFError) else failure_of(error)


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        host, intents = Host(session), Intents.GROUP_AND_C2C_EVENT
        account = BotAccount(BOT, endpoints=Endpoints(*LOCAL), http=host.http)
        async with open_gateway(account, intents=intents, websocket=host) as gateway:
            async for event in gateway:
                print(event, flush=True)


asyncio.run(main())
