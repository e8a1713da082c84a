"""Runs: the same for the same script, every fault survived, every promise kept, and what fails is told and shrunk."""

from __future__ import annotations

from typing import Any

import pytest

from qqproto import Dispatch, Event, Framing, LocalProtocolError, Ready
from qqproto.testing.simulation import CALM, KINDS, Bot, Fault, Process, Report, Script, script_of, shrink, simulate
from qqproto.testing.simulation.dice import Dice

both_framings = pytest.mark.parametrize("framing", Framing)


def timeline(report: Report) -> str:
    assert report.timeline is not None
    return str(report.timeline)


def values(name: str) -> list[Any]:
    """A few values that chance gives this kind, each once."""
    dice = Dice(7)
    drawn: list[Any] = []
    for _ in range(12):
        value = KINDS[name].value(dice)
        if value not in drawn:
            drawn.append(value)
    return drawn


# -- scripts ----------------------------------------------------------------------------------------------------------


def test_a_seed_is_the_same_script_for_ever() -> None:
    assert script_of(5) == script_of(5)
    assert script_of(5) != script_of(6)


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_a_script_prints_as_the_python_that_makes_it(seed: int) -> None:
    script = script_of(seed)
    names = {"Script": Script, "Fault": Fault, "Framing": Framing}

    assert eval(repr(script), names) == script
    assert repr(Script()) == "Script()"


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"at": 1.0, "kind": "earthquake"}, "no such fault: 'earthquake'; there are cut, reset"),
        ({"at": 1.0, "kind": "cut", "span": 1.0}, "'cut' has no span"),
        ({"at": 1.0, "kind": "mute", "value": 0.0}, "'mute' needs a span"),
        ({"at": -1.0, "kind": "cut"}, "begins at -1"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(fault: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Fault(**fault)


def test_a_run_goes_on_until_it_has_been_calm_for_long() -> None:
    script = Script(hours=0.1, faults=(Fault(1000.0, "offline", span=500.0), Fault(20.0, "budget", value=(0, 2000.0))))

    assert script.calm_from == 2020.0
    assert script.end == 2020.0 + CALM
    assert simulate(script).hours == pytest.approx(script.end / 3600.0, abs=0.01)


@pytest.mark.untraced
def test_seeds_have_every_kind_of_fault_and_every_form_of_bot() -> None:
    scripts = [script_of(seed) for seed in range(300)]

    assert {fault.kind for script in scripts for fault in script.faults} == set(KINDS)
    assert {script.framing for script in scripts} == set(Framing)
    assert {script.shards for script in scripts} == {1, 2, 4, 8}
    assert {script.interval for script in scripts} >= {0.25, 1.0, 41.25, 120.0}


# -- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.untraced
def test_the_same_script_makes_the_same_run() -> None:
    first, second = (simulate(script_of(3), timeline=True) for _ in range(2))

    assert timeline(first) == timeline(second)
    assert first.counts == second.counts


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(24))
def test_every_promise_is_kept(seed: int) -> None:
    report = simulate(script_of(seed))

    assert report.violation is None
    assert report.counts["heartbeats"] > 0


@both_framings
@pytest.mark.parametrize("name", KINDS)
def test_a_bot_is_there_again_after_each_kind_of_fault(name: str, framing: Framing) -> None:
    kind = KINDS[name]
    span = 0.0 if kind.span is None else kind.span[1] / 4.0
    for value in values(name):
        script = Script(seed=1, hours=0.1, framing=framing, traffic=60.0, faults=(
            Fault(100.0, "revoke"), Fault(200.0, name, span=span, value=value), Fault(200.5, "rotate", value="op 7"),
            # A Hello that asks for four heartbeats a second is not lived with for an hour.
            Fault(200.0 + span + 60.0, "rotate", value="op 7"),
        ))  # fmt: skip
        report = simulate(script, timeline=True)

        assert report.violation is None, timeline(report)
        assert report.counts[f"fault: {name}"] >= 1
        assert report.counts["Stopped"] >= 1
        # Those who may end a bot do; the others do not.
        ends = name in ("ban", "expelled")
        assert ("Stopped: closed" not in timeline(report)) is ends


def test_what_a_handler_raises_ends_the_run_with_its_traceback() -> None:
    def make() -> Bot:
        def on_event(event: Event, process: Process) -> None:
            if isinstance(event, Ready):
                raise KeyError("no such command")

        return Bot(on_event=on_event)

    violation = simulate(Script(), make).violation

    assert violation is not None
    assert violation.promise == "exception"
    assert "KeyError: 'no such command'" in violation.what


def test_misuse_by_a_handler_is_found_as_well() -> None:
    def make() -> Bot:
        return Bot(on_event=lambda event, process: process.shards[0].start(process.now))

    violation = simulate(Script(), make).violation

    assert violation is not None
    assert LocalProtocolError.__name__ in violation.what


@both_framings
@pytest.mark.parametrize("settle", ["delivery", "iteration", "manual"])
def test_a_handler_settles_pauses_and_closes(framing: Framing, settle: Any) -> None:
    seen: list[int] = []

    def make() -> Bot:
        def on_event(event: Event, process: Process) -> None:
            if not isinstance(event, Dispatch) or event.sequence is None:
                return
            seen.append(event.sequence)
            process.settle(event)
            if event.sequence == 5:
                process.pause_reading()
                process.resume_reading()
            if event.sequence == 10:
                process.close()
                process.close()

        return Bot(on_event=on_event, settle=settle)

    script = Script(framing=framing, traffic=30.0, faults=(Fault(100.0, "burst", value=3), Fault(300.0, "cut")))
    report = simulate(script, make)

    assert report.violation is None
    assert seen == list(range(2, 11))
    assert report.counts["Stopped"] == 1


# -- what fails -------------------------------------------------------------------------------------------------------


class Fussy:
    """A handler that cannot bear a rotation after a cut."""

    def __init__(self) -> None:
        self.cut = False

    def __call__(self, event: Event, process: Process) -> None:
        cut, planned = getattr(event, "failure", None) is not None, getattr(event, "planned", False)
        self.cut = self.cut or cut
        assert not (self.cut and planned), "a rotation after a cut"


def fussy() -> Bot:
    return Bot(on_event=Fussy())


def test_a_failing_script_shrinks_to_the_faults_that_it_needs() -> None:
    script = next(script for script in map(script_of, range(100)) if not simulate(script, fussy).kept)
    assert len(script.faults) > 10

    small = shrink(script, fussy)

    assert not simulate(small, fussy).kept
    assert len(small.faults) <= 3
    assert set(small.faults) <= set(script.faults)
    assert small.hours <= script.hours


def test_a_script_that_does_not_fail_is_left_alone() -> None:
    script = script_of(1)

    assert shrink(script) is script
    assert shrink(script.with_faults(()), fussy) == script.with_faults(())


def test_shrinking_ends_when_its_runs_are_used_up() -> None:
    script = next(script for script in map(script_of, range(100)) if not simulate(script, fussy).kept)

    assert not simulate(shrink(script, fussy, most_runs=5), fussy).kept


def test_the_timeline_tells_the_story() -> None:
    faults = (Fault(400.0, "rotate", value="op 7"), Fault(500.0, "close"), Fault(600.0, "nonsense", value="null"))
    lines = timeline(simulate(Script(traffic=0.0, latency=0.6, faults=faults), timeline=True)).splitlines()

    story = "\n".join(line.strip() for line in lines)
    assert lines[0] == "   0:00:00.000            asks the token endpoint"
    assert "   0:06:40.000  FAULT     Fault(400.0, 'rotate', value='op 7')" in lines
    assert "shard 0   <- Reconnect" in story
    assert "** Disconnected in ready: by us; resume, attempt 0, planned, again in 0." in story
    assert "1 heartbeat, acknowledged" in story
    assert "-> Resume session session-1 from 1" in story
    assert "<- close frame, code None" in story
    assert "<- a message without sense" in story
    assert lines[-1].endswith("** Stopped: closed, closed by the application")
