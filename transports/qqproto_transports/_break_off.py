"""How a server breaks a connection off, so that the other end sees a reset and not an orderly end."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys


def break_off(transport: asyncio.WriteTransport) -> None:
    """Drop the connection at once, with what is still to be sent; the other end sees a reset."""
    sock = transport.get_extra_info("socket")
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
