"""A gateway of one's own on a loopback port: the fake platform behind real sockets, for people and for tests."""

from __future__ import annotations

import asyncio
import errno
from typing import cast

from qqproto import Abort, CloseConnection, Credentials, Endpoints, HTTPRequest, HTTPResponse, SendData, SendText
from qqproto.testing import Behaviour, FakeBot, FakePlatform, reply
from qqproto_transports._break_off import break_off
from qqproto_transports._http_server import HTTPServerSide

_LINGER = 2.0
_SLACK = 0.25


class CannotListen(OSError):
    """The port cannot be had; the message says why, and what to do."""


class LocalGateway:
    """The platform's HTTP endpoints and its WebSocket on one port of this machine; any SDK may connect to it.

    >>> async def main() -> None:
    ...     async with LocalGateway(app_id="1234", secret="abcd") as gateway:
    ...         print(gateway.endpoints.gateway_url, gateway.platform.bot)
    >>> asyncio.run(main())
    None FakeBot('1234')

    ``port`` 0 takes any free one. ``heartbeat_interval`` is Hello's, in seconds. ``platform`` is the fake platform,
    with all that it knows and all of its levers; those that take ``now`` take :attr:`now`. Use it from the event
    loop's thread only. Entering raises :class:`CannotListen`; leaving ends every connection.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        app_id: str = "11111111",
        secret: str = "the-secret-of-a-fake-bot",
        heartbeat_interval: float = 41.25,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port must lie between 0 and 65535, not be {port}; 0 takes any free one")
        self.host = host
        self.platform = FakePlatform(
            FakeBot(app_id, secret),
            behaviour=Behaviour(heartbeat_interval=heartbeat_interval, slack=_SLACK),
            wake=self._wake,
        )
        self.credentials = Credentials(app_id, secret)
        self._port = port
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False
        self._connections: set[_Connection] = set()
        self._sockets: dict[int, _Connection] = {}
        self._all_gone = asyncio.Event()

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on; before it does, the one that was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """The base of its HTTP endpoints."""
        return f"http://{self._authority}"

    @property
    def endpoints(self) -> Endpoints:
        """What to give to a bot in place of the platform's own addresses."""
        return Endpoints(api_base=self.url, token_url=f"{self.url}/app/getAppAccessToken")

    @property
    def now(self) -> float:
        """The event loop's time: the ``now`` of the platform's levers."""
        return asyncio.get_running_loop().time()

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self._port}" if ":" in self.host else f"{self.host}:{self._port}"

    # -- the block ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> LocalGateway:
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await self._loop.create_server(lambda: _Connection(self), self.host, self._port)
        except OSError as error:
            raise self._explain(error) from error
        self._port = self._server.sockets[0].getsockname()[1]
        self.platform.gateway_url = f"ws://{self._authority}/websocket"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            await self._all_gone.wait()
        await self._server.wait_closed()
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    def _explain(self, error: OSError) -> CannotListen:
        where = f"port {self._port} of {self.host}"
        if error.errno == errno.EADDRINUSE:
            text = f"{where} is in use: stop the program that listens there, or take another port (0 is any free one)"
        elif error.errno in (errno.EACCES, errno.EPERM):
            text = f"{where} may not be used by this user: take a port above 1023 (0 is any free one)"
        else:
            text = f"cannot listen on {where}: {error.strerror or error}; 127.0.0.1 is this machine's own address"
        return CannotListen(error.errno, text)

    # -- for the connections --------------------------------------------------------------------------------------

    def joined(self, connection: _Connection) -> None:
        """A TCP connection was accepted."""
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        """A TCP connection is gone."""
        self._connections.discard(connection)
        if connection.id is not None:
            self._sockets.pop(connection.id, None)
            self.platform.connection_lost(connection.id, self.now)
            self.pump()
        if not self._connections:
            self._all_gone.set()

    def answer(self, request: HTTPRequest) -> HTTPResponse:
        """The reply to an HTTP request."""
        if request.url.partition("?")[0].rstrip("/") == "/websocket":
            return reply(426, {"message": "this is the gateway: connect with a WebSocket"}, Upgrade="websocket")
        return self.platform.handle_request(request, self.now)

    def upgraded(self, connection: _Connection) -> int:
        """The connection turns into a WebSocket; returns its number on the platform."""
        id = self.platform.connect(self.now)
        self._sockets[id] = connection
        return id

    def pump(self) -> None:
        """Carry out what the platform wants, and see that it is called when it is due."""
        self._pump_due = False
        while (output := self.platform.next_output()) is not None:
            connection = self._sockets.get(output.id)
            if connection is None:
                continue
            match output:
                case SendData(data=data):
                    connection.write(data)
                case CloseConnection():
                    connection.finish()
                case Abort():
                    connection.reset()
                case SendText():
                    raise AssertionError("every connection of this server has framing BYTES")
        due = self.platform.next_timer()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if due is not None and self._loop is not None:
            self._timer = self._loop.call_at(due, self._on_timer)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _on_timer(self) -> None:
        # The loop may call a little early, within the resolution of its clock.
        due = self.platform.next_timer()
        self.platform.handle_timer(max(self.now, due if due is not None else 0.0))
        self.pump()

    def _wake(self) -> None:
        """A lever was pulled: the platform has something to say."""
        if self._loop is not None and not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self.pump)


class _Connection(asyncio.Protocol):
    """One TCP connection: HTTP until it asks for a WebSocket, then the platform's bytes."""

    def __init__(self, gateway: LocalGateway) -> None:
        self._gateway = gateway
        self._http = HTTPServerSide(gateway.answer)
        self._transport: asyncio.Transport
        self._linger: asyncio.TimerHandle | None = None
        self.id: int | None = None

    # -- from the event loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._gateway.joined(self)

    def data_received(self, data: bytes) -> None:
        if self.id is None:
            self.write(self._http.receive(data))
            if self._http.upgrade is None:
                if self._http.finished:
                    self.finish()
                return
            self.id, data = self._gateway.upgraded(self), self._http.upgrade
        self._gateway.platform.receive_data(self.id, data, self._gateway.now)
        self._gateway.pump()

    def eof_received(self) -> None:
        """The transport closes itself after this."""
        if self.id is None:
            self.write(self._http.receive(b""))
        else:
            self._gateway.platform.receive_data(self.id, b"", self._gateway.now)
            self._gateway.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._gateway.left(self)

    def pause_writing(self) -> None:
        """The client does not read: neither do we, so that nothing piles up here."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    # -- from the gateway -----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def finish(self) -> None:
        """End our half of the stream and give the client a moment to end its own.

        Closing at once, with something of the client's unread, would be a reset, and take with it what was just sent.
        """
        if self._linger is None and not self._transport.is_closing():
            self._transport.write_eof()
            self._linger = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    def reset(self) -> None:
        """Break the connection off: the client sees a reset."""
        break_off(self._transport)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()
