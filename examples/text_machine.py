"""A shard on text messages: each input is followed by a drain of the one queue. The program plays the gateway."""

import random

from qqproto import (
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    Intents,
    OpenConnection,
    Ready,
    ReserveIdentify,
    SendText,
    Shard,
    ShardConfig,
    Token,
)

config = ShardConfig("11111111", Intents.GROUP_AND_C2C_EVENT)
shard = Shard(config, framing=Framing.TEXT, random=random.random)


def drain(now: float) -> None:
    """After every input: do what the actions ask, hand the events to the application."""
    while (output := shard.next_output()) is not None:
        match output:
            case FetchToken(id=id):
                shard.answer(id, Token("from your token cache, or from an Account"), now)
            case FetchGateway(id=id):
                shard.answer(id, GatewayInfo("wss://api.sgroup.qq.com/websocket"), now)
            case OpenConnection(id=id, url=url):
                print("open a WebSocket to", url)
                shard.connection_opened(id, now)
                # Here the gateway speaks from the program; yours speaks on your WebSocket.
                shard.receive_message(id, '{"op":10,"d":{"heartbeat_interval":41250}}', now)
            case ReserveIdentify(id=id):
                shard.answer(id, IdentifySlot(at=now), now)
            case SendText(id=id, text=text):
                print("send", len(text), "characters")
                ready = '{"op":0,"s":1,"t":"READY","d":{"session_id":"S","user":{"id":"1","username":"bot"}}}'
                shard.receive_message(id, ready, now)
            case Ready(user=user):
                print("ready as", user.username)
            case _:
                pass  # other events; and here nothing is ever cancelled or closed


shard.start(now=0.0)
drain(now=0.0)
print("next timer in", round(shard.next_timer() or 0.0), "s")
