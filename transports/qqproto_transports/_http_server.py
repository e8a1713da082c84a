"""The server's end of HTTP/1.1 on one connection, by h11: requests in, replies out, and the bytes of an upgrade."""

from __future__ import annotations

import json
from collections.abc import Callable

import h11

from qqproto import HTTPRequest, HTTPResponse

MAX_HEAD = 16 << 10


class HTTPServerSide:
    """Feed it what the client sends, write what :meth:`receive` returns.

    ``finished``: nothing more is answered on this connection. ``upgrade``: the client wants a WebSocket, and these are
    the bytes of its request and of whatever followed; the connection is then no business of HTTP any more. Without
    ``upgrades`` such a request is one like any other. ``refused`` is told of what is turned away here, as no HTTP, or
    as too much of it.
    """

    def __init__(
        self,
        answer: Callable[[HTTPRequest], HTTPResponse],
        *,
        max_body: int = 1 << 20,
        upgrades: bool = False,
        refused: Callable[[int, str], object] = lambda status, what: None,
    ) -> None:
        self._answer = answer
        self._refused = refused
        self._max_body = max_body
        self._upgrades = upgrades
        self._wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._raw = bytearray()
        self._request: h11.Request | None = None
        self._body = bytearray()
        self.finished = False
        self.upgrade: bytes | None = None

    def receive(self, data: bytes) -> bytes:
        """Take the client's bytes, ``b""`` being the end of its stream; returns what is to be sent."""
        if self.finished:
            return b""
        self._raw += data
        out = bytearray()
        try:
            self._wire.receive_data(data)
            while not self.finished and self.upgrade is None:
                event = self._wire.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED):
                    if self._wire.they_are_waiting_for_100_continue:
                        out += self._wire.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                    break
                out += self._on_event(event)
        except h11.RemoteProtocolError as error:
            out += self._refuse(error.error_status_hint, str(error))
        return bytes(out)

    def _on_event(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> bytes:
        if isinstance(event, h11.Request):
            self._request = event
            if _size(event) > MAX_HEAD:
                # h11 takes a longer one if it comes in one piece.
                return self._refuse(431, f"a head of more than {MAX_HEAD} bytes")
            if self._upgrades and _asks_for_websocket(event):
                self.upgrade = bytes(self._raw)
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > self._max_body:
                return self._refuse(413, f"a body of more than {self._max_body} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return self._on_request()
        elif isinstance(event, h11.ConnectionClosed):
            self.finished = True
        return b""

    def _on_request(self) -> bytes:
        request = self._request
        assert request is not None
        response = self._answer(
            HTTPRequest(
                request.method.decode("ascii"),
                request.target.decode("ascii"),
                _headers(request),
                bytes(self._body),
            )
        )
        out = self._send(response)
        if self._wire.our_state is h11.DONE and self._wire.their_state is h11.DONE:
            self._raw = bytearray(self._wire.trailing_data[0])
            self._request, self._body = None, bytearray()
            self._wire.start_next_cycle()
        else:
            self.finished = True
        return out

    def _send(self, response: HTTPResponse) -> bytes:
        headers = list(response.headers.items())
        if response.status != 204:
            headers.append(("Content-Length", str(len(response.body))))
        out = self._wire.send(h11.Response(status_code=response.status, headers=headers)) or b""
        if response.body and (self._request is None or self._request.method != b"HEAD"):
            out += self._wire.send(h11.Data(data=response.body)) or b""
        return out + (self._wire.send(h11.EndOfMessage()) or b"")

    def _refuse(self, status: int, what: str) -> bytes:
        """Say why, and be done: after such a request nobody knows where the next one begins."""
        self.finished = True
        self._refused(status, what)
        if self._wire.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        body = json.dumps({"code": status, "message": what}).encode()
        return self._send(HTTPResponse(status, {"Content-Type": "application/json", "Connection": "close"}, body))


def _headers(request: h11.Request) -> dict[str, str]:
    """By name; the values of one that comes twice in one, as HTTP has it."""
    found: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _size(request: h11.Request) -> int:
    return len(request.target) + sum(len(name) + len(value) for name, value in request.headers)


def _asks_for_websocket(request: h11.Request) -> bool:
    headers = dict(request.headers)
    return request.method == b"GET" and headers.get(b"upgrade", b"").strip().lower() == b"websocket"
