"""HTTP exchanges: over real sockets with httpx, through a host's own client, and through a host's callable."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from qqproto import FailureKind, HTTPRequest, HTTPResponse, Policy, SendRequest
from qqproto_transports import _asyncio_dial, _sync_http
from qqproto_transports._clock import clock
from qqproto_transports._common import HTTPExchange
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed, failure_of
from qqproto_transports._http import exchange_by
from qqproto_transports._tls import default_context
from tests.transports.certificates import server_context, trusting
from tests.transports.loops import GUARD, on_loop
from tests.transports.servers import closed_port, serving

SECRET = "the-secret-of-a-bot"
LIMIT = 10_000


class Replies:
    """A server that answers each request with the same bytes, and what it was asked."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.heads.append(head)
        length = next((line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length")), "0")
        self.bodies.append(await reader.readexactly(int(length)))
        writer.write(self.reply)
        await writer.drain()


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ask(port: int, body: bytes = b"{}", scheme: str = "http") -> HTTPRequest:
    return HTTPRequest("POST", f"{scheme}://127.0.0.1:{port}/token", {"Authorization": SECRET}, body)


def exchange_with(
    http: HTTPExchange | httpx.AsyncClient | None = None, context: Callable[[], ssl.SSLContext] = trusting
) -> HTTPExchange:
    return exchange_by(http, Egress(None, context()), _asyncio_dial, Policy(max_http_body=LIMIT))


@contextlib.asynccontextmanager
async def exchange_by_way(way: str) -> AsyncIterator[HTTPExchange]:
    """By a client of ours, or by one of the host's that follows redirects and has a login of its own; of the drivers
    with an event loop, or of the one with threads.
    """
    options: dict[str, Any] = {"follow_redirects": True, "auth": ("user", "password"), "trust_env": False}
    if way == "ours":
        yield exchange_with()
    elif way == "the host's":
        async with httpx.AsyncClient(**options) as client:
            yield exchange_with(client)
    elif way == "ours in a thread":
        yield in_thread(None)
    else:
        with httpx.Client(**options) as blocking_client:
            yield in_thread(blocking_client)


every_way = pytest.mark.parametrize("way", ["ours", "the host's", "ours in a thread", "the host's in a thread"])


def in_thread(http: httpx.Client | None) -> HTTPExchange:
    """The exchanges of the driver with threads, for those who await."""
    make = _sync_http.exchange_by(http, Egress(None, trusting()), Policy(max_http_body=LIMIT), clock)

    async def exchange(request: HTTPRequest) -> HTTPResponse:
        return await asyncio.to_thread(make(SendRequest(1, clock() + GUARD, request)).run)

    return exchange


@every_way
@on_loop
async def test_an_exchange(way: str) -> None:
    replies = Replies(reply(b'{"a":1}', "X-Tps-trace-ID: 123", status="401 Unauthorized"))

    async with serving(replies.talk) as port, exchange_by_way(way) as exchange:
        response = await exchange(ask(port, b'{"appId":"1"}'))

    assert (response.status, response.body, response.header("x-tps-trace-id")) == (401, b'{"a":1}', "123")
    assert replies.bodies == [b'{"appId":"1"}']
    assert f"authorization: {SECRET}" in replies.heads[0], "a login of the client's does not replace the token"


@every_way
@on_loop
async def test_a_redirect_is_not_followed(way: str) -> None:
    """A 307 would send the secret to another host."""
    elsewhere = Replies(reply(b"{}"))
    async with serving(elsewhere.talk) as other:
        redirect = reply(b"", f"Location: http://127.0.0.1:{other}/", status="307 Temporary Redirect")
        async with serving(Replies(redirect).talk) as port, exchange_by_way(way) as exchange:
            response = await exchange(ask(port))

    assert response.status == 307
    assert elsewhere.heads == []


@every_way
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(b"x" * (LIMIT + 1)), id="announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000, id="not announced"),
        pytest.param(reply(gzip.compress(b"x" * 100_000), "Content-Encoding: gzip"), id="gzip bomb"),
    ],
)
@on_loop
async def test_a_body_over_the_limit_is_a_failure(way: str, answer: bytes) -> None:
    async with serving(Replies(answer).talk) as port, exchange_by_way(way) as exchange:
        with pytest.raises(Failed) as caught:
            await exchange(ask(port))

    assert f"more than {LIMIT} bytes" in caught.value.failure.message


@every_way
@on_loop
async def test_a_body_without_end_has_one_for_us(way: str) -> None:
    async def talk_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(talk_on) as port, exchange_by_way(way) as exchange:
        with pytest.raises(Failed, match="bytes"):
            await exchange(ask(port))


@on_loop
async def test_a_body_at_the_limit_is_none() -> None:
    async with serving(Replies(reply(b"x" * LIMIT)).talk) as port:
        response = await exchange_with()(ask(port))

    assert response.body == b"x" * LIMIT


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(gzip.compress(b"{}", mtime=0), "gzip"), (zlib.compress(b"{}"), "deflate"), (b"{}", "identity")],
)
@on_loop
async def test_a_proxy_that_compresses_unasked_does_no_harm(body: bytes, encoding: str) -> None:
    replies = Replies(reply(body, f"Content-Encoding: {encoding}"))

    async with serving(replies.talk) as port:
        response = await exchange_with()(ask(port))

    assert response.body == b"{}"
    assert "accept-encoding: identity" in replies.heads[0]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
@on_loop
async def test_a_body_that_cannot_be_unpacked_is_a_failure(encoding: str) -> None:
    async with serving(Replies(reply(b"{}", f"Content-Encoding: {encoding}")).talk) as port:
        with pytest.raises(Failed):
            await exchange_with()(ask(port))


@on_loop
async def test_certificates_are_verified() -> None:
    replies = Replies(reply(b"{}"))
    untrusting = exchange_with(None, default_context)

    async with serving(replies.talk, ssl=server_context("127.0.0.1")) as port:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await untrusting(ask(port, scheme="https"))
        assert replies.heads == []
        response = await exchange_with()(ask(port, scheme="https"))

    assert response.body == b"{}"
    failure = failure_of(caught.value)
    assert failure.kind is FailureKind.TLS_UNTRUSTED
    assert "unable to get local issuer certificate" in failure.message


@on_loop
async def test_the_environment_is_not_asked_for_a_proxy() -> None:
    replies = Replies(reply(b"{}"))
    with closed_port() as nobody, pytest.MonkeyPatch.context() as patch:
        patch.setenv("http_proxy", f"http://127.0.0.1:{nobody}")
        patch.setenv("all_proxy", f"http://127.0.0.1:{nobody}")
        async with serving(replies.talk) as port:
            response = await exchange_with()(ask(port))

    assert response.status == 200


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(reply(b"", status="400 Bad Request"))
    await writer.drain()


@every_way
@on_loop
async def test_what_is_raised_is_in_the_table(way: str) -> None:
    async def failure(request: HTTPRequest) -> FailureKind:
        try:
            await exchange(request)
        except Exception as error:
            return failure_of(error).kind
        raise AssertionError("it has not failed")

    async with exchange_by_way(way) as exchange:
        with closed_port() as port:
            assert await failure(ask(port)) is FailureKind.REFUSED
        async with serving(hang_up) as port:
            assert await failure(ask(port)) is FailureKind.EOF
        async with serving(Replies(b"220 smtp.example\r\n\r\n").talk) as port:
            assert await failure(ask(port)) is FailureKind.OTHER
        async with serving(no_tls) as port:
            assert await failure(ask(port, scheme="https")) is FailureKind.TLS
        assert await failure(HTTPRequest("GET", "http://no-such-name.invalid/", {}, b"")) is FailureKind.DNS
        for url in ("nonsense", "http://[::1/", "ftp://127.0.0.1/"):
            assert await failure(HTTPRequest("GET", url, {}, b"")) is FailureKind.OTHER


@on_loop
async def test_a_hosts_callable_is_held_to_the_limit_too() -> None:
    async def exchange(request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(200, {}, request.body)

    limited = exchange_with(exchange)

    assert (await limited(ask(1, b"x" * LIMIT))).body == b"x" * LIMIT
    with pytest.raises(Failed):
        await limited(ask(1, b"x" * (LIMIT + 1)))


@on_loop
async def test_a_callable_that_returns_something_else_is_a_bug() -> None:
    async def exchange(request: HTTPRequest) -> HTTPResponse:
        return httpx.Response(200)  # type: ignore[return-value]  # what a host may well do

    with pytest.raises(TypeError, match="must return an HTTPResponse, not Response"):
        await exchange_with(exchange)(ask(1))


def test_another_kind_of_client_is_refused_at_once() -> None:
    with httpx.Client() as client, pytest.raises(TypeError, match="AsyncClient or an async callable, not Client"):
        exchange_with(client)  # type: ignore[arg-type]  # the mistake that is meant


def test_httpx_is_imported_only_where_it_is_needed() -> None:
    script = """
import sys
from qqproto import Credentials
from qqproto_transports.asyncio import BotAccount, open_gateway
async def exchange(request): ...
open_gateway(BotAccount(Credentials("1", "s"), http=exchange), intents=1)
assert "httpx" not in sys.modules
sys.modules["httpx"] = None
try:
    BotAccount(Credentials("1", "s"))
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "pip install httpx" in done.stdout
