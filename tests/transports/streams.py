"""The streams of all drivers, each on a bench of its own, under the same tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol

import anyio
import pytest

from qqproto import FailureKind, OpenConnection, Policy
from qqproto_transports._anyio_stream import AnyioStream
from qqproto_transports._anyio_tasks import Tasks
from qqproto_transports._asyncio_stream import AsyncioStream
from qqproto_transports._clock import clock
from qqproto_transports._common import Proxy
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._sync_loop import Loop
from qqproto_transports._sync_stream import SyncStream
from tests.scenarios.threads import LoopThread
from tests.transports.certificates import trusting
from tests.transports.loops import GUARD, on_loop
from tests.transports.servers import Talk, serving

P = ParamSpec("P")


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

    def stream_finished(self, id: int) -> None:
        """Only asyncio's streams tell; what is left of them is seen from outside."""


class Connection(Protocol):
    """A stream, whichever it is."""

    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Bench(ABC):
    """Where the streams of one driver are tried."""

    name: str

    @abstractmethod
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test; it may leave nothing behind."""

    @abstractmethod
    def open(self, listener: Listener, url: str, egress: Egress, policy: Policy) -> Connection:
        """Begin to dial."""

    @abstractmethod
    async def end(self, connection: Connection) -> None:
        """Wait until neither task nor socket is left of it."""

    @abstractmethod
    def socket_of(self, connection: Connection) -> socket.socket:
        """Its socket."""

    @contextlib.asynccontextmanager
    async def stream(
        self,
        listener: Listener,
        port: int,
        *,
        scheme: str = "ws",
        context: Callable[[], ssl.SSLContext] = trusting,
        proxy: Proxy = None,
        policy: Policy = Policy(),
    ) -> AsyncIterator[Connection]:
        """A stream to this machine; nothing is left of it in the end."""
        url = f"{scheme}://127.0.0.1:{port}/websocket"
        connection = self.open(listener, url, Egress(proxy, context()), policy)
        try:
            yield connection
        finally:
            connection.abort()
            await self.end(connection)


class AsyncioBench(Bench):
    name = "asyncio"

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        on_loop(main)()

    def open(self, listener: Listener, url: str, egress: Egress, policy: Policy) -> Connection:
        return AsyncioStream(listener, OpenConnection(1, 0.0, url), egress, policy)

    async def end(self, connection: Connection) -> None:
        assert isinstance(connection, AsyncioStream)
        await connection.finished

    def socket_of(self, connection: Connection) -> socket.socket:
        assert isinstance(connection, AsyncioStream)
        assert connection._transport is not None
        sock: socket.socket = connection._transport.get_extra_info("socket")
        return sock


class TrioBench(Bench):
    name = "trio"
    backend = "trio"

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def guarded() -> None:
            with anyio.fail_after(GUARD):
                async with Tasks() as self._tasks:
                    await main()

        options = {"debug": True} if self.backend == "asyncio" else {}
        anyio.run(guarded, backend=self.backend, backend_options=options)
        gc.collect()

    def open(self, listener: Listener, url: str, egress: Egress, policy: Policy) -> Connection:
        return AnyioStream(listener, OpenConnection(1, 0.0, url), egress, policy, self._tasks)

    async def end(self, connection: Connection) -> None:
        await self._tasks.gone(GUARD)

    def socket_of(self, connection: Connection) -> socket.socket:
        assert isinstance(connection, AnyioStream)
        assert connection._sock is not None
        return connection._sock


class AnyioBench(TrioBench):
    name = "anyio"
    backend = "asyncio"


class ThreadsConnection:
    """A stream of the sync driver with a thread of its own, which begins when the test waits for the first time."""

    def __init__(self, listener: Listener, url: str, egress: Egress, policy: Policy) -> None:
        self.bugs: list[BaseException] = []
        self.finished = False
        self.loop = Loop(clock, self.bugs.append)
        self.stream = SyncStream(listener, OpenConnection(1, 0.0, url), egress, policy, self.loop, self._on_finished)
        self.thread = threading.Thread(target=self.loop.run, args=[lambda: self.finished])
        self.loop.open()

    def send(self, data: bytes) -> None:
        self.loop.here(lambda: self.stream.send(data))

    def close(self) -> None:
        self.loop.here(self.stream.close)

    def abort(self) -> None:
        self.loop.here(self.stream.abort)

    def pause_reading(self) -> None:
        self.loop.here(self.stream.pause_reading)

    def resume_reading(self) -> None:
        self.loop.here(self.stream.resume_reading)

    def _on_finished(self, stream: SyncStream) -> None:
        self.finished = True


class SyncBench(Bench):
    """The test itself is asyncio's."""

    name = "sync"

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        on_loop(main)()

    def open(self, listener: Listener, url: str, egress: Egress, policy: Policy) -> Connection:
        connection = ThreadsConnection(listener, url, egress, policy)
        asyncio.get_running_loop().call_soon(connection.thread.start)
        return connection

    async def end(self, connection: Connection) -> None:
        assert isinstance(connection, ThreadsConnection)
        await asyncio.sleep(0)  # It may have been opened a moment ago.
        await asyncio.to_thread(connection.thread.join)
        assert connection.bugs == []

    def socket_of(self, connection: Connection) -> socket.socket:
        assert isinstance(connection, ThreadsConnection)
        assert connection.stream._sock is not None
        return connection.stream._sock


BENCHES: list[Bench] = [AsyncioBench(), TrioBench(), AnyioBench(), SyncBench()]


def on_benches(test: Callable[Concatenate[Bench, P], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test once on each bench, which is its first argument. What it awaits is anyio's or the bench's."""

    @functools.wraps(test)
    def run(bench: Bench, *args: P.args, **options: P.kwargs) -> None:
        bench.run(lambda: test(bench, *args, **options))

    on_each: Callable[..., None] = pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)(run)
    return on_each


@contextlib.asynccontextmanager
async def beside(talk: Talk, **options: object) -> AsyncIterator[int]:
    """Serve each connection with ``talk``, on asyncio in a thread beside the test; gives the port."""
    ports: list[int] = []

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[None]:
        async with serving(talk, **options) as port:
            ports.append(port)
            yield

    with LoopThread(serve):
        yield ports[0]


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; the guard of the test limits it."""
    while not condition():  # noqa: ASYNC110  # what it is about tells nobody
        await anyio.sleep(0.005)
