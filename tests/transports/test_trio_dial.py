"""Reaching a host on anyio: addresses in turn, raced against each other, and no socket left behind."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import anyio
import pytest

from qqproto import FailureKind, HTTPRequest, Policy
from qqproto_transports import _anyio_dial
from qqproto_transports._addresses import HEAD_START, Address
from qqproto_transports._anyio_dial import connect
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed
from qqproto_transports._http import exchange_by
from tests.transports.backends import eventually, meanwhile, on_backends
from tests.transports.loops import open_files
from tests.transports.servers import closed_port, full_port, silence
from tests.transports.streams import beside


def at(port: int, host: str = "127.0.0.1") -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name resolve to these addresses."""

    def give(*addresses: Address) -> None:
        async def getaddrinfo(*args: object, **options: object) -> list[Address]:
            return list(addresses)

        monkeypatch.setattr(_anyio_dial, "getaddrinfo", getaddrinfo)

    return give


Resolves = Callable[..., None]


@on_backends
async def test_a_name_is_resolved_and_reached() -> None:
    async with beside(silence) as port:
        with await connect("localhost", port) as sock:
            assert sock.getpeername()[1] == port
            assert not sock.getblocking()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@on_backends
async def test_a_dead_address_costs_one_head_start(resolves: Resolves) -> None:
    with full_port() as dead:
        async with beside(silence) as alive:
            resolves(at(dead), at(alive))
            before = anyio.current_time()
            with await connect("gateway.example", 443) as sock:
                took = anyio.current_time() - before
                assert sock.getpeername()[1] == alive
            assert HEAD_START * 0.9 <= took < HEAD_START + 5.0


@on_backends
async def test_a_refusing_address_costs_nothing(resolves: Resolves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_anyio_dial, "HEAD_START", 20.0)
    with closed_port() as closed:
        async with beside(silence) as alive:
            resolves(at(closed), at(closed), at(alive))
            before = anyio.current_time()
            with await connect("gateway.example", 443) as sock:
                assert sock.getpeername()[1] == alive
            assert anyio.current_time() - before < 20.0


@on_backends
async def test_if_all_fail_the_first_error_is_told(resolves: Resolves) -> None:
    with closed_port() as closed:
        resolves(at(closed), at(1, "255.255.255.255"))
        with pytest.raises(ConnectionRefusedError):
            await connect("gateway.example", 443)


@on_backends
async def test_a_name_without_addresses_is_an_os_error(resolves: Resolves) -> None:
    resolves()
    with pytest.raises(OSError, match="no address"):
        await connect("gateway.example", 443)


@on_backends
async def test_names_that_are_none() -> None:
    with pytest.raises(socket.gaierror):
        await connect("no-such-name.invalid", 443)
    for name in ("a..b", "x" * 64 + ".example", "\ud800.example", "☃" * 70 + ".example"):
        with pytest.raises((Failed, socket.gaierror)) as caught:
            await connect(name, 443)
        if isinstance(caught.value, Failed):
            assert caught.value.failure.kind is FailureKind.DNS


@on_backends
async def test_cancelled_in_the_middle_of_a_race_it_leaves_no_socket(resolves: Resolves) -> None:
    with full_port() as dead:
        resolves(at(dead), at(dead))
        before = open_files()
        async with meanwhile(lambda: connect("gateway.example", 443)) as dialling:
            await eventually(lambda: len(open_files()) == len(before) + 2)
            dialling.cancel()
        assert dialling.cancelled_caught
        assert open_files() == before


@on_backends
async def test_cancelled_in_the_moment_of_success_it_leaves_no_socket(
    resolves: Resolves, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[socket.socket] = []
    async with beside(silence) as port:
        resolves(at(port))
        with anyio.CancelScope() as scope:
            reach = _anyio_dial._reach

            async def reach_and_cancel(address: Address) -> socket.socket:
                reached.append(await reach(address))
                scope.cancel()
                return reached[0]

            monkeypatch.setattr(_anyio_dial, "_reach", reach_and_cancel)
            await connect("gateway.example", 443)
        assert scope.cancelled_caught
        assert [sock.fileno() for sock in reached] == [-1]


@on_backends
async def test_an_exchange_that_is_cancelled_in_the_moment_of_success_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reached: list[socket.socket] = []
    exchange = exchange_by(None, Egress(None), _anyio_dial, Policy())
    async with beside(silence) as port:
        with anyio.CancelScope() as scope:
            reach = _anyio_dial._reach

            async def reach_and_cancel(address: Address) -> socket.socket:
                reached.append(await reach(address))
                scope.cancel()
                return reached[0]

            monkeypatch.setattr(_anyio_dial, "_reach", reach_and_cancel)
            await exchange(HTTPRequest("GET", f"http://127.0.0.1:{port}/", {}, b""))
        assert scope.cancelled_caught
        assert [sock.fileno() for sock in reached] == [-1]


@on_backends
async def test_of_two_that_are_reached_at_once_one_is_closed(
    resolves: Resolves, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[socket.socket] = []
    both = anyio.Event()
    reach: Callable[[Address], Awaitable[socket.socket]] = _anyio_dial._reach

    async def reach_together(address: Address) -> socket.socket:
        sock = await reach(address)
        reached.append(sock)
        if len(reached) == 2:
            both.set()
        with anyio.CancelScope(shield=True):  # Success and the end of the race come at once.
            await both.wait()
        return sock

    monkeypatch.setattr(_anyio_dial, "_reach", reach_together)
    async with beside(silence) as port:
        resolves(at(port), at(port))
        with await connect("gateway.example", 443) as sock:
            (loser,) = [other for other in reached if other is not sock]
            assert loser.fileno() == -1
            assert sock.fileno() != -1
