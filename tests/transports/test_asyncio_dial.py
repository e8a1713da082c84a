"""Reaching a host: addresses in turn, raced against each other, and no socket left behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from qqproto import FailureKind, HTTPRequest, Policy
from qqproto_transports import _asyncio_dial
from qqproto_transports._addresses import HEAD_START, Address, in_turn
from qqproto_transports._asyncio_dial import connect
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed
from qqproto_transports._http import exchange_by
from tests.transports.loops import on_loop, open_files
from tests.transports.servers import closed_port, full_port, serving, silence


def v4(name: str, port: int = 443) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port))


def v6(name: str, port: int = 443) -> Address:
    return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (name, port, 0, 0))


@pytest.mark.parametrize(
    ("given", "turns"),
    [
        ([], []),
        ([v4("a")], ["a"]),
        ([v6("A"), v6("B"), v4("a"), v4("b")], ["A", "a", "B", "b"]),
        ([v4("a"), v4("b"), v4("c"), v6("A")], ["a", "A", "b", "c"]),
    ],
)
def test_families_take_turns(given: list[Address], turns: list[str]) -> None:
    assert [address[4][0] for address in in_turn(given)] == turns


def resolving(*addresses: Address) -> Callable[..., Awaitable[list[Address]]]:
    async def getaddrinfo(*args: object, **options: object) -> list[Address]:
        return list(addresses)

    return getaddrinfo


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the running loop resolve every name to these addresses."""

    def give(*addresses: Address) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolving(*addresses))

    return give


@on_loop
async def test_a_name_is_resolved_and_reached() -> None:
    async with serving(silence) as port:
        with await connect("localhost", port) as sock:
            assert sock.getpeername()[1] == port
            assert not sock.getblocking()


def test_a_dead_address_costs_one_head_start(resolves: Callable[..., None]) -> None:
    @on_loop
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with full_port() as dead:
            async with serving(silence) as alive:
                resolves(v4("127.0.0.1", dead), v4("127.0.0.1", alive))
                before = loop.time()
                with await connect("gateway.example", 443) as sock:
                    took = loop.time() - before
                    assert sock.getpeername()[1] == alive
                assert HEAD_START * 0.9 <= took < HEAD_START + 1.0

    scenario()


def test_a_refusing_address_costs_nothing(resolves: Callable[..., None]) -> None:
    @on_loop
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with closed_port() as closed:
            async with serving(silence) as alive:
                resolves(v4("127.0.0.1", closed), v4("127.0.0.1", closed), v4("127.0.0.1", alive))
                before = loop.time()
                with await connect("gateway.example", 443) as sock:
                    assert sock.getpeername()[1] == alive
                assert loop.time() - before < HEAD_START

    scenario()


def test_if_all_fail_the_first_error_is_told(resolves: Callable[..., None]) -> None:
    @on_loop
    async def scenario() -> None:
        with closed_port() as closed:
            resolves(v4("127.0.0.1", closed), v4("255.255.255.255", 1))
            with pytest.raises(ConnectionRefusedError):
                await connect("gateway.example", 443)

    scenario()


def test_a_name_without_addresses_is_an_os_error(resolves: Callable[..., None]) -> None:
    @on_loop
    async def scenario() -> None:
        resolves()
        with pytest.raises(OSError, match="no address"):
            await connect("gateway.example", 443)

    scenario()


@on_loop
async def test_names_that_are_none() -> None:
    with pytest.raises(socket.gaierror):
        await connect("no-such-name.invalid", 443)
    with pytest.raises(Failed) as caught:
        await connect("a..b", 443)
    assert caught.value.failure.kind is FailureKind.DNS


@pytest.mark.parametrize("count", [1, 2])
def test_cancelled_in_the_middle_of_a_race_it_leaves_no_socket(resolves: Callable[..., None], count: int) -> None:
    @on_loop
    async def scenario() -> None:
        with full_port() as dead:
            resolves(*[v4("127.0.0.1", dead)] * count)
            before = open_files()
            task = asyncio.create_task(connect("gateway.example", 443))
            await asyncio.wait([task], timeout=HEAD_START * 1.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert open_files() == before

    scenario()


def test_of_two_that_are_reached_at_once_one_is_closed(
    resolves: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    @on_loop
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        sock_connect, both = loop.sock_connect, asyncio.Event()
        reached: list[socket.socket] = []

        async def reach_together(sock: socket.socket, where: tuple[str, int]) -> None:
            await sock_connect(sock, where)
            reached.append(sock)
            if len(reached) == 2:
                both.set()
            await both.wait()

        monkeypatch.setattr(loop, "sock_connect", reach_together)
        async with serving(silence) as port:
            resolves(v4("127.0.0.1", port), v4("127.0.0.1", port))
            with await connect("gateway.example", 443) as sock:
                (loser,) = [other for other in reached if other is not sock]
                assert loser.fileno() == -1
                assert sock.fileno() != -1

    scenario()


@pytest.mark.parametrize("count", [1, 2])
def test_an_exchange_that_is_cancelled_in_the_moment_of_success_leaves_no_socket(
    resolves: Callable[..., None], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    @on_loop
    async def scenario() -> None:
        reached: list[socket.socket] = []
        exchange = exchange_by(None, Egress(None), _asyncio_dial, Policy())
        async with serving(silence) as port:
            resolves(*[v4("127.0.0.1", port)] * count)
            asking = asyncio.ensure_future(exchange(HTTPRequest("GET", f"http://gateway.example:{port}/", {}, b"")))
            reach = _asyncio_dial._try

            async def reach_and_cancel(address: Address) -> socket.socket:
                reached.append(await reach(address))
                asking.cancel()
                return reached[0]

            monkeypatch.setattr(_asyncio_dial, "_try", reach_and_cancel)
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert [sock.fileno() for sock in reached] == [-1]

    scenario()
