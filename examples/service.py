"""A bot as a service of systemd: it tells that it lives, leaves in order when it is asked to, and says how it ended."""

import asyncio
import os
import signal
import socket
import sys

from qqproto import Credentials, Endpoints, Intents
from qqproto_transports.asyncio import BotAccount, Gateway, GatewayStopped, open_gateway
from qqproto_transports.stores import SQLiteStore

BOT = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
LOCAL = [os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ]  # of `qqproto serve`


def tell_systemd(state: str) -> None:
    if sys.platform != "win32" and (address := os.environ.get("NOTIFY_SOCKET")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)


async def watchdog(gateway: Gateway) -> None:
    while True:  # as long as this loop turns the process is alive, whatever the network does
        shards = ", ".join(f"{each.shard}: {each.phase.value}, attempt {each.attempt}" for each in gateway.status())
        tell_systemd(f"READY=1\nWATCHDOG=1\nSTATUS=shard {shards}")
        await asyncio.sleep(int(os.environ.get("WATCHDOG_USEC", "20000000")) / 2e6)


async def main() -> None:
    account = BotAccount(BOT, endpoints=Endpoints(*LOCAL))
    with SQLiteStore(os.path.join(os.environ.get("STATE_DIRECTORY", "."), "bot.sqlite")) as store:
        gateway = open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT, store=store)
        tasks = [asyncio.ensure_future(watchdog(gateway))]

        def leave() -> None:
            tasks.append(asyncio.ensure_future(gateway.aclose(drain=10.0)))

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)
        async with gateway:
            async for event in gateway:
                print(event, flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except GatewayStopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(75 if stop.stopped.retryable else 78)
