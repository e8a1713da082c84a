"""The application in the process: takes events out of its driver's buffer, works on them, and settles them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from qqproto.events import Dispatch, Event
from qqproto.testing.simulation.dice import Dice

if TYPE_CHECKING:
    from qqproto.testing.simulation.bot import Bot
    from qqproto.testing.simulation.process import Process
    from qqproto.testing.simulation.world import World


class Application:
    """What a bot's project is to its process, in one of the three modes of settling.

    "delivery": what is handed out is settled, and nothing is kept. "iteration": one event after another is worked on,
    and settled when the next one is asked for. "manual": every event is worked on in a task of its own, and settled at
    the end of it, in any order; some are forgotten. A bot that says "manual" itself settles by itself.
    """

    def __init__(self, world: World, process: Process, bot: Bot, dice: Dice) -> None:
        self._world = world
        self._process = process
        self._handler = bot.on_event
        self._most = bot.policy.max_buffered
        self._dice = dice
        self._work = world.script.work
        self._forgets = world.script.forgets
        self._by_hand = bot.settle == "manual"
        self._buffer: deque[Event] = deque()
        self._busy = False
        self._tasks = 0
        self.mode = bot.settle or world.script.settle
        self.at_next_event: Callable[[], None] | None = None
        self.when_idle: Callable[[], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether it has nothing more to do."""
        return not (self._buffer or self._busy or self._tasks)

    def hand_over(self, event: Event) -> None:
        """The machine hands an event out, into the driver's buffer."""
        if self.mode == "delivery" or not self._work:
            self._take(event)
            return
        self._buffer.append(event)
        self._go_on()
        if len(self._buffer) >= self._most:
            self._process.hold("full")

    def close(self) -> None:
        """Nothing is handed out any more of what lies in the buffer. What is worked on may be finished."""
        self._buffer.clear()
        self.when_idle = None

    # -- steps ----------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        while self._buffer and not self._busy:
            self._work_on(self._buffer.popleft())
        if len(self._buffer) <= self._most // 2:
            self._process.release("full")
        if self.idle and self.when_idle is not None:
            act, self.when_idle = self.when_idle, None
            act()

    def _work_on(self, event: Event) -> None:
        self._take(event)
        if type(event) is not Dispatch:
            return
        if self.mode == "iteration":
            self._busy = True
        else:
            self._tasks += 1
        self._world.at(self._world.now + self._dice.wait(self._work), self._finish, event)

    def _take(self, event: Event) -> None:
        """The application has the event in its hand."""
        if self.at_next_event is not None:
            act, self.at_next_event = self.at_next_event, None
            act()
        if self._handler is not None:
            self._handler(event, self._process)
        if not self._work and type(event) is Dispatch:
            self._settle(event)

    def _finish(self, event: Dispatch) -> None:
        """The work on it is done."""
        if self._process.puts_off(self._finish, event):
            return
        if self.mode == "iteration":
            self._busy = False
        else:
            self._tasks -= 1
        self._settle(event)
        self._go_on()

    def _settle(self, event: Dispatch) -> None:
        if self.mode == "delivery" or self._by_hand:
            return
        if self.mode == "manual" and self._forgets and self._dice.happens(self._forgets):
            return
        self._process.settle(event)
