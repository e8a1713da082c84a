"""WebSockets of a host's in memory, under the streams of each driver that awaits: what they say, when they are left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from qqproto import Failure, FailureKind, OpenConnection, Policy
from qqproto_transports._anyio_tasks import Tasks
from qqproto_transports._anyio_text import AnyioTextStream
from qqproto_transports._asyncio_text import AsyncioTextStream
from qqproto_transports._common import Closed
from qqproto_transports._text import TextStreamCore
from tests.transports.backends import eventually, meanwhile, run_on

LEAVE = 4000
QUIET = Failure(FailureKind.EOF, "the stream was closed")


class Client:
    """A host's client that notes what is done with it; what is in ``inbox`` it receives, exceptions are raised.

    ``log`` ends with ``"out"`` when its context was left. Sending and closing wait for ``sending`` and ``closing``,
    the dial for ``dialling``, and leaving for ``leaving``, where they are not None.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.asked = 0
        """How many messages were asked for."""
        self.inbox: list[str | Exception] = []
        self.dialling: anyio.Event | None = None
        self.sending: anyio.Event | None = None
        self.closing: anyio.Event | None = None
        self.leaving: anyio.Event | None = None
        self.refusal: Exception | None = None

    @asynccontextmanager
    async def dial(self, opening: OpenConnection) -> AsyncIterator[Client]:
        self.log.append("dial")
        if self.refusal is not None:
            raise self.refusal
        if self.dialling is not None:
            await self.dialling.wait()
        self.log.append("in")
        try:
            yield self
        finally:
            try:
                if self.leaving is not None:
                    await self.leaving.wait()
            finally:
                self.log.append("out")

    def explain(self, error: Exception) -> Closed | Failure:
        if isinstance(error, EOFError):
            return Closed(*error.args)
        if isinstance(error, OSError):
            return Failure(FailureKind.RESET)
        raise error

    async def send(self, text: str) -> None:
        self.log.append(f"send {text}")
        if self.sending is not None:
            await self.sending.wait()
        self.log.append("sent")

    async def receive(self) -> str:
        self.asked += 1
        await eventually(lambda: self.inbox)
        message = self.inbox.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    async def close(self, code: int, reason: str) -> None:
        self.log.append(f"close {code} {reason}".rstrip())
        if self.closing is not None:
            await self.closing.wait()


class Listener:
    """Takes the place of a shard's runner, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.on_open: Callable[[], object] = lambda: None

    def stream_opened(self, id: int) -> None:
        self.told.append("opened")
        self.on_open()

    def message_received(self, id: int, message: str | bytes) -> None:
        self.told.append(message)

    def stream_ended(self, id: int, end: Closed | Failure) -> None:
        self.told.append(end)

    def bug(self, error: BaseException) -> None:
        self.told.append(error)

    def stream_finished(self, id: int) -> None:
        """Only asyncio's streams tell; what is left of them is seen from outside."""


class Bench:
    """Where the streams of one driver are tried."""

    def __init__(self, tasks: Tasks | None) -> None:
        self.client = Client()
        self.listener = Listener()
        self.stream: TextStreamCore
        """The one that was begun last."""
        self.tasks = tasks
        """None: those of the asyncio driver."""

    def begin(self, policy: Policy = Policy()) -> TextStreamCore:
        """A stream that is being dialled."""
        parts = self.listener, OpenConnection(1, 0.0, "ws://127.0.0.1/websocket"), self.client, policy
        self.stream = AsyncioTextStream(*parts) if self.tasks is None else AnyioTextStream(*parts, self.tasks)
        return self.stream

    async def open(self, policy: Policy = Policy()) -> TextStreamCore:
        """A stream that is open."""
        stream = self.begin(policy)
        await eventually(lambda: self.listener.told == ["opened"])
        return stream

    async def end_of(self, stream: TextStreamCore) -> None:
        """Wait until no task is left of it."""
        if isinstance(stream, AsyncioTextStream):
            await stream.finished
        else:
            assert self.tasks is not None
            await self.tasks.gone(20.0)


BENCHES = {"asyncio": ("asyncio", False), "anyio": ("asyncio", True), "trio": ("trio", True)}


def on(*names: str) -> Callable[[Callable[[Bench], Coroutine[Any, Any, None]]], Callable[[str], None]]:
    """Run an async test on these benches; no task may be left of it."""

    def decorate(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[str], None]:
        def run(bench: str) -> None:
            backend, has_tasks = BENCHES[bench]

            async def main() -> None:
                if not has_tasks:
                    await test(Bench(None))
                    return
                async with Tasks() as tasks:
                    await test(Bench(tasks))

            run_on(backend, main)

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        on_each: Callable[[str], None] = pytest.mark.parametrize("bench", names)(run)
        return on_each

    return decorate


on_all = on(*BENCHES)


# -- what is sent ------------------------------------------------------------------------------------------------------


@on_all
async def test_texts_are_sent_in_order_by_one_writer_and_the_goodbye_comes_last(bench: Bench) -> None:
    client = bench.client
    client.sending = anyio.Event()
    stream = await bench.open()
    stream.send_text("one")
    await eventually(lambda: "send one" in client.log)
    stream.send_text("two")
    stream.say_goodbye(1000, "bye")
    stream.send_text("three")
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert client.log == ["dial", "in", "send one"]
    client.sending.set()
    await bench.end_of(stream)
    said = ["send one", "sent", "send two", "sent", "send three", "sent", "close 1000 bye"]
    assert client.log == ["dial", "in", *said, "out"]
    assert bench.listener.told == ["opened", QUIET]


@on_all
async def test_what_is_unsent_is_counted_in_bytes(bench: Bench) -> None:
    """The limit is the policy's, in bytes: a host that writes Chinese reached it at three times as much."""
    bench.client.sending = anyio.Event()
    stream = await bench.open(Policy(max_unsent=10))
    for _ in range(3):
        stream.send_text("群")
    assert bench.listener.told == ["opened"]
    stream.send_text("群")
    failure = Failure(FailureKind.OTHER, "more than 10 bytes could not be sent")
    assert bench.listener.told == ["opened", failure]
    await bench.end_of(stream)
    assert bench.client.log[-2:] == [f"close {LEAVE}", "out"]


@on_all
async def test_what_was_sent_does_not_count(bench: Bench) -> None:
    stream = await bench.open(Policy(max_unsent=10))
    for number in range(1, 6):
        stream.send_text("群群群")
        await eventually(lambda: not stream._unsent)
        assert bench.client.log.count("sent") == number
    stream.send_text("one text of more than ten bytes")
    await eventually(lambda: bench.client.log.count("sent") == 6)
    assert bench.listener.told == ["opened"]
    stream.abort()
    await bench.end_of(stream)


@on_all
async def test_a_text_that_cannot_be_sent_in_time_is_the_end(bench: Bench) -> None:
    bench.client.sending = anyio.Event()
    stream = await bench.open(Policy(unsent_timeout=0.05))
    stream.send_text("one")
    await bench.end_of(stream)
    failure = Failure(FailureKind.TIMEOUT, "nothing could be sent for 0.05 s")
    assert bench.listener.told == ["opened", failure]
    assert bench.client.log == ["dial", "in", "send one", f"close {LEAVE}", "out"]


@on_all
async def test_it_takes_texts_alone(bench: Bench) -> None:
    stream = await bench.open()
    with pytest.raises(TypeError):
        stream.send(b"bytes")
    stream.close()
    await bench.end_of(stream)
    assert bench.client.log == ["dial", "in", "close 1000", "out"]


# -- what is heard -----------------------------------------------------------------------------------------------------


@on_all
async def test_paused_it_asks_for_no_message(bench: Bench) -> None:
    bench.listener.on_open = lambda: bench.stream.pause_reading()
    stream = await bench.open()
    bench.client.inbox += ["one", "two"]
    stream.pause_reading()
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    assert bench.client.asked == 0
    stream.resume_reading()
    stream.resume_reading()
    await eventually(lambda: bench.listener.told == ["opened", "one", "two"])
    stream.abort()
    await bench.end_of(stream)


@on_all
async def test_a_close_frame_of_the_servers_is_told(bench: Bench) -> None:
    stream = await bench.open()
    bench.client.inbox += ["last words", EOFError(4009, "session timed out")]
    await bench.end_of(stream)
    assert bench.listener.told == ["opened", "last words", Closed(4009, "session timed out")]
    assert bench.client.log[-1] == "out"


@on_all
async def test_a_failure_is_told_whether_of_the_dial_or_later(bench: Bench) -> None:
    stream = await bench.open()
    bench.client.inbox.append(ConnectionResetError())
    await bench.end_of(stream)
    bench.client.refusal = ConnectionRefusedError()
    await bench.end_of(bench.begin())
    assert bench.listener.told == ["opened", Failure(FailureKind.RESET), Failure(FailureKind.RESET)]


@on_all
async def test_what_the_host_cannot_explain_is_a_bug_told_once(bench: Bench) -> None:
    bug = ZeroDivisionError()
    stream = await bench.open()
    bench.client.inbox.append(bug)
    await bench.end_of(stream)
    assert bench.listener.told == ["opened", bug]
    assert bench.client.log == ["dial", "in", f"close {LEAVE}", "out"], "what is left is left in good order"


# -- how it is left ----------------------------------------------------------------------------------------------------


@on_all
async def test_left_it_says_the_code_before_the_context_is_left_and_tells_nothing(bench: Bench) -> None:
    stream = await bench.open()
    stream.leave(4321)
    stream.leave(1000)
    bench.client.inbox.append("too late")
    await bench.end_of(stream)
    assert bench.client.log == ["dial", "in", "close 4321", "out"]
    assert bench.listener.told == ["opened"]


@on_all
async def test_left_while_it_is_told_that_it_is_open_it_sends_nothing(bench: Bench) -> None:
    def leave() -> None:
        bench.stream.send_text("one")
        bench.stream.abort()

    bench.listener.on_open = leave
    stream = await bench.open()
    await bench.end_of(stream)
    assert bench.client.log == ["dial", "in", f"close {LEAVE}", "out"]


@on_all
async def test_without_a_code_it_says_none(bench: Bench) -> None:
    stream = await bench.open()
    stream.leave(None)
    await bench.end_of(stream)
    assert bench.client.log == ["dial", "in", "out"]


@on_all
async def test_a_client_that_hangs_in_everything_is_gone_within_a_second(bench: Bench) -> None:
    client = bench.client
    client.sending, client.closing, client.leaving = anyio.Event(), anyio.Event(), anyio.Event()
    stream = await bench.open()
    stream.send_text("one")
    await eventually(lambda: "send one" in client.log)
    stream.leave(LEAVE)
    with anyio.fail_after(10.0):
        await bench.end_of(stream)
    assert client.log == ["dial", "in", "send one", f"close {LEAVE}", "out"]


@on_all
async def test_a_context_that_hangs_after_an_end_of_the_servers_is_cancelled(bench: Bench) -> None:
    bench.client.leaving = anyio.Event()
    stream = await bench.open()
    bench.client.inbox.append(EOFError(4009))
    with anyio.fail_after(10.0):
        await bench.end_of(stream)
    assert bench.listener.told == ["opened", Closed(4009)]
    assert bench.client.log[-1] == "out"


@on_all
async def test_a_goodbye_that_hangs_can_be_left(bench: Bench) -> None:
    bench.client.closing = anyio.Event()
    stream = await bench.open()
    stream.say_goodbye(1000, "")
    await eventually(lambda: "close 1000" in bench.client.log)
    stream.abort()
    await bench.end_of(stream)
    assert bench.client.log == ["dial", "in", "close 1000", f"close {LEAVE}", "out"]
    assert bench.listener.told == ["opened"]


@on_all
async def test_a_dial_that_is_not_wanted_any_more_is_cancelled(bench: Bench) -> None:
    bench.client.dialling = anyio.Event()
    stream = bench.begin()
    await eventually(lambda: bench.client.log == ["dial"])
    stream.abort()
    await bench.end_of(stream)
    assert bench.client.log == ["dial"]
    assert bench.listener.told == []


@on_all
async def test_left_before_it_began_it_never_dials(bench: Bench) -> None:
    stream = bench.begin()
    stream.abort()
    await bench.end_of(stream)
    assert bench.client.log == []


# -- the tasks of its owner --------------------------------------------------------------------------------------------


@on("anyio", "trio")
async def test_where_its_owners_tasks_end_it_says_the_leave_code_whatever_is_cancelled_around(bench: Bench) -> None:
    bench.client.closing = anyio.Event()

    async def live() -> None:
        async with Tasks() as bench.tasks:
            await bench.open()
            await anyio.sleep_forever()

    async with meanwhile(live) as scope:
        await eventually(lambda: bench.listener.told == ["opened"])
        scope.cancel()
        await eventually(lambda: f"close {LEAVE}" in bench.client.log)
        assert bench.client.log[-1] != "out"
        bench.client.closing.set()
    assert bench.client.log == ["dial", "in", f"close {LEAVE}", "out"]


@on("anyio", "trio")
async def test_a_client_that_raises_something_else_when_it_is_cancelled_does_no_harm(bench: Bench) -> None:
    class Clumsy(Client):
        @asynccontextmanager
        async def dial(self, opening: OpenConnection) -> AsyncIterator[Client]:
            async with anyio.create_task_group() as group:
                group.start_soon(self.stumble)
                async with super().dial(opening) as socket:
                    yield socket

        async def stumble(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise ZeroDivisionError

    client = bench.client = Clumsy()
    client.dialling = anyio.Event()
    stream = bench.begin()
    await eventually(lambda: client.log == ["dial"])
    stream.abort()
    await bench.end_of(stream)
    assert bench.listener.told == []


@on("asyncio")
async def test_under_an_eager_task_factory_it_does_not_begin_at_once(bench: Bench) -> None:
    factory = getattr(asyncio, "eager_task_factory", None)
    if factory is None:
        pytest.skip("this Python has no eager tasks")
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    stream = bench.begin()
    assert bench.client.log == []
    stream.abort()
    await bench.end_of(stream)
