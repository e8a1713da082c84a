"""``python -m benchmarks.loopback.clients NAME URL``: one client takes what the server sends, and says what it cost.

Each client imports what it needs and nothing else: whole libraries are compared, and none pays for another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

from benchmarks.loopback.meter import Meter
from benchmarks.loopback.platform import CREDENTIALS, INTENTS, Platform, trusting
from qqproto import Dispatch

Client: TypeAlias = Callable[[str, Meter, "ssl.SSLContext | None"], None]


def on_asyncio(main: Callable[[str, Meter, ssl.SSLContext | None], Coroutine[Any, Any, None]]) -> Client:
    return lambda url, meter, context: asyncio.run(main(url, meter, context))


def on_uvloop(main: Callable[[str, Meter, ssl.SSLContext | None], Coroutine[Any, Any, None]]) -> Client:
    def client(url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
        import uvloop

        uvloop.run(main(url, meter, context))

    return client


def _loads(decoder: str) -> Callable[[str | bytes], Any]:
    if decoder == "json":
        return json.loads
    import msgspec

    return msgspec.json.decode


# -- peers -------------------------------------------------------------------------------------------------------------


async def _floor(decoder: str, url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
    from benchmarks.loopback.floor import run

    await run(url, meter, context, decoder)


async def _aiohttp(url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=16 << 20, compress=0, ssl=context or True) as socket,
    ):
        async for message in socket:
            if json.loads(message.data)["op"] == 0 and meter():
                return


async def _websockets(url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
    from websockets.asyncio.client import connect

    options: dict[str, Any] = {} if context is None else {"ssl": context}
    async with connect(url, compression=None, ping_interval=None, max_size=16 << 20, proxy=None, **options) as socket:
        async for message in socket:
            if json.loads(message)["op"] == 0 and meter():
                return


# -- qqproto -----------------------------------------------------------------------------------------------------------


async def _qqproto(decoder: str, url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
    from qqproto_transports.asyncio import BotAccount, open_gateway

    account = BotAccount(CREDENTIALS, http=Platform(url), proxy=None, ssl_context=context)
    async with open_gateway(account, intents=INTENTS, loads=_loads(decoder)) as gateway:
        async for event in gateway:
            if type(event) is Dispatch and meter():
                return


def _trio(decoder: str, url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
    import trio

    from qqproto_transports.trio import BotAccount, open_gateway

    async def run() -> None:
        account = BotAccount(CREDENTIALS, http=Platform(url), proxy=None, ssl_context=context)
        async with open_gateway(account, intents=INTENTS, loads=_loads(decoder)) as gateway:
            async for event in gateway:
                if type(event) is Dispatch and meter():
                    return

    trio.run(run)


def _sync(decoder: str, url: str, meter: Meter, context: ssl.SSLContext | None) -> None:
    from qqproto_transports.sync import BotAccount, open_gateway

    account = BotAccount(CREDENTIALS, http=Platform(url).answer, proxy=None, ssl_context=context)
    with open_gateway(account, intents=INTENTS, loads=_loads(decoder)) as gateway:
        for event in gateway:
            if type(event) is Dispatch and meter():
                return


CLIENTS: dict[str, Client] = {
    "floor": on_asyncio(partial(_floor, "json")),
    "floor-msgspec": on_asyncio(partial(_floor, "msgspec")),
    "aiohttp": on_asyncio(_aiohttp),
    "aiohttp-uvloop": on_uvloop(_aiohttp),
    "websockets": on_asyncio(_websockets),
    "asyncio-json": on_asyncio(partial(_qqproto, "json")),
    "asyncio-msgspec": on_asyncio(partial(_qqproto, "msgspec")),
    "uvloop-json": on_uvloop(partial(_qqproto, "json")),
    "trio-json": partial(_trio, "json"),
    "sync-json": partial(_sync, "json"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loopback.clients", description=__doc__)
    parser.add_argument("name", choices=CLIENTS)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--pace")
    parser.add_argument("--ca")
    options = parser.parse_args()
    meter = Meter(options.count, options.pace)
    CLIENTS[options.name](options.url, meter, trusting(options.ca))
    print(json.dumps({"each": meter.each}))


if __name__ == "__main__":
    main()
