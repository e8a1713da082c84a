"""A bot's account on threads: its token, for gateways and for whoever makes REST calls, in any thread."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qqproto.account import Account
from qqproto.actions import FetchToken
from qqproto.credentials import Credentials, Endpoints, Token
from qqproto.failures import Failure, FailureKind
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo
from qqproto_transports._account import AccountCore, token_in
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import Proxy, Unavailable
from qqproto_transports._egress import Egress
from qqproto_transports._sync_http import HTTPExchange, exchange_by
from qqproto_transports._sync_process import Home
from qqproto_transports._sync_runners import LAST_RITES, SyncAccountRunner
from qqproto_transports._sync_threads import NO_THREAD, Latch, in_one_piece, join, wait_for

if TYPE_CHECKING:
    import httpx


class BotAccount(AccountCore[SyncAccountRunner]):
    """One bot's account, one per AppID and process: its access token, for gateways and for REST calls of your own.

    Made and used anywhere, by any number of threads and gateways; it does nothing until somebody asks, and every asker
    shares one token request. ``http`` makes the HTTP exchanges, in a helper thread: an ``httpx.Client`` (its proxies
    and its TLS are its own, redirects are off) or a callable. ``proxy`` and ``ssl_context`` are for the WebSocket, and
    for HTTP without a client of yours; the default context verifies certificates. ``clock`` gives seconds, never goes
    back, and is the clock of the account and of all that uses it. One that was used before a fork is the parent's.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        endpoints: Endpoints = Endpoints(),
        http: HTTPExchange | httpx.Client | None = None,
        proxy: Proxy = "env",
        ssl_context: ssl.SSLContext | None = None,
        policy: Policy = Policy(),
        clock: Callable[[], float] = system_clock,
    ) -> None:
        egress = Egress(proxy, ssl_context)
        super().__init__(credentials, egress, policy)
        self.runner = SyncAccountRunner(
            Account(credentials, endpoints=endpoints, policy=policy),
            clock,
            exchange_by(http, egress, policy, clock),
        )
        self.home = Home("BotAccount")

    @property
    def current_token(self) -> Token | None:
        """The token in force, None if there is none yet, or it has expired or was refused; nothing is fetched."""
        self.home.check()
        return self.runner.current_token()

    def token(self, *, rejected: Token | None = None, timeout: float = 15.0) -> Token:
        """A token that is good for at least a minute, fetched if need be.

        ``rejected`` is the one that the platform has just refused. Raises :class:`Unavailable` if there is none within
        ``timeout`` seconds.
        """
        self.home.check()
        self.home.settle()
        token = self.runner.fresh_token() if rejected is None else None
        return token or self._ask(rejected, timeout)

    def authorization(self, *, rejected: Mapping[str, str] | None = None, timeout: float = 15.0) -> dict[str, str]:
        """The headers that a REST call needs.

        ``rejected``: what this gave before, if the platform has answered that its token is wrong. Raises
        :class:`Unavailable` if there is no token within ``timeout`` seconds.
        """
        return self._headers(self.token(rejected=token_in(rejected), timeout=timeout))

    def close(self) -> None:
        """Wait until the exchanges that nobody waits for any more are gone. A client of the host's stays open."""
        self.home.check()
        self.runner.calm()

    def _ask(self, rejected: Token | None, timeout: float) -> Token:
        question = FetchToken(1, self.runner.clock() + timeout, rejected.value if rejected is not None else None)
        inquiry = _Inquiry(self.runner, question)
        try:
            value = inquiry.answer_within(timeout)
        finally:
            inquiry.end()
        if isinstance(value, Failure):
            raise Unavailable(value)
        return value


class _Inquiry:
    """Somebody who asks an account for a token, in a thread of ours: a Ctrl-C in the caller's stops nothing halfway."""

    def __init__(self, runner: SyncAccountRunner, question: FetchToken) -> None:
        self._runner = runner
        self._question = question
        self._answer: Token | Failure | None = None
        self._error: BaseException | None = None
        self._answered = Latch()
        self._enough = Latch()
        self._thread = threading.Thread(target=self._ask, name="qqproto token", daemon=True)

    def answer_within(self, seconds: float) -> Token | Failure:
        """The answer; raises what is none."""
        try:
            in_one_piece(self._thread.start)
        except RuntimeError:
            return NO_THREAD
        wait_for(self._answered.wait, seconds)
        if self._error is not None:
            raise self._error
        return self._answer or Failure(FailureKind.TIMEOUT, f"no access token within {seconds:g} s")

    def end(self) -> None:
        """Nobody waits any more."""
        self._enough.set()
        join([self._thread], LAST_RITES)
        self._runner.calm()

    # -- what the account says, in whichever thread ---------------------------------------------------------------

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        if isinstance(value, (Token, Failure)):
            self._answer = value
        self._finish()

    def bug(self, error: BaseException) -> None:
        self._error = error
        self._finish()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The thread goes as well: who has asked may be interrupted before it gets to say so."""
        self._answered.set()
        self._enough.set()

    def _ask(self) -> None:
        try:
            self._runner.attach(self)
            try:
                self._runner.ask(self, self._question)
                self._enough.wait()
            finally:
                self._runner.withdraw(self, self._question.id)
                self._runner.detach(self)
        except BaseException as error:
            self.bug(error)
