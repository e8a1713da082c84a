"""Driving an Account, as every driver does it: begin the exchanges it asks for, carry its answers to who asked.

Nothing in here waits, and nothing knows of an event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ParamSpec, Protocol

from qqproto.account import Account
from qqproto.actions import Answer, Cancel, Question, SendRequest
from qqproto.credentials import Token
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo, HTTPResponse
from qqproto_transports._failures import failure_of

P = ParamSpec("P")


class Asker(Protocol):
    """Who asks an account: a shard's runner, or somebody who wants a token."""

    def __hash__(self) -> int: ...
    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None: ...
    def bug(self, error: BaseException) -> None: ...


class AccountRunner(ABC):
    """Drives one Account for all who ask it. A driver's own class begins the HTTP exchanges and keeps the alarm."""

    def __init__(self, account: Account, clock: Callable[[], float]) -> None:
        self.account = account
        self.clock = clock
        self._askers: set[Asker] = set()
        self._draining = False

    # -- who asks -------------------------------------------------------------------------------------------------

    def attach(self, asker: Asker) -> None:
        """``asker`` is going to ask."""
        self._askers.add(asker)

    def detach(self, asker: Asker) -> None:
        """``asker`` asks no more and has withdrawn what it asked."""
        self._askers.discard(asker)
        self._wind_alarm()

    def ask(self, asker: Asker, question: Question) -> None:
        self.account.ask(asker, question, self.clock())
        self._drain()

    def withdraw(self, asker: Asker, id: int) -> None:
        self.account.withdraw(asker, id, self.clock())
        self._drain()

    # -- what the driver tells ------------------------------------------------------------------------------------

    def response_received(self, id: int, response: HTTPResponse) -> None:
        self._guard(self.account.response_received, id, response, self.clock())

    def request_failed(self, id: int, error: BaseException) -> None:
        """The exchange ended with an exception: the one seam at which it becomes a Failure, or a bug."""
        try:
            failure = failure_of(error)
        except BaseException as bug:
            self._bug(bug)
        else:
            self._guard(self.account.request_failed, id, failure, self.clock())

    def handle_timer(self) -> None:
        self._guard(self.account.handle_timer, self.clock())

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def _begin(self, action: SendRequest) -> None:
        """Make the exchange, then ``response_received`` or ``request_failed``."""

    @abstractmethod
    def _cancel(self, id: int) -> None:
        """Nobody waits for the exchange ``id`` any more."""

    @abstractmethod
    def _set_alarm(self, at: float | None) -> None:
        """Call ``handle_timer`` at ``at``, on the runner's clock; None: never."""

    # -- steps ----------------------------------------------------------------------------------------------------

    def _guard(self, step: Callable[P, None], *args: P.args, **options: P.kwargs) -> None:
        """Give the machine one input and drain it; what is raised is a bug."""
        try:
            step(*args, **options)
            self._drain()
        except Exception as error:
            self._bug(error)

    def _bug(self, error: BaseException) -> None:
        for asker in list(self._askers):
            asker.bug(error)

    def _drain(self) -> None:
        if self._draining:
            return  # An answer made its asker ask again; the drain that carries it goes on.
        self._draining = True
        try:
            while (action := self.account.next_output()) is not None:
                match action:
                    case SendRequest():
                        self._begin(action)
                    case Answer():
                        asker: Asker = action.asker  # type: ignore[assignment]  # only ask() makes askers
                        asker.answer(action.id, action.value)
                    case Cancel():
                        self._cancel(action.id)
        finally:
            self._draining = False
        self._wind_alarm()

    def _wind_alarm(self) -> None:
        """Without an asker the account has nothing to do that is worth a timer."""
        self._set_alarm(self.account.next_timer() if self._askers else None)
