"""`qqproto demo`: a bot on a local gateway, outages, and whether it came back as promised."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from qqproto.events import Offline
from qqproto.recording import Recorder, lives_of
from qqproto_transports._cli_input import UsageError
from qqproto_transports._demo_bot import AsyncioBot, Bot
from qqproto_transports._demo_judge import Outcome, Report, because, judge_absence, judge_demo, judge_scene
from qqproto_transports._demo_print import Narrator, spans
from qqproto_transports._demo_scenes import SCENES, Scene
from qqproto_transports._demo_stage import POLICY, Stage, open_stage
from qqproto_transports._signals import on_signals
from qqproto_transports.recordings import FileRecorder, read_recording

AT_MOST = 115.0
"""Seconds after which the demo has failed."""

_QUIET = POLICY.stable_after + 0.5
_SILENCE = 2.0
_PATIENCE = 10.0
_LONGEST_OUTAGE = 45.0
_STRAGGLERS = 3.0


async def demo(
    *,
    as_json: bool = False,
    scenes: Sequence[Scene] = SCENES,
    driver: type[Bot] = AsyncioBot,
    record: Path | None = None,
) -> int:
    """Show the scenes on standard output, at the end the table and a picture of the bot's life; returns 0 if all was as
    promised, else 1.

    With ``as_json`` the table is JSON, and alone there: the rest goes to standard error. ``record`` is the file that
    the bot is recorded into; without one there is a recording of what was not as promised.
    """
    narrator = Narrator(Console(stderr=as_json, highlight=False, markup=False, emoji=False, soft_wrap=True))
    path = record or _some_file()
    with _recorder(path) as recorder:
        report = await perform(scenes, narrator, driver, recorder)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        narrator.show(report)
    lives = lives_of(read_recording(path))
    narrator.picture([life for life in lives if life.chapter == lives[-1].chapter])
    if record is not None or not report.kept:
        narrator.recorded(path)
    else:
        path.unlink()
    return 0 if report.kept else 1


def _some_file() -> Path:
    handle, name = tempfile.mkstemp(".jsonl", "qqproto-demo-")
    os.close(handle)
    return Path(name)


def _recorder(path: Path) -> FileRecorder:
    try:
        return FileRecorder(path)
    except OSError as error:
        raise UsageError(f"the recording {path} cannot be written: {error.strerror}") from None


async def perform(
    scenes: Sequence[Scene], narrator: Narrator, driver: type[Bot], record: Recorder | None = None
) -> Report:
    """Play the scenes one after the other; whatever happens, there is a report."""
    report = Report()
    began, cpu = time.monotonic(), time.process_time()
    play = asyncio.ensure_future(_play(scenes, narrator, report, driver, record))
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
    report.cpu = round(time.process_time() - cpu, 3)
    return report


async def _play(
    scenes: Sequence[Scene], narrator: Narrator, report: Report, driver: type[Bot], record: Recorder | None
) -> None:
    async with open_stage(narrator.event, driver, record) as stage:
        narrator.say(f"a bot on the driver {driver.module}")
        narrator.say(f"a local gateway on {stage.gateway.url}, a network on port {stage.network.port} that leads to it")
        for sentence in spans():
            narrator.say(sentence)
        if not scenes[0].starts:
            stage.start()
            await stage.until(lambda: stage.recoveries > 0, _PATIENCE)
            await asyncio.sleep(_QUIET)
        for scene in scenes:
            outcome = await _play_scene(scene, stage, narrator)
            report.outcomes.append(outcome)
            narrator.outcome(outcome)
        everything = await _all_messages(stage)
        report.identifies, report.resumes, report.heartbeats = stage.identifies, stage.resumes, stage.heartbeats()
        report.broken += judge_demo(scenes, stage, everything)


async def _play_scene(scene: Scene, stage: Stage, narrator: Narrator) -> Outcome:
    outcome = Outcome(scene.name)
    if stage.talk is None and not scene.starts:
        outcome.broken.append(f"the bot was not there when it was to begin{because(stage)}")
        return outcome
    first, told = stage.sent + 1, len(stage.events)
    resumes, identifies = stage.resumes, stage.identifies
    if scene.promise.stops is not None:
        await _all_messages(stage)  # The platform keeps none for a bot that has to go.
        narrator.scene(scene)
        await _see_it_stop(scene, stage, outcome)
    else:
        narrator.scene(scene)
        await _see_it_return(scene, stage, narrator, outcome)
    numbers = range(first, stage.sent + 1)
    await stage.until(lambda: not stage.lost(numbers), _STRAGGLERS)
    outcome.sent = len(numbers)
    outcome.lost, outcome.repeated = stage.lost(numbers), stage.repeated(numbers)
    outcome.received = outcome.sent - outcome.lost
    outcome.resumes, outcome.identifies = stage.resumes - resumes, stage.identifies - identifies
    outcome.heartbeats = stage.heartbeats(stage.talk.id) if stage.talk is not None else 0
    outcome.broken += judge_scene(outcome, scene, stage, stage.events[told:])
    return outcome


async def _see_it_return(scene: Scene, stage: Stage, narrator: Narrator, outcome: Outcome) -> None:
    recoveries, told = stage.recoveries, len(stage.events)
    began, cpu = stage.gateway.now, time.process_time()

    def long_enough() -> bool:
        offline = any(isinstance(event, Offline) for event in stage.events[told:])
        return offline and stage.failed_tries(told) >= scene.tries

    await scene.begin(stage)
    if scene.tries:
        await stage.until(long_enough, _LONGEST_OUTAGE)
        tries, seconds = stage.failed_tries(told), stage.gateway.now - began
        narrator.absence(stage.bot.status()[0], tries, seconds, time.process_time() - cpu)
        outcome.broken += judge_absence(stage, tries)
    over = stage.gateway.now
    if scene.end is not None:
        narrator.say(f"  {scene.relief}", "bold")
        await scene.end(stage)
    if await stage.until(lambda: stage.recoveries > recoveries, scene.promise.back_within + _PATIENCE):
        outcome.cpu = round(time.process_time() - cpu, 3)
        outcome.away, outcome.back = round(stage.live_since - began, 3), round(stage.live_since - over, 3)
        outcome.tries = stage.failed_tries(told)
        await asyncio.sleep(_QUIET)


async def _see_it_stop(scene: Scene, stage: Stage, outcome: Outcome) -> None:
    await scene.begin(stage)
    if await stage.until(lambda: stage.over is not None, _PATIENCE):
        outcome.stopped = stage.over
        seen = (len(stage.network.links), len(stage.events))
        await asyncio.sleep(_SILENCE)
        if seen != (len(stage.network.links), len(stage.events)):
            outcome.broken.append("the bot stopped, and went on")


async def _all_messages(stage: Stage) -> range:
    """Nobody writes any more, and all that was written has had the time to arrive."""
    stage.silence()
    everything = range(1, stage.sent + 1)
    await stage.until(lambda: not stage.lost(everything), _STRAGGLERS)
    return everything
