"""A small world: one clock, one platform, one network, and the bots that live in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from qqproto.account import Account
from qqproto.actions import Abort, CloseConnection, SendData, SendText
from qqproto.config import Framing, SettleMode, ShardConfig
from qqproto.credentials import Credentials, Endpoints
from qqproto.decoding import Loads
from qqproto.events import Event
from qqproto.failures import Failure
from qqproto.policy import Policy
from qqproto.protocol.intents import Intents
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto.testing.clock import VirtualClock
from qqproto.testing.driver import MemoryDriver
from qqproto.testing.network import Cable, Network
from qqproto.testing.platform import FakePlatform
from qqproto.testing.randomness import Randomness

_MOST_STEPS = 100_000
"""More than this without any time passing is no progress: somebody spins."""


class World:
    """Bots, a platform and the network between them, on a virtual clock; what happens is the same in every run.

    Make bots with :meth:`bot` (or :meth:`add` drivers of your own), let time pass with :meth:`run` and
    :meth:`run_until`, and pull the levers of ``network``, ``platform`` and the bots in between, or at some time to come
    by :meth:`at`. Where a machine breaks its contract these raise AssertionError, see
    :class:`~qqproto.testing.MemoryDriver`.
    """

    def __init__(self, platform: FakePlatform | None = None) -> None:
        self.clock = VirtualClock()
        self.platform = platform or FakePlatform()
        self.network = Network()
        self.bots: list[MemoryDriver] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._entries = 0
        self._cables: dict[int, Cable] = {}

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self.clock.now

    # -- who lives here -------------------------------------------------------------------------------------------

    def bot(
        self,
        *,
        credentials: Credentials | None = None,
        intents: int = Intents.GROUP_AND_C2C_EVENT,
        shards: int | Sequence[tuple[int, int]] = 1,
        framing: Framing = Framing.BYTES,
        policy: Policy = Policy(),
        settle: SettleMode = "delivery",
        session: Session | None = None,
        session_age: float = 0.0,
        random: Callable[[], float] | None = None,
        loads: Loads = json.loads,
        on_event: Callable[[Event], None] | None = None,
    ) -> MemoryDriver:
        """Start a bot: an Account and its Shards, ``shards`` many or just these of ``(index, count)``.

        Without ``credentials`` it is the platform's first bot; ``random`` is seeded by the number of bots before it.
        ``session`` is a saved one for the first shard. The other arguments are :class:`~qqproto.Shard`'s.
        """
        if credentials is None:
            credentials = Credentials(self.platform.bot.app_id, self.platform.bot.secret)
        if random is None:
            random = Randomness(len(self.bots))
        pairs = [(index, shards) for index in range(shards)] if isinstance(shards, int) else shards
        account = Account(credentials, endpoints=Endpoints(), policy=policy)
        machines = [
            Shard(
                ShardConfig(credentials.app_id, intents, pair, settle=settle),
                random=random,
                session=session if number == 0 else None,
                session_age=session_age,
                policy=policy,
                framing=framing,
                loads=loads,
            )
            for number, pair in enumerate(pairs)
        ]
        driver = MemoryDriver(
            self, account, machines, framing=framing, settles=settle == "iteration", on_event=on_event
        )
        self.add(driver)
        return driver

    def add(self, driver: MemoryDriver) -> None:
        """Let a driver live here, and start it."""
        self.bots.append(driver)
        driver.start()

    # -- time -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float = 0.0) -> None:
        """Let ``seconds`` pass, and everything happen that falls into them."""
        until = self.now + seconds
        self._settle()
        while self._advance(until):
            pass

    def run_until(self, predicate: Callable[[], bool], limit: float = 3600.0) -> float:
        """Let time pass until ``predicate`` holds; returns how many seconds it took. AssertionError after ``limit``."""
        began = self.now
        self._settle()
        while not predicate():
            if not self._advance(began + limit) and not predicate():
                raise AssertionError(f"not within {limit:g} s; it is {self.now:.3f} s now")
        return self.now - began

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Let ``do`` be called at the time ``when``, or at once if that is over."""
        self._entries += 1
        heappush(self._agenda, (when, self._entries, do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Let ``do`` be called in ``seconds``."""
        self.at(self.now + seconds, do)

    # -- for drivers and cables -----------------------------------------------------------------------------------

    def plug_in(self, cable: Cable, number: int) -> None:
        """The cable has reached the platform, under its number there."""
        self._cables[number] = cable

    def unplug(self, number: int) -> None:
        """The platform is told nothing more about this connection, and heard no more on it."""
        self._pump()
        del self._cables[number]

    def arrival(self, after: float) -> float:
        """When something that is sent now arrives, behind what arrives at ``after``."""
        latency = self.network.latency
        # It is the network's fault if what a client does in time arrives late.
        self.platform.behaviour.slack = max(self.platform.behaviour.slack, 2 * latency)
        return max(self.now + latency, after)

    def exchange(self, request: HTTPRequest, done: Callable[[HTTPResponse | Failure], None]) -> None:
        """Make an HTTP exchange, as the network lets."""
        if self.network.hang_http:
            return
        latency, failure = self.network.latency, self.network.http
        if failure is not None:
            lost = failure
            self.after(2 * latency, lambda: done(lost))
            return

        def arrive() -> None:
            response = self.platform.handle_request(request, self.now)
            self.after(latency, lambda: done(response))

        self.after(latency, arrive)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _advance(self, until: float) -> bool:
        """Let time pass up to the next thing that is due, and do it. False if nothing is due before ``until``."""
        due = self._next_due()
        if due is not None and due <= until:
            self.clock.advance_to(max(due, self.now))
            self._settle()
            return True
        self.clock.advance_to(max(until, self.now))
        # Nothing is due for it, but what a client fails to do is noticed only by looking.
        self.platform.handle_timer(self.now)
        self._settle()
        return False

    def _settle(self) -> None:
        """Do everything that is due now: what the network brings first, then the timers."""
        self._pump()
        for _ in range(_MOST_STEPS):
            if not self._step():
                return
        raise AssertionError(f"{self.now:.3f} s: {_MOST_STEPS} steps, and no time has passed")

    def _step(self) -> bool:
        if self._agenda and self._agenda[0][0] <= self.now:
            heappop(self._agenda)[2]()
        elif (driver := next((bot for bot in self.bots if _reached(bot.next_timer(), self.now)), None)) is not None:
            driver.handle_timer()
        elif _reached(self.platform.next_timer(), self.now):
            self.platform.handle_timer(self.now)
        else:
            return False
        self._pump()
        return True

    def _next_due(self) -> float | None:
        due = [self.platform.next_timer(), *(bot.next_timer() for bot in self.bots)]
        if self._agenda:
            due.append(self._agenda[0][0])
        return min((at for at in due if at is not None), default=None)

    def _pump(self) -> None:
        """Carry what the platform says to where it belongs."""
        while (output := self.platform.next_output()) is not None:
            cable = self._cables.get(output.id)
            if cable is None:
                continue
            match output:
                case SendData(data=data):
                    cable.deliver(data)
                case SendText(text=text):
                    cable.deliver(text)
                case CloseConnection(code=code, reason=reason):
                    cable.server_closed(code, reason)
                case _:
                    assert isinstance(output, Abort)
                    cable.server_aborted()


def _reached(due: float | None, now: float) -> bool:
    return due is not None and due <= now
