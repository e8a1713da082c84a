"""The account of a bot in memory: takes the shards' questions, makes its HTTP exchanges, carries the answers back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from qqproto.account import Account
from qqproto.actions import Answer, Cancel, Question, SendRequest
from qqproto.credentials import Token
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo, HTTPRequest, HTTPResponse

if TYPE_CHECKING:
    from qqproto.testing.world import World

Notice: TypeAlias = Callable[[Callable[[], None]], None]


@dataclass(slots=True)
class Asked:
    """An HTTP request that a bot began: when, and what."""

    at: float
    request: HTTPRequest


class Desk:
    """Runs one Account. ``notice`` calls what is given to it when the process runs, ``answer`` takes an answer to the
    shard with that index.
    """

    def __init__(
        self,
        world: World,
        account: Account,
        notice: Notice,
        answer: Callable[[int, int, Token | GatewayInfo | IdentifySlot | Failure], None],
    ) -> None:
        self._world = world
        self._account = account
        self._notice = notice
        self._answer = answer
        self._exchanges: dict[int, bool] = {}
        self.requests: list[Asked] = []

    def ask(self, index: int, question: Question) -> None:
        """A shard wants to know."""
        self._account.ask(index, question, self._world.now)
        self._drain()

    def withdraw(self, index: int, id: int) -> None:
        """A shard does not want to know any more."""
        self._account.withdraw(index, id, self._world.now)
        self._drain()

    def next_timer(self) -> float | None:
        return self._account.next_timer()

    def handle_timer(self, now: float) -> None:
        self._account.handle_timer(now)
        self._drain()

    def _drain(self) -> None:
        while (output := self._account.next_output()) is not None:
            match output:
                case SendRequest(id=id, request=request):
                    self._exchange(id, request)
                case Answer(asker=asker, id=id, value=value):
                    assert isinstance(asker, int)
                    # Not from inside a drain: an answer is an input of its own.
                    carry = partial(self._answer, asker, id, value)
                    self._world.after(0.0, partial(self._notice, carry))
                case _:
                    assert isinstance(output, Cancel)
                    self._exchanges.pop(output.id, None)

    def _exchange(self, id: int, request: HTTPRequest) -> None:
        is_token = request.method == "POST"
        if is_token and any(self._exchanges.values()):
            raise AssertionError(f"{self._world.now:.3f} s: two token requests at once")
        self._exchanges[id] = is_token
        self.requests.append(Asked(self._world.now, request))
        self._world.exchange(request, lambda outcome: self._notice(partial(self._done, id, outcome)))

    def _done(self, id: int, outcome: HTTPResponse | Failure) -> None:
        if self._exchanges.pop(id, None) is None:
            return
        if isinstance(outcome, Failure):
            self._account.request_failed(id, outcome, self._world.now)
        else:
            self._account.response_received(id, outcome, self._world.now)
        self._drain()
