"""The network of the demo and of the scenarios: a port that leads to another one, as long as it is let."""

from __future__ import annotations

import asyncio

import pytest

from qqproto_transports._break_off import break_off
from qqproto_transports._network import Network
from tests.transports.certificates import server_context, trusting
from tests.transports.loops import eventually, on_loop
from tests.transports.servers import serving, silence


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, says so at the end, and ends as well."""
    while data := await reader.read(100):
        writer.write(data)
    writer.write(b", the end")
    writer.write_eof()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for a word, and resets the connection."""
    await reader.read(1)
    break_off(writer.transport)


async def connected(network: Network) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", network.port)


async def reached(network: Network) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that is known to lead to the echo."""
    reader, writer = await connected(network)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    return reader, writer


@on_loop
async def test_carries_bytes_and_each_end_of_a_stream() -> None:
    async with serving(echo) as port, Network(port) as network:
        reader, writer = await reached(network)
        writer.write(b"goodbye")
        writer.write_eof()
        assert await reader.read() == b"goodbye, the end"
        writer.close()
        assert len(network.links) == 1


@on_loop
async def test_carries_a_reset() -> None:
    async with serving(hang_up) as port, Network(port) as network:
        reader, writer = await connected(network)
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@on_loop
async def test_what_is_lost_is_told_to_nobody() -> None:
    heard: list[bytes] = []

    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.append(data)
            writer.write(data)
            network.lose()
            writer.write(b"lost")

    async with serving(answer_twice) as port, Network(port) as network:
        lost_reader, lost_writer = await connected(network)
        lost_writer.write(b"first")
        await eventually(lambda: heard == [b"first"])
        nothing = asyncio.ensure_future(lost_reader.read(1))
        lost_writer.write(b"is anybody there?")
        lost_writer.write_eof()

        # What comes on the next connection has gone the same way later.
        _, writer = await connected(network)
        writer.write(b"second")
        await eventually(lambda: len(heard) > 1)
        assert heard == [b"first", b"second"]
        assert not nothing.done()
        nothing.cancel()
        writer.close()
        lost_writer.close()


@on_loop
async def test_refuses_and_accepts_again_on_the_same_port() -> None:
    async with serving(echo) as port, Network(port) as network:
        reader, writer = await reached(network)
        network.refuse()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await connected(network)

        await network.accept()
        _, writer = await reached(network)
        writer.close()
        assert len(network.links) == 2


@on_loop
async def test_a_gateway_that_is_gone_is_a_reset() -> None:
    async with Network(1) as network:
        reader, writer = await connected(network)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await eventually(lambda: len(network.links) == 1)


@on_loop
async def test_leaving_it_ends_what_is_left() -> None:
    async with serving(echo) as port:
        async with Network(port) as network:
            reader, writer = await reached(network)
            lost_reader, lost_writer = await reached(network)
            network.lose()
            network.refuse()
        for left in (reader, lost_reader):
            with pytest.raises(ConnectionResetError):
                await left.read()
        writer.close()
        lost_writer.close()


# -- what passed -------------------------------------------------------------------------------------------------------


@on_loop
async def test_remembers_what_passed_in_each_direction() -> None:
    async with serving(echo) as port, Network(port) as network:
        reader, writer = await reached(network)
        writer.write_eof()
        await reader.read()
        (link,) = network.links
        assert network.clients == 0, "it has said all that it will"
        assert link.from_client == b"hello"
        assert link.to_client == b"hello, the end"
        writer.close()
        await eventually(lambda: network.open == 0)


@on_loop
async def test_tls_ends_at_its_port_and_what_passed_is_plain() -> None:
    async with serving(echo) as port, Network(port, tls=server_context("127.0.0.1")) as network:
        async with Network(network.port) as outside:
            reader, writer = await asyncio.open_connection("127.0.0.1", outside.port, ssl=trusting())
            writer.write(b"a secret")
            assert await reader.readexactly(8) == b"a secret"
            writer.close()
            await writer.wait_closed()
        assert network.links[0].from_client == b"a secret"
        assert b"a secret" not in outside.links[0].from_client


# -- what networks do --------------------------------------------------------------------------------------------------


@on_loop
async def test_a_pace_lets_so_many_bytes_through_at_once() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.append(data)

    async with serving(listen) as port, Network(port) as network:
        network.pace = (3, 3600.0)
        _, writer = await connected(network)
        writer.write(b"one two three")
        await eventually(lambda: heard)
        network.pace = None
        _, another = await connected(network)
        another.write(b"four")
        await eventually(lambda: heard == [b"one", b"four"])
        writer.close()
        another.close()


@on_loop
async def test_the_end_of_a_stream_comes_after_all_of_it() -> None:
    async with serving(echo) as port, Network(port) as network:
        network.pace = (1, 0.001)
        reader, writer = await connected(network)
        writer.write(b"goodbye")
        writer.write_eof()
        assert await reader.read() == b"goodbye, the end"
        writer.close()


@on_loop
async def test_a_connection_breaks_off_after_so_many_bytes() -> None:
    async with serving(echo) as port, Network(port) as network:
        network.cut_after = 7
        reader, writer = await connected(network)
        writer.write(b"one two three")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(13)
        assert network.links[0].to_client == b"one two"
        writer.close()

        network.cut_after = None
        _, writer = await reached(network)
        writer.close()


@on_loop
async def test_an_idle_connection_is_lost_and_a_busy_one_is_not() -> None:
    async with serving(echo) as port, Network(port) as network:
        network.idle_cut = 0.3
        reader, writer = await reached(network)
        end = asyncio.get_running_loop().time() + 0.6
        while asyncio.get_running_loop().time() < end:
            writer.write(b".")
            assert await reader.readexactly(1) == b"."
        await eventually(lambda: network.links[0].lost)
        carried = len(network.links[0].from_client)
        writer.write(b"is anybody there?")
        _, another = await reached(network)
        assert len(network.links[0].from_client) == carried
        writer.close()
        another.close()


@on_loop
async def test_half_of_a_connection_may_be_over() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.append(data)

    async with serving(listen) as port, Network(port) as network:
        reader, writer = await connected(network)
        writer.write(b"one")
        await eventually(lambda: heard)
        network.hang_up()
        assert await reader.read() == b""
        writer.write(b"two")
        await eventually(lambda: heard == [b"one", b"two"])
        writer.close()


@on_loop
async def test_what_is_not_taken_piles_up_at_the_client() -> None:
    async with serving(echo) as port, Network(port) as network:
        _, writer = await reached(network)
        network.stall()
        writer.write(b"x" * (16 << 20))
        await asyncio.sleep(0)
        assert writer.transport.get_write_buffer_size() > 0
        assert network.links[0].from_client == b"hello"
        writer.transport.abort()


@on_loop
async def test_a_client_that_does_not_read_is_felt_by_the_server() -> None:
    """The network keeps nothing: whoever sends too much has to wait."""
    said = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        while said < 64:
            writer.write(b"x" * (1 << 20))
            await writer.drain()
            said += 1

    async with serving(talk) as port, Network(port) as network:
        reader, writer = await connected(network)
        await eventually(lambda: network.links and network.links[0].far._unread_for == {"pressure"})
        assert said < 64
        assert len(await reader.readexactly(64 << 20)) == 64 << 20
        writer.close()


@on_loop
async def test_what_is_said_in_its_name_comes_between() -> None:
    async with serving(echo) as port, Network(port) as network:
        reader, writer = await reached(network)
        network.say(b"garbage")
        assert await reader.readexactly(7) == b"garbage"
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


# -- new connections ---------------------------------------------------------------------------------------------------


@on_loop
async def test_new_connections_are_taken_and_nothing_is_carried() -> None:
    async with serving(echo) as port, Network(port) as network:
        old_reader, old_writer = await reached(network)
        network.swallows = True
        reader, writer = await connected(network)
        writer.write(b"hello")
        old_writer.write(b"hello")
        assert await old_reader.readexactly(5) == b"hello"
        nothing = asyncio.ensure_future(reader.read(1))
        assert network.clients == 2
        network.swallows = False
        _, third = await reached(network)
        assert not nothing.done()
        nothing.cancel()
        for each in (old_writer, writer, third):
            each.close()


@on_loop
async def test_somebody_else_answers_once() -> None:
    async with serving(silence) as port, Network(port) as network:
        network.impostor = b"HTTP/1.1 200 OK\r\n\r\n"
        reader, writer = await connected(network)
        writer.write(b"GET / ")
        writer.write(b"HTTP/1.1\r\n\r\n")
        await eventually(lambda: network.links[0].from_client == b"GET / HTTP/1.1\r\n\r\n")
        network.hang_up()
        assert await reader.read() == network.impostor
        writer.close()


@on_loop
async def test_new_connections_hang_until_they_are_accepted_again() -> None:
    async with serving(echo) as port, Network(port) as network:
        _, old = await reached(network)
        try:
            await network.hang()
        except OSError:
            pytest.skip("this system accepts without end")
        waiting = asyncio.ensure_future(connected(network))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        waiting.cancel()
        old.write(b"still there")
        await eventually(lambda: network.links[0].to_client == b"hellostill there")

        await network.accept()
        _, writer = await reached(network)
        writer.close()
        old.close()
