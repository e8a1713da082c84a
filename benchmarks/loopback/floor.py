"""The least that a client on asyncio can do: read, decrypt, cut the frames out, decode. It talks no protocol at all."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from json.scanner import make_scanner
from typing import Any
from urllib.parse import urlsplit

from benchmarks.loopback.meter import Meter
from qqproto_transports._tls import TLS


def decoder_named(name: str) -> Callable[[bytes], Any]:
    if name == "json":
        scan = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # typeshed: a scanner's context, a scanner
        return lambda payload: scan(payload.decode(), 0)[0]
    import msgspec

    return msgspec.json.decode


async def run(url: str, meter: Meter, context: ssl.SSLContext | None, decoder: str) -> None:
    """Take events until the meter has enough."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    tls = None if context is None else TLS(context, parts.hostname)
    request = (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    bare = _Bare(request.encode(), tls, decoder_named(decoder), meter, done)
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: bare, parts.hostname, parts.port)
    await done
    transport.abort()


class _Bare(asyncio.Protocol):
    def __init__(
        self,
        request: bytes,
        tls: TLS | None,
        decode: Callable[[bytes], Any],
        meter: Meter,
        done: asyncio.Future[None],
    ) -> None:
        self._request = request
        self._tls = tls
        self._decode = decode
        self._meter = meter
        self._done = done
        self._kept = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._tls is None:
            transport.write(self._request)
        else:
            self._tls.start()
            transport.write(self._tls.data_to_send())

    def data_received(self, data: bytes) -> None:
        tls = self._tls
        if tls is not None:
            stood = tls.established
            data = tls.receive_data(data)
            if not stood:
                if tls.established:
                    tls.send_data(self._request)
                self._transport.write(tls.data_to_send())
        if self._upgraded:
            self._read(self._kept + data if self._kept else data)
        else:
            self._kept += data
            _, separator, rest = self._kept.partition(b"\r\n\r\n")
            if separator:
                self._upgraded = True
                self._read(rest)

    def _read(self, data: bytes) -> None:
        """Frames of 126 to 65,535 bytes: there are no others."""
        at, end = 0, len(data)
        while end - at >= 4:
            stop = at + 4 + (data[at + 2] << 8 | data[at + 3])
            if stop > end:
                break
            if self._decode(data[at + 4 : stop])["op"] == 0 and self._meter() and not self._done.done():
                self._done.set_result(None)
            at = stop
        self._kept = data[at:]
