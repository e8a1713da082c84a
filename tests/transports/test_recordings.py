"""Recordings in files: as large as they may be, whole up to the last line, and never a bot's end."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qqproto import Credentials, Shard, ShardConfig
from qqproto.recording import lives_of, read, replay
from qqproto_transports.asyncio import open_gateway
from qqproto_transports.recordings import FileRecorder, read_recording
from tests.core.hosts import half

CONFIG = ShardConfig("11111111", 1 << 25)


def shard_in(recorder: FileRecorder) -> Shard:
    """A shard that has begun."""
    shard = recorder.shard(CONFIG, random=half)
    shard.start(100.0)
    drain(shard)
    return shard


def drain(shard: Shard) -> None:
    while shard.next_output() is not None:
        pass
    shard.next_timer()


def live(shard: Shard, hours: float, since: float = 100.0) -> None:
    """Nobody answers for so long."""
    while (due := shard.next_timer()) is not None and due < since + hours * 3600:
        shard.handle_timer(due)
        drain(shard)


def test_every_line_is_in_the_file_before_the_machine_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path) as recorder:
        shard = shard_in(recorder)
        shard.handle_timer(115.0)
        texts = path.read_text(encoding="utf-8").splitlines()

    assert json.loads(texts[2])["in"] == "start"
    assert abs(json.loads(texts[2])["unix"] - time.time()) < 60
    assert json.loads(texts[-2])["in"] == "timer"
    assert json.loads(texts[-1]) == {"m": 1, "random": 0.5}
    assert replay(read_recording(path)).difference is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    with FileRecorder(tmp_path / "bot.jsonl") as recorder:
        shard_in(recorder)
        assert stat.S_IMODE(recorder.path.stat().st_mode) & 0o077 == 0


def test_another_process_goes_on_with_the_file_and_with_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path) as recorder:
        shard_in(recorder)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"m":1,"t":115.0,"in":"ti')
    whole = len(read_recording(path))
    with FileRecorder(path) as recorder:
        shard_in(recorder)

    lines = read_recording(path)
    assert len(lines) == 2 * whole
    assert [life.chapter for life in lives_of(lines)] == [1, 2]
    assert replay(lines).difference is None


def test_bytes_that_a_crash_has_torn_in_the_middle_of_a_character(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path) as recorder:
        shard = shard_in(recorder)
        shard.fail("你好", 101.0)
    data = path.read_bytes()
    path.write_bytes(data[: data.index("你".encode()) + 1])

    assert len(read_recording(path)) == len(read(data.decode().split("\n"))) - 1


def test_a_file_that_is_full_becomes_an_older_one_and_the_series_is_one_recording(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path, max_bytes=10_000, keep=50) as recorder:
        live(shard_in(recorder), hours=0.5)
    parts = sorted(tmp_path.iterdir())

    assert len(parts) > 2
    assert {part.name for part in parts} == {"bot.jsonl", *(f"bot.jsonl.{n}" for n in range(1, len(parts)))}
    assert all(part.stat().st_size <= 10_000 for part in parts)
    report = replay(read_recording(path))
    assert report.difference is None
    assert report.skipped == 0
    assert lives_of(read_recording(path))[0].whole


@pytest.mark.parametrize("keep", [0, 2])
def test_what_is_too_old_is_deleted_and_the_rest_can_still_be_drawn(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path, max_bytes=5_000, keep=keep) as recorder:
        live(shard_in(recorder), hours=0.5)

    assert len(list(tmp_path.iterdir())) == keep + 1
    lines = read_recording(path)
    assert replay(lines).skipped == len(lines)
    [life] = lives_of(lines)
    assert not life.whole
    assert life.outages


def test_a_line_that_is_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "bot.jsonl"
    with FileRecorder(path, max_bytes=1, keep=30) as recorder:
        shard_in(recorder)

    assert replay(read_recording(path)).difference is None


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"keep": -1}])
def test_a_limit_that_is_none_is_misuse(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        FileRecorder(tmp_path / "bot.jsonl", **options)  # type: ignore[arg-type]  # mypy takes them for strings


def test_a_file_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-folder"):
        FileRecorder(tmp_path / "no-such-folder" / "bot.jsonl")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk here that is always full")
def test_a_full_disk_ends_the_recording_and_not_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    with FileRecorder("/dev/full") as recorder:
        shard = shard_in(recorder)
        live(shard, hours=0.1)

        assert not shard.ended
        assert recorder.failure is not None
        assert recorder.failure.errno == errno.ENOSPC
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the recording /dev/full ends here: ")


def test_a_closed_recorder_writes_nothing_more(tmp_path: Path) -> None:
    recorder = FileRecorder(tmp_path / "bot.jsonl")
    shard = shard_in(recorder)
    recorder.close()
    recorder.close()
    size = recorder.path.stat().st_size
    shard.handle_timer(115.0)
    drain(shard)

    assert recorder.path.stat().st_size == size


def test_the_key_that_hides_contents_is_another_one_each_time(tmp_path: Path) -> None:
    with (
        FileRecorder(tmp_path / "1", hide_contents=True) as one,
        FileRecorder(tmp_path / "2", hide_contents=True) as two,
    ):
        assert one.redactor.word("hello") != two.redactor.word("hello")


def test_a_gateway_that_is_not_recorded_has_nothing_of_it() -> None:
    gateway = open_gateway(Credentials("11111111", "a-secret"), intents=1)
    assert type(gateway._shards[0]) is Shard

    program = "import sys, qqproto_transports.asyncio; sys.exit('qqproto.recording' in sys.modules)"
    paths = os.pathsep.join(path for path in sys.path if path)
    assert subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}).returncode == 0
