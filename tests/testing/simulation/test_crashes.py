"""Processes that die and stores that are not as they were left: what comes again, its mark, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from qqproto import Dispatch, Event, Framing, Policy, Resumed, SessionRefused
from qqproto.testing.simulation import Bot, Fault, Process, Report, Script, simulate

WORK = Script(settle="manual", work=20.0, traffic=2.0)


class Diary:
    """What each process's application was told."""

    def __init__(self, policy: Policy = Policy()) -> None:
        self._policy = policy
        self.processes: list[list[Event]] = []
        self._process: Process | None = None

    def bot(self) -> Bot:
        def on_event(event: Event, process: Process) -> None:
            if process is not self._process:
                self._process = process
                self.processes.append([])
            self.processes[-1].append(event)

        return Bot(on_event=on_event, policy=self._policy)

    def numbers(self, process: int) -> list[int]:
        return [event.sequence or 0 for event in self.processes[process] if isinstance(event, Dispatch)]

    def marked(self, process: int) -> list[int]:
        events = self.processes[process]
        return [event.sequence or 0 for event in events if isinstance(event, Dispatch) and event.redelivered]

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for events in self.processes for event in events if isinstance(event, kind)]


def live(script: Script, policy: Policy = Policy()) -> tuple[Report, Diary]:
    """Let a bot live through it; every promise is kept."""
    diary = Diary(policy)
    report = simulate(script, diary.bot, timeline=True)
    assert report.violation is None, str(report.timeline)
    return report, diary


both_framings = pytest.mark.parametrize("framing", Framing)


@both_framings
@pytest.mark.parametrize("settle", ["iteration", "manual"])
def test_what_a_killed_process_had_not_finished_comes_again(settle: Any, framing: Framing) -> None:
    faults = (Fault(599.0, "burst", value=20), Fault(600.0, "crash", span=30.0))
    script = Script(framing=framing, settle=settle, work=5.0, traffic=10.0, faults=faults)
    report, diary = live(script)

    assert report.counts["identifies"] == 1
    again = set(diary.numbers(0)) & set(diary.numbers(1))
    assert again, "it had its hands full"
    assert again <= set(diary.marked(1))
    assert sorted({*diary.numbers(0), *diary.numbers(1)}) == list(range(2, max(diary.numbers(1)) + 1))


@pytest.mark.parametrize("settle", ["iteration", "manual"])
def test_after_a_drain_nothing_comes_again(settle: Any) -> None:
    work = 20.0 if settle == "manual" else 1.0
    faults = (Fault(600.0, "restart", span=30.0, value=(True, False, 1000.0)),)
    report, diary = live(Script(settle=settle, work=work, traffic=4.0, faults=faults))

    assert report.counts["identifies"] == 1
    numbers = diary.numbers(0) + diary.numbers(1)
    assert numbers == list(range(2, len(numbers) + 2))
    assert diary.told(Resumed)[0].restored


def test_who_takes_too_long_to_finish_is_closed_all_the_same() -> None:
    _, diary = live(WORK.with_faults((Fault(600.0, "restart", span=30.0, value=(True, False, 1.0)),)))

    again = set(diary.numbers(0)) & set(diary.numbers(1))
    assert again
    assert again <= set(diary.marked(1))


def test_a_goodbye_for_good_leaves_no_session_behind() -> None:
    report, diary = live(WORK.with_faults((Fault(600.0, "restart", span=30.0, value=(False, False, 0.0)),)))

    assert (report.counts["identifies"], report.counts["resumes"]) == (2, 0)
    assert diary.told(SessionRefused) == []


def test_what_was_forgotten_comes_again() -> None:
    script = Script(settle="manual", work=1.0, forgets=1.0, traffic=20.0, faults=(Fault(600.0, "crash", span=1.0),))
    _, diary = live(script)

    assert diary.numbers(1)[: len(diary.numbers(0))] == diary.numbers(0)


def test_a_buffer_that_is_full_holds_up_the_reading() -> None:
    faults = (Fault(600.0, "burst", value=200), Fault(700.0, "rotate", value="op 7"))
    script = Script(settle="iteration", work=1.0, traffic=0.0, faults=faults)
    _, diary = live(script, Policy(max_buffered=10))

    assert diary.numbers(0) == list(range(2, 202))


def test_with_a_full_disk_more_comes_again() -> None:
    crash = Fault(600.0, "crash", span=30.0)
    _, healthy = live(WORK.with_faults((crash,)))
    _, full = live(WORK.with_faults((Fault(300.0, "full disk", span=305.0), crash)))

    assert len(full.marked(1)) > len(healthy.marked(1)) + 50
    assert set(healthy.marked(1)) <= set(full.marked(1))


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("gone", None),
        ("torn", None),
        ("old", "s old"),
        ("from the future", "in the future"),
        ("another bot", "bot"),
        ("another layout", "shard"),
        ("other intents", "intents"),
    ],
)
def test_a_session_that_cannot_be_gone_on_with(what: str, why: str | None) -> None:
    faults = (Fault(500.0, "odd store", span=200.0, value=what), Fault(600.0, "crash", span=10.0))
    report, diary = live(WORK.with_faults(faults))

    assert (report.counts["identifies"], report.counts["resumes"]) == (2, 0)
    refusals = [refused.reason for refused in diary.told(SessionRefused)]
    assert refusals == [] if why is None else why in refusals[0]


@pytest.mark.parametrize("own_numbers", [False, True])
@pytest.mark.parametrize("late", [None, 5.0])
@pytest.mark.parametrize("what", ["everything", "the first half", "the last half", "every third"])
def test_what_a_replay_leaves_out_is_told_as_missing(what: str, late: float | None, own_numbers: bool) -> None:
    script = Script(traffic=0.0, own_numbers=own_numbers, faults=(
        Fault(590.0, "partial replay", span=50.0, value=(what, late)), Fault(599.0, "hung dials", span=3.0),
        Fault(600.0, "cut"), Fault(601.0, "burst", value=20),
    ))  # fmt: skip
    _, diary = live(script)

    (resumed,) = diary.told(Resumed)
    left_out = {"everything": 20, "the first half": 10, "the last half": 10, "every third": 7}[what]
    # Its own number or the last dispatch's: that one is counted only if it cannot be RESUMED's.
    last_is_unclear = not own_numbers and what in ("everything", "the last half", "every third")
    assert resumed.missing == left_out - last_is_unclear
    numbers = list(range(2, 22))
    assert len(diary.numbers(0)) == 20 - left_out if late is None else sorted(diary.numbers(0)) == numbers


@pytest.mark.parametrize("late", [None, 0.0, 5.0])
def test_what_is_jumped_over_before_a_crash_is_told_after_it(late: float | None) -> None:
    script = Script(traffic=0.0, faults=(
        Fault(500.0, "gaps", span=50.0, value=(3, late)), Fault(510.0, "burst", value=9),
        Fault(600.0, "crash", span=5.0),
    ))  # fmt: skip
    _, diary = live(script)

    assert diary.told(Resumed)[0].missing == (3 if late is None else 0)
    assert len(diary.numbers(0)) == (6 if late is None else 9)


def test_events_under_new_numbers_are_known_by_their_names() -> None:
    script = Script(traffic=0.0, faults=(
        Fault(500.0, "burst", value=8), Fault(590.0, "repeats", span=50.0, value=8), Fault(600.0, "cut"),
    ))  # fmt: skip
    _, diary = live(script)

    # CHANNEL_UPDATEs have no name: who could tell whether it was changed once more?
    again = [event for event in diary.told(Dispatch) if event.sequence > 9]
    assert {event.type for event in again} == {"CHANNEL_UPDATE"}
