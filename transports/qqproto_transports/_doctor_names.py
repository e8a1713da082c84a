"""Looking names up, by family, in threads that keep no process from its end."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from qqproto.failures import Failure, FailureKind
from qqproto_transports._addresses import Address
from qqproto_transports._failures import Failed, failure_of

T = TypeVar("T")

_SHOWN = 2


@dataclass(slots=True)
class Found:
    """What a name stands for; ``why`` says of a family without addresses what was said instead."""

    addresses: list[Address]
    why: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        return {"ipv4": self._of(socket.AF_INET), "ipv6": self._of(socket.AF_INET6)}

    def describe(self) -> str:
        """For people."""
        parts = []
        for name, addresses in (("IPv4", self._of(socket.AF_INET)), ("IPv6", self._of(socket.AF_INET6))):
            more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
            shown = ", ".join(addresses[:_SHOWN]) + more if addresses else f"none ({self.why.get(name, 'no address')})"
            parts.append(f"{name} {shown}")
        return "; ".join(parts)

    def _of(self, family: int) -> list[str]:
        return [address[4][0] for address in self.addresses if address[0] == family]


def is_address(host: str) -> bool:
    """Whether there is no name to look up."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def look_up(host: str, port: int) -> Found:
    """The addresses of ``host`` in both families, IPv6 first. Raises what went wrong if there is none in either."""
    families = {"IPv6": socket.AF_INET6, "IPv4": socket.AF_INET}
    results = await asyncio.gather(
        *(_in_thread(partial(_ask, host, port, family)) for family in families.values()),
        return_exceptions=True,
    )
    found, errors = Found([]), []
    for name, result in zip(families, results, strict=True):
        if isinstance(result, BaseException):
            errors.append(result)
            found.why[name] = failure_of(result).message
        else:
            found.addresses += result
    if not found.addresses:
        raise errors[-1] if errors else Failed(Failure(FailureKind.DNS, "the name has no address"))
    return found


def _ask(host: str, port: int, family: int) -> list[Address]:
    try:
        return [*socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)]
    except UnicodeError:
        raise Failed(Failure(FailureKind.DNS, "the host is no valid name")) from None


async def _in_thread(call: Callable[[], T]) -> T:
    """A look-up that hangs cannot be called off; a thread of the loop's own would be waited for at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error there is a result

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as problem:
            error = problem
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:
            pass  # Nobody waits any more, and the loop is closed.

    threading.Thread(target=run, daemon=True).start()
    return await future
