"""Bots that are killed under load, one after the other, on one session: what the gateway sends, and what they do."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qqproto import SettleMode
from qqproto.testing import c2c_message, group_at_message
from qqproto_transports.local_gateway import LocalGateway
from tests.crash.bot import Bot, Orders
from tests.crash.journal import Entry, Journal
from tests.crash.judge import Judge, Life
from tests.crash.nursery import Child, born

WINDOW = 400
"""So many events wait for the bot at most, so that the platform never has to forget one."""

_BURST = 12
_BETWEEN_BURSTS = 0.004
_HANGS = 60.0
_TELL_EVERY = 10.0

_MOMENTS = {
    # The line at which a bot is killed, how often that is the one, and the highest number of it.
    "begin": (30, 400),
    "end": (15, 400),
    "settled": (10, 400),
    "saving": (20, 4),
    "saved": (10, 4),
    "up": (3, 1),
    "loading": (3, 1),
    "loaded": (4, 1),
    "resumed": (5, 1),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How one bot lives: it is killed when it writes the ``count``-th line with this word."""

    word: str
    count: int
    settle: SettleMode
    save_every: float
    seed: int


def plans(seed: int) -> Callable[[], Plan]:
    """Plans without end, the same ones for the same seed."""
    chance = random.Random(seed)
    words, weights = list(_MOMENTS), [weight for weight, _ in _MOMENTS.values()]

    def plan() -> Plan:
        word = chance.choices(words, weights)[0]
        settle: SettleMode = chance.choice(["iteration", "manual"])
        save_every = chance.choices([0.05, 0.2, 1.0], [6, 3, 1])[0]
        return Plan(word, chance.randint(1, _MOMENTS[word][1]), settle, save_every, chance.getrandbits(32))

    return plan


@dataclass(slots=True)
class Result:
    """What came of a campaign. ``moments`` counts the kills by the line at which they happened."""

    judge: Judge
    seconds: float = 0.0
    moments: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    cut_short: bool = False

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not self.judge.complaints and not self.violations


class Campaign:
    """A gateway that always has something to say, and bots that are killed as they listen."""

    def __init__(
        self,
        folder: Path,
        next_plan: Callable[[], Plan],
        *,
        make: Callable[[Orders, Journal], Bot] = Bot,
        tell: Callable[[str], None] = print,
    ) -> None:
        self._folder = folder
        self._next_plan = next_plan
        self._make = make
        self._tell = tell
        self._finished: set[int] = set()
        self._sent = 0
        self._may_speak = asyncio.Event()
        self.result = Result(Judge())

    async def run(self, kills: int) -> Result:
        """Kill so many bots; then one more lives until all is done, and ends as in a deploy."""
        began = told = time.monotonic()
        async with LocalGateway() as gateway:
            # The platform would let a bot wait that comes back twenty times a minute.
            gateway.platform.bot.call_every = 0.001
            load = asyncio.create_task(self._speak(gateway))
            try:
                await self._begin(gateway)
                for number in range(1, kills + 1):
                    await self._kill_one(gateway, self._next_plan())
                    if time.monotonic() - told >= _TELL_EVERY:
                        told = time.monotonic()
                        self._tell(self._progress(number, kills, told - began))
            except asyncio.CancelledError:
                self.result.cut_short = True
            load.cancel()
            await asyncio.wait([load])
            await self._end(gateway)
            self.result.violations = gateway.platform.violations
        self.result.judge.end(range(self._sent))
        self.result.seconds = time.monotonic() - began
        return self.result

    # -- lives ----------------------------------------------------------------------------------------------------

    async def _begin(self, gateway: LocalGateway) -> None:
        """The first life: before its session is saved for the first time there is nothing to come back to."""

        def watch(entry: Entry) -> None:
            if entry.word == "saved":
                self._may_speak.set()
                child.terminate()

        plan = Plan("", 0, "iteration", 0.05, 0)
        async with born(self._make, self._orders(gateway, plan), watch) as child:
            await self._await_end(child, plan)

    async def _kill_one(self, gateway: LocalGateway, plan: Plan) -> None:
        seen = 0

        def watch(entry: Entry) -> None:
            nonlocal seen
            self._note(entry)
            seen += entry.word == plan.word
            if seen == plan.count:
                child.kill()

        async with born(self._make, self._orders(gateway, plan), watch) as child:
            await self._await_end(child, plan)
        self.result.moments[plan.word] += 1
        for told in (gateway.platform.frames, gateway.platform.requests):
            told.clear()

    async def _end(self, gateway: LocalGateway) -> None:
        """The last life: when all that was left is handed out, which RESUMED says, comes SIGTERM."""

        def watch(entry: Entry) -> None:
            if entry.word in ("resumed", "ready"):
                child.terminate()

        plan = Plan("", 0, "manual", 0.05, 0)
        async with born(self._make, self._orders(gateway, plan), watch) as child:
            await self._await_end(child, plan)

    async def _await_end(self, child: Child, plan: Plan) -> None:
        try:
            await child.gone(_HANGS)
        except TimeoutError as error:
            self.result.judge.complain(str(error))
        finally:
            if child.is_alive:  # It hangs, or somebody wants to see no more of it.
                child.kill()
                await child.gone(_HANGS)
            self.result.judge.add(Life(child.entries, plan.save_every, child.killed_at))

    def _orders(self, gateway: LocalGateway, plan: Plan) -> Orders:
        store = str(self._folder / "bot.sqlite")
        return Orders(gateway.credentials, gateway.endpoints, store, plan.settle, plan.save_every, plan.seed)

    def _note(self, entry: Entry) -> None:
        if entry.word == "end":
            self._finished.add(int(entry.args[0]))

    # -- the load -------------------------------------------------------------------------------------------------

    async def _speak(self, gateway: LocalGateway) -> None:
        """Events, more of them than any bot has done, and whether one is there or not."""
        await self._may_speak.wait()
        chance = random.Random(1)
        while True:
            room = WINDOW - (self._sent - len(self._finished))
            for _ in range(min(room, chance.randint(1, _BURST))):
                self._say(gateway)
            await asyncio.sleep(_BETWEEN_BURSTS)

    def _say(self, gateway: LocalGateway) -> None:
        session, now, number = gateway.platform.session(), gateway.now, self._sent
        self._sent += 1
        if number % 5 == 0:  # One channel, many events: its id does not name them.
            session.dispatch("CHANNEL_UPDATE", {"id": "channel-1", "name": str(number)}, now)
        elif number % 2:
            session.dispatch("C2C_MESSAGE_CREATE", c2c_message(str(number), id=f"M-{number}", now=now), now)
        else:
            session.dispatch("GROUP_AT_MESSAGE_CREATE", group_at_message(str(number), id=f"M-{number}", now=now), now)

    # -- telling --------------------------------------------------------------------------------------------------

    def _progress(self, number: int, kills: int, seconds: float) -> str:
        figures = self.result.judge.figures
        return (
            f"{number:,} of {kills:,} killed in {seconds:,.0f} s; {self._sent:,} events sent, {figures.handed_out:,}"
            f" handed out, {figures.in_flight + figures.unsaved:,} of them again;"
            f" {len(self.result.judge.complaints)} complaints"
        )
