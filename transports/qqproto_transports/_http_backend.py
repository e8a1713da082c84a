"""How httpcore, on which httpx stands, takes a bot's way out: its connections are routes.

httpx knows proxies as well. But a SOCKS5 reply that comes in two pieces ends its exchange, its log has the password of
a SOCKS5 proxy, and its errors do not tell the proxy's certificate from the server's.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from qqproto_transports._http import Dialler, Wire
from qqproto_transports._route import Route

_READ = 65536
"""Bytes that one read takes at most on the way there."""


class RouteBackend(httpcore.AsyncNetworkBackend):
    """Opens one connection, along ``route``, which names the host; TLS with it is the route's."""

    def __init__(self, route: Route, dialler: Dialler) -> None:
        self._route = route
        self._dialler = dialler

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> RouteStream:
        try:
            wire = await self._dialler.reach(*self._route.address)
        except Exception as error:
            self._blame(error)
            raise
        try:
            return RouteStream(wire, self._route, await self._establish(wire))
        except BaseException:
            wire.close()
            raise

    async def _establish(self, wire: Wire) -> bytes:
        """Everything that is to be agreed upon; returns what the host has said already."""
        route, said = self._route, b""
        try:
            route.start()
            while not route.established:
                await wire.write(route.data_to_send())
                said = route.receive_data(await wire.read(_READ))
            await wire.write(route.data_to_send())
        except Exception as error:
            with contextlib.suppress(OSError):
                await wire.write(route.data_to_send())  # What is wrong with its TLS the peer may know.
            self._blame(error)
            raise
        return said

    def _blame(self, error: Exception) -> None:
        blamed = self._route.blame(error)
        if blamed is not error:
            raise blamed from None


class RouteStream(httpcore.AsyncNetworkStream):
    """A connection along a route that is established."""

    def __init__(self, wire: Wire, route: Route, said: bytes) -> None:
        self._wire = wire
        self._route = route
        self._said = said

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while not self._said and not self._route.ended:
            self._said = self._route.receive_data(await self._wire.read(max_bytes))
        said, self._said = self._said[:max_bytes], self._said[max_bytes:]
        return said

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return  # Nothing to wait for; a cancellation here would leave a generator of httpcore's half used.
        self._route.send_data(buffer)
        try:
            await self._wire.write(self._route.data_to_send())
        except OSError as error:  # httpcore looks then whether the server has said why.
            raise httpcore.WriteError(error) from error

    async def aclose(self) -> None:
        self._wire.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> RouteStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return None  # Each exchange has a connection of its own, of which nobody asks whether it is still good.
