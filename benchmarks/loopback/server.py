"""``python -m benchmarks.loopback.server``: a gateway that does what the path asks for, and prints its port.

``/qq/...`` begins as the platform does, with Hello, Identify and READY; ``/raw/...`` begins at once. ``.../burst`` then
sends ``count`` dispatches of ``size`` bytes as fast as they are taken; ``.../single`` one at a time, each when the
client has said in the file ``pace`` that it had the one before, and has had time to fall asleep; ``.../idle`` none.
Heartbeats are acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import mmap
import ssl
import struct
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from benchmarks.loopback.limits import allow_many_files
from benchmarks.work import dispatch, frame

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HELLO = frame(b'{"op":10,"d":{"heartbeat_interval":41250}}')
_ACK = frame(b'{"op":11}')
_USER = {"id": "1", "username": "bot", "bot": True}
_READY = {"op": 0, "s": 1, "t": "READY", "d": {"version": 1, "session_id": "S", "user": _USER, "shard": [0, 1]}}
_WARM_UP = 0.3
"""Seconds between READY and the first dispatch."""
_ASLEEP = 0.0003
"""Seconds in which a client that has nothing to do has gone to sleep."""


_AUTHOR = {"id": "1122334455667788", "member_openid": "11223344556677889900AABBCCDDEEFF", "bot": False}
_MORE = {"author": {**_AUTHOR, "member_role": "member"}, "group_id": "0F1E2D3C4B5A69788796A5B4C3D2E1F0"}
"""Without these nonebot-adapter-qq takes it for no event."""


@cache
def _dispatches(size: int, count: int) -> bytes:
    return b"".join(frame(dispatch(size, sequence, _MORE)) for sequence in range(2, 2 + count))


class Client(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._talk = self._mode = ""
        self._query: dict[str, str] = {}
        self._begun = False
        self._sent = 0
        self._pace: mmap.mmap | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._mode:
            head, separator, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not separator:
                return
            self._buffer = bytearray(rest)
            self._upgrade(head)
        for opcode, payload in self._frames():
            if opcode == 8:
                self._transport.write(frame(payload, 8))
                self._transport.close()
                return
            if opcode == 9:
                self._transport.write(frame(payload, 10))
            elif opcode == 1 and self._talk == "qq" and not self._begun:
                self._transport.write(frame(json.dumps(_READY).encode()))
                self._begin()
            elif opcode == 1:
                self._transport.write(_ACK)

    def _upgrade(self, head: bytes) -> None:
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        target = urlsplit(line.split(" ")[1])
        self._query = dict(parse_qsl(target.query))
        _, self._talk, self._mode = target.path.split("/")
        accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + _MAGIC).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        if self._talk == "qq":
            self._transport.write(_HELLO)
        else:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        if self._mode == "burst":
            frames = _dispatches(int(self._query["size"]), int(self._query["count"]))
            self._later(_WARM_UP, lambda: self._transport.write(frames))
        elif self._mode == "single":
            with Path(self._query["pace"]).open("r+b") as file:
                self._pace = mmap.mmap(file.fileno(), 8)
            self._later(_WARM_UP, self._send_one)

    def _send_one(self) -> None:
        size, count = int(self._query["size"]), int(self._query["count"])
        if self._sent < count:
            self._sent += 1
            self._transport.write(frame(dispatch(size, 1 + self._sent)))
            self._later(_ASLEEP, self._look)

    def _look(self) -> None:
        """Has it come? Then the client goes to sleep before the next one does."""
        assert self._pace is not None
        taken = struct.unpack("q", self._pace[:8])[0] >= self._sent
        self._later(_ASLEEP, self._send_one if taken else self._look)

    def _later(self, seconds: float, call: Callable[[], object]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, call)

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """The client's frames, as far as they are whole; none is as long as 64 KiB."""
        buffer = self._buffer
        while len(buffer) >= 6:
            size, start = buffer[1] & 0x7F, 2
            if size == 126:
                size, start = struct.unpack_from("!H", buffer, 2)[0], 4
            if len(buffer) < start + 4 + size:
                return
            mask, masked = buffer[start : start + 4], buffer[start + 4 : start + 4 + size]
            opcode = buffer[0] & 0x0F
            del buffer[: start + 4 + size]
            yield opcode, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))


async def serve(certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", 0, ssl=context, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loopback.server", description=__doc__)
    parser.add_argument("--certificate", help="a PEM file with key and certificate: serve TLS")
    allow_many_files()
    asyncio.run(serve(parser.parse_args().certificate))


if __name__ == "__main__":
    main()
