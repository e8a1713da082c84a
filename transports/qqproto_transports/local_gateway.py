"""A gateway of one's own on a loopback port: the fake platform behind real sockets, for people and for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate

from qqproto import Abort, CloseConnection, Credentials, Endpoints, HTTPRequest, HTTPResponse, SendData, SendText
from qqproto.testing import Behaviour, FakeBot, FakeCallbacks, FakePlatform, reply
from qqproto_transports._break_off import break_off
from qqproto_transports._callbacks import Callbacks
from qqproto_transports._http_server import HTTPServerSide
from qqproto_transports._listener import CannotListen, Connection, Listener

__all__ = ["Callbacks", "CannotListen", "LocalGateway"]

_SLACK = 0.25


class LocalGateway:
    """The platform's HTTP endpoints and its WebSocket on one port of this machine; any SDK may connect to it.

    >>> async def main() -> None:
    ...     async with LocalGateway(app_id="1234", secret="abcd") as gateway:
    ...         print(gateway.endpoints.gateway_url, gateway.platform.bot)
    >>> asyncio.run(main())
    None FakeBot('1234')

    ``port`` 0 takes any free one. ``heartbeat_interval`` is Hello's, in seconds. ``platform`` is the fake platform,
    with all that it knows and all of its levers; those that take ``now`` take :attr:`now`. ``clock_ahead`` is by how
    many seconds the time in its replies (the header Date) is wrong. Use it from the event loop's thread only. Entering
    raises :class:`CannotListen`; leaving ends every connection.
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
        self._listener = Listener(host, port, lambda: _Connection(self, self._listener))
        self.host = host
        self.platform = FakePlatform(
            FakeBot(app_id, secret),
            behaviour=Behaviour(heartbeat_interval=heartbeat_interval, slack=_SLACK),
            wake=self._wake,
        )
        self.credentials = Credentials(app_id, secret)
        self.clock_ahead = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False
        self._sockets: dict[int, _Connection] = {}
        self.unplugged = False

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on; before it does, the one that was asked for."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The base of its HTTP endpoints."""
        return f"http://{self._listener.authority}"

    @property
    def endpoints(self) -> Endpoints:
        """What to give to a bot in place of the platform's own addresses."""
        return Endpoints(api_base=self.url, token_url=f"{self.url}/app/getAppAccessToken")

    @property
    def now(self) -> float:
        """The event loop's time: the ``now`` of the platform's levers."""
        return asyncio.get_running_loop().time()

    def deliver_to(self, url: str, *, say: Callable[[str], None] = lambda text: None) -> Callbacks:
        """Events for the bot by webhook, as a block: ``async with gateway.deliver_to(url) as callbacks``.

        As the platform does it, the address is validated first (``await callbacks.validated.wait()``); then
        ``callbacks.dispatch(type, data, id=…)`` posts an event, signed, and again while it is not acknowledged. ``say``
        is told what happens. Needs the package cryptography.
        """
        sender = FakeCallbacks(self.platform.bot, url)
        return Callbacks(sender, lambda id, data: self.platform.allow_replies(id, data, self.now), say=say)

    # -- the block ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> LocalGateway:
        self._loop = asyncio.get_running_loop()
        await self._listener.open()
        self.platform.gateway_url = f"ws://{self._listener.authority}/websocket"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._listener.close()
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    # -- the cable ------------------------------------------------------------------------------------------------

    def unplug(self) -> None:
        """Pull the cable: nothing comes in, nothing goes out, and nobody is told. What is said meanwhile is lost.

        Connections are still taken, as the system does it, and stay mute.
        """
        self.unplugged = True
        for session in self.platform.sessions.values():
            if session.live is not None:
                session.live.excuse()

    def plug(self) -> None:
        """Put the cable back. Whatever was connected without it has a gap in what it heard, and breaks off."""
        self.unplugged = False
        for connection in self._listener.connections:
            if isinstance(connection, _Connection) and connection.mute:
                connection.reset()

    # -- for the connections --------------------------------------------------------------------------------------

    def left(self, connection: _Connection) -> None:
        """A connection is gone."""
        if connection.id is not None:
            self._sockets.pop(connection.id, None)
            self.platform.connection_lost(connection.id, self.now)
            self.pump()

    def answer(self, request: HTTPRequest) -> HTTPResponse:
        """The reply to an HTTP request."""
        if request.url.partition("?")[0].rstrip("/") == "/websocket":
            return reply(426, {"message": "this is the gateway: connect with a WebSocket"}, Upgrade="websocket")
        response = self.platform.handle_request(request, self.now)
        date = {"Date": formatdate(time.time() + self.clock_ahead, usegmt=True)}
        return HTTPResponse(response.status, {**date, **response.headers}, response.body)

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
            if self.unplugged:
                connection.mute = True
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


class _Connection(Connection):
    """One TCP connection: HTTP until it asks for a WebSocket, then the platform's bytes."""

    def __init__(self, gateway: LocalGateway, listener: Listener) -> None:
        super().__init__(listener, HTTPServerSide(gateway.answer, upgrades=True))
        self._gateway = gateway
        self.id: int | None = None
        self.mute = False
        """Whether something was lost on it while the cable was out."""

    # -- from the event loop --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._gateway.unplugged:
            self.mute = True
            return
        if self.id is None:
            super().data_received(data)
            if self._http.upgrade is None:
                return
            self.id, data = self._gateway.upgraded(self), self._http.upgrade
        self._gateway.platform.receive_data(self.id, data, self._gateway.now)
        self._gateway.pump()

    def eof_received(self) -> None:
        if self.id is None:
            super().eof_received()
        else:
            self._gateway.platform.receive_data(self.id, b"", self._gateway.now)
            self._gateway.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gateway.left(self)
        super().connection_lost(exc)

    # -- from the gateway -----------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Break the connection off: the client sees a reset."""
        break_off(self._transport)
