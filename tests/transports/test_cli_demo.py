"""`qqproto demo`: exit code 0 only when everything went as promised."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from qqproto.protocol.close_codes import StopReason
from qqproto.testing import FakeConversation
from qqproto_transports import _demo, _demo_judge
from qqproto_transports._demo import demo
from qqproto_transports._demo_bot import DRIVERS, Bot
from qqproto_transports._demo_judge import Outcome, judge_scene
from qqproto_transports._demo_scenes import SCENES, Promise, Scene
from qqproto_transports._demo_stage import HEARTBEAT, Stage, open_stage
from tests.transports.commands import run, running
from tests.transports.loops import eventually, on_loop

RETURNS = [scene for scene in SCENES if scene.promise.stops is None]
RESET = next(scene for scene in SCENES if scene.name == "TCP reset")
BACK = Promise(back_within=5.0)


# -- the whole of it ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demos() -> Iterator[dict[str, Future[CompletedProcess[str]]]]:
    """The demo on each driver, at the same time: most of its minute is waiting."""
    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(run, "demo", "--json", "--driver", name, timeout=120) for name in DRIVERS}


@pytest.mark.long
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_demo_keeps_its_promises(demos: dict[str, Future[CompletedProcess[str]]], driver: str) -> None:
    done = demos[driver].result()

    assert f"a bot on the driver qqproto_transports.{driver}" in done.stderr
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kept"] is True
    assert report["broken"] == []
    assert (report["identifies"], report["resumes"]) == (1, len(RETURNS) - 1)
    assert 0 < report["cpu"] < report["seconds"] < 120
    assert [outcome["name"] for outcome in report["outcomes"]] == [scene.name for scene in SCENES]
    for outcome, scene in zip(report["outcomes"], SCENES, strict=True):
        assert outcome["broken"] == []
        assert (outcome["lost"], outcome["repeated"]) == (0, 0)
        assert outcome["sent"] == outcome["received"]
        assert (outcome["resumes"], outcome["identifies"]) == (scene.promise.resumes, scene.promise.identifies)
        assert f"{scene.name}: {scene.story}" in done.stderr
    assert sum(outcome["heartbeats"] for outcome in report["outcomes"]) <= report["heartbeats"]
    assert "\x1b" not in done.stderr
    the_bot_came_back(report, done.stderr)
    the_bot_stopped(report, done.stderr)


def the_bot_came_back(report: dict[str, Any], narration: str) -> None:
    for outcome, scene in zip(report["outcomes"], RETURNS, strict=False):
        assert 0 < outcome["back"] <= outcome["away"]
        assert outcome["back"] < scene.promise.back_within
        assert outcome["sent"] > 20
        assert outcome["heartbeats"] >= 3
        assert outcome["tries"] >= scene.tries
        assert outcome["cpu"] < 0.3 * outcome["away"] or not scene.tries
        assert any(text in narration for text in scene.promise.because)
    lasting = sum(1 for scene in SCENES if scene.tries)
    assert narration.count("its status: not connected, offline") == lasting
    assert narration.count("bot: offline") == lasting
    assert narration.count("bot: online again") == lasting - 1  # The first time it is not "again".


def the_bot_stopped(report: dict[str, Any], narration: str) -> None:
    assert report["outcomes"][-1]["away"] is None
    assert report["outcomes"][-1]["stopped"].startswith("sandbox-only: ")
    assert "bot: stopped (sandbox-only)" in narration
    assert "or have the bot published" in narration


def test_every_outage_of_the_demo_lasts_longer_than_any_budget_or_not_at_all() -> None:
    budgets = {scene.name: scene.tries for scene in SCENES if scene.tries > 3}

    assert set(budgets) == {"HTTP errors", "closed port", "proxy outage"}
    assert budgets["HTTP errors"] > 100
    assert [scene.starts for scene in SCENES] == [True, *[False] * (len(SCENES) - 1)]


@on_loop
async def test_somebody_may_end_it() -> None:
    async with running("demo") as command:
        await command.line("could not connect")
        command.ask_to_end()

        assert await command.end() == 1
        assert command.errors == []
        assert "not as promised: somebody ended it" in command.lines


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
@pytest.mark.parametrize("turns", range(6))
@on_loop
async def test_the_stage_is_left_at_once_also_while_something_happens(turns: int, driver: type[Bot]) -> None:
    """A cancellation that comes together with an event was lost, and the demo went on for ever."""
    async with open_stage(lambda event: None, driver) as stage:
        stage.start()
        while not stage.bot.online:  # noqa: ASYNC110  # it is the turns of the loop that matter
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)


# -- promises that are not kept ----------------------------------------------------------------------------------------


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a test looks at needs no time for people to watch; recordings of what fails are not left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_demo, "_QUIET", 0.2)
    monkeypatch.setattr(_demo, "_SILENCE", 0.2)
    monkeypatch.setattr(_demo, "_STRAGGLERS", 0.5)


def talk_of(stage: Stage) -> FakeConversation:
    assert stage.talk is not None
    return stage.talk


async def reset(stage: Stage) -> None:
    talk_of(stage).reset(stage.gateway.now)


async def drop_session(stage: Stage) -> None:
    """The session is over: the bot has to identify, and what is sent meanwhile is lost."""
    talk_of(stage).close(4006, "session no longer valid", stage.gateway.now)


async def ban(stage: Stage) -> None:
    """The bot has to stop."""
    talk_of(stage).close(4915, "banned", stage.gateway.now)


async def refuse(stage: Stage) -> None:
    talk_of(stage).excuse()
    stage.network.refuse()


async def accept(stage: Stage) -> None:
    await stage.network.accept()


async def played(capsys: pytest.CaptureFixture[str], scene: Scene) -> dict[str, Any]:
    """What the demo reports of a scene that does not go as promised."""
    assert await demo(as_json=True, scenes=[scene]) == 1
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["kept"] is False
    return report


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_lost_session_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    # The next session may begin five seconds after the one before: the bot is away for longer than the grace.
    lost = Scene("lost", "the session is over", drop_session, Promise(back_within=10.0))
    report = await played(capsys, lost)

    (outcome,) = report["outcomes"]
    assert outcome["identifies"] == 1
    assert outcome["lost"] > 0
    assert outcome["received"] == outcome["sent"] - outcome["lost"]
    assert outcome["broken"] == [
        "of its being away the bot told: Offline and Online",
        "Resumes: 0, promised: 1",
        "Identifies: 1, promised: 0",
        f"messages lost: {outcome['lost']}, promised: 0",
    ]
    assert "Identifies in all: 2, promised: 1" in report["broken"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_coming_back_too_late_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = await played(capsys, dataclasses.replace(RESET, promise=Promise(back_within=0.01)))

    (outcome,) = report["outcomes"]
    assert outcome["broken"] == [f"the bot took {outcome['back']:.2f} s to come back, promised were less than 0.01"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_another_diagnosis_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = await played(capsys, dataclasses.replace(RESET, promise=Promise(5.0, because=("op 7",))))

    (broken,) = report["outcomes"][0]["broken"]
    assert broken.startswith("the bot's diagnosis was to say 'op 7', and is: disconnected: reset: ")


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_bot_that_stops_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = await played(capsys, Scene("ban", "the bot is banned", ban, BACK))

    (outcome,) = report["outcomes"]
    assert outcome["away"] is None
    assert outcome["broken"][0].startswith("the bot did not come back: banned: ")
    assert report["broken"][-1].startswith("the bot stopped by itself: banned: ")


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_stopping_is_a_promise_too(capsys: pytest.CaptureFixture[str]) -> None:
    banned = Scene("ban", "the bot is banned", ban, Promise(resumes=0, stops=StopReason.BANNED))
    assert await demo(as_json=True, scenes=[banned]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"][0]["stopped"].startswith("banned: ")

    other = dataclasses.replace(banned, promise=Promise(resumes=0, stops=StopReason.INTENTS))
    (broken,) = (await played(capsys, other))["outcomes"][0]["broken"]
    assert broken.startswith("the bot was to stop with a hint, and its last event is Stopped(")


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_bot_that_does_not_stop_is_no_kept_promise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_demo, "_PATIENCE", 2.0)

    report = await played(capsys, Scene("ban", "the bot is banned", reset, Promise(stops=StopReason.BANNED)))

    (broken,) = report["outcomes"][0]["broken"]
    assert broken.startswith("the bot was to stop with a hint, and its last event is Resumed(")


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_mistake_of_the_bots_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    async def blame(stage: Stage) -> None:
        stage.gateway.platform.violations.append("chewing gum")
        await reset(stage)

    report = await played(capsys, Scene("reset", "the connection breaks off", blame, BACK))

    assert report["outcomes"][0]["broken"] == []
    assert report["broken"] == ["a mistake of the bot's: chewing gum"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_busy_loop_is_no_kept_promise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_demo_judge, "_CPU_SHARE", 0.1)  # Others may have taken most of this machine.
    spinning: list[asyncio.Task[None]] = []

    async def spin() -> None:
        while True:  # noqa: ASYNC110  # that is what a busy loop is
            await asyncio.sleep(0)

    async def begin(stage: Stage) -> None:
        spinning.append(asyncio.ensure_future(spin()))
        await refuse(stage)

    async def end(stage: Stage) -> None:
        spinning[0].cancel()
        await accept(stage)

    report = await played(capsys, Scene("closed port", "nothing listens", begin, BACK, tries=1, end=end))

    (outcome,) = report["outcomes"]
    assert outcome["broken"] == [
        f"{outcome['cpu']:.2f} s of CPU time in {outcome['away']:.2f} s are no patient waiting",
    ]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_an_outage_that_is_too_short_is_no_kept_promise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_demo, "_LONGEST_OUTAGE", 0.1)

    report = await played(capsys, Scene("closed port", "nothing listens", refuse, BACK, tries=50, end=accept))

    (outcome,) = report["outcomes"]
    assert outcome["tries"] < 50
    # Within the grace a bot is online, although it is not there.
    assert outcome["broken"] == [
        "while it was away the bot said that it was there",
        f"{outcome['tries']} tries failed, at least 50 were to be shown",
        "of its being away the bot told: nothing",
    ]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_offline_where_nobody_expects_it_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    async def stay_away(stage: Stage) -> None:
        await refuse(stage)
        await eventually(lambda: not stage.bot.online)
        await accept(stage)

    report = await played(capsys, Scene("closed port", "nothing listens", stay_away, BACK))

    assert report["outcomes"][0]["broken"] == ["of its being away the bot told: Offline and Online"]


@on_loop
async def test_a_connection_without_heartbeats_is_no_kept_promise() -> None:
    async with open_stage(lambda event: None) as stage:
        stage.start()
        await eventually(lambda: stage.talk is not None and stage.heartbeats(stage.talk.id) > 1)
        talk = talk_of(stage)
        await eventually(lambda: stage.gateway.now - talk.opened_at > 2 * HEARTBEAT)
        outcome = Outcome("reset", away=1.0, back=1.0, cpu=0.1, resumes=1, heartbeats=stage.heartbeats(talk.id))
        scene = dataclasses.replace(RESET, promise=BACK)

        assert judge_scene(outcome, scene, stage, []) == []
        outcome.heartbeats = 0
        assert judge_scene(outcome, scene, stage, []) == ["heartbeats on the new connection: 0, promised: at least 1"]


@on_loop
async def test_haste_is_no_kept_promise() -> None:
    async with open_stage(lambda event: None) as stage:
        stage.start()
        await eventually(lambda: stage.bot.online)
        outcome = Outcome("reset", away=1.0, back=1.0, cpu=0.1, resumes=1, heartbeats=9, tries=20)
        scene = dataclasses.replace(RESET, promise=BACK)

        assert judge_scene(outcome, scene, stage, []) == []
        outcome.tries = 21
        assert judge_scene(outcome, scene, stage, []) == ["21 tries in 1.00 s are no patient waiting"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_bot_that_goes_away_again_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    async def twice(stage: Stage) -> None:
        before = stage.recoveries
        await reset(stage)

        async def once_more() -> None:
            await stage.until(lambda: stage.recoveries > before, within=10.0)
            await refuse(stage)

        again.append(asyncio.ensure_future(once_more()))

    again: list[asyncio.Task[None]] = []
    report = await played(capsys, Scene("reset", "the connection breaks off", twice, BACK))

    assert again[0].done()
    assert report["outcomes"][0]["broken"][0] == "the bot went away again, or says so"


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_demo_that_does_not_end_is_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_demo, "AT_MOST", 1.0)

    async def hang(stage: Stage) -> None:
        await asyncio.Event().wait()

    report = await played(capsys, Scene("hang", "nothing goes on", hang, BACK))

    assert report["outcomes"] == []
    assert report["broken"] == ["it did not end within 1 s"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_the_table_says_what_was_not_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert await demo(scenes=[dataclasses.replace(RESET, promise=Promise(back_within=0.01))]) == 1

    out = capsys.readouterr().out
    assert "not as promised: the bot took" in out
    assert "not everything was as promised" in out
    assert "1 Identify, 1 Resume, " in out
    (row,) = [line.split() for line in out.splitlines() if line.strip().endswith(" no")]
    assert row[:2] == ["TCP", "reset"]
    assert max(len(line) for line in out.splitlines() if "reset  " in line or "───" in line) <= 80
    assert "\x1b" not in out
