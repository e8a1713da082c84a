"""Recorded bots on each driver: what they were told replays to the same, and nothing secret is in it."""

from __future__ import annotations

import base64
from pathlib import Path

from qqproto import Dispatch, Malformed, Ready, Resumed, Stopped
from qqproto.recording import lives_of, replay
from qqproto_transports.recordings import FileRecorder, read_recording
from tests.core import frames
from tests.scenarios.stage import Stage
from tests.scenarios.test_proxies import LOGIN, WRITTEN, Proxies, proxies

__all__ = ["proxies"]


def nothing_secret(path: Path, stage: Stage) -> None:
    """Not even in what is packed, nor as JSON writes it."""
    text = path.read_text(encoding="utf-8")
    for line in read_recording(path):
        for unit in line.fields.get("units", ()):
            if isinstance(unit, dict) and "frame" in unit:
                text += base64.b64decode(unit["frame"]).decode("latin-1")
    secrets = stage.secrets()
    assert len(secrets) >= 4, "the AppSecret, a token, and the password in two spellings"
    for secret in secrets:
        assert secret not in text


def test_a_recorded_life_behind_a_proxy(stage: Stage, proxies: Proxies, tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    recorder = FileRecorder(path)
    proxy = proxies(stage, login=LOGIN)
    bot = stage.bot(account=stage.account(proxy=proxy.url(WRITTEN)), record=recorder).start()
    bot.until(Ready)
    stage.say("one", "two")
    bot.until_hears("two")
    [token] = stage.secrets() - stage.passwords - {stage.credentials.secret}
    stage.inject(frames.text(f"a server that repeats {token}") + frames.frame(frames.PING, token.encode()))
    bot.until(Malformed)
    stage.reset()
    stage.say("three")
    bot.until(Resumed)
    stage.rotate()
    bot.until(Resumed)
    bot.close()
    assert bot.end() is None
    recorder.close()

    lines = read_recording(path)
    report = replay(lines)
    assert report.difference is None, str(report.difference)
    assert report.raised == []
    nothing_secret(path, stage)
    [life] = lives_of(lines)
    assert [(outage.planned, outage.ending) for outage in life.outages] == [(False, "Resume"), (True, "Resume")]
    assert len(life.dispatches) == len(bot.heard(Dispatch)) == 3
    assert life.marks[-1].kind == "stopped"
    assert isinstance(bot.events[-1], Stopped)


def test_as_many_shards_as_are_recommended_settled_by_hand(stage: Stage, tmp_path: Path) -> None:
    """The first shard is another one after the platform has answered; who settles may be any thread."""
    stage.platform.bot.shards = stage.platform.bot.max_concurrency = 2
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path, hide_contents=True) as recorder:
        bot = stage.bot(record=recorder, shards="auto", settle="manual").start()
        bot.until_true(lambda: len(bot.heard(Ready)) == 2)
        stage.say("a letter", shard=1)
        bot.until_hears("a letter")
        bot.gateway.settle(bot.heard(Dispatch)[0])
        bot.close()
        assert bot.end() is None

    report = replay(read_recording(path))
    assert report.difference is None, str(report.difference)
    assert report.shards == 3
    assert "a letter" not in path.read_text(encoding="utf-8")
