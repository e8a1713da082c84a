"""What the tests of the sync driver share: a platform beside them, loops that run, and what is left behind."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qqproto import Event
from qqproto_transports._addresses import Address
from qqproto_transports._clock import clock
from qqproto_transports._sync_loop import Loop
from qqproto_transports.sync import Gateway, open_gateway
from tests.scenarios.bots import INTENTS, QUICK
from tests.scenarios.drivers import SyncDriver, eventually
from tests.scenarios.stage import Stage
from tests.scenarios.threads import GUARD, LoopThread
from tests.transports.loops import open_files
from tests.transports.servers import Talk, serving

_at_work: weakref.WeakKeyDictionary[Stage, list[Gateway]] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def platform(**options: Any) -> Iterator[Stage]:
    """A platform in a thread of its own, for the sync driver; a bot that is still there after a while is given up."""
    with SyncDriver() as driver, Stage(driver, **options) as stage:
        guard = threading.Timer(GUARD, _give_up, [stage])
        guard.start()
        try:
            yield stage
        finally:
            guard.cancel()
            guard.join(GUARD)


def _give_up(stage: Stage) -> None:
    for gateway in _at_work.get(stage, ()):
        gateway.close()


def bot_at(stage: Stage, **options: Any) -> Gateway:
    """The bot's gateway, not entered yet. ``policy`` is its account's, if it has none of its own."""
    account = options.pop("account", None) or stage.account(policy=options.pop("policy", QUICK))
    options.setdefault("intents", INTENTS)
    gateway = open_gateway(account, **options)
    _at_work.setdefault(stage, []).append(gateway)
    return gateway


def until(gateway: Gateway, wanted: Callable[[Event], object]) -> Event:
    """Iterate up to the first event that is wanted."""
    for event in gateway:
        if wanted(event):
            return event
    raise AssertionError("the gateway ended without it")


@contextlib.contextmanager
def beside(talk: Talk, **options: object) -> Iterator[int]:
    """Serve each connection with ``talk``, on asyncio in a thread beside the test; gives the port."""
    ports: list[int] = []

    @contextlib.asynccontextmanager
    async def serve():  # type: ignore[no-untyped-def]  # an async generator of None
        async with serving(talk, **options) as port:
            ports.append(port)
            yield

    with LoopThread(serve):
        yield ports[0]


@contextlib.contextmanager
def hung_look_ups(monkeypatch: pytest.MonkeyPatch, addresses: list[Address]) -> Iterator[threading.Event]:
    """Names are looked up for ever; gives what tells that a look-up has begun.

    At the end of the block all get out, with these addresses, and their threads end.
    """
    look_up, begun, may_go_on = socket.getaddrinfo, threading.Event(), threading.Event()

    def getaddrinfo(host: str, port: int, *, type: int, flags: int = 0) -> object:
        if flags:
            return look_up(host, port, type=type, flags=flags)
        begun.set()
        may_go_on.wait(GUARD)
        return addresses

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = ours()
    try:
        yield begun
    finally:
        may_go_on.set()
        eventually(lambda: ours() <= before)


def ours() -> list[str]:
    """The threads of the driver that are alive, by name."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("qqproto"))


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """No new thread of the driver's is left right at the end of the block, and soon after it no file."""
    threads, files = set(threading.enumerate()), len(open_files())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert [name for name in left if name.startswith("qqproto")] == []
    eventually(lambda: len(open_files()) <= files)


@contextlib.contextmanager
def running(bugs: list[BaseException] | None = None, clock: Callable[[], float] = clock) -> Iterator[Loop]:
    """A loop in a thread of its own; bugs of callbacks are the test's, unless it wants them."""
    found: list[BaseException] = []
    loop = Loop(clock, (found if bugs is None else bugs).append)
    over = threading.Event()
    thread = threading.Thread(target=loop.run, args=[over.is_set], name="the loop of a test")
    loop.open()
    thread.start()
    try:
        yield loop
    finally:
        loop.post(over.set)
        thread.join(GUARD)
        assert not thread.is_alive()
    assert found == []
