"""The Account in the process: takes the shards' questions, makes its HTTP exchanges, carries the answers back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from qqproto.account import Account
from qqproto.actions import Answer, Question, SendRequest
from qqproto.credentials import Token
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo, HTTPResponse
from qqproto.testing.simulation.reference import Broken

if TYPE_CHECKING:
    from qqproto.testing.simulation.process import Process
    from qqproto.testing.simulation.world import World

Answered: TypeAlias = Token | GatewayInfo | IdentifySlot | Failure


class Desk:
    """Runs one Account for a process."""

    __slots__ = ("_issued", "_open", "_process", "_world", "account", "due")

    def __init__(self, world: World, process: Process, account: Account) -> None:
        self._world = world
        self._process = process
        self._issued: set[int] = set()
        self._open: set[int] = set()
        self.account = account
        self.due: float | None = None

    def ask(self, index: int, question: Question) -> None:
        """A shard wants to know."""
        self.account.ask(index, question, self._process.now)
        self._drain()

    def withdraw(self, index: int, id: int) -> None:
        """A shard does not want to know any more."""
        self.account.withdraw(index, id, self._process.now)
        self._drain()

    def done(self, id: int, outcome: HTTPResponse | Failure) -> None:
        """An exchange brought this."""
        process = self._process
        if process.puts_off(self.done, id, outcome) or id not in self._open:
            return
        self._open.discard(id)
        if isinstance(outcome, Failure):
            process.observer.purse.failed(id)
            self.account.request_failed(id, outcome, process.now)
        else:
            process.observer.purse.answered(id, outcome.status, outcome.body, process.now)
            self.account.response_received(id, outcome, process.now)
        self._drain()

    def tick(self, now: float) -> None:
        """The Account's deadline has passed."""
        self.account.handle_timer(now)
        self._drain()
        if self.due is not None and self.due <= now:
            raise Broken("G2", "the account's timer is due again at once")

    def _drain(self) -> None:
        world, process = self._world, self._process
        while (output := self.account.next_output()) is not None:
            match output:
                case SendRequest(id=id, request=request):
                    if id in self._issued:
                        raise Broken("contract", f"the account uses id {id} again")
                    self._issued.add(id)
                    self._open.add(id)
                    endpoint = world.endpoints.ask(self, id, request)
                    world.note_request(endpoint)
                    process.observer.asks(id, endpoint, process.now)
                case Answer(asker=asker, id=id, value=value):
                    # Not from inside a drain: an answer is an input of its own.
                    assert isinstance(asker, int)
                    world.at(world.now, process.notice, partial(process.answer, asker, id, value))
                case _:
                    self._open.discard(output.id)
                    process.observer.purse.cancelled(output.id)
        self.due = self.account.next_timer()
        process.look_ahead()
