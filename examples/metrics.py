"""What Prometheus scrapes: how each shard of a bot is, in the text format, on a port of this machine."""

import asyncio
import os

from qqproto import Credentials, Endpoints, Intents
from qqproto_transports.asyncio import BotAccount, Gateway, open_gateway

BOT = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
LOCAL = [os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ]  # of `qqproto serve`


def metrics(gateway: Gateway) -> str:
    lines = []
    for status in gateway.status():
        labels = f'{{app_id="{BOT.app_id}",shard="{status.shard}"}}'
        gauges = {"connected": status.connected, "online": status.online, "attempt": status.attempt}
        gauges |= {"unsettled": status.unsettled, "misconfigured": status.configuration_error is not None}
        lines += [f"qqproto_{name}{labels} {int(value)}" for name, value in gauges.items()]
        if status.latency is not None:
            lines.append(f"qqproto_heartbeat_latency_seconds{labels} {status.latency:.6f}")
        lines += [f"qqproto_{name}_total{labels} {count}" for name, count in status.counters.items()]
    return "\n".join(lines) + "\n"


async def main() -> None:
    gateway = open_gateway(BotAccount(BOT, endpoints=Endpoints(*LOCAL)), intents=Intents.GROUP_AND_C2C_EVENT)

    async def scrape(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n" + metrics(gateway).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(scrape, "127.0.0.1", int(os.environ.get("METRICS_PORT", "9464")))
    print(f"metrics on port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server, gateway:
        async for event in gateway:
            print(type(event).__name__, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
