"""One connection over real sockets: what is told of it, what is unsent, and TLS that lets nothing out too early."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable

import anyio
import pytest
import trustme
from anyio.lowlevel import checkpoint

from qqproto import FailureKind, Policy
from qqproto_transports._egress import Egress
from qqproto_transports._tls import default_context
from tests.transports.certificates import server_context, trusting
from tests.transports.loops import open_files
from tests.transports.servers import closed_port, full_port, silence
from tests.transports.streams import Bench, Listener, beside, eventually, on_benches

EIGHT_MEGABYTES = b"x" * (8 << 20)
"""More than the systems at both ends take of a stream that nobody reads."""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_benches
async def test_opened_sent_received_closed(bench: Bench, scheme: str) -> None:
    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    async with beside(echo, ssl=tls) as port, bench.stream(listener, port, scheme=scheme) as connection:
        await eventually(lambda: listener.told)
        connection.send(b"ping " * 10_000)
        connection.send(b"pong")
        await eventually(lambda: len(listener.received) == 50_004)
        connection.close()
        await bench.end(connection)

    assert listener.told == ["opened", "closed"]
    assert listener.received == b"ping " * 10_000 + b"pong"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_benches
async def test_what_was_sent_before_the_close_arrives(bench: Bench, scheme: str) -> None:
    came = b""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        while data := await reader.read(16384):
            came += data

    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    policy = Policy(max_unsent=16 << 20)
    async with beside(slow, ssl=tls) as port, bench.stream(listener, port, scheme=scheme, policy=policy) as connection:
        await eventually(lambda: listener.told)
        connection.send(EIGHT_MEGABYTES)
        connection.close()
        await eventually(lambda: len(came) == len(EIGHT_MEGABYTES))
        await bench.end(connection)

    assert listener.told == ["opened", "closed"]


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"last words")
    await writer.drain()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_benches
async def test_the_peers_end_is_told_as_an_empty_read(bench: Bench, scheme: str) -> None:
    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    async with beside(hang_up, ssl=tls) as port, bench.stream(listener, port, scheme=scheme) as connection:
        await bench.end(connection)

    assert listener.told == ["opened", "end", "closed"]
    assert listener.received == b"last words"


@on_benches
async def test_what_is_sent_around_the_peers_end_is_no_bug(bench: Bench) -> None:
    """A heartbeat may be due in any turn of the loop."""
    listener = Listener()
    async with beside(hang_up) as port, bench.stream(listener, port) as connection:
        await eventually(lambda: listener.told)
        while listener.told[-1] not in ("closed", "failed"):
            connection.send(b"x" * 10_000)
            await checkpoint()
        connection.send(b"x")
        await bench.end(connection)

    assert listener.told in (["opened", "end", "closed"], ["opened", "end", "failed"], ["opened", "failed"])


@on_benches
async def test_a_reset_is_a_failure(bench: Bench) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    listener = Listener()
    async with beside(reset) as port, bench.stream(listener, port) as connection:
        await eventually(lambda: listener.told)
        connection.send(b"hello")
        await bench.end(connection)

    assert listener.told == ["opened", "failed"]
    assert listener.kind is FailureKind.RESET


@on_benches
async def test_closing_what_was_reset_a_moment_ago_is_no_bug(bench: Bench) -> None:
    """As where a server says 4009 and resets: the answer to the close finds a socket that is connected to nobody."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    listener = Listener()
    async with beside(reset) as port, bench.stream(listener, port) as connection:
        listener.on_open = connection.pause_reading
        await eventually(lambda: listener.told)
        sock = bench.socket_of(connection)
        connection.send(b"hello")
        await eventually(lambda: is_gone(sock))
        connection.close()
        await bench.end(connection)

    assert listener.told in (["opened", "failed"], ["opened", "closed"])


def is_gone(sock: socket.socket) -> bool:
    """Whether it is connected to nobody any more."""
    try:
        sock.getpeername()
    except OSError:
        return True
    return False


@on_benches
async def test_a_goodbye_arrives_though_the_peer_talks_on(bench: Bench) -> None:
    """A close with something unread would be a reset, and take the goodbye with it."""
    came = b""

    async def talk_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        writer.write(EIGHT_MEGABYTES)
        while data := await reader.read(1000):
            came += data

    listener = Listener()
    async with beside(talk_on) as port, bench.stream(listener, port) as connection:
        listener.on_open = connection.pause_reading
        await eventually(lambda: listener.told)
        connection.send(b"goodbye" * 5000)
        before = anyio.current_time()
        connection.close()
        await bench.end(connection)
        assert anyio.current_time() - before < 0.9, "it reads on, or the peer could not finish"

    assert came == b"goodbye" * 5000
    assert listener.told == ["opened", "closed"]


@on_benches
async def test_a_peer_that_never_closes_is_waited_for_a_moment(bench: Bench) -> None:
    listener = Listener()

    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with beside(stay) as port, bench.stream(listener, port) as connection:
        await eventually(lambda: listener.told)
        before = anyio.current_time()
        connection.close()
        connection.close()
        await bench.end(connection)
        assert 0.9 < anyio.current_time() - before < 3.0

    assert listener.told == ["opened", "closed"]


@on_benches
async def test_a_refused_dial(bench: Bench) -> None:
    listener = Listener()
    with closed_port() as port:
        async with bench.stream(listener, port) as connection:
            await bench.end(connection)

    assert listener.told == ["failed"]
    assert listener.kind is FailureKind.REFUSED


@on_benches
async def test_aborted_in_every_phase_it_leaves_nothing_and_tells_nothing(bench: Bench) -> None:
    async def phase(listener: Listener, port: int, scheme: str, reached: Callable[[], object]) -> None:
        before = open_files()
        async with bench.stream(listener, port, scheme=scheme) as connection:
            await eventually(reached)
            told = list(listener.told)
            connection.abort()
            await bench.end(connection)
            assert listener.told == told
        await eventually(lambda: len(open_files()) <= len(before))

    with full_port() as port:
        await phase(Listener(), port, "ws", lambda: True)
        moment = anyio.current_time() + 0.05
        await phase(Listener(), port, "wss", lambda: anyio.current_time() > moment)

    shaking_hands = asyncio.Event()

    async def never_a_server_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        shaking_hands.set()
        await silence(reader, writer)

    async with beside(never_a_server_hello) as port:
        await phase(Listener(), port, "wss", shaking_hands.is_set)
    async with beside(silence) as port:
        listener = Listener()
        await phase(listener, port, "ws", lambda: listener.told)


# -- what is unsent ----------------------------------------------------------------------------------------------------


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing at all."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@on_benches
async def test_more_unsent_than_allowed_is_a_lost_link(bench: Bench, scheme: str) -> None:
    listener = Listener()
    tls = server_context("127.0.0.1") if scheme == "wss" else None
    async with beside(deaf, ssl=tls) as port, bench.stream(listener, port, scheme=scheme) as connection:
        await eventually(lambda: listener.told)
        for _ in range(1000):
            connection.send(b"x" * 65536)
        await bench.end(connection)

    assert listener.told == ["opened", "failed"]
    assert "65536 bytes could not be sent" in listener.message


@on_benches
async def test_no_progress_in_sending_is_a_lost_link(bench: Bench) -> None:
    listener = Listener()
    policy = Policy(max_unsent=len(EIGHT_MEGABYTES), unsent_timeout=0.2)
    async with beside(deaf) as port, bench.stream(listener, port, policy=policy) as connection:
        await eventually(lambda: listener.told)
        connection.send(EIGHT_MEGABYTES)
        await bench.end(connection)

    assert listener.told == ["opened", "failed"]
    assert listener.kind is FailureKind.TIMEOUT


@on_benches
async def test_a_close_that_cannot_be_flushed_ends_as_well(bench: Bench) -> None:
    """Or a rotation away from a black hole would leave a socket behind until the system gives up, minutes later."""
    listener = Listener()
    policy = Policy(max_unsent=len(EIGHT_MEGABYTES), unsent_timeout=0.2)
    async with beside(deaf) as port, bench.stream(listener, port, policy=policy) as connection:
        await eventually(lambda: listener.told)
        connection.send(EIGHT_MEGABYTES)
        connection.close()
        await bench.end(connection)

    assert listener.told == ["opened", "failed"]


@on_benches
async def test_slow_progress_is_progress(bench: Bench) -> None:
    listener = Listener()

    async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        while await reader.read(1 << 16):  # noqa: ASYNC110  # it is slow, and waits for nothing
            await asyncio.sleep(0.02)

    policy = Policy(max_unsent=1 << 30, unsent_timeout=0.5)
    async with beside(sip) as port, bench.stream(listener, port, policy=policy) as connection:
        await eventually(lambda: listener.told)
        # The system reports room only when a third of this is free; the default is worth seconds here.
        bench.socket_of(connection).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        for _ in range(8):
            connection.send(EIGHT_MEGABYTES)
        beyond = anyio.current_time() + 3 * policy.unsent_timeout
        await eventually(lambda: anyio.current_time() > beyond or len(listener.told) > 1)
        assert listener.told == ["opened"]
        connection.close()
        await eventually(lambda: anyio.current_time() > beyond + policy.unsent_timeout)
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


@on_benches
async def test_an_untrusted_certificate_no_byte_of_plaintext_reaches_the_server(bench: Bench) -> None:
    wire = Wire(server_context("127.0.0.1", ca=trustme.CA()))
    listener = Listener()

    async with beside(wire.talk) as port:
        async with bench.stream(listener, port, scheme="wss", context=default_context) as connection:
            await bench.end(connection)
            await eventually(lambda: wire.error)

    assert listener.told == ["failed"]
    assert listener.kind is FailureKind.TLS_UNTRUSTED
    assert wire.plaintext == b""
    assert "ALERT_UNKNOWN_CA" in str(wire.error)


@on_benches
async def test_a_close_says_close_notify(bench: Bench) -> None:
    wire, listener = Wire(server_context("127.0.0.1")), Listener()

    async with beside(wire.talk) as port, bench.stream(listener, port, scheme="wss") as connection:
        await eventually(lambda: listener.told)
        connection.send(b"goodbye")
        connection.close()
        await bench.end(connection)

    assert (wire.plaintext, wire.ended_well) == (b"goodbye", True)
    assert b"goodbye" not in wire.bytes


@on_benches
async def test_a_server_without_tls_is_told_apart(bench: Bench) -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = Listener()
    async with beside(http) as port, bench.stream(listener, port, scheme="wss") as connection:
        await bench.end(connection)

    assert (listener.told, listener.kind) == (["failed"], FailureKind.TLS)


@on_benches
async def test_an_end_in_the_handshake_is_a_failure(bench: Bench) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)

    listener = Listener()
    async with beside(hang_up) as port, bench.stream(listener, port, scheme="wss") as connection:
        await bench.end(connection)

    assert (listener.told, listener.kind) == (["failed"], FailureKind.EOF)


@pytest.mark.parametrize("eager", [False, True], ids=["lazy", "eager"])
@on_benches
async def test_a_host_that_no_certificate_can_name_is_a_failure(bench: Bench, eager: bool) -> None:
    """The address comes from the platform: whatever it is, it is no bug of ours."""
    if eager:
        factory = getattr(asyncio, "eager_task_factory", None)
        if factory is None or bench.name == "trio":
            pytest.skip("eager tasks are asyncio's, from Python 3.12 on")
        asyncio.get_running_loop().set_task_factory(factory)
    listener = Listener()
    connection = bench.open(listener, "wss://.example/websocket", Egress(None, trusting()), Policy())
    assert listener.told == [], "a machine that is being drained is told nothing"
    await bench.end(connection)

    assert (listener.told, listener.kind) == (["failed"], FailureKind.DNS)


# -- reading, pausing --------------------------------------------------------------------------------------------------


@on_benches
async def test_paused_nothing_is_read_and_nothing_is_lost(bench: Bench) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EIGHT_MEGABYTES)
        await writer.drain()
        await silence(reader, writer)

    listener = Listener()
    async with beside(flood) as port, bench.stream(listener, port) as connection:
        listener.on_open = connection.pause_reading
        await eventually(lambda: listener.told)
        await checkpoint()
        assert listener.received == b""
        connection.resume_reading()
        await eventually(lambda: len(listener.received) == len(EIGHT_MEGABYTES))


@on_benches
async def test_a_pause_before_it_is_open_does_not_stop_the_handshake(bench: Bench) -> None:
    listener = Listener()
    async with beside(silence, ssl=server_context("127.0.0.1")) as port:
        async with bench.stream(listener, port, scheme="wss") as connection:
            connection.pause_reading()
            await eventually(lambda: listener.told == ["opened"])
