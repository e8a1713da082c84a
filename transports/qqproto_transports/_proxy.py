"""An HTTP proxy on this machine, as the demo and the tests need one: it opens tunnels, and remembers to where."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode

from qqproto_transports._break_off import break_off

_HOST = "127.0.0.1"
_PIECE = 65536


class Refused(Exception):
    """A client is not let through; the argument is what it is told."""


class ProxyServer:
    """An HTTP proxy, for as long as the block lasts; ``port`` is known inside of it.

    ``login`` are the user name and the password it wants, if any, ``tls`` makes it an HTTPS proxy. ``targets`` are the
    hosts and ports for which it was asked, ``tunnels`` is how many are open now, ``turned_away`` how often the
    credentials were wrong. While ``drops`` is set, whoever asks has his connection broken off.
    """

    def __init__(self, *, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._login = login
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.targets: list[tuple[str, int]] = []
        self.tunnels = 0
        self.turned_away = 0
        self.drops = False

    async def __aenter__(self) -> ProxyServer:
        self._server = await asyncio.start_server(self._talk, _HOST, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks)

    # -- how it speaks; a SOCKS proxy would say other things -------------------------------------------------------

    async def agree(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        """Where the client wants to go. Raises :class:`Refused` if it may not."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        method, target, *_ = lines[0].split(b" ")
        if method != b"CONNECT":
            raise Refused(_reply("405 Method Not Allowed"))
        if self._login is not None:
            expected = b"proxy-authorization: basic " + b64encode(":".join(self._login).encode()).lower()
            if expected not in (line.lower() for line in lines):
                self.turned_away += 1
                raise Refused(_reply("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="here"'))
        host, _, port = target.decode("ascii").rpartition(":")
        return host.strip("[]"), int(port)

    def opened(self) -> bytes:
        """What a client is told when it is through."""
        return b"HTTP/1.1 200 Connection established\r\n\r\n"

    def unreachable(self) -> bytes:
        """What a client is told when nobody is there where it wants to go."""
        return _reply("502 Bad Gateway")

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server makes one for each connection"
        self._talks.add(task)
        try:
            await self._serve(reader, writer)
        except Refused as refusal:
            writer.write(refusal.args[0])
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            if not writer.transport.is_closing():
                break_off(writer.transport)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = await self.agree(reader, writer)
        if self.drops:
            break_off(writer.transport)
            return
        self.targets.append((host, port))
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            raise Refused(self.unreachable()) from None
        self.tunnels += 1
        writer.write(self.opened())
        loop = asyncio.get_running_loop()
        ways = [loop.create_task(_carry(reader, far_writer)), loop.create_task(_carry(far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self.tunnels -= 1
            far_writer.close()
            for way in ways:
                way.cancel()
            for result in await asyncio.gather(*ways, return_exceptions=True):
                if isinstance(result, OSError):
                    raise result


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()


def _reply(status: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
