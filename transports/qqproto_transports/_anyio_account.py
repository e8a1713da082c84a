"""A bot's account on anyio: its token, for gateways and for whoever makes REST calls."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio import Event, move_on_after

from qqproto.account import Account
from qqproto.actions import FetchToken
from qqproto.credentials import Credentials, Endpoints, Token
from qqproto.failures import Failure, FailureKind
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo
from qqproto_transports import _anyio_dial
from qqproto_transports._account import AsyncAccount
from qqproto_transports._anyio_runners import AnyioAccountRunner
from qqproto_transports._anyio_tasks import Tasks
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import HTTPExchange, Proxy, Unavailable
from qqproto_transports._egress import Egress
from qqproto_transports._http import exchange_by

if TYPE_CHECKING:
    import httpx


class BotAccount(AsyncAccount[AnyioAccountRunner]):
    """One bot's account, one per AppID and process: its access token, for gateways and for REST calls of your own.

    Made anywhere, also where no event loop runs; usable before, beside and without a gateway, by one loop at a time. It
    does nothing until somebody asks, and every asker shares one token request. ``http`` makes the HTTP exchanges: an
    ``httpx.AsyncClient`` (its proxies and its TLS are its own, redirects are off) or a callable. ``proxy`` and
    ``ssl_context`` are for the WebSocket, and for HTTP without a client of yours; the default context verifies
    certificates. ``clock`` gives seconds, never goes back, and is the clock of the account and of all that uses it.

    Raises :class:`ValueError` for a proxy's URL that cannot be used, and :class:`ImportError` for a missing package.

    An exchange runs in the tasks of one of those who wait for it. If that one leaves before the others, it is broken
    off, and made once more for them.
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
        self.runner = AnyioAccountRunner(
            Account(credentials, endpoints=endpoints, policy=policy),
            clock,
            exchange_by(http, self.egress, _anyio_dial, policy),
        )

    async def token(self, *, rejected: Token | None = None, timeout: float = 15.0) -> Token:
        runner, inquiry = self.runner, _Inquiry()
        question = FetchToken(1, runner.clock() + timeout, rejected.value if rejected is not None else None)
        async with Tasks() as tasks:
            runner.lend(tasks)
            runner.attach(inquiry)
            try:
                runner.ask(inquiry, question)
                with move_on_after(timeout):
                    await inquiry.answered.wait()
            finally:
                runner.withdraw(inquiry, question.id)
                runner.detach(inquiry)
                runner.reclaim(tasks)
        if inquiry.error is not None:
            raise inquiry.error
        if inquiry.token is None:
            timed_out = Failure(FailureKind.TIMEOUT, f"no access token within {timeout:g} s")
            raise Unavailable(inquiry.failure or timed_out)
        return inquiry.token

    async def aclose(self) -> None:
        """Nothing is left to do: an exchange ends with the last who waits for it. A client of the host's stays open."""


class _Inquiry:
    """Somebody who asks an account for a token."""

    def __init__(self) -> None:
        self.answered = Event()
        self.token: Token | None = None
        self.failure: Failure | None = None
        self.error: BaseException | None = None

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        if isinstance(value, Token):
            self.token = value
        elif isinstance(value, Failure):
            self.failure = value
        self.answered.set()

    def bug(self, error: BaseException) -> None:
        self.error = error
        self.answered.set()
