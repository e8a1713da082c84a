"""The one table of the exceptions that a network can cause, and what each is as a Failure."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator

from qqproto.failures import Failure, FailureKind


class Failed(Exception):
    """A failure that the drivers find out by themselves, on its way to the seam."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def failure_of(error: BaseException) -> Failure:
    """What ``error`` is as a :class:`~qqproto.Failure`, be it Python's own or one of a library's.

    httpx, aiohttp, websockets, anyio, trio and trio-websocket are known, and none of them is imported. The message is
    in our words, with the system's error number: the texts of foreign exceptions may hold headers and URLs with
    passwords, and never get into it. An exception that is not in the table is a bug and no failure of the network; it
    is raised again as it is.
    """
    if isinstance(error, Failed):
        return error.failure
    found = None
    for link in _chain(error):
        failure = _foreign(link) or _own(link)
        if found is None:
            if failure is None:
                break
            found = failure
        elif failure is not None and (found.kind in _VAGUE or found.kind is failure.kind):
            found = failure
    if found is None:
        raise error
    return found


_VAGUE = (FailureKind.OTHER, FailureKind.RESET)
"""Libraries raise wide exceptions ("cannot connect") from those that name the cause."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from; instead of a group, its first member."""
    link: BaseException | None = error
    for _ in range(10):
        if link is None:
            return
        members = getattr(link, "exceptions", None)
        if isinstance(members, tuple) and members:
            link = members[0]
        else:
            yield link
            # httpcore cuts the chain (`raise … from None`) but gives the cause as the argument.
            link = link.__cause__ or next((part for part in link.args if isinstance(part, BaseException)), None)


# -- Python's own ------------------------------------------------------------------------------------------------------


def _own(error: BaseException) -> Failure | None:
    if isinstance(error, ssl.SSLError):
        return _tls(error)
    if isinstance(error, socket.gaierror):
        what = _NAME_ERRORS.get(error.errno or 0, "the name could not be looked up")
        return Failure(FailureKind.DNS, f"{what} (EAI {error.errno})")
    if isinstance(error, TimeoutError):
        return Failure(FailureKind.TIMEOUT, f"no reply in time{_number(error)}")
    if isinstance(error, EOFError):
        return Failure(FailureKind.EOF, "the stream ended")
    if isinstance(error, OSError):
        return _system(error)
    return None


def _tls(error: ssl.SSLError) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "").rstrip(".") or "it could not be verified"
        return Failure(FailureKind.TLS_UNTRUSTED, f"the certificate is not trusted: {why}")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Failure(FailureKind.EOF, "the connection was closed in the middle of TLS")
    words = (getattr(error, "reason", None) or "").replace("_", " ").lower()
    return Failure(FailureKind.TLS, f"TLS failed: {words}" if words else "TLS failed")


def _system(error: OSError) -> Failure:
    number = error.errno
    if isinstance(error, ConnectionRefusedError):
        return Failure(FailureKind.REFUSED, f"nobody listens there{_number(error)}")
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return Failure(FailureKind.RESET, f"the connection was cut{_number(error)}")
    if getattr(error, "winerror", None) == _SEMAPHORE_TIMEOUT:
        return Failure(FailureKind.TIMEOUT, "no reply in time")
    text = os.strerror(number).lower() if number is not None else "the connection failed"
    return Failure(FailureKind.OTHER, f"{text}{_number(error)}")


def _number(error: OSError) -> str:
    return "" if error.errno is None else f" ({errno.errorcode.get(error.errno, error.errno)})"


_SEMAPHORE_TIMEOUT = 121
"""Windows says so of a connection attempt that nobody answers."""

_NAME_ERRORS = {
    socket.EAI_NONAME: "there is no such name",
    socket.EAI_AGAIN: "the name server does not answer",
    socket.EAI_FAIL: "the name server failed",
}

# -- other people's, by name -------------------------------------------------------------------------------------------

_FOREIGN: dict[tuple[str, str], tuple[FailureKind, str]] = {
    # Until Python 3.10 these are not TimeoutError.
    ("asyncio", "TimeoutError"): (FailureKind.TIMEOUT, "no reply in time"),
    ("httpx", "TimeoutException"): (FailureKind.TIMEOUT, "no reply in time"),
    ("httpx", "ConnectError"): (FailureKind.OTHER, "the connection could not be opened"),
    ("httpx", "NetworkError"): (FailureKind.RESET, "the connection was cut"),
    ("httpx", "ProxyError"): (FailureKind.PROXY, "the proxy refused"),
    ("httpx", "RemoteProtocolError"): (FailureKind.OTHER, "the reply is no HTTP"),
    ("httpx", "TransportError"): (FailureKind.OTHER, "the HTTP exchange failed"),
    ("httpx", "HTTPStatusError"): (FailureKind.HTTP_STATUS, "the server answered"),
    ("httpx", "InvalidURL"): (FailureKind.OTHER, "the address is no URL that can be asked"),
    ("httpcore", "TimeoutException"): (FailureKind.TIMEOUT, "no reply in time"),
    ("httpcore", "ConnectError"): (FailureKind.OTHER, "the connection could not be opened"),
    ("httpcore", "NetworkError"): (FailureKind.RESET, "the connection was cut"),
    ("httpcore", "ProxyError"): (FailureKind.PROXY, "the proxy refused"),
    ("httpcore", "RemoteProtocolError"): (FailureKind.OTHER, "the reply is no HTTP"),
    ("httpcore", "ProtocolError"): (FailureKind.OTHER, "the HTTP exchange failed"),
    ("socksio", "ProtocolError"): (FailureKind.PROXY, "what listens there is no SOCKS5 proxy"),
    ("aiohttp", "ServerTimeoutError"): (FailureKind.TIMEOUT, "no reply in time"),
    ("aiohttp", "ClientProxyConnectionError"): (FailureKind.PROXY, "the proxy cannot be reached"),
    ("aiohttp", "ClientHttpProxyError"): (FailureKind.PROXY, "the proxy refused"),
    ("aiohttp", "ClientConnectorDNSError"): (FailureKind.DNS, "the name could not be looked up"),
    ("aiohttp", "ClientConnectorCertificateError"): (FailureKind.TLS_UNTRUSTED, "the certificate is not trusted"),
    ("aiohttp", "ClientSSLError"): (FailureKind.TLS, "TLS failed"),
    ("aiohttp", "ServerDisconnectedError"): (FailureKind.EOF, "the server hung up"),
    ("aiohttp", "WSServerHandshakeError"): (FailureKind.HTTP_STATUS, "the server refused the WebSocket upgrade"),
    ("aiohttp", "ClientResponseError"): (FailureKind.HTTP_STATUS, "the server answered"),
    ("aiohttp", "InvalidURL"): (FailureKind.OTHER, "the address is no URL that can be asked"),
    ("aiohttp", "ClientError"): (FailureKind.OTHER, "the exchange failed"),
    ("anyio", "BrokenResourceError"): (FailureKind.RESET, "the connection was cut"),
    ("anyio", "EndOfStream"): (FailureKind.EOF, "the stream ended"),
    ("trio", "BrokenResourceError"): (FailureKind.RESET, "the connection was cut"),
    ("trio", "TooSlowError"): (FailureKind.TIMEOUT, "no reply in time"),
    ("trio_websocket", "ConnectionTimeout"): (FailureKind.TIMEOUT, "no reply in time"),
    ("trio_websocket", "DisconnectionTimeout"): (FailureKind.TIMEOUT, "no reply in time"),
    ("trio_websocket", "ConnectionRejected"): (FailureKind.HTTP_STATUS, "the server refused the WebSocket upgrade"),
    ("trio_websocket", "HandshakeError"): (FailureKind.OTHER, "the WebSocket upgrade failed"),
    ("trio_websocket", "ConnectionClosed"): (FailureKind.EOF, "the WebSocket was closed"),
    ("websockets", "InvalidStatus"): (FailureKind.HTTP_STATUS, "the server refused the WebSocket upgrade"),
    ("websockets", "InvalidHandshake"): (FailureKind.OTHER, "the WebSocket upgrade failed"),
    ("websockets", "InvalidURI"): (FailureKind.OTHER, "the address is no WebSocket's"),
    ("websockets", "ConnectionClosed"): (FailureKind.EOF, "the WebSocket was closed"),
}
"""Package and class; the first class of an exception's that is found here counts."""


_HUNG_UP = (
    ("Server disconnected", FailureKind.EOF, "the server hung up"),
    ("peer closed connection", FailureKind.EOF, "the server hung up in the middle of its reply"),
)
_REFUSED = (
    ("407", FailureKind.PROXY_AUTH, "the proxy wants other credentials"),
    ("Invalid username/password", FailureKind.PROXY_AUTH, "the proxy wants other credentials"),
    ("Requested ", FailureKind.PROXY_AUTH, "the proxy wants other credentials"),
)

_TOLD_APART: dict[tuple[str, str], tuple[tuple[str, FailureKind, str], ...]] = {
    ("httpx", "RemoteProtocolError"): _HUNG_UP,
    ("httpx", "ProxyError"): _REFUSED,
    ("httpcore", "RemoteProtocolError"): _HUNG_UP,
    ("httpcore", "ProxyError"): _REFUSED,
}
"""Classes that stand for several things, which only the beginning of the text tells apart."""


def _foreign(error: BaseException) -> Failure | None:
    for cls in type(error).__mro__:
        name = (cls.__module__.partition(".")[0], cls.__name__)
        if name not in _FOREIGN:
            continue
        kind, words = _FOREIGN[name]
        for beginning, other_kind, other_words in _TOLD_APART.get(name, ()):
            if str(error).startswith(beginning):
                kind, words = other_kind, other_words
        status = _status(error)
        if status == _PROXY_AUTH:
            return Failure(FailureKind.PROXY_AUTH, "the proxy wants other credentials", status)
        return Failure(kind, f"{words} with HTTP {status}" if status else words, status)
    return None


_PROXY_AUTH = 407


def _status(error: BaseException) -> int | None:
    """The HTTP status that came with it: aiohttp's ``status``, trio-websocket's ``status_code``, websockets'
    ``response.status_code``."""
    for value in (
        getattr(error, "status", None),
        getattr(error, "status_code", None),
        getattr(getattr(error, "response", None), "status_code", None),
    ):
        if type(value) is int and value > 0:
            return value
    return None
