"""`qqproto demo`: a bot on a local gateway, a few outages, and whether it came back as promised."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qqproto.events import Event
from qqproto_transports._cli_print import describe
from qqproto_transports._demo_scenes import SCENES, Promise, Scene
from qqproto_transports._demo_stage import STABLE_AFTER, Stage, open_stage
from qqproto_transports._signals import on_signals

AT_MOST = 38.0
"""Seconds after which the demo has failed."""

_QUIET_BEFORE = STABLE_AFTER + 0.5
_QUIET_AFTER = 1.0
_PATIENCE = 10.0
_STRAGGLERS = 3.0


@dataclass(slots=True)
class Outcome:
    """What came of a scene; ``broken`` is what was not as promised, a sentence each."""

    name: str
    away: float | None = None
    sent: int = 0
    received: int = 0
    lost: int = 0
    repeated: int = 0
    resumes: int = 0
    identifies: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What came of the demo; ``broken`` is what was wrong with the whole of it."""

    outcomes: list[Outcome] = field(default_factory=list)
    identifies: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether everything was as promised."""
        return not self.broken and not any(outcome.broken for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """For machines; ``kept`` first."""
        return {"kept": self.kept, **dataclasses.asdict(self)}


async def demo(*, as_json: bool = False, scenes: Sequence[Scene] = SCENES) -> int:
    """Show the scenes on standard output, and the table at the end; returns 0 if all was as promised, else 1.

    With ``as_json`` the table is JSON, and alone there: the narration goes to standard error.
    """
    narrator = Narrator(Console(stderr=as_json, highlight=False, markup=False, emoji=False, soft_wrap=True))
    report = await perform(scenes, narrator)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        narrator.show(report)
    return 0 if report.kept else 1


async def perform(scenes: Sequence[Scene], narrator: Narrator) -> Report:
    """Play the scenes one after the other; whatever happens, there is a report."""
    report = Report()
    began = time.monotonic()
    play = asyncio.ensure_future(_play(scenes, narrator, report))
    with on_signals(play.cancel, exit_code=1):
        await asyncio.wait([play], timeout=AT_MOST)
        if not play.done():
            report.broken.append(f"it did not end within {AT_MOST:g} s")
            play.cancel()
            await asyncio.wait([play])
        elif play.cancelled():
            report.broken.append("somebody ended it")
    if not play.cancelled():
        play.result()
    report.seconds = round(time.monotonic() - began, 3)
    return report


async def _play(scenes: Sequence[Scene], narrator: Narrator, report: Report) -> None:
    async with open_stage(narrator.event) as stage:
        narrator.say(f"a local gateway on {stage.gateway.url}; a bot connects to it")
        await stage.until(lambda: stage.recoveries > 0, _PATIENCE)
        narrator.say(f"20 messages a second from now on; a connection is stable after {STABLE_AFTER:g} s, not after 60")
        for scene in scenes:
            outcome = await _play_scene(scene, stage, narrator)
            report.outcomes.append(outcome)
            narrator.outcome(outcome)
        stage.silence()
        everything = range(1, stage.sent + 1)
        await stage.until(lambda: not stage.lost(everything), _STRAGGLERS)
        report.identifies = stage.identifies
        report.broken += _judge_all(scenes, stage, everything)


async def _play_scene(scene: Scene, stage: Stage, narrator: Narrator) -> Outcome:
    first = stage.sent + 1
    await asyncio.sleep(_QUIET_BEFORE)
    outcome = Outcome(scene.name)
    talk = stage.talk
    if talk is None:
        outcome.broken.append(f"the bot was not there when it was to begin{_because(stage)}")
        return outcome
    recoveries, resumes, identifies = stage.recoveries, stage.resumes, stage.identifies
    narrator.scene(scene)
    began = stage.gateway.now
    await scene.act(stage.gateway, talk)
    if await stage.until(lambda: stage.recoveries > recoveries, scene.promise.away_below + _PATIENCE):
        outcome.away = round(stage.live_since - began, 3)
    await asyncio.sleep(_QUIET_AFTER)
    numbers = range(first, stage.sent + 1)
    await stage.until(lambda: not stage.lost(numbers), _STRAGGLERS)
    outcome.sent = len(numbers)
    outcome.lost, outcome.repeated = stage.lost(numbers), stage.repeated(numbers)
    outcome.received = outcome.sent - outcome.lost
    outcome.resumes, outcome.identifies = stage.resumes - resumes, stage.identifies - identifies
    outcome.broken += _judge(outcome, scene.promise, stage)
    return outcome


def _judge(outcome: Outcome, promise: Promise, stage: Stage) -> list[str]:
    broken = []
    if outcome.away is None:
        broken.append(f"the bot did not come back{_because(stage)}")
    elif outcome.away >= promise.away_below:
        broken.append(f"the bot was away for {outcome.away:.2f} s, promised were less than {promise.away_below:g}")
    for what, seen, promised in (
        ("Resumes", outcome.resumes, promise.resumes),
        ("Identifies", outcome.identifies, promise.identifies),
        ("messages lost", outcome.lost, 0),
        ("messages repeated", outcome.repeated, 0),
    ):
        if seen != promised:
            broken.append(f"{what}: {seen}, promised: {promised}")
    return broken


def _judge_all(scenes: Sequence[Scene], stage: Stage, everything: range) -> list[str]:
    broken = [f"a mistake of the bot's: {violation}" for violation in stage.gateway.platform.violations]
    promised = 1 + sum(scene.promise.identifies for scene in scenes)
    if stage.identifies != promised:
        broken.append(f"Identifies in all: {stage.identifies}, promised: {promised}")
    if stage.lost(everything) or stage.repeated(everything):
        broken.append(f"in all {stage.lost(everything)} messages lost, {stage.repeated(everything)} repeated")
    if stage.over is not None:
        broken.append(f"the bot stopped by itself: {stage.over}")
    return broken


def _because(stage: Stage) -> str:
    return "" if stage.over is None else f": {stage.over}"


class Narrator:
    """Tells the demo to people, as it happens, with the seconds since its beginning."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """One line, now."""
        seconds = time.monotonic() - self._began
        self._console.print(Text.assemble((f"{seconds:5.1f} s", "dim"), "  ", (text, style)))

    def event(self, event: Event) -> None:
        """What the bot is told."""
        text = describe(event)
        if text is not None:
            self.say(f"  bot: {text}")

    def scene(self, scene: Scene) -> None:
        """Something is about to happen."""
        self.say(f"{scene.name}: {scene.story}", "bold")

    def outcome(self, outcome: Outcome) -> None:
        """What came of it."""
        if outcome.away is not None:
            count = f"{outcome.sent} messages sent, {outcome.lost} lost, {outcome.repeated} repeated"
            self.say(f"  back after {outcome.away:.2f} s; {count}", "red" if outcome.broken else "green")
        for sentence in outcome.broken:
            self.say(f"  not as promised: {sentence}", "red")

    def show(self, report: Report) -> None:
        """The table, and the verdict."""
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("what happened", no_wrap=True)
        for title in ("away", "sent", "received", "lost", "repeated", "as promised"):
            table.add_column(title, justify="right", no_wrap=True)
        for outcome in report.outcomes:
            away = "-" if outcome.away is None else f"{outcome.away:.2f} s"
            counts = (outcome.sent, outcome.received, outcome.lost, outcome.repeated)
            kept = Text("no", "red") if outcome.broken else Text("yes", "green")
            table.add_row(outcome.name, away, *map(str, counts), kept)
        self._console.print(table)
        for sentence in report.broken:
            self._console.print(Text(f"not as promised: {sentence}", "red"))
        verdict = "everything as promised" if report.kept else "not everything was as promised"
        identifies = f"{report.identifies} Identify" if report.identifies == 1 else f"{report.identifies} Identifies"
        line = f"{verdict}; {identifies} in all; {report.seconds:.1f} s"
        self._console.print(Text(line, "green" if report.kept else "red"))
