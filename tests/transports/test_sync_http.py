"""HTTP exchanges on threads: called off in every phase, never longer than their deadline, and nothing left of them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from qqproto import FailureKind, HTTPRequest, HTTPResponse, Policy, SendRequest
from qqproto_transports._clock import clock
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._sync_http import Exchange, HTTPExchange, exchange_by
from qqproto_transports._sync_threads import Helper
from tests.scenarios.drivers import eventually
from tests.scenarios.threads import GUARD
from tests.transports.certificates import trusting
from tests.transports.loops import open_files
from tests.transports.servers import full_port, silence
from tests.transports.threads import beside, hung_look_ups, nothing_left_behind


def exchange(
    url: str, *, http: HTTPExchange | httpx.Client | None = None, within: float = GUARD, body: bytes = b"{}"
) -> Exchange:
    request = HTTPRequest("POST", url, {"Authorization": "the-secret"}, body)
    make = exchange_by(http, Egress(None, trusting()), Policy(), clock)
    return make(SendRequest(1, clock() + within, request))


class Asked:
    """A server that says nothing more, and tells what it has heard."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.heard = threading.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(self.answer)
        self.heard.set()
        await silence(reader, writer)


@contextlib.contextmanager
def dial() -> Iterator[tuple[str, Callable[[], object]]]:
    with full_port() as port:
        before = len(open_files())
        yield f"http://127.0.0.1:{port}/", lambda: len(open_files()) >= before + 4


@contextlib.contextmanager
def tls() -> Iterator[tuple[str, Callable[[], object]]]:
    asked = Asked()
    with beside(asked.talk) as port:
        yield f"https://127.0.0.1:{port}/", asked.heard.is_set


@contextlib.contextmanager
def reply() -> Iterator[tuple[str, Callable[[], object]]]:
    asked = Asked()
    with beside(asked.talk) as port:
        yield f"http://127.0.0.1:{port}/", asked.heard.is_set


@contextlib.contextmanager
def body() -> Iterator[tuple[str, Callable[[], object]]]:
    asked = Asked(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    with beside(asked.talk) as port:
        yield f"http://127.0.0.1:{port}/", asked.heard.is_set


PHASES = [dial, tls, reply, body]
every_phase = pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)


@every_phase
def test_called_off_in_every_phase_it_ends_at_once_and_leaves_nothing(phase: Callable[..., object]) -> None:
    with phase() as (url, reached), nothing_left_behind():  # type: ignore[attr-defined]  # each is a context manager
        called_off = exchange(url)
        helper = Helper(called_off.run, "HTTP exchange")
        outcome = helper.begin()
        eventually(reached)

        assert called_off.interrupt()
        error = outcome.exception(GUARD)
        helper.join(GUARD)

    assert isinstance(error, TimeoutError)


@every_phase
def test_in_every_phase_it_ends_at_its_deadline(phase: Callable[..., object]) -> None:
    with phase() as (url, _), nothing_left_behind():  # type: ignore[attr-defined]  # as above
        before = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            exchange(url, within=0.1).run()
        assert 0.1 <= time.monotonic() - before < 5.0

    assert failure_of(caught.value).kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("own", [True, False])
def test_one_that_trickles_ends_at_its_deadline(own: bool) -> None:
    """Each read is answered in time, and the whole would never be."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)

    with httpx.Client(trust_env=False) as client, beside(trickle) as port:
        with pytest.raises(TimeoutError):
            exchange(f"http://127.0.0.1:{port}/", http=None if own else client, within=0.2).run()


def test_a_look_up_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with nothing_left_behind(), hung_look_ups(monkeypatch, []):
        files = open_files()
        with pytest.raises(TimeoutError):
            exchange("http://gateway.example/", within=0.1).run()
        assert open_files() == files


def test_called_off_before_it_has_begun() -> None:
    with nothing_left_behind(), full_port() as port:
        called_off = exchange(f"http://127.0.0.1:{port}/")
        called_off.interrupt()
        with pytest.raises(TimeoutError):
            called_off.run()


def test_an_answer_that_comes_before_all_is_sent_is_heard() -> None:
    """A server that has read enough: it answers, and cuts what is still on its way."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    with beside(refuse) as port:
        response = exchange(f"http://127.0.0.1:{port}/", body=b"x" * 50_000).run()

    assert (response.status, response.body) == (413, b"{}")


# -- what nobody can call off ------------------------------------------------------------------------------------------


def test_a_hosts_client_has_the_deadline_for_each_of_its_waits() -> None:
    with reply() as (url, _), httpx.Client(trust_env=False, timeout=None) as client:
        hangs = exchange(url, http=client, within=0.1)
        assert not hangs.interrupt()
        with pytest.raises(httpx.ReadTimeout) as caught:
            hangs.run()

    assert failure_of(caught.value).kind is FailureKind.TIMEOUT


def test_a_hosts_callable_is_asked_and_held_to_the_limit() -> None:
    def echo(request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(200, {}, request.body)

    limit = Policy().max_http_body
    fits = exchange("http://x/", http=echo, body=b"x" * limit)
    assert fits.run().body == b"x" * limit
    assert not fits.interrupt()
    with pytest.raises(Exception, match="more than"):
        exchange("http://x/", http=echo, body=b"x" * (limit + 1)).run()
    with pytest.raises(TypeError, match="must return an HTTPResponse, not int"):
        exchange("http://x/", http=lambda request: 1).run()  # type: ignore[arg-type, return-value]  # what a host may do


def test_another_kind_of_client_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"httpx.Client or a callable, not AsyncClient"):
        exchange_by(httpx.AsyncClient(), Egress(None), Policy(), clock)  # type: ignore[arg-type]  # a mistake


def test_httpx_is_imported_only_where_it_is_needed() -> None:
    code = (
        "import sys, qqproto_transports.sync as sync\n"
        "from qqproto import Credentials\n"
        "sync.BotAccount(Credentials('1', 's'), http=lambda request: None)\n"
        "print(sorted({'httpx', 'httpcore', 'asyncio', 'trio', 'anyio'}.intersection(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
