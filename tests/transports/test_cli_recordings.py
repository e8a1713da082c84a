"""Recordings on the command line: made by `listen` and by the demo, replayed, printed as a test, and drawn."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from qqproto import Failure, FailureKind, Framing, LocalProtocolError, Policy, StopReason
from qqproto.recording import lives_of, read
from qqproto_transports._cli_app import app
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_replay import print_test, replay
from qqproto_transports._cli_timeline import timeline
from qqproto_transports._demo import demo
from qqproto_transports._demo_scenes import Promise, Scene
from qqproto_transports._timeline import clock, duration, ticks
from qqproto_transports._timeline_svg import svg_of
from qqproto_transports._timeline_text import draw
from qqproto_transports.local_gateway import LocalGateway
from tests.core.hosts import ACK, RECONNECT, dispatch, hello, resumed
from tests.core.recorded import SECRET, Recorded
from tests.transports.commands import running, settings_of
from tests.transports.loops import on_loop
from tests.transports.test_cli_demo import ban, brisk

__all__ = ["brisk"]

SVG = "{http://www.w3.org/2000/svg}"


def eventful() -> Recorded:
    """A bot that has lived through this and that."""
    bot = Recorded(framing=Framing.TEXT).live()
    bot.run(25)
    bot.say(ACK, dispatch(2), dispatch(3))
    bot.run(15)
    bot.lose()
    bot.now = bot.shard.next_timer() or 0.0
    bot.shard.handle_timer(bot.now)
    bot.drain()
    bot.shard.connection_lost(bot.connection, Failure(FailureKind.REFUSED, "nobody listens <there>"), bot.now)
    bot.drain()
    bot.run(2)
    bot.say(hello(), dispatch(5), resumed(5), "no JSON \x1b[31m")
    bot.run(3)
    bot.shard.reading_paused(bot.now)
    bot.drain()
    bot.shard.reading_resumed(bot.now)
    bot.drain()
    bot.say(RECONNECT)
    bot.run(4)
    bot.say(hello(), resumed(5))
    bot.run(25)
    bot.shard.close(bot.now)
    bot.drain()
    bot.run(10)
    return bot


def written(bot: Recorded, path: Path) -> Path:
    """Its recording in a file."""
    path.write_text("\n".join(bot.written) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return written(eventful(), tmp_path / "bot.jsonl")


def typed(*words: str) -> tuple[int, str]:
    """The exit code of a command and its words on standard error."""
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.stderr


# -- replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_shows_what_happens_and_that_it_is_the_same(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(recording) == 0
    lines = [re.sub(r" {2,}", "  ", line).strip() for line in capsys.readouterr().out.splitlines()]

    assert lines[0] == "0.000 s  shard 0  start"
    assert "0.000 s  shard 0  dials wss://gateway.example/websocket" in lines
    assert "0.000 s  shard 0  sends Identify" in lines
    assert "0.000 s  shard 0  ready: bot (42), session S-1" in lines
    assert "40.000 s  shard 0  1 heartbeat, 2 events, 1 ACK" in lines
    assert "40.000 s  shard 0  disconnected: reset: the connection was cut; next try in 0.75 s" in lines
    assert any("resumed: session S-1, 1 replayed, 1 missing" in line for line in lines)
    assert any("close()" in line for line in lines)
    assert re.fullmatch(r"the same as recorded: \d+ inputs, \d+ outputs of 1 shard", lines[-1])


def test_each_event_if_it_is_asked_for(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(recording, events=True) == 0

    assert capsys.readouterr().out.count("group message from somebody:") == 3


def test_a_replay_takes_its_time_if_it_is_told_to(
    recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    assert replay(recording, speed=10.0) == 0
    [life] = lives_of(read(recording.read_text(encoding="utf-8").splitlines()))
    assert sum(slept) == pytest.approx((life.end - life.begin) / 10)


def test_where_a_replay_differs_is_its_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = eventful()
    number = next(number for number, text in enumerate(bot.written) if '"out":"Online"' in text)
    bot.written[number] = bot.written[number].replace("null", "1.5")

    assert replay(written(bot, tmp_path / "bot.jsonl")) == 1
    *_, before, last = capsys.readouterr().out.splitlines()
    assert before.startswith("not as recorded, after ")
    assert last.startswith(f'line {number + 1}, shard 0: recorded was {{"out":"Online","shard":0,"away":1.5}}; now it')


def test_an_exception_of_the_machine_is_seen_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Recorded(framing=Framing.TEXT).live()
    with pytest.raises(LocalProtocolError):
        bot.shard.start(bot.now)
    bot.shard.fail("a bug", bot.now)
    bot.drain()

    assert replay(written(bot, tmp_path / "bot.jsonl")) == 0
    shown = capsys.readouterr().out
    assert "as recorded, the machine raised LocalProtocolError: start() was called before" in shown
    assert "fail('a bug')" in shown


def test_lives_whose_beginning_is_gone_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone, whole = eventful(), eventful()
    bot = Recorded()
    bot.written = [gone.recorder.head(), *gone.written[20:], *whole.written]

    assert replay(written(bot, tmp_path / "bot.jsonl")) == 0
    assert "lines of shards whose beginning was rotated away were left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot be read: No such file"),
        ("", "has nothing in it yet"),
        ('{"event": "ready"}\n', "this is no recording"),
        ('{"recording":1}\n{"m":1,"made":{}}\n', "is damaged: a line lacks something (KeyError: 'shard')"),
        ('{"recording":1}\n{"m":1,"made":{"shard":["\\u001b"]}}\n', "is damaged: a line lacks something (ValueError"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(tmp_path: Path, text: str | None, complaint: str) -> None:
    path = tmp_path / "bot.jsonl"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    for command in ("replay", "timeline"):
        code, errors = typed(command, str(path))
        assert code == 2
        assert errors.startswith("qqproto: ")
        assert complaint in errors


def test_a_recording_without_any_beginning_can_only_be_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = eventful()
    bot.written = [bot.recorder.head(), *bot.written[20:]]
    path = written(bot, tmp_path / "bot.jsonl")

    for command in (replay, print_test):
        with pytest.raises(UsageError, match="begins in the middle of a life"):
            command(path)
    assert timeline(path) == 0
    assert ", its beginning was rotated away: live " in capsys.readouterr().out


# -- as a test --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raises", [False, True])
def test_the_printed_test_is_one_that_runs_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raises: bool
) -> None:
    bot = eventful()
    if raises:
        with pytest.raises(LocalProtocolError):
            bot.shard.start(bot.now)
    assert print_test(written(bot, tmp_path / "bot.jsonl")) == 0
    text = capsys.readouterr().out
    names: dict[str, Any] = {}
    exec(compile(text, "test_printed.py", "exec"), names)

    names["test_what_was_recorded_happens_again"]()

    broken = text.replace('"away":null', '"away":7.0')
    exec(compile(broken, "test_printed.py", "exec"), names)
    with pytest.raises(AssertionError, match="recorded was"):
        names["test_what_was_recorded_happens_again"]()
    assert ("LocalProtocolError" in text.splitlines()[-1]) is raises


# -- pictures ---------------------------------------------------------------------------------------------------------


def picture(bot: Recorded, *, width: int = 80, unicode: bool = True) -> list[str]:
    return [line.plain for line in draw(lives_of(bot.lines), width, unicode=unicode)]


def test_a_picture_shows_when_it_was_live_and_when_not() -> None:
    title, session, beats, acks, events, outages, axis, *words = picture(eventful())

    assert title.startswith("shard 0, ")
    assert ", 1 outage, 1 rotation, 1 Identify, 2 Resumes, " in title
    assert re.fullmatch(r"session    [█▓▒░ ]{69}", session)
    assert "█" in session
    assert "▓" in session
    assert beats.startswith("heartbeats ")
    assert beats.count("|") > acks.count("|") >= 1
    assert re.search("[▁▂▃▄▅▆▇█]", events)
    assert outages.split() == ["outages", "1", "2"]
    assert axis.split("^")[1].strip() == "0 s"
    assert re.match(
        r"  1 +40.0 s +\d.\d\d s  Resume, 1 missing  reset: the connection was cut; 1 tries failed", words[0]
    )
    assert words[1].strip() == "1 x refused: nobody listens <there>"
    assert "rotation, op 7" in words[2]
    assert any("the server sent a message that is not JSON" in line for line in words)
    assert words[-1].startswith("█ live ")


def test_a_terminal_that_knows_only_ascii_gets_a_picture_too() -> None:
    for line in picture(eventful(), width=40, unicode=False)[:7]:
        assert line.isascii()


def test_a_life_of_many_outages_tells_the_first_ones() -> None:
    bot = Recorded(framing=Framing.TEXT, policy=Policy(probe_after=1000.0, dead_after=2000.0)).live()
    for sequence in range(50):
        bot.run(61)
        bot.say(ACK, "no JSON")
        bot.lose()
        bot.run(2)
        bot.say(hello(), resumed(1 + sequence))
    lines = picture(bot)

    assert "    and 10 outages more" in lines
    assert any(line.endswith(" others more") for line in lines)
    svg = svg_of(lives_of(bot.lines))
    assert re.search(r">and \d+ more<", svg)


def test_an_outage_of_many_causes_tells_the_first_ones() -> None:
    bot = Recorded(framing=Framing.TEXT, policy=Policy(backoff=(1.0,))).live()
    bot.lose()
    for code in range(4500, 4508):
        bot.now = bot.shard.next_timer() or 0.0
        bot.shard.handle_timer(bot.now)
        bot.drain()
        bot.shard.connection_closed(bot.connection, code, "", bot.now)
        bot.drain()
    words = [line.strip() for line in picture(bot)]

    assert "1 x close code 4500" in words
    assert "3 others" in words
    assert any("not over" in line for line in words)


def test_an_svg_is_one_that_every_program_reads() -> None:
    root = ElementTree.fromstring(svg_of(lives_of(eventful().lines)))

    told = [title.text or "" for title in root.iter(f"{SVG}title")]
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert root.tag == f"{SVG}svg"
    assert any(text.startswith("ready, ") for text in told)
    assert any(text.startswith("wait, ") for text in told)
    assert any("nobody listens <there>" in text for text in texts)
    assert {"session", "heartbeats", "ACKs", "events", "live"} <= set(texts)
    assert not list(root.iter(f"{SVG}script"))


def test_lives_of_several_processes_and_shards_are_drawn_below_each_other() -> None:
    one, other = eventful(), Recorded(framing=Framing.TEXT).live()
    lives = lives_of(read([*one.written, *other.written]))

    assert [line.plain for line in draw(lives)].count("") == 2
    assert svg_of(lives).count('font-weight="bold"') == 2
    assert [line.plain for line in draw(lives) if line.plain.startswith("process 2, shard 0, ")]


def test_a_long_life_is_told_by_the_clock_on_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)
    lives = lives_of(eventful().lines)
    lives[0].unix = 1795660400.0
    assert "from 2026-11-26 02:33:20" in next(line.plain for line in draw(lives))
    assert not any("11-26 02:34:00" in line.plain for line in draw(lives))

    lives[0].end += 1000.0
    assert any("11-26 02:34:00" in line.plain for line in draw(lives))
    assert "at 11-26 02:34:00: reset" in svg_of(lives)


def test_a_life_of_one_moment_can_be_drawn() -> None:
    bot = Recorded(framing=Framing.TEXT)
    bot.shard.start(bot.now)

    assert picture(bot)[0].startswith("shard 0, 0.00 s: live 0.0 %")
    assert ElementTree.fromstring(svg_of(lives_of(bot.lines)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (9.994, "9.99 s"),
        (9.999, "10.0 s"),
        (99.94, "99.9 s"),
        (99.96, "1:40 min"),
        (3599.7, "1:00:00 h"),
    ],
)
def test_spans_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_axis_has_round_marks_however_long_it_is() -> None:
    assert ticks(100.0, 103.5, 5) == [0, 1, 2, 3]
    assert [clock(tick) for tick in ticks(0.0, 7200.0, 5)] == [
        "0 s",
        "30:00 min",
        "1:00:00 h",
        "1:30:00 h",
        "2:00:00 h",
    ]
    assert len(ticks(0.0, 86400.0 * 365, 5)) <= 5


def test_the_commands_draw_on_paper_and_into_a_file(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert timeline(recording, tmp_path / "bot.svg") == 0
    assert ElementTree.parse(tmp_path / "bot.svg").getroot().tag == f"{SVG}svg"
    assert "shard 0, " in capsys.readouterr().out
    with pytest.raises(UsageError, match="cannot be written"):
        timeline(recording, tmp_path / "no-such-folder" / "bot.svg")
    with pytest.raises(UsageError, match="nothing has happened yet"):
        timeline(written(Recorded(), tmp_path / "empty.jsonl"))


def test_what_a_message_says_does_not_reach_the_terminal(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay(recording)
    timeline(recording)

    assert "\x1b" not in capsys.readouterr().out


def test_colours_are_for_terminals() -> None:
    console = Console(force_terminal=True, width=80, color_system="standard")
    with console.capture() as capture:
        for line in draw(lives_of(eventful().lines)):
            console.print(line)

    assert "\x1b[32m" in capture.get()


# -- who records ------------------------------------------------------------------------------------------------------


@on_loop
async def test_listen_records_what_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    async with LocalGateway(secret=SECRET) as gateway:
        options = ["--record", str(path), "--hide-contents"]
        async with running("listen", *options, settings=settings_of(gateway)) as command:
            await command.line("ready")
            command.ask_to_end()
            assert await command.end() == 0
            assert command.errors == []

    assert replay(path) == 0
    assert SECRET not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--hide-contents"], "give --record FILE as well"),
        (["--record", "no-such-folder/bot.jsonl"], "cannot be written: No such file"),
        (["--record", "x", "--webhook", "127.0.0.1:0"], "--webhook goes with none of"),
    ],
)
def test_what_listen_cannot_record(options: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQ_SECRET", "a-secret")
    code, errors = typed("listen", "--app-id", "1", *options)

    assert code == 2
    assert complaint in errors


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_failing_demo_run_replays_to_the_same_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "demo.jsonl"
    broken = Scene("ban", "the bot is banned", ban, Promise(back_within=5.0))
    assert await demo(as_json=True, scenes=[broken], record=path) == 1
    told = capsys.readouterr()
    [outcome] = json.loads(told.out)["outcomes"]
    assert outcome["broken"][0].startswith("the bot did not come back: banned: ")
    assert f"recorded in {path}" in told.err
    assert "close code 4915 (banned)" in told.err, "the picture"

    assert replay(path) == 0
    assert f"stopped ({StopReason.BANNED.value})" in capsys.readouterr().out


@pytest.mark.usefixtures("brisk")
@on_loop
async def test_a_demo_that_fails_is_kept_without_being_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Scene("ban", "the bot is banned", ban, Promise(resumes=0, stops=StopReason.BANNED))
    assert await demo(scenes=[kept]) == 0
    assert "recorded in" not in capsys.readouterr().out
    assert os.listdir(tmp_path) == []

    assert await demo(scenes=[Scene("ban", "the bot is banned", ban, Promise(back_within=5.0))]) == 1
    [name] = os.listdir(tmp_path)
    assert f"recorded in {tmp_path / name}" in capsys.readouterr().out


@on_loop
async def test_a_demo_that_cannot_be_recorded_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        await demo(record=tmp_path / "no-such-folder" / "demo.jsonl")
