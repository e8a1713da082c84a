"""A bot's account on asyncio: its token, for gateways and for whoever makes REST calls."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from qqproto.account import Account
from qqproto.actions import FetchToken
from qqproto.credentials import Credentials, Endpoints, Token
from qqproto.failures import Failure, FailureKind
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo
from qqproto_transports import _asyncio_dial
from qqproto_transports._account import AsyncAccount
from qqproto_transports._asyncio_runners import AsyncioAccountRunner
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import HTTPExchange, Proxy, Unavailable
from qqproto_transports._egress import Egress
from qqproto_transports._http import exchange_by

if TYPE_CHECKING:
    import httpx


class BotAccount(AsyncAccount[AsyncioAccountRunner]):
    """One bot's account, one per AppID and process: its access token, for gateways and for REST calls of your own.

    Made anywhere, also where no event loop runs; usable before, beside and without a gateway, by one loop at a time. It
    does nothing until somebody asks, and every asker shares one token request. ``http`` makes the HTTP exchanges: an
    ``httpx.AsyncClient`` (its proxies and its TLS are its own, redirects are off) or a callable. ``proxy`` and
    ``ssl_context`` are for the WebSocket, and for HTTP without a client of yours; the default context verifies
    certificates. ``clock`` gives seconds, never goes back, and is the clock of the account and of all that uses it.

    Raises :class:`ValueError` for a proxy's URL that cannot be used, and :class:`ImportError` for a missing package.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        endpoints: Endpoints = Endpoints(),
        http: HTTPExchange | httpx.AsyncClient | None = None,
        proxy: Proxy = "env",
        ssl_context: ssl.SSLContext | None = None,
        policy: Policy = Policy(),
        clock: Callable[[], float] = system_clock,
    ) -> None:
        super().__init__(credentials, Egress(proxy, ssl_context), policy)
        self.runner = AsyncioAccountRunner(
            Account(credentials, endpoints=endpoints, policy=policy),
            clock,
            exchange_by(http, self.egress, _asyncio_dial, policy),
        )

    async def token(self, *, rejected: Token | None = None, timeout: float = 15.0) -> Token:
        runner, inquiry = self.runner, _Inquiry()
        runner.attach(inquiry)
        question = FetchToken(1, runner.clock() + timeout, rejected.value if rejected is not None else None)
        try:
            runner.ask(inquiry, question)
            await asyncio.wait([inquiry.answered], timeout=timeout)
        finally:
            runner.withdraw(inquiry, question.id)
            runner.detach(inquiry)
            await runner.calm()
        if not inquiry.answered.done():
            raise Unavailable(Failure(FailureKind.TIMEOUT, f"no access token within {timeout:g} s"))
        value = inquiry.answered.result()
        if isinstance(value, Failure):
            raise Unavailable(value)
        return value

    async def aclose(self) -> None:
        """Wait until the exchanges that nobody waits for any more are gone. A client of the host's stays open."""
        await self.runner.calm()


class _Inquiry:
    """Somebody who asks an account for a token."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Token | Failure] = loop.create_future()

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        if not self.answered.done() and isinstance(value, (Token, Failure)):
            self.answered.set_result(value)

    def bug(self, error: BaseException) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
