"""The network of the demo: a port that leads to another one, as long as it is let."""

from __future__ import annotations

import asyncio

import pytest

from qqproto_transports._break_off import break_off
from qqproto_transports._demo_network import Network
from tests.transports.loops import eventually, on_loop
from tests.transports.servers import serving


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
        assert network.connections == 1


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
        assert network.connections == 2


@on_loop
async def test_a_gateway_that_is_gone_is_a_reset() -> None:
    async with Network(1) as network:
        reader, writer = await connected(network)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await eventually(lambda: network.connections == 1)


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
