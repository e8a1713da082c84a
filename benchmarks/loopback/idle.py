"""``python -m benchmarks.loopback.idle NAME URL``: many connections on which nothing happens, and what they take."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.loopback.limits import allow_many_files
from benchmarks.loopback.platform import CREDENTIALS, INTENTS, Platform, trusting

INTERVAL = 41.25
_AT_ONCE = 50
_SETTLING = 1.0
"""Seconds between the last connection's beginning and the first look."""

Opener: TypeAlias = Callable[[str, int, "ssl.SSLContext | None"], AbstractAsyncContextManager[None]]
"""Opens so many connections, and keeps them for as long as its block lasts."""


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# -- peers -------------------------------------------------------------------------------------------------------------


async def _keep(socket: Any, take: Callable[[Any], object], send: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """The least that a bot on a bare client does: read, and a heartbeat in each interval. Nobody looks for the ACK."""

    async def beat() -> None:
        while True:
            await send('{"op":1,"d":null}')
            await asyncio.sleep(INTERVAL)

    loop = asyncio.get_running_loop()
    first = loop.call_later(_phase() * INTERVAL, lambda: beats.append(loop.create_task(beat())))
    beats: list[asyncio.Task[None]] = []
    try:
        async for message in socket:
            take(message)
    finally:
        first.cancel()
        for task in beats:
            task.cancel()


_opened = 0


def _phase() -> float:
    """Where in its first interval a connection's first heartbeat is, spread evenly and in no order."""
    global _opened
    _opened += 1
    return _opened * 0.6180339887 % 1.0


@asynccontextmanager
async def aiohttp_connections(url: str, count: int, context: ssl.SSLContext | None) -> AsyncIterator[None]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, AsyncExitStack() as stack:

        async def open_one() -> Coroutine[Any, Any, None]:
            socket = await stack.enter_async_context(session.ws_connect(url, compress=0, ssl=context or True))
            return _keep(socket, lambda message: json.loads(message.data), socket.send_str)

        async with _all(open_one, count):
            yield


@asynccontextmanager
async def websockets_connections(url: str, count: int, context: ssl.SSLContext | None) -> AsyncIterator[None]:
    from websockets.asyncio.client import connect

    options: dict[str, Any] = {} if context is None else {"ssl": context}
    async with AsyncExitStack() as stack:

        async def open_one() -> Coroutine[Any, Any, None]:
            opening = connect(url, compression=None, ping_interval=None, proxy=None, **options)
            socket = await stack.enter_async_context(opening)
            return _keep(socket, json.loads, socket.send)

        async with _all(open_one, count):
            yield


@asynccontextmanager
async def _all(
    open_one: Callable[[], Coroutine[Any, Any, Coroutine[Any, Any, None]]], count: int
) -> AsyncIterator[None]:
    gate, tasks = asyncio.Semaphore(_AT_ONCE), []

    async def begin() -> None:
        async with gate:
            tasks.append(asyncio.create_task(await open_one()))

    await asyncio.gather(*(begin() for _ in range(count)))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# -- qqproto -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def qqproto_connections(url: str, count: int, context: ssl.SSLContext | None) -> AsyncIterator[None]:
    """The shards of one bot: a session each, with all that is promised of it."""
    from qqproto_transports.asyncio import BotAccount, open_gateway

    account = BotAccount(CREDENTIALS, http=Platform(url), proxy=None, ssl_context=context)
    async with open_gateway(account, intents=INTENTS, shards=count) as gateway:

        async def read() -> None:
            async for _ in gateway:
                pass

        reading = asyncio.create_task(read())
        if not await gateway.wait_connected(300.0):
            raise SystemExit("not all of them were connected in time")
        yield
        reading.cancel()


OPENERS: dict[str, Opener] = {
    "aiohttp": aiohttp_connections,
    "websockets": websockets_connections,
    "qqproto": qqproto_connections,
}


async def measure(name: str, url: str, count: int, seconds: float, context: ssl.SSLContext | None) -> dict[str, float]:
    """Bytes a connection, and the share of a processor that they take together for so many seconds."""
    opener = OPENERS[name]
    async with opener(url, 10, context):  # What is needed once, for however many, is there afterwards.
        await asyncio.sleep(_SETTLING)
    gc.collect()
    before = resident()
    async with opener(url, count, context):
        await asyncio.sleep(_SETTLING)
        gc.collect()
        took = resident() - before
        begun, processor = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        share = (time.process_time() - processor) / (time.monotonic() - begun) if seconds else 0.0
        return {"bytes": took / count, "share": share}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loopback.idle", description=__doc__)
    parser.add_argument("name", choices=OPENERS)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--ca")
    options = parser.parse_args()
    allow_many_files()
    context = trusting(options.ca)
    print(json.dumps(asyncio.run(measure(options.name, options.url, options.count, options.seconds, context))))


if __name__ == "__main__":
    main()
