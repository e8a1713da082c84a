"""Servers that behave badly, on loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(talk: Talk, **options: object) -> AsyncIterator[int]:
    """Serve each connection with ``talk``; gives the port. ``ssl=`` and others are asyncio's."""
    writers: set[asyncio.StreamWriter] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers.add(writer)
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for _ in range(5):
            await asyncio.sleep(0)  # Somebody may just have come in; a server that is closed loses the socket.
        server.close()
        for task in tasks:
            task.cancel()
        for writer in writers:
            if not writer.transport.is_closing():
                writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        while tasks:
            await asyncio.wait(tasks)
        await server.wait_closed()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what comes, and say nothing."""
    while await reader.read(65536):
        pass


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """A port at which connection attempts hang: nobody accepts, and the queue is full."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(16):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.1)
            try:
                client.connect(("127.0.0.1", port))
            except TimeoutError:
                yield port
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINPROGRESS):
                    raise
        raise RuntimeError("this system accepts without end")
