"""Who is measured: each takes chunks of bytes and ends with every dispatch decoded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from json.scanner import make_scanner
from typing import Any

import msgspec
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.base_protocol import BaseProtocol
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.events import AcceptConnection, TextMessage

from benchmarks.work import frame, payload_start
from qqproto import (
    Dispatch,
    FetchGateway,
    FetchToken,
    GatewayInfo,
    IdentifySlot,
    OpenConnection,
    QQGatewayConnection,
    ReserveIdentify,
    SendData,
    Shard,
    ShardConfig,
    Token,
)
from qqproto.decoding import Loads

URL = "ws://localhost/"

Run = Callable[[Sequence[bytes]], int]
"""Takes the chunks, returns how many dispatches came out."""


def floor() -> Run:
    """Each payload cut out, decoded, and read by the scanner beneath ``json.loads``: less is not possible with it."""
    scan = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # typeshed takes a scanner's context for a scanner

    def run(chunks: Sequence[bytes]) -> int:
        return sum(1 for chunk in chunks if scan(chunk[payload_start(chunk) :].decode(), 0)[0]["op"] == 0)

    return run


def msgspec_floor() -> Run:
    """Each payload cut out and given to msgspec."""
    decode = msgspec.json.decode

    def run(chunks: Sequence[bytes]) -> int:
        return sum(1 for chunk in chunks if decode(chunk[payload_start(chunk) :])["op"] == 0)

    return run


def unread_floor() -> Run:
    """Each payload cut out, skipped through by msgspec, and looked at whether it is UTF-8."""
    decode = msgspec.json.Decoder(_Head).decode

    def run(chunks: Sequence[bytes]) -> int:
        count = 0
        for chunk in chunks:
            payload = chunk[payload_start(chunk) :]
            count += decode(payload).op == 0 and bool(payload.decode())
        return count

    return run


class _Head(msgspec.Struct):
    op: int


def aiohttp() -> Run:
    """aiohttp's compiled reader and ``json.loads``."""
    loop = asyncio.new_event_loop()
    queue = WebSocketDataQueue(BaseProtocol(loop), 1 << 29, loop=loop)
    reader = WebSocketReader(queue, 16 << 20, compress=False, decode_text=True)

    def run(chunks: Sequence[bytes]) -> int:
        count = 0
        for chunk in chunks:
            reader.feed_data(chunk)
            while queue._buffer:
                message, _ = queue._buffer.popleft()
                count += json.loads(message.data)["op"] == 0
        return count

    return run


def websockets() -> Run:
    """websockets' sans-IO protocol and ``json.loads``."""
    protocol = ClientProtocol(parse_uri(URL), state=OPEN, max_size=16 << 20)

    def run(chunks: Sequence[bytes]) -> int:
        count = 0
        for chunk in chunks:
            protocol.receive_data(chunk)
            for event in protocol.events_received():
                assert isinstance(event, Frame)
                count += json.loads(bytes(event.data))["op"] == 0
        return count

    return run


def wsproto() -> Run:
    """wsproto's public API and ``json.loads``."""
    connection = Connection(ConnectionType.CLIENT)

    def run(chunks: Sequence[bytes]) -> int:
        count = 0
        for chunk in chunks:
            connection.receive_data(chunk)
            for event in connection.events():
                assert isinstance(event, TextMessage)
                count += json.loads(event.data)["op"] == 0
        return count

    return run


def qqproto(loads: Loads = json.loads) -> Run:
    """The whole of qqproto: a Shard that is live, from bytes to the Dispatch handed out, settled and counted."""
    shard, connection = live_shard(loads)

    def run(chunks: Sequence[bytes]) -> int:
        count = 0
        for chunk in chunks:
            shard.receive_data(connection, chunk, 1.0)
            while (output := shard.next_output()) is not None:
                count += type(output) is Dispatch
            shard.next_timer()
        return count

    return run


# -- the WebSocket alone ---------------------------------------------------------------------------------------------


def wsproto_codec() -> Run:
    """wsproto's public interface, to texts."""
    connection = Connection(ConnectionType.CLIENT)

    def run(chunks: Sequence[bytes]) -> int:
        count = 0
        for chunk in chunks:
            connection.receive_data(chunk)
            for event in connection.events():
                count += type(event) is TextMessage
        return count

    return run


class _Taken:
    """In the place of a conversation: it counts what it is told."""

    ending = None

    def __init__(self) -> None:
        self.count = 0

    def bytes_received(self, now: float) -> None: ...

    def receive_value(self, value: object, message: str | bytes, now: float) -> None:
        self.count += bool(value)


def lane(*, decoded: bool = True) -> Run:
    """qqproto's WebSocket, a lane before wsproto, as a connection reads it: to texts, or to bytes for the decoder."""
    connection: Any = QQGatewayConnection(ShardConfig("1", 1 << 25), URL, Token("token"), random=lambda: 0.5)
    server = WSConnection(ConnectionType.SERVER)
    connection.connection_opened(0.0)
    server.receive_data(connection.next_output().data)
    list(server.events())
    connection.receive_data(server.send(AcceptConnection()), 0.0)
    taken = connection.conversation = _Taken()
    connection._decode = bytes.decode if decoded else bytes

    def run(chunks: Sequence[bytes]) -> int:
        taken.count = 0
        for chunk in chunks:
            connection.receive_data(chunk, 0.0)
        return taken.count

    return run


def codec_floor() -> Run:
    """Each payload cut out and decoded."""

    def run(chunks: Sequence[bytes]) -> int:
        return sum(1 for chunk in chunks if chunk[payload_start(chunk) :].decode())

    return run


def live_shard(loads: Loads = json.loads) -> tuple[Shard, int]:
    """A shard in framing BYTES, taken through its handshake by a wsproto server."""
    shard = Shard(ShardConfig("1", 1 << 25), random=lambda: 0.5, loads=loads)
    server = WSConnection(ConnectionType.SERVER)
    shard.start(0.0)
    connection = 0
    while True:
        output = shard.next_output()
        if isinstance(output, FetchToken):
            shard.answer(output.id, Token("token"), 0.0)
        elif isinstance(output, FetchGateway):
            shard.answer(output.id, GatewayInfo(URL), 0.0)
        elif isinstance(output, OpenConnection):
            connection = output.id
            shard.connection_opened(connection, 0.0)
        elif isinstance(output, ReserveIdentify):
            shard.answer(output.id, IdentifySlot(0.0), 0.0)
        elif isinstance(output, SendData) and server.connection is None:
            server.receive_data(output.data)
            list(server.events())
            hello = frame(b'{"op":10,"d":{"heartbeat_interval":41250}}')
            shard.receive_data(connection, server.send(AcceptConnection()) + hello, 0.0)
        elif isinstance(output, SendData):
            ready: dict[str, Any] = {"session_id": "S", "user": {"id": "1", "username": "bot"}}
            text = json.dumps({"op": 0, "s": 1, "t": "READY", "d": ready}).encode()
            shard.receive_data(connection, frame(text), 0.0)
        elif output is None:
            assert shard.status(0.0).connected
            return shard, connection
