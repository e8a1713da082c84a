"""The command for campaigns: the same seeds for the same hours, a summary, and the replay of a seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qqproto_transports.simulate import campaign, main, replay, summary

FUSSY = "tests.transports.simulated_bots:fussy"


def test_a_campaign_is_as_long_as_it_was_asked_to_be() -> None:
    done = campaign(40.0, processes=1)

    assert 40.0 <= done.hours < 140.0
    assert done.broken == {}
    assert done.counts["heartbeats"] > 1000
    assert summary(done, 2.0).splitlines()[-1] == "every promise was kept"


def test_two_processes_do_what_one_does() -> None:
    alone, together = (campaign(30.0, first=3, processes=processes) for processes in (1, 2))

    assert together.counts == alone.counts
    assert together.hours == pytest.approx(alone.hours)
    assert together.seeds == alone.seeds


def test_a_broken_promise_is_told_shrunk_and_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--hours", "20", "--seed", "1", "--processes", "1", "--bot", FUSSY]) == 1

    out, err = capsys.readouterr()
    assert "seed 1: exception at " in err
    assert "AssertionError: resumed" in err
    assert "--- seed 1, as small as it gets\nScript(\n" in out
    assert "BROKEN exception" in out
    assert "BROKEN in " in out.splitlines()[-1]


def test_a_seed_is_replayed_with_its_timeline() -> None:
    kept, text = replay(5)

    assert kept
    assert text.startswith("Script(\n    seed=5,\n")
    assert "-> Identify" in text
    assert text.splitlines()[-1].startswith("every promise was kept in ")


def test_a_seed_that_fails_is_replayed_as_small_as_it_gets() -> None:
    kept, text = replay(1, bot=FUSSY)

    assert not kept
    assert text.count("\n        Fault(") == 1
    assert "AssertionError: resumed" in text


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_a_campaign_with_what_there_is(processes: int) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    done = campaign(1e9, first=1, processes=processes, bot=FUSSY, tell=interrupt)

    assert done.cut_short
    assert done.broken
    assert done.broken.keys() <= {1, 2}, "of two that begin at once, either is done first"
    assert summary(done, 1.0).startswith("cut short: ")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list a process's children")
def test_a_campaign_that_is_killed_leaves_no_process_behind() -> None:
    command = [sys.executable, "-m", "qqproto_transports.simulate", "--hours", "1e9", "--processes", "2"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        while len(children.read_text().split()) < 3:  # two, and the resource tracker of multiprocessing
            assert run.poll() is None
        run.kill()
        # They write into the same pipe, which has its end when the last of them is gone.
        run.communicate(timeout=120.0)


def test_as_a_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "qqproto_transports.simulate", "--seed", "5"],
        capture_output=True, encoding="utf-8", timeout=120.0, stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "every promise was kept" in run.stdout
