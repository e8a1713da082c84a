"""A second look at somebody with a certificate: who is he if he is not to be trusted, and does the world trust him?"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qqproto_transports._addresses import Address
from qqproto_transports._asyncio_dial import connect_to
from qqproto_transports._doctor_certificates import (
    EXPIRED,
    NOT_YET_VALID,
    UNKNOWN_ISSUER,
    Certificate,
    public_context,
    read_certificate,
    unverifying_context,
)
from qqproto_transports._doctor_deadline import within
from qqproto_transports._doctor_time import ask_time, measure
from qqproto_transports._doctor_wire import Wire
from qqproto_transports._failures import failure_of
from qqproto_transports._route import Route
from qqproto_transports._tls import TLS


@dataclass(slots=True)
class Seen:
    """What somebody who is not trusted shows; and, where it may matter, by how many seconds this machine's clock is
    ahead of his, if he tells."""

    certificate: Certificate | None = None
    clock_ahead: float | None = None


class Look:
    """Looks once more at the TLS layer at ``depth`` of a way, at most for ``patience`` seconds.

    ``make_route`` gives the way anew, with a context for that layer; those before it are verified as ever, and nothing
    is said behind it but a question for the time, which holds nothing of ours.
    """

    def __init__(
        self,
        make_route: Callable[[ssl.SSLContext], Route],
        depth: int,
        addresses: Sequence[Address],
        authority: str,
        patience: float,
    ) -> None:
        self._make_route = make_route
        self._depth = depth
        self._addresses = addresses
        self._authority = authority
        self._patience = patience

    async def at_stranger(self, verify_code: int, wall: Callable[[], float]) -> Seen:
        """Who he is. ``verify_code`` is why he was not trusted, ``wall`` this machine's clock."""
        seen = Seen()
        try:
            await within(self._patience, self._look_at_stranger(seen, verify_code, wall))
        except Exception as error:
            failure_of(error)  # What is not about the network is a bug, and raised.
        return seen

    async def is_public(self) -> bool | None:
        """Whether a public authority vouches for him, None if that is not known."""
        context = public_context()
        if context is None:
            return None
        try:
            await within(self._patience, self._open_and_close(context))
        except ssl.SSLCertVerificationError as error:
            return False if error.verify_code in UNKNOWN_ISSUER else None
        except Exception as error:
            failure_of(error)
            return None
        return True

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _look_at_stranger(self, seen: Seen, verify_code: int, wall: Callable[[], float]) -> None:
        wire = await self._open(unverifying_context())
        try:
            layer = wire.route.layers[self._depth]
            assert isinstance(layer, TLS), "nobody else shows a certificate"
            seen.certificate = read_certificate(layer.certificate)
            if wire.route.established and verify_code in (EXPIRED, NOT_YET_VALID):
                seen.clock_ahead = await measure(ask_time(wire, self._authority), wall)
        finally:
            wire.close()

    async def _open_and_close(self, context: ssl.SSLContext) -> None:
        (await self._open(context)).close()

    async def _open(self, context: ssl.SSLContext) -> Wire:
        wire = Wire(self._make_route(context), await connect_to(self._addresses))
        try:
            await wire.begin()
            for layer in wire.route.layers[: self._depth + 1]:
                await wire.settle()
                await wire.agree(layer)
        except BaseException:
            wire.close()
            raise
        return wire
