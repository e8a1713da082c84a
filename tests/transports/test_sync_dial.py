"""Reaching a host from a loop: names looked up by a helper, addresses raced, and no socket left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from qqproto import FailureKind
from qqproto_transports._addresses import HEAD_START, Address
from qqproto_transports._failures import failure_of
from qqproto_transports._sync_dial import Dial
from qqproto_transports._sync_loop import Loop
from tests.scenarios.drivers import eventually
from tests.scenarios.threads import GUARD
from tests.transports.loops import open_files
from tests.transports.servers import closed_port, full_port, silence
from tests.transports.threads import beside, hung_look_ups, running


def v4(name: str, port: int) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port))


class Attempt:
    """A dial, and what came of it."""

    def __init__(self, loop: Loop, host: str, port: int, then: Callable[[Dial], object] = lambda dial: None) -> None:
        self.loop = loop
        self.sock: socket.socket | None = None
        self.error: BaseException | None = None
        self.over = threading.Event()

        def begin() -> Dial:
            dial = Dial(loop, host, port, self._reached, self._failed)
            then(dial)
            return dial

        self.dial = loop.ask(begin)

    def _reached(self, sock: socket.socket) -> None:
        self.sock = sock
        self.over.set()

    def _failed(self, error: BaseException) -> None:
        self.error = error
        self.over.set()

    def port(self) -> int:
        """Where it has arrived."""
        assert self.over.wait(GUARD)
        assert self.sock is not None, self.error
        port: int = self.sock.getpeername()[1]
        assert not self.sock.getblocking()
        self.sock.close()
        return port

    def failure(self) -> FailureKind:
        assert self.over.wait(GUARD)
        assert self.error is not None
        return failure_of(self.error).kind

    def cancel(self) -> None:
        self.loop.ask(self.dial.cancel)


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop, at whose end no file is left."""
    before = open_files()
    with running() as loop:
        yield loop
        assert not loop.has_sockets
    assert open_files() == before


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name have these addresses; numbers are looked up as ever."""
    look_up = socket.getaddrinfo

    def give(*addresses: Address) -> None:
        def getaddrinfo(host: str, port: int, *, type: int, flags: int = 0) -> object:
            return look_up(host, port, type=type, flags=flags) if flags else list(addresses)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return give


def test_a_name_and_a_number_are_reached(loop: Loop) -> None:
    with beside(silence) as port:
        assert Attempt(loop, "localhost", port).port() == port
        assert Attempt(loop, "127.0.0.1", port).port() == port


def test_a_number_needs_no_helper(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", None)
    with closed_port() as port:
        assert Attempt(loop, "127.0.0.1", port).failure() is FailureKind.REFUSED


def test_a_dead_address_costs_one_head_start(loop: Loop, resolves: Callable[..., None]) -> None:
    with full_port() as dead, beside(silence) as alive:
        resolves(v4("127.0.0.1", dead), v4("127.0.0.1", alive))
        before = time.monotonic()
        assert Attempt(loop, "gateway.example", 443).port() == alive
        assert HEAD_START * 0.9 <= time.monotonic() - before < HEAD_START + 5.0


def test_a_refusing_address_costs_nothing(loop: Loop, resolves: Callable[..., None]) -> None:
    """Two of them are tried in the same moment as the one that answers: there is no alarm to wait for."""
    with closed_port() as closed, beside(silence) as alive:
        resolves(v4("127.0.0.1", closed), v4("127.0.0.1", closed), v4("127.0.0.1", alive))
        before = time.monotonic()
        assert Attempt(loop, "gateway.example", 443).port() == alive
        assert time.monotonic() - before < 2 * HEAD_START


def test_if_all_fail_the_first_error_is_told(loop: Loop, resolves: Callable[..., None]) -> None:
    with closed_port() as closed:
        resolves(v4("127.0.0.1", closed), v4("255.255.255.255", 1))
        assert Attempt(loop, "gateway.example", 443).failure() is FailureKind.REFUSED


def test_addresses_that_cannot_even_be_tried_are_passed_over(loop: Loop, resolves: Callable[..., None]) -> None:
    """No IPv6 on this machine, say."""
    with beside(silence) as alive:
        resolves(v4("255.255.255.255", 1), v4("127.0.0.1", alive))
        assert Attempt(loop, "gateway.example", 443).port() == alive


def test_a_name_without_addresses_is_a_failure(loop: Loop, resolves: Callable[..., None]) -> None:
    resolves()
    attempt = Attempt(loop, "gateway.example", 443)
    assert attempt.failure() is FailureKind.OTHER
    assert "no address" in str(attempt.error)


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a..b", "x" * 64 + ".example"])
def test_names_that_are_none(loop: Loop, name: str) -> None:
    assert Attempt(loop, name, 443).failure() is FailureKind.DNS


def test_a_thread_that_cannot_be_started_is_a_failure(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's limit of processes: it may pass, and a bot that stopped for it would stay away."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert Attempt(loop, "gateway.example", 443).failure() is FailureKind.OTHER


# -- given up ----------------------------------------------------------------------------------------------------------


def test_cancelled_before_it_has_begun(loop: Loop) -> None:
    def make_and_cancel() -> None:
        Dial(loop, "127.0.0.1", 1, reached.append, reached.append).cancel()

    reached: list[object] = []
    loop.ask(make_and_cancel)
    loop.ask(lambda: None)
    assert reached == []


def test_cancelled_in_the_middle_of_a_race_it_leaves_no_socket(loop: Loop, resolves: Callable[..., None]) -> None:
    with full_port() as dead:
        resolves(v4("127.0.0.1", dead), v4("127.0.0.1", dead))
        before = open_files()
        attempt = Attempt(loop, "gateway.example", 443)
        eventually(lambda: len(open_files()) == len(before) + 2)
        attempt.cancel()
        assert open_files() == before
        assert not attempt.over.is_set()


def test_a_look_up_that_hangs_is_left_alone_and_not_heard_when_it_is_done(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with beside(silence) as port:
        before = open_files()
        with hung_look_ups(monkeypatch, [v4("127.0.0.1", port)]) as begun:
            attempt = Attempt(loop, "gateway.example", 443)
            assert begun.wait(GUARD)
            attempt.cancel()
        loop.ask(lambda: None)
        assert not attempt.over.is_set()
        assert open_files() == before


def test_of_two_that_are_reached_at_once_one_is_closed(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are connected before the loop looks."""
    ends: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(await reader.read(100))

    with beside(talk) as port:
        addresses = [v4("127.0.0.1", port), v4("127.0.0.1", port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: addresses)
        attempt = Attempt(loop, "gateway.example", port, lambda dial: loop.post(dial._try_next))
        assert attempt.over.wait(GUARD)
        eventually(lambda: len(ends) == 1)
        assert attempt.port() == port
        eventually(lambda: len(ends) == 2)
