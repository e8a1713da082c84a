"""The world of a simulation: one clock, one agenda, one bot, and what the script lets happen to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

from qqproto.config import Framing
from qqproto.events import Event
from qqproto.failures import Failure, FailureKind
from qqproto.testing.randomness import Randomness
from qqproto.testing.simulation.bodies import FAILURES
from qqproto.testing.simulation.bot import Bot
from qqproto.testing.simulation.deeds import strike
from qqproto.testing.simulation.dice import Dice
from qqproto.testing.simulation.endpoints import Endpoints
from qqproto.testing.simulation.gateway import Gateway
from qqproto.testing.simulation.link import Link
from qqproto.testing.simulation.process import Process
from qqproto.testing.simulation.reference import Broken, Ledger
from qqproto.testing.simulation.reference.verdict import demand
from qqproto.testing.simulation.script import CALM, Fault, Script
from qqproto.testing.simulation.store import Store
from qqproto.testing.simulation.timeline import Timeline
from qqproto.testing.simulation.weight import weight

_MOST_STEPS = 50_000
"""More than this without any time passing is no progress: somebody spins."""
_GOODBYE = 30.0
_LATEST_CLOSE = 60.0
_MOST_WEIGHT = 3000
"""Things that a machine may hold, whatever has happened to it, besides its memories of repetitions."""
_WEIGHT_OF_A_MEMORY = 10


class World:
    """Runs one script. Everything that is left to chance comes from the script's seed."""

    def __init__(self, script: Script, bot: Bot, timeline: Timeline | None = None) -> None:
        self.script = script
        self.bot = bot
        self.timeline = timeline
        self.now = 0.0
        self.latency = script.latency
        self.active: dict[str, list[Fault]] = {}
        self.counts: Counter[str] = Counter()
        self.jitter = Randomness(script.seed)
        self.habits = Dice(script.seed + 2)
        self.ledgers = [Ledger() for _ in range(script.shards)]
        self.store: Store = Store(self, script.shards)
        self.endpoints: Endpoints = Endpoints(self)
        self.gateway: Gateway = Gateway(self)
        self.process: Process | None = None
        self._dice = Dice(script.seed + 1)
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._entries = 0
        self._steps = 0

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let everything happen. Raises :class:`Broken` where a promise is broken."""
        script = self.script
        for fault in script.faults:
            self.at(fault.at, strike, self, fault)
        for index in range(script.shards):
            self._expect_dispatch(index)
        self.begin()
        self.at(3600.0, self._weigh_hourly)
        self._run_until(script.end)
        self._weigh()
        process = self.process
        if process is None or process.ended:
            return
        waits = process.paused or any(seen.pace.waits_for_budget for seen in process.observer.shards)
        if not process.connected and not waits:
            raise Broken("G1", f"not every shard is there again after {CALM:g} s of fair weather")
        for seen in process.observer.shards:
            seen.take_stock()
        process.close()
        self._run_until(self.now + _GOODBYE)

    def _run_until(self, end: float) -> None:
        agenda = self._agenda
        while True:
            process = self.process
            due = None if process is None or process.stalled else process.next_due
            # The agenda is never empty: something is weighed every hour.
            at = agenda[0][0] if due is None else min(agenda[0][0], due)
            if at > end:
                break
            if at > self.now:
                self.now = at
                self._steps = 0
            if process is not None and not process.stalled:
                process.advance(at)
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise Broken("G2", f"{_MOST_STEPS} steps, and no time has passed")
            if due is None or agenda[0][0] <= due:
                _, _, method, arguments = heappop(agenda)
                method(*arguments)
            else:
                assert process is not None
                process.tick()
        self.now = max(self.now, end)
        if self.process is not None and not self.process.stalled:
            self.process.advance(self.now)

    # -- for everybody --------------------------------------------------------------------------------------------

    def at(self, when: float, method: Callable[..., None], *arguments: Any) -> None:
        """Let ``method`` be called at the time ``when``."""
        self._entries += 1
        heappush(self._agenda, (when, self._entries, method, arguments))

    def on(self, kind: str, index: int | None = None) -> Fault | None:
        """A fault of this kind that works now, on the shard ``index``."""
        for fault in self.active.get(kind, ()):
            if index is None or fault.shard is None or fault.shard == index:
                return fault
        return None

    def links(self, index: int | None) -> list[Link]:
        """The connections that there are, of one shard or of all."""
        if self.process is None:
            return []
        return [link for link in self.process.links if link is not None and index in (None, link.index)]

    # -- the process ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a process with the sessions that are saved."""
        self.process = Process(self, self.bot, [self.store.load(index) for index in range(self.script.shards)])
        self.process.start()

    def restart(self, seconds: float, keep_session: bool, in_handler: bool, drain: float) -> None:
        """Let the application close, at once or at its next event, and another process begin ``seconds`` later."""
        process = self.process
        if process is None or process.ended:
            return
        retire = partial(process.retire, drain, keep_session=keep_session)
        if in_handler:
            process.application.at_next_event = retire
        self.at(self.now + (_LATEST_CLOSE if in_handler else 0.0), process.notice, retire)
        self._begin_again_after(process, seconds)

    def crash(self, seconds: float) -> None:
        """Let the process be killed, and another one begin ``seconds`` later."""
        process = self.process
        if process is not None and not process.ended:
            process.vanish()
            self._bury(process, seconds)

    def fail(self, seconds: float) -> None:
        """Let the process's driver find a bug in itself, and another process begin ``seconds`` later."""
        process = self.process
        if process is not None and not process.ended:
            self._begin_again_after(process, seconds)
            process.notice(process.fail)

    def _begin_again_after(self, process: Process, seconds: float) -> None:
        """When the process has ended, another one is to begin ``seconds`` later."""
        process.at_end = partial(self._end, process, seconds)

    def _end(self, process: Process, seconds: float) -> None:
        process.save()
        self._bury(process, seconds)

    def _bury(self, process: Process, seconds: float) -> None:
        process.gone = True
        self.process = None
        self.at(self.now + seconds, self.begin)

    # -- the network ----------------------------------------------------------------------------------------------

    def dial(self, process: Process, link: Link) -> None:
        """A dial begins."""
        self.counts["dials"] += 1
        if self.on("hung dials"):
            return
        failure: Failure | None = None
        refused, upgrade = self.on("refused dials"), self.on("upgrade")
        if self.on("offline"):
            failure = Failure(FailureKind.DNS, "offline")
        elif refused is not None:
            failure = FAILURES[refused.value]
        elif upgrade is not None and self.script.framing is Framing.TEXT:
            status, retry_after = upgrade.value
            failure = Failure(FailureKind.HTTP_STATUS, "upgrade refused", status, retry_after=retry_after)
        self.at(self.now + 2.0 * self.latency, process.dialled, link, failure)

    def _expect_dispatch(self, index: int) -> None:
        if self.script.traffic:
            self.at(self.now + self._dice.wait(self.script.traffic), self._dispatch, index)

    def _dispatch(self, index: int) -> None:
        session = self.gateway.newest.get(index)
        if session is not None:
            session.happen()
        self._expect_dispatch(index)

    def _weigh_hourly(self) -> None:
        self.at(self.now + 3600.0, self._weigh_hourly)
        self._weigh()

    def _weigh(self) -> None:
        """Promise G10."""
        policy = self.bot.policy
        most = _MOST_WEIGHT + _WEIGHT_OF_A_MEMORY * (policy.remember_seen + policy.remember_done)
        if self.process is not None:
            for machine in (self.process.desk.account, *self.process.shards):
                held = weight(machine)
                name = type(machine).__name__
                demand(held <= most, "G10", f"the {name} holds {held} things, and more than {most}")

    # -- what is noted --------------------------------------------------------------------------------------------

    def note_request(self, endpoint: str) -> None:
        self.counts[f"{endpoint} requests"] += 1
        if self.timeline is not None:
            self.timeline.add(self.now, None, f"asks the {endpoint} endpoint")

    def note_said(self, link: Link, message: dict[str, Any]) -> None:
        opcode = message["op"]
        self.counts[_SAID.get(opcode, "other messages")] += 1
        if self.timeline is not None:
            self.timeline.said(self.now, link.index, message)

    def note_heard(self, link: Link, kind: str, envelope: Any) -> None:
        if self.timeline is not None:
            self.timeline.heard(self.now, link.index, kind, envelope)

    def note_event(self, index: int, event: Event) -> None:
        self.counts[type(event).__name__] += 1
        if self.timeline is not None:
            self.timeline.told(self.now, index, event)


_SAID = {1: "heartbeats", 2: "identifies", 6: "resumes"}
