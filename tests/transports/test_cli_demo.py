"""`qqproto demo`: exit code 0 only when everything went as promised."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from typing import Any

import pytest

from qqproto.testing import FakeConversation
from qqproto_transports import _demo
from qqproto_transports._demo import demo
from qqproto_transports._demo_scenes import SCENES, Promise, Scene
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.commands import run, running
from tests.transports.loops import on_loop


def test_the_demo_keeps_its_promises() -> None:
    began = time.monotonic()
    done = run("demo", "--json")
    took = time.monotonic() - began

    assert done.returncode == 0, done.stderr
    assert took < 40
    report = json.loads(done.stdout)
    assert report["kept"] is True
    assert report["broken"] == []
    assert report["identifies"] == 1
    assert [outcome["name"] for outcome in report["outcomes"]] == [scene.name for scene in SCENES]
    for outcome, scene in zip(report["outcomes"], SCENES, strict=True):
        assert 0 < outcome["away"] < scene.promise.away_below
        assert outcome["sent"] == outcome["received"] > 20
        assert (outcome["lost"], outcome["repeated"]) == (0, 0)
        assert (outcome["resumes"], outcome["identifies"]) == (1, 0)
        assert outcome["broken"] == []
        assert f"{scene.name}: {scene.story}" in done.stderr
    assert "back after" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test looks at needs no time for people to watch."""
    monkeypatch.setattr(_demo, "_QUIET_BEFORE", 0.2)
    monkeypatch.setattr(_demo, "_QUIET_AFTER", 0.2)
    monkeypatch.setattr(_demo, "_STRAGGLERS", 0.5)


async def drop_session(gateway: LocalGateway, talk: FakeConversation) -> None:
    """The session is over: the bot has to identify, and what is sent meanwhile is lost."""
    talk.close(4006, "session no longer valid", gateway.now)


async def ban(gateway: LocalGateway, talk: FakeConversation) -> None:
    """The bot has to stop."""
    talk.close(4915, "banned", gateway.now)


async def played(capsys: pytest.CaptureFixture[str], scene: Scene) -> dict[str, Any]:
    """What the demo reports of a scene that does not go as promised."""
    assert await demo(as_json=True, scenes=[scene]) == 1
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["kept"] is False
    return report


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_lost_session_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = await played(capsys, Scene("lost", "the session is over", drop_session, Promise(away_below=5.0)))

    (outcome,) = report["outcomes"]
    assert outcome["identifies"] == 1
    assert outcome["lost"] > 0
    assert outcome["received"] == outcome["sent"] - outcome["lost"]
    assert outcome["broken"] == [
        "Resumes: 0, promised: 1",
        "Identifies: 1, promised: 0",
        f"messages lost: {outcome['lost']}, promised: 0",
    ]
    assert "Identifies in all: 2, promised: 1" in report["broken"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_being_away_for_too_long_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = await played(capsys, dataclasses.replace(SCENES[-1], promise=Promise(away_below=0.01)))

    (outcome,) = report["outcomes"]
    assert outcome["broken"] == [f"the bot was away for {outcome['away']:.2f} s, promised were less than 0.01"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_bot_that_stops_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    report = await played(capsys, Scene("ban", "the bot is banned", ban, Promise(away_below=5.0)))

    (outcome,) = report["outcomes"]
    assert outcome["away"] is None
    assert outcome["broken"][0].startswith("the bot did not come back: banned: ")
    assert report["broken"][-1].startswith("the bot stopped by itself: banned: ")


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_mistake_of_the_bots_is_no_kept_promise(capsys: pytest.CaptureFixture[str]) -> None:
    async def blame(gateway: LocalGateway, talk: FakeConversation) -> None:
        gateway.platform.violations.append("chewing gum")
        talk.reset(gateway.now)

    report = await played(capsys, Scene("reset", "the connection breaks off", blame, Promise(away_below=5.0)))

    assert report["outcomes"][0]["broken"] == []
    assert report["broken"] == ["a mistake of the bot's: chewing gum"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_demo_that_does_not_end_is_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_demo, "AT_MOST", 1.0)

    async def hang(gateway: LocalGateway, talk: FakeConversation) -> None:
        await asyncio.Event().wait()

    report = await played(capsys, Scene("hang", "nothing goes on", hang, Promise(away_below=5.0)))

    assert report["outcomes"] == []
    assert report["broken"] == ["it did not end within 1 s"]


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_the_table_says_what_was_not_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert await demo(scenes=[dataclasses.replace(SCENES[-1], promise=Promise(away_below=0.01))]) == 1

    out = capsys.readouterr().out
    assert "not as promised: the bot was away for" in out
    assert "not everything was as promised; 1 Identify in all" in out
    (row,) = [line.split() for line in out.splitlines() if line.strip().endswith(" no")]
    assert row[:2] == ["TCP", "reset"]
    assert "\x1b" not in out


@on_loop
async def test_somebody_may_end_it() -> None:
    async with running("demo") as command:
        await command.line("ready")
        command.ask_to_end()

        assert await command.end() == 1
        assert command.errors == []
        assert "not as promised: somebody ended it" in command.lines
