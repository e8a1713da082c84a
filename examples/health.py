"""A health endpoint for a supervisor: 200 while the bot is online, 503 with the reason when it is not."""

import asyncio
import json
import os

from qqproto import Credentials, Endpoints, Intents, Ready
from qqproto_transports.asyncio import BotAccount, Gateway, open_gateway

CREDENTIALS = Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"])
# Nothing for the real platform; to try it on `qqproto serve`, what that says.
ENDPOINTS = Endpoints(*(os.environ[name] for name in ("QQ_API_BASE", "QQ_TOKEN_URL") if name in os.environ))


def report(gateway: Gateway) -> tuple[int, bytes]:
    """What a supervisor wants to know, and a person after it."""
    shards = [
        {
            "shard": status.shard,
            "online": status.online,
            "phase": status.phase.value,
            "retry_in": status.retry_in,
            "latency": status.latency,
            "last_failure": str(status.last_disconnect.failure) if status.last_disconnect else None,
            "mend": status.configuration_error.hint if status.configuration_error else None,
        }
        for status in gateway.status()
    ]
    return 200 if gateway.online else 503, json.dumps({"online": gateway.online, "shards": shards}).encode()


async def main() -> None:
    gateway = open_gateway(BotAccount(CREDENTIALS, endpoints=ENDPOINTS), intents=Intents.GROUP_AND_C2C_EVENT)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status, body = report(gateway)
        head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Service Unavailable'}\r\nContent-Type: application/json"
        writer.write(f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", int(os.environ.get("HEALTH_PORT", "8081")))
    print(f"health on port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server, gateway:
        async for event in gateway:
            if isinstance(event, Ready):
                print(f"ready as {event.user.username}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
