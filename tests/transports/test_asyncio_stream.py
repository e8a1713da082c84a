"""One connection over real sockets: what is told of it, what is unsent, and TLS that lets nothing out too early."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme

from qqproto import FailureKind, OpenConnection, Policy
from qqproto_transports._asyncio_stream import AsyncioStream
from qqproto_transports._common import Proxy
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._tls import default_context
from tests.transports.certificates import server_context, trusting
from tests.transports.loops import eventually, on_loop, open_files
from tests.transports.servers import closed_port, full_port, serving, silence

EIGHT_MEGABYTES = b"x" * (8 << 20)
"""More than the systems at both ends take of a stream that nobody reads."""


class Listener:
    """Takes the place of a shard's runner, and keeps what it is told."""

    def __init__(self, on_open: Callable[[], None] = lambda: None) -> None:
        self.told: list[str] = []
        self.received = b""
        self.kind: FailureKind | None = None
        self.message = ""
        self.on_open = on_open

    def stream_opened(self, id: int) -> None:
        self.told.append("opened")
        self.on_open()

    def data_received(self, id: int, data: bytes) -> None:
        self.received += data
        if not data:
            self.told.append("end")

    def stream_failed(self, id: int, error: BaseException) -> None:
        failure = failure_of(error)
        self.kind, self.message = failure.kind, failure.message
        self.told.append("failed")

    def stream_closed(self, id: int) -> None:
        self.told.append("closed")


@contextlib.asynccontextmanager
async def stream(
    listener: Listener,
    port: int,
    *,
    scheme: str = "ws",
    context: Callable[[], ssl.SSLContext] = trusting,
    proxy: Proxy = None,
    policy: Policy = Policy(),
) -> AsyncIterator[AsyncioStream]:
    """A stream to this machine; nothing is left of it in the end."""
    action = OpenConnection(1, 0.0, f"{scheme}://127.0.0.1:{port}/websocket")
    result = AsyncioStream(listener, action, Egress(proxy, context()), policy)  # type: ignore[arg-type]  # the part of a runner it uses
    try:
        yield result
    finally:
        result.abort()
        await result.finished


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_loop
async def test_opened_sent_received_closed(scheme: str) -> None:
    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    async with serving(echo, ssl=tls) as port, stream(listener, port, scheme=scheme) as connection:
        await eventually(lambda: listener.told)
        connection.send(b"ping " * 10_000)
        connection.send(b"pong")
        await eventually(lambda: len(listener.received) == 50_004)
        connection.close()
        await connection.finished

    assert listener.told == ["opened", "closed"]
    assert listener.received == b"ping " * 10_000 + b"pong"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_loop
async def test_what_was_sent_before_the_close_arrives(scheme: str) -> None:
    came = b""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        while data := await reader.read(16384):
            came += data

    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    policy = Policy(max_unsent=16 << 20)
    async with serving(slow, ssl=tls) as port, stream(listener, port, scheme=scheme, policy=policy) as connection:
        await eventually(lambda: listener.told)
        connection.send(EIGHT_MEGABYTES)
        connection.close()
        await eventually(lambda: len(came) == len(EIGHT_MEGABYTES))
        await connection.finished

    assert listener.told == ["opened", "closed"]


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"last words")
    await writer.drain()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_loop
async def test_the_peers_end_is_told_as_an_empty_read(scheme: str) -> None:
    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    async with serving(hang_up, ssl=tls) as port, stream(listener, port, scheme=scheme) as connection:
        await connection.finished

    assert listener.told == ["opened", "end", "closed"]
    assert listener.received == b"last words"


@on_loop
async def test_a_reset_is_a_failure() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    listener = Listener()
    async with serving(reset) as port, stream(listener, port) as connection:
        await connection.finished

    assert listener.told == ["opened", "failed"]
    assert listener.kind is FailureKind.RESET


@on_loop
async def test_a_goodbye_arrives_though_the_peer_talks_on() -> None:
    """A close with something unread would be a reset, and take the goodbye with it."""
    came = b""

    async def talk_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        writer.write(EIGHT_MEGABYTES)
        while data := await reader.read(1000):
            came += data

    listener = Listener()
    async with serving(talk_on) as port, stream(listener, port) as connection:
        listener.on_open = connection.pause_reading
        await eventually(lambda: listener.told)
        connection.send(b"goodbye" * 5000)
        before = asyncio.get_running_loop().time()
        connection.close()
        await connection.finished
        assert asyncio.get_running_loop().time() - before < 0.9, "it reads on, or the peer could not finish"

    assert came == b"goodbye" * 5000
    assert listener.told == ["opened", "closed"]


@on_loop
async def test_a_peer_that_never_closes_is_waited_for_a_moment() -> None:
    loop = asyncio.get_running_loop()
    listener = Listener()

    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(stay) as port, stream(listener, port) as connection:
        await eventually(lambda: listener.told)
        before = loop.time()
        connection.close()
        connection.close()
        await connection.finished
        assert 0.9 < loop.time() - before < 3.0

    assert listener.told == ["opened", "closed"]


@on_loop
async def test_a_refused_dial() -> None:
    listener = Listener()
    with closed_port() as port:
        async with stream(listener, port) as connection:
            await connection.finished

    assert listener.told == ["failed"]
    assert listener.kind is FailureKind.REFUSED


@on_loop
async def test_aborted_in_every_phase_it_leaves_nothing_and_tells_nothing() -> None:
    async def phase(listener: Listener, port: int, scheme: str, reached: Callable[[], object]) -> None:
        before = open_files()
        async with stream(listener, port, scheme=scheme) as connection:
            await eventually(reached)
            told = list(listener.told)
            connection.abort()
            await connection.finished
            assert listener.told == told
        await eventually(lambda: len(open_files()) <= len(before))

    with full_port() as port:
        await phase(Listener(), port, "ws", lambda: True)
        loop = asyncio.get_running_loop()
        moment = loop.time() + 0.05
        await phase(Listener(), port, "wss", lambda: loop.time() > moment)

    shaking_hands = asyncio.Event()

    async def never_a_server_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        shaking_hands.set()
        await silence(reader, writer)

    async with serving(never_a_server_hello) as port:
        await phase(Listener(), port, "wss", shaking_hands.is_set)
    async with serving(silence) as port:
        listener = Listener()
        await phase(listener, port, "ws", lambda: listener.told)


# -- what is unsent ----------------------------------------------------------------------------------------------------


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing at all."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_loop
async def test_more_unsent_than_allowed_is_a_lost_link(scheme: str) -> None:
    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    async with serving(deaf, ssl=tls) as port, stream(listener, port, scheme=scheme) as connection:
        await eventually(lambda: listener.told)
        for _ in range(1000):
            connection.send(b"x" * 65536)
        await connection.finished

    assert listener.told == ["opened", "failed"]
    assert "65536 bytes could not be sent" in listener.message


@on_loop
async def test_no_progress_in_sending_is_a_lost_link() -> None:
    listener = Listener()
    policy = Policy(max_unsent=len(EIGHT_MEGABYTES), unsent_timeout=0.2)
    async with serving(deaf) as port, stream(listener, port, policy=policy) as connection:
        await eventually(lambda: listener.told)
        connection.send(EIGHT_MEGABYTES)
        await connection.finished

    assert listener.told == ["opened", "failed"]
    assert listener.kind is FailureKind.TIMEOUT


@on_loop
async def test_a_close_that_cannot_be_flushed_ends_as_well() -> None:
    """Or a rotation away from a black hole would leave a socket behind until the system gives up, minutes later."""
    listener = Listener()
    policy = Policy(max_unsent=len(EIGHT_MEGABYTES), unsent_timeout=0.2)
    async with serving(deaf) as port, stream(listener, port, policy=policy) as connection:
        await eventually(lambda: listener.told)
        connection.send(EIGHT_MEGABYTES)
        connection.close()
        await connection.finished

    assert listener.told == ["opened", "failed"]


@on_loop
async def test_slow_progress_is_progress() -> None:
    loop = asyncio.get_running_loop()
    listener = Listener()

    async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        while await reader.read(1 << 16):  # noqa: ASYNC110  # it is slow, and waits for nothing
            await asyncio.sleep(0.02)

    policy = Policy(max_unsent=1 << 30, unsent_timeout=0.5)
    async with serving(sip) as port, stream(listener, port, policy=policy) as connection:
        await eventually(lambda: listener.told)
        # The system reports room only when a third of this is free; the default is worth seconds here.
        assert connection._transport is not None
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        for _ in range(8):
            connection.send(EIGHT_MEGABYTES)
        beyond = loop.time() + 3 * policy.unsent_timeout
        await eventually(lambda: loop.time() > beyond or len(listener.told) > 1)
        assert listener.told == ["opened"]
        connection.close()
        await eventually(lambda: loop.time() > beyond + policy.unsent_timeout)
        assert listener.told == ["opened"], "it is still being flushed"


# -- TLS ---------------------------------------------------------------------------------------------------------------


class Wire:
    """A server that takes every byte as it comes on the wire."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.bytes = b""
        self.plaintext = b""
        self.error: ssl.SSLError | None = None
        self.ended_well = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.bytes += data
            self.incoming.write(data)
            try:
                self.tls.do_handshake()
                while more := self.tls.read(65536):
                    self.plaintext += more
                self.ended_well = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.error = error
            writer.write(self.outgoing.read())


@on_loop
async def test_an_untrusted_certificate_no_byte_of_plaintext_reaches_the_server() -> None:
    wire = Wire(server_context("127.0.0.1", ca=trustme.CA()))
    listener = Listener()

    async with serving(wire.talk) as port, stream(listener, port, scheme="wss", context=default_context) as connection:
        await connection.finished
        await eventually(lambda: wire.error)

    assert listener.told == ["failed"]
    assert listener.kind is FailureKind.TLS_UNTRUSTED
    assert wire.plaintext == b""
    assert "ALERT_UNKNOWN_CA" in str(wire.error)


@on_loop
async def test_a_close_says_close_notify() -> None:
    wire, listener = Wire(server_context("127.0.0.1")), Listener()

    async with serving(wire.talk) as port, stream(listener, port, scheme="wss") as connection:
        await eventually(lambda: listener.told)
        connection.send(b"goodbye")
        connection.close()
        await connection.finished

    assert (wire.plaintext, wire.ended_well) == (b"goodbye", True)
    assert b"goodbye" not in wire.bytes


@on_loop
async def test_a_server_without_tls_is_told_apart() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = Listener()
    async with serving(http) as port, stream(listener, port, scheme="wss") as connection:
        await connection.finished

    assert (listener.told, listener.kind) == (["failed"], FailureKind.TLS)


@on_loop
async def test_an_end_in_the_handshake_is_a_failure() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)

    listener = Listener()
    async with serving(hang_up) as port, stream(listener, port, scheme="wss") as connection:
        await connection.finished

    assert (listener.told, listener.kind) == (["failed"], FailureKind.EOF)


@pytest.mark.parametrize("factory", [None, getattr(asyncio, "eager_task_factory", None)], ids=["lazy", "eager"])
@on_loop
async def test_a_host_that_no_certificate_can_name_is_a_failure(factory: Any) -> None:
    """The address comes from the platform: whatever it is, it is no bug of ours."""
    asyncio.get_running_loop().set_task_factory(factory)
    listener = Listener()
    action = OpenConnection(1, 0.0, "wss://.example/websocket")
    connection = AsyncioStream(listener, action, Egress(None, trusting()), Policy())  # type: ignore[arg-type]  # as above
    assert listener.told == [], "a machine that is being drained is told nothing"
    await connection.finished

    assert (listener.told, listener.kind) == (["failed"], FailureKind.DNS)


# -- reading, pausing --------------------------------------------------------------------------------------------------


@on_loop
async def test_paused_nothing_is_read_and_nothing_is_lost() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EIGHT_MEGABYTES)
        await writer.drain()
        await silence(reader, writer)

    listener = Listener()
    async with serving(flood) as port, stream(listener, port) as connection:
        listener.on_open = connection.pause_reading
        await eventually(lambda: listener.told)
        await asyncio.sleep(0)
        assert listener.received == b""
        connection.resume_reading()
        await eventually(lambda: len(listener.received) == len(EIGHT_MEGABYTES))


@on_loop
async def test_a_pause_before_it_is_open_does_not_stop_the_handshake() -> None:
    listener = Listener()
    async with serving(silence, ssl=server_context("127.0.0.1")) as port:
        async with stream(listener, port, scheme="wss") as connection:
            connection.pause_reading()
            await eventually(lambda: listener.told == ["opened"])
