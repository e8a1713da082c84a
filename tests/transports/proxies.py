"""A SOCKS5 proxy on this machine; its HTTP sister is the demo's."""

from __future__ import annotations

import asyncio
import ipaddress

from qqproto_transports._proxy import ProxyServer, Refused


class SOCKSServer(ProxyServer):
    """As :class:`~qqproto_transports._proxy.ProxyServer`; it wants the credentials only if it has some."""

    async def agree(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        wanted = 0 if self._login is None else 2
        if wanted not in offered:
            self.turned_away += 1
            raise Refused(b"\x05\xff")
        writer.write(bytes([5, wanted]))
        if self._login is not None:
            await self._check_login(reader, writer, self._login)
        *_, kind = await reader.readexactly(4)
        return await self._read_host(reader, kind), int.from_bytes(await reader.readexactly(2), "big")

    def opened(self) -> bytes:
        return b"\x05\x00\x00\x01" + bytes(6)

    def unreachable(self) -> bytes:
        return b"\x05\x05\x00\x01" + bytes(6)

    async def _check_login(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, login: tuple[str, str]
    ) -> None:
        await reader.readexactly(1)
        given = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in login]
        if tuple(given) != login:
            self.turned_away += 1
            raise Refused(b"\x01\x01")
        writer.write(b"\x01\x00")

    async def _read_host(self, reader: asyncio.StreamReader, kind: int) -> str:
        if kind == 3:
            return (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        return str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
