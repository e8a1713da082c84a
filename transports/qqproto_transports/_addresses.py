"""In which order the addresses of a name are tried, and how long each gets before the next joins in (RFC 8305)."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any, TypeAlias

Address: TypeAlias = "tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]"
"""What ``getaddrinfo`` gives: family, kind, protocol, canonical name, socket address."""

HEAD_START = 0.25
"""Seconds that an address is alone before the next is tried beside it (RFC 8305 §5)."""


def in_turn(addresses: Iterable[Address]) -> list[Address]:
    """The addresses with their families taking turns, so that a dead IPv6 costs one head start (RFC 8305 §4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    rest = list(families.values())
    ordered = []
    while rest:
        ordered += [family.pop(0) for family in rest]
        rest = [family for family in rest if family]
    return ordered
