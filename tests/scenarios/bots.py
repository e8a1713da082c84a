"""A bot under test, as the story sees it from its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

from qqproto import Event, Intents, Policy, Status, Stopped
from tests.scenarios.drivers import Driver, Gateway
from tests.scenarios.threads import GUARD

E = TypeVar("E", bound=Event)

INTENTS = Intents.GROUP_AND_C2C_EVENT

QUICK = Policy(backoff=(0.02,), close_timeout=3.0, stable_after=0.0, rotation_jitter=0.0, gateway_burst=10_000)
"""The house's policy, in a hurry to come back."""


class Bot:
    """One bot on one driver: what it hears lies ready for the story, which tells it what to do.

    ``events`` is everything that was handed out. Before it lives it has to be told to: :meth:`start`.
    """

    def __init__(self, driver: Driver, gateway: Gateway) -> None:
        self.driver = driver
        self.gateway: Any = gateway
        self.events: list[Event] = []
        self.busy = False
        """Whether its handler takes its time: no other event is asked for meanwhile."""
        self._heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._entered = threading.Event()
        self._left = threading.Event()
        self._started = False
        self.error: BaseException | None = None
        """What left its block, if anything did."""

    # -- what the story does --------------------------------------------------------------------------------------

    def start(self) -> Bot:
        """Begin its life."""
        self._started = True
        self.driver.spawn(self)
        assert self._entered.wait(GUARD) or self._left.is_set(), "its block is never entered"
        return self

    @overload
    def until(self, wanted: type[E]) -> E: ...
    @overload
    def until(self, wanted: Callable[[Event], object]) -> Event: ...
    def until(self, wanted: type[E] | Callable[[Event], object]) -> Event:
        """The next event that is wanted; those before it are passed over."""
        while True:
            try:
                event = self._heard.get(timeout=GUARD)
            except queue.Empty:
                raise AssertionError(
                    f"{wanted} never came; the last were {self.events[-5:]}; {self.status()}"
                ) from None
            if isinstance(event, wanted) if isinstance(wanted, type) else wanted(event):
                return event

    def close(self) -> None:
        """Close the gateway, from the story's thread."""
        self.gateway.close()

    def aclose(self, timeout: float = 5.0) -> None:
        """Close the gateway and wait for its end."""
        self.driver.aclose(self.gateway, timeout)

    def block(self) -> None:
        """From its next event on its handler blocks the thread that it runs in, until :meth:`go_on`."""
        self._may_go_on.clear()

    def go_on(self) -> None:
        """Its handler has done what it had to do."""
        self.busy = False
        self._may_go_on.set()

    def end(self) -> BaseException | None:
        """Wait until its block is left; returns what left it."""
        assert self._left.wait(GUARD), f"its block is never left; {self.status()}"
        return self.error

    def see_out(self) -> None:
        """The end of the story: close it, if it lives, and wait until it does not."""
        self.go_on()
        if self._started:
            self.close()
            self.end()

    # -- what it looks at -----------------------------------------------------------------------------------------

    def status(self, shard: int = 0) -> Status:
        """A snapshot of one of its shards."""
        status: Status = self.gateway.status()[shard]
        return status

    def count(self, name: str) -> int:
        """One of the counters of its first shard."""
        return self.status().counters.get(name, 0)

    def heard(self, kind: type[E]) -> list[E]:
        """The events of this kind that it was handed."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def stopped(self) -> Stopped | None:
        """Why it has stopped, if it has."""
        stopped: Stopped | None = self.gateway.stopped
        return stopped

    # -- for its driver -------------------------------------------------------------------------------------------

    def entered(self) -> None:
        self._entered.set()

    def take(self, event: Event) -> None:
        self.events.append(event)
        self._heard.put(event)
        self._may_go_on.wait()

    def left(self, error: BaseException | None) -> None:
        self.error = error
        self._left.set()
