"""The table of exceptions: what each is as a Failure, and that no foreign text gets into it."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import anyio
import httpcore
import httpx
import pytest
import trio
import trio_websocket
import websockets
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from qqproto import Failure, FailureKind
from qqproto_transports._failures import Failed, failure_of

SECRET = "hunter2-in-a-foreign-text"


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, SECRET)
    error.verify_message = "self-signed certificate"
    return error


OWN = [
    (socket.gaierror(socket.EAI_NONAME, SECRET), FailureKind.DNS, "there is no such name"),
    (socket.gaierror(socket.EAI_AGAIN, SECRET), FailureKind.DNS, "the name server does not answer"),
    (socket.gaierror(socket.EAI_FAMILY, SECRET), FailureKind.DNS, "the name could not be looked up"),
    (ConnectionRefusedError(errno.ECONNREFUSED, SECRET), FailureKind.REFUSED, "(ECONNREFUSED)"),
    (ConnectionResetError(errno.ECONNRESET, SECRET), FailureKind.RESET, "(ECONNRESET)"),
    (BrokenPipeError(errno.EPIPE, SECRET), FailureKind.RESET, "(EPIPE)"),
    (ConnectionAbortedError(errno.ECONNABORTED, SECRET), FailureKind.RESET, "(ECONNABORTED)"),
    (ConnectionResetError(SECRET), FailureKind.RESET, "the connection was cut"),
    (TimeoutError(SECRET), FailureKind.TIMEOUT, "no reply in time"),
    (TimeoutError(errno.ETIMEDOUT, SECRET), FailureKind.TIMEOUT, "(ETIMEDOUT)"),
    (asyncio.TimeoutError(SECRET), FailureKind.TIMEOUT, "no reply in time"),
    (untrusted(), FailureKind.TLS_UNTRUSTED, "the certificate is not trusted: self-signed certificate"),
    (ssl.SSLError(1, SECRET), FailureKind.TLS, "TLS failed"),
    (ssl.SSLEOFError(8, SECRET), FailureKind.EOF, "in the middle of TLS"),
    (OSError(errno.EHOSTUNREACH, SECRET), FailureKind.OTHER, "no route to host (EHOSTUNREACH)"),
    (OSError(errno.EMFILE, SECRET), FailureKind.OTHER, "too many open files (EMFILE)"),
    (OSError(SECRET), FailureKind.OTHER, "the connection failed"),
    (EOFError(SECRET), FailureKind.EOF, "the stream ended"),
    (asyncio.IncompleteReadError(SECRET.encode(), 100), FailureKind.EOF, "the stream ended"),
]

REQUEST = httpx.Request("POST", f"https://user:{SECRET}@bots.example/")
HTTPX = [
    (httpx.ConnectTimeout(SECRET), FailureKind.TIMEOUT),
    (httpx.ReadTimeout(SECRET), FailureKind.TIMEOUT),
    (httpx.PoolTimeout(SECRET), FailureKind.TIMEOUT),
    (httpx.ConnectError(SECRET), FailureKind.OTHER),
    (httpx.ReadError(SECRET), FailureKind.RESET),
    (httpx.WriteError(SECRET), FailureKind.RESET),
    (httpx.ProxyError(SECRET), FailureKind.PROXY),
    (httpx.ProxyError(f"407 {SECRET}"), FailureKind.PROXY_AUTH),
    (httpx.RemoteProtocolError(SECRET), FailureKind.OTHER),
    (httpx.UnsupportedProtocol(SECRET), FailureKind.OTHER),
    (httpx.InvalidURL(SECRET), FailureKind.OTHER),
    (httpx.HTTPStatusError(SECRET, request=REQUEST, response=httpx.Response(502)), FailureKind.HTTP_STATUS),
]

KEY = ConnectionKey("bots.example", 443, True, True, None, None, None)
INFO = aiohttp.RequestInfo(URL("https://bots.example"), "POST", CIMultiDictProxy(CIMultiDict()), URL())


def response_error(cls: type[aiohttp.ClientResponseError], status: int) -> aiohttp.ClientResponseError:
    return cls(INFO, (), status=status, message=SECRET)


AIOHTTP = [
    (anyio.BrokenResourceError(SECRET), FailureKind.RESET),
    (anyio.EndOfStream(SECRET), FailureKind.EOF),
    (trio.BrokenResourceError(SECRET), FailureKind.RESET),
    (trio.TooSlowError(SECRET), FailureKind.TIMEOUT),
    (aiohttp.ServerTimeoutError(SECRET), FailureKind.TIMEOUT),
    (aiohttp.ConnectionTimeoutError(SECRET), FailureKind.TIMEOUT),
    (aiohttp.ServerDisconnectedError(SECRET), FailureKind.EOF),
    (aiohttp.ClientPayloadError(SECRET), FailureKind.OTHER),
    (aiohttp.InvalidURL(SECRET), FailureKind.OTHER),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(None, SECRET)), FailureKind.DNS),
    (aiohttp.ClientProxyConnectionError(KEY, OSError(111, SECRET)), FailureKind.PROXY),
    (aiohttp.ClientConnectorSSLError(KEY, OSError(1, SECRET)), FailureKind.TLS),
    (aiohttp.ClientConnectorCertificateError(KEY, untrusted()), FailureKind.TLS_UNTRUSTED),
    (response_error(aiohttp.ClientHttpProxyError, 502), FailureKind.PROXY),
    (response_error(aiohttp.ClientHttpProxyError, 407), FailureKind.PROXY_AUTH),
    (response_error(aiohttp.ClientResponseError, 500), FailureKind.HTTP_STATUS),
    (response_error(aiohttp.WSServerHandshakeError, 403), FailureKind.HTTP_STATUS),
]

WEBSOCKETS = [
    (websockets.InvalidStatus(websockets.http11.Response(502, "", websockets.Headers())), FailureKind.HTTP_STATUS),
    (websockets.InvalidHandshake(SECRET), FailureKind.OTHER),
    (websockets.InvalidURI(SECRET, SECRET), FailureKind.OTHER),
    (websockets.ConnectionClosedError(None, None), FailureKind.EOF),
]

TRIO_WEBSOCKET = [
    (trio_websocket.ConnectionTimeout(SECRET), FailureKind.TIMEOUT),
    (trio_websocket.DisconnectionTimeout(SECRET), FailureKind.TIMEOUT),
    (trio_websocket.ConnectionRejected(502, (), SECRET.encode()), FailureKind.HTTP_STATUS),
    (trio_websocket.HandshakeError(SECRET), FailureKind.OTHER),
    (trio_websocket.ConnectionClosed(None), FailureKind.EOF),
]


@pytest.mark.parametrize(("error", "kind", "text"), OWN)
def test_pythons_own(error: BaseException, kind: FailureKind, text: str) -> None:
    failure = failure_of(error)

    assert failure.kind is kind
    assert text in failure.message
    assert SECRET not in str(failure)


@pytest.mark.parametrize(("error", "kind"), [*HTTPX, *AIOHTTP, *WEBSOCKETS, *TRIO_WEBSOCKET])
def test_other_peoples(error: BaseException, kind: FailureKind) -> None:
    failure = failure_of(error)

    assert failure.kind is kind
    assert failure.message
    assert SECRET not in str(failure)


def test_an_http_status_is_kept() -> None:
    assert failure_of(HTTPX[-1][0]).http_status == 502
    assert failure_of(WEBSOCKETS[0][0]).http_status == 502
    assert failure_of(TRIO_WEBSOCKET[2][0]).http_status == 502


def raised(error: BaseException, *causes: BaseException) -> BaseException:
    """``error``, raised from the first of ``causes``, and so on."""
    link = error
    for cause in causes:
        link.__cause__ = cause
        link = cause
    return error


@pytest.mark.parametrize(
    ("chain", "kind"),
    [
        ((httpx.ConnectError(""), ConnectionRefusedError(111, "")), FailureKind.REFUSED),
        ((httpx.ConnectError(""), OSError("all failed"), ConnectionRefusedError(111, "")), FailureKind.REFUSED),
        ((httpx.ConnectError(""), KeyError(""), socket.gaierror(-2, "")), FailureKind.DNS),
        ((httpx.ConnectError(""), untrusted()), FailureKind.TLS_UNTRUSTED),
        ((httpx.ConnectError(""), httpcore.ConnectError(socket.gaierror(-2, ""))), FailureKind.DNS),
        ((httpx.ReadError(""), ssl.SSLError(1, "")), FailureKind.TLS),
        ((httpx.ConnectTimeout(""), ConnectionRefusedError(111, "")), FailureKind.TIMEOUT),
        ((httpx.ProxyError(""), ConnectionRefusedError(111, "")), FailureKind.PROXY),
    ],
)
def test_a_wide_exception_is_what_it_was_raised_from(chain: tuple[BaseException, ...], kind: FailureKind) -> None:
    assert failure_of(raised(*chain)).kind is kind


def test_a_group_is_its_first_member() -> None:
    class Group(Exception):
        """As Python 3.11's, and its backports'."""

        exceptions = (ConnectionRefusedError(111, ""), OSError(101, ""))

    assert failure_of(Group()).kind is FailureKind.REFUSED
    assert failure_of(raised(httpx.ConnectError(""), OSError(""), Group())).kind is FailureKind.REFUSED


@pytest.mark.parametrize("error", [KeyError("d"), TypeError(), RuntimeError(), ZeroDivisionError(), AssertionError()])
def test_what_is_not_in_the_table_is_a_bug_and_stays_one(error: Exception) -> None:
    error.__cause__ = ConnectionResetError()

    with pytest.raises(type(error)) as caught:
        failure_of(error)

    assert caught.value is error


def test_a_failure_that_is_known_already_is_carried() -> None:
    failure = Failure(FailureKind.OTHER, "the reply's body has more than 3 bytes")

    assert failure_of(Failed(failure)) is failure


def test_a_class_of_the_same_name_elsewhere_is_not_meant() -> None:
    class ConnectError(Exception):
        pass

    with pytest.raises(ConnectError):
        failure_of(ConnectError())


def test_windows_says_timeout_with_a_number_of_its_own() -> None:
    error = OSError(22, "the semaphore timeout period has expired")
    error.winerror = 121  # type: ignore[attr-defined,unused-ignore]  # Windows alone has it

    assert failure_of(error).kind is FailureKind.TIMEOUT
