"""A bot under test, as the story sees it from its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

from qqproto import Dispatch, Event, Intents, Policy, Status, Stopped
from tests.scenarios.drivers import Driver, Gateway
from tests.scenarios.threads import GUARD

E = TypeVar("E", bound=Event)

INTENTS = Intents.GROUP_AND_C2C_EVENT

QUICK = Policy(
    backoff=(0.02,),
    stable_after=0.0,
    rotation_jitter=0.0,
    close_timeout=3.0,
    invalid_session_wait=0.1,
    identify_window=0.05,
    identify_margin=0.1,
    token_refused_pause=0.05,
    token_failure_pause=0.02,
    configuration_retry=0.05,
    gateway_burst=10_000,
)
"""The house's policy, in a hurry to come back."""


class Bot:
    """One bot on one driver: what it hears lies ready for the story, which tells it what to do.

    ``events`` is what the story has listened to so far, and at the end everything. Before it lives it has to be told
    to: :meth:`start`.
    """

    def __init__(self, driver: Driver, gateway: Gateway) -> None:
        self.driver = driver
        self.gateway: Any = gateway
        self.events: list[Event] = []
        self.handed = 0
        """How many events it was handed, listened to or not."""
        self.handler: Callable[[Event], object] = lambda event: None
        """What it does with each event; what that returns is awaited, if it can be."""
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
            event = self._next(wanted)
            if isinstance(event, wanted) if isinstance(wanted, type) else wanted(event):
                return event

    def until_hears(self, content: object) -> None:
        """Listen until somebody has said that to it, now or before."""
        self.until_true(lambda: str(content) in self.contents)

    def until_true(self, condition: Callable[[], object]) -> None:
        """Listen until ``condition``, which is about what was listened to, holds; it may already."""
        while not condition():
            self._next(condition)

    def close(self) -> None:
        """Close the gateway, from the story's thread."""
        self.gateway.close()

    def aclose(self, timeout: float = 5.0) -> None:
        """Close the gateway and wait for its end."""
        self.driver.call(lambda: self.driver.closing(self.gateway, timeout))

    def cancel(self) -> None:
        """Cancel its body."""
        self.driver.cancel(self)

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
        while not self._heard.empty():
            self.events.append(self._heard.get())
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

    @property
    def contents(self) -> list[str]:
        """What people have said to it, as far as the story has listened."""
        return [event.data["content"] for event in self.heard(Dispatch)]

    def heard(self, kind: type[E]) -> list[E]:
        """The events of this kind that the story has listened to."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def stopped(self) -> Stopped | None:
        """Why it has stopped, if it has."""
        stopped: Stopped | None = self.gateway.stopped
        return stopped

    # -- steps ----------------------------------------------------------------------------------------------------

    def _next(self, wanted: object) -> Event:
        try:
            event = self._heard.get(timeout=GUARD)
        except queue.Empty:
            told = f"{wanted} never came; the last were {self.events[-5:]}; {self.status()}"
            raise AssertionError(told) from None
        self.events.append(event)
        return event

    # -- for its driver -------------------------------------------------------------------------------------------

    def entered(self) -> None:
        self._entered.set()

    def take(self, event: Event) -> object:
        self._heard.put(event)
        self.handed += 1
        self._may_go_on.wait()
        return self.handler(event)

    def left(self, error: BaseException | None) -> None:
        self.error = error
        self._left.set()
