"""Outages of any length and rotations of any number: what a bot costs and how soon it is back."""

from __future__ import annotations

import pytest

from qqproto import Disconnected, Event, Framing, Offline, Online, Ready, Resumed
from qqproto.testing.simulation import Bot, Fault, Process, Report, Script, simulate

pytestmark = pytest.mark.untraced

HOUR, DAY = 3600.0, 86_400.0

both_framings = pytest.mark.parametrize("framing", Framing)


class Diary:
    """The events of a bot, each with its time."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, Event]] = []

    def bot(self) -> Bot:
        def on_event(event: Event, process: Process) -> None:
            self.entries.append((process.now, event))

        return Bot(on_event=on_event)

    def times(self, *kinds: type) -> list[float]:
        return [at for at, event in self.entries if isinstance(event, kinds)]


def live(script: Script) -> tuple[Report, Diary]:
    """Let a bot live through it; every promise is kept."""
    diary = Diary()
    report = simulate(script, diary.bot, timeline=True)
    assert report.violation is None, str(report.timeline)
    return report, diary


def test_seven_days_without_network() -> None:
    _, diary = live(Script(faults=(Fault(HOUR, "offline", span=7 * DAY),)))

    back = HOUR + 7 * DAY
    assert len(diary.times(Offline)) == 1
    assert len(diary.times(Online)) == 2
    assert back < diary.times(Ready)[-1] <= back + 61.0


@both_framings
def test_an_incident_of_an_hour_that_refuses_every_identify(framing: Framing) -> None:
    faults = (
        Fault(HOUR, "refused identify", span=HOUR, value=(False, 4903)),
        Fault(HOUR, "close", value=4006),
    )
    report, diary = live(Script(framing=framing, faults=faults))

    # Five refusals look like the configuration's fault, which is then tried every five minutes; nobody has to help.
    assert report.counts["ConfigurationError"] == 1
    assert 2 * HOUR < diary.times(Ready)[-1] <= 2 * HOUR + 301.0


@both_framings
def test_forty_eight_rotations(framing: Framing) -> None:
    ways = ("op 7", "4009", "both")
    faults = tuple(Fault(1800.0 * (number + 1), "rotate", value=ways[number % 3]) for number in range(48))
    report, diary = live(Script(framing=framing, token_life=7200.0, faults=faults))

    assert (report.counts["identifies"], report.counts["resumes"], report.counts["Offline"]) == (1, 48, 0)
    gaps = [back - gone for gone, back in zip(diary.times(Disconnected), diary.times(Resumed), strict=True)]
    assert len(gaps) == 48
    assert max(gaps) < 1.0


@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_a_server_that_stops_acknowledging_and_a_black_hole(latency: float) -> None:
    faults = (Fault(HOUR, "mute", span=130.0, value=3.0), Fault(2 * HOUR, "black hole", value="both"))
    report, diary = live(Script(latency=latency, faults=faults))

    silent, dead = diary.times(Disconnected)
    assert HOUR < silent <= HOUR + 41.25 + 2 * 41.25 + 2 * latency
    assert 2 * HOUR < dead <= 2 * HOUR + 41.25 + 20.0
    assert report.counts["resumes"] == 2


# What the platform's table says of each code (openapi/error/error.html, and eleven clients' readings of it).
RESUMED = (None, 1000, 1001, 1005, 1006, 1011, 1012, 3000, 4000, 4008, 4009)
IDENTIFIED = (4003, 4005, 4006, 4007, 4015, 4899, *range(4900, 4914), 4916, 4999)
STOPPED = (4001, 4002, 4010, 4011, 4012, 4013, 4014, 4914, 4915)


@pytest.mark.parametrize("code", [*RESUMED, 4004, *IDENTIFIED, *STOPPED])
def test_every_code_does_what_the_table_says(code: int | None) -> None:
    framing = Framing.TEXT if code in (1005, 1006) else Framing.BYTES
    kind = "ban" if code in STOPPED else "close"
    report, diary = live(Script(framing=framing, faults=(Fault(300.0, kind, value=code),)))

    sent = (report.counts["identifies"], report.counts["resumes"], report.counts["dials"])
    assert sent == ((1, 0, 1) if code in STOPPED else (2, 0, 2) if code in IDENTIFIED else (1, 1, 2))
    assert report.counts["token requests"] == (2 if code == 4004 else 1)
    if code not in STOPPED:
        assert diary.times(Ready, Resumed)[-1] - 300.0 <= (60.5 if code == 4008 else 8.0 if code == 4004 else 1.5)


@both_framings
@pytest.mark.parametrize(("kind", "value"), [("suspend", True), ("suspend", False), ("stall", None)])
def test_a_process_that_slept_is_back_soon(kind: str, value: bool | None, framing: Framing) -> None:
    slept = 4 * HOUR
    _, diary = live(Script(framing=framing, faults=(Fault(HOUR, kind, span=slept, value=value),)))

    # Where the clock stood still, the process does not know that it slept, and finds out by silence.
    woken = HOUR + (slept if value is not False else 0.0)
    limit = 41.25 + 20.0 + 1.0 if value is False else 22.0
    assert woken < diary.times(Ready, Resumed)[-1] <= woken + limit
