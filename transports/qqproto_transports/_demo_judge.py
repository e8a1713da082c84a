"""What came of the demo's scenes, and whether it is what was promised."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from qqproto.events import Disconnected, Event, Offline, Online, Stopped
from qqproto_transports._cli_print import describe
from qqproto_transports._demo_scenes import Scene
from qqproto_transports._demo_stage import HEARTBEAT, POLICY, Stage

_CPU_SHARE = 0.3
"""Of one core, for the whole process, while the bot is away and tries; a busy loop takes all of it."""

_SHORTEST_WAIT = POLICY.delay(len(POLICY.backoff), 0.0)
"""Seconds between two tries at least."""

_UNTIL_HELLO = 0.5
"""Seconds of a connection that are not judged: its heartbeats count from Hello, and take a moment to arrive."""


@dataclass(slots=True)
class Outcome:
    """What came of a scene; spans in seconds, ``broken`` is what was not as promised, a sentence each.

    ``away`` is from the moment it happened until the bot was live again, ``back`` from the moment from which nothing
    stood in its way. Meanwhile ``tries`` failed, and the process took ``cpu`` seconds of CPU time. ``heartbeats`` came
    on the connection that followed. ``stopped`` is the bot's last word, if it had one.
    """

    name: str
    away: float | None = None
    back: float | None = None
    tries: int = 0
    cpu: float | None = None
    sent: int = 0
    received: int = 0
    lost: int = 0
    repeated: int = 0
    resumes: int = 0
    identifies: int = 0
    heartbeats: int = 0
    stopped: str | None = None
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What came of the demo; ``broken`` is what was wrong with the whole of it."""

    outcomes: list[Outcome] = field(default_factory=list)
    resumes: int = 0
    identifies: int = 0
    heartbeats: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether everything was as promised."""
        return not self.broken and not any(outcome.broken for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """For machines; ``kept`` first."""
        return {"kept": self.kept, **dataclasses.asdict(self)}


def judge_absence(stage: Stage, tries: int) -> list[str]:
    """Whether the bot tells the truth about itself while it is away and so many tries have failed."""
    bot, (status,) = stage.bot, stage.bot.status()
    broken = []
    if bot.connected or bot.online or status.connected or status.online:
        broken.append("while it was away the bot said that it was there")
    if status.attempt < tries or status.last_disconnect is None:
        broken.append(f"after {tries} failed tries the bot said that there were {status.attempt}")
    return broken


def judge_scene(outcome: Outcome, scene: Scene, stage: Stage, events: Sequence[Event]) -> list[str]:
    """What was not as promised in a scene in which the bot was told ``events``."""
    promise = scene.promise
    broken = _judge_return(outcome, scene, stage) if promise.stops is None else _judge_end(scene, events)
    ends = [event for event in events if isinstance(event, Disconnected)]
    diagnosis = (describe(ends[0]) if ends else None) or "none"
    if not any(text in diagnosis for text in promise.because):
        broken.append(f"the bot's diagnosis was to say {' or '.join(promise.because)!r}, and is: {diagnosis}")
    later = [describe(end) or "" for end in ends[1:]]
    for text in promise.then:
        if not any(text in line for line in later):
            broken.append(f"a later diagnosis was to say {text!r}, and none does")
    told = [type(event).__name__ for event in events if isinstance(event, (Offline, Online))]
    if told != (["Offline", "Online"] if scene.tries else []):
        broken.append(f"of its being away the bot told: {' and '.join(told) or 'nothing'}")
    for what, seen, promised in (
        ("Resumes", outcome.resumes, promise.resumes),
        ("Identifies", outcome.identifies, promise.identifies),
        ("messages lost", outcome.lost, 0),
        ("messages repeated", outcome.repeated, 0),
    ):
        if seen != promised:
            broken.append(f"{what}: {seen}, promised: {promised}")
    return broken


def judge_demo(scenes: Sequence[Scene], stage: Stage, everything: range) -> list[str]:
    """What was wrong with the whole of it, after all the messages that there were."""
    broken = [f"a mistake of the bot's: {violation}" for violation in stage.gateway.platform.violations]
    promised = sum(scene.promise.identifies for scene in scenes) + (not scenes[0].starts)
    if stage.identifies != promised:
        broken.append(f"Identifies in all: {stage.identifies}, promised: {promised}")
    if stage.lost(everything) or stage.repeated(everything):
        broken.append(f"in all {stage.lost(everything)} messages lost, {stage.repeated(everything)} repeated")
    if stage.over is not None and scenes[-1].promise.stops is None:
        broken.append(f"the bot stopped by itself: {stage.over}")
    return broken


def because(stage: Stage) -> str:
    """Why the bot is not there, if it is for good."""
    return "" if stage.over is None else f": {stage.over}"


def _judge_return(outcome: Outcome, scene: Scene, stage: Stage) -> list[str]:
    if outcome.away is None or outcome.back is None or outcome.cpu is None:
        return [f"the bot did not come back{because(stage)}"]
    broken = []
    if outcome.back >= scene.promise.back_within:
        promised = f"promised were less than {scene.promise.back_within:g}"
        broken.append(f"the bot took {outcome.back:.2f} s to come back, {promised}")
    if outcome.tries < scene.tries:
        broken.append(f"{outcome.tries} tries failed, at least {scene.tries} were to be shown")
    if outcome.tries > outcome.away / _SHORTEST_WAIT:
        broken.append(f"{outcome.tries} tries in {outcome.away:.2f} s are no patient waiting")
    if scene.tries and outcome.cpu > _CPU_SHARE * outcome.away:
        broken.append(f"{outcome.cpu:.2f} s of CPU time in {outcome.away:.2f} s are no patient waiting")
    talk = stage.talk
    if talk is None or not (stage.bot.connected and stage.bot.online):
        broken.append(f"the bot went away again, or says so{because(stage)}")
    else:
        least = int((stage.gateway.now - talk.opened_at - _UNTIL_HELLO) / HEARTBEAT)
        if outcome.heartbeats < least:
            broken.append(f"heartbeats on the new connection: {outcome.heartbeats}, promised: at least {least}")
    return broken


def _judge_end(scene: Scene, events: Sequence[Event]) -> list[str]:
    last = events[-1] if events else None
    if not isinstance(last, Stopped) or last.reason is not scene.promise.stops or not last.hint:
        return [f"the bot was to stop with a hint, and its last event is {last}"]
    if sum(isinstance(event, Stopped) for event in events) > 1:
        return ["the bot stopped more than once"]
    return []
