"""Moments that chance seldom brings: every promise is kept in them too."""

from __future__ import annotations

from typing import Any

import pytest

from qqproto import Event, Framing, LoopLag, Policy, Shard
from qqproto.testing.simulation import Bot, Fault, Process, Script, script_of, shrink, simulate
from qqproto.testing.simulation.dice import Dice

SLOW = Script(latency=1.0, traffic=1.0)
"""The token comes after 2 s, the gateway's address after 4 s, the stream is there after 6 s, Hello after 8 s."""

CORNERS = {
    "a link is cut, reset and dead while it is dialled": SLOW.with_faults((
        Fault(4.5, "cut"), Fault(5.0, "reset"), Fault(5.5, "black hole"), Fault(5.6, "hold", span=1.0),
    )),
    "a dial succeeds while the process stands still": SLOW.with_faults((Fault(5.0, "stall", span=3.0),)),
    "closed while it is dialled": SLOW.with_faults((Fault(5.0, "restart", span=5.0, value=(True, False, 0.0)),)),
    "a goodbye that takes too long": Script(framing=Framing.TEXT, latency=3.0),
    "a goodbye in which the process stands still": Script(framing=Framing.TEXT, latency=2.0, faults=(
        Fault(600.0, "restart", span=5.0, value=(True, False, 0.0)), Fault(601.0, "stall", span=30.0),
    )),
    "broken frames and the end of the stream lie in the buffer": Script(faults=(
        Fault(600.0, "stall", span=10.0), Fault(601.0, "broken frames", value="reserved bits"), Fault(602.0, "cut"),
    )),
    "slow replies": Script(faults=(
        Fault(0.0, "http", span=30.0, value=("both", "slow 3")),
        Fault(600.0, "http", span=30.0, value=("both", "slow 20")),
        Fault(600.0, "revoke"), Fault(600.5, "close", value=4004),
    )),
    "the budget is spent by somebody else": Script(latency=1.0, faults=(Fault(5.0, "budget", value=(0, 300.0)),)),
    "the day of the budget ends between the dial and Hello": Script(latency=5.0, faults=(
        Fault(0.0, "budget", value=(5, 30.0)),
    )),
    "paused, and then retired": Script(settle="iteration", work=500.0, traffic=5.0, faults=(
        Fault(600.0, "pause", span=100.0), Fault(610.0, "restart", span=5.0, value=(True, False, 300.0)),
    )),
    "Hello and a close frame in one read": Script(latency=1.0, faults=(
        Fault(600.0, "cut"), Fault(604.2, "stall", span=4.0), Fault(605.4, "close", value=1000),
    )),
    "a replay, RESUMED and a close frame in one read": Script(latency=1.0, traffic=0.0, faults=(
        Fault(599.5, "burst", value=3), Fault(600.8, "crash", span=4.2),
        Fault(605.0, "short lives", span=60.0, value=(4000, 0.0)), Fault(614.0, "stall", span=4.0),
    )),
    "a replay that is cut off": Script(traffic=0.0, faults=(
        Fault(590.0, "slow replay", span=60.0, value=1.0), Fault(599.0, "hung dials", span=3.0), Fault(600.0, "cut"),
        Fault(601.0, "burst", value=200), Fault(640.0, "cut"),
    )),
    "what comes late finds nobody": Script(traffic=0.0, faults=(
        Fault(600.0, "gaps", span=60.0, value=(3, 5.0)), Fault(610.0, "burst", value=9),
        Fault(611.0, "hung dials", span=30.0), Fault(612.0, "cut"),
    )),
    "a token that is refused for too long": Script(faults=(
        Fault(600.0, "refused identify", span=3000.0, value=("no", 4004)), Fault(601.0, "close", value=4006),
    )),
    "the token endpoint has errors, known ones and others": Script(faults=(
        Fault(600.0, "http", span=30.0, value=("token", "error 100001")),
        Fault(630.0, "http", span=300.0, value=("token", "error 99999")), Fault(601.0, "close", value=4004),
    )),
    "a second instance of the bot": Script(faults=tuple(
        Fault(600.0 + 120.0 * number, "close", value=4902) for number in range(3)
    )),
    "a READY without a session": Script(faults=(
        Fault(600.0, "odd ready", span=60.0, value={"session_id": 5}), Fault(601.0, "close", value=4006),
    )),
    "what is said later does not arrive sooner": Script(latency=0.1, faults=(
        Fault(599.95, "ask", value=1), Fault(600.0, "latency", span=1.0, value=5.0), Fault(602.0, "ask", value=1),
    )),
    "a driver's bug in a process that is gone": Script(faults=(
        Fault(600.0, "crash", span=100.0), Fault(650.0, "host failure", span=5.0),
    )),
    "a process that ends late is not there when all is over": Script(faults=(
        Fault(600.0, "stall", span=3000.0), Fault(601.0, "restart", span=5000.0, value=(True, False, 0.0)),
    )),
}  # fmt: skip


@pytest.mark.parametrize("script", CORNERS.values(), ids=CORNERS.keys())
def test_every_promise_is_kept(script: Script) -> None:
    report = simulate(script, timeline=True)

    assert report.violation is None, str(report.timeline)
    assert sum(count for name, count in report.counts.items() if name.startswith("fault: ")) == len(script.faults)


class Watched(Shard):
    """Counts the messages that are carried to it after its end."""

    too_late = 0

    def receive_message(self, id: int, message: str | bytes, now: float) -> None:
        self.too_late += self.ended
        super().receive_message(id, message, now)


def test_what_was_not_read_when_its_connection_was_left_is_never_read() -> None:
    shards: list[Watched] = []

    def make(*arguments: Any, **options: Any) -> Shard:
        shards.append(Watched(*arguments, **options))
        return shards[-1]

    def goodbye(event: Event, process: Process) -> None:
        if isinstance(event, LoopLag):
            process.close()

    faults = (Fault(600.0, "pause", span=100.0), Fault(610.0, "stall", span=30.0))
    report = simulate(
        Script(framing=Framing.TEXT, traffic=5.0, faults=faults), lambda: Bot(shard=make, on_event=goodbye)
    )

    assert report.violation is None
    assert report.counts["Stopped"] == 1
    assert [shard.too_late for shard in shards] == [0]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.untraced) for seed in range(1, 8))])
@pytest.mark.parametrize("most", [3, 20])
def test_limits_that_are_reached(most: int, seed: int) -> None:
    policy = Policy(max_unsettled=most, max_missing=30, remember_seen=50, remember_done=20)
    faults = tuple(fault for fault in script_of(seed).faults if fault.kind not in ("ban", "expelled"))
    losses = tuple(_loss(Dice(seed * 100 + number), 200.0 * number) for number in range(1, 40))
    script = Script(seed=seed, settle="manual", work=5.0, forgets=0.3, traffic=10.0, faults=(*faults[:5], *losses))

    report = simulate(script, lambda: Bot(policy=policy), timeline=True)

    assert report.violation is None, str(report.timeline)
    assert report.counts["SettlementLagging"] > 0


def _loss(dice: Dice, at: float) -> Fault:
    kind = dice.pick(("crash", "cut", "gaps", "partial replay", "repeats", "burst", "rotate", "replay all"))
    values: dict[str, Any] = {
        "gaps": (3, dice.pick((None, 1.0, 100.0))),
        "partial replay": (dice.pick(("everything", "every third")), dice.pick((None, 60.0))),
        "repeats": 40,
        "burst": 60,
        "rotate": "op 7",
    }
    span = {"crash": 5.0, "gaps": 150.0, "partial replay": 500.0, "repeats": 500.0, "replay all": 300.0}
    return Fault(at, kind, span=span.get(kind, 0.0), value=values.get(kind))


def test_a_bot_that_is_not_back_in_fair_weather_has_broken_a_promise() -> None:
    patient = Policy(backoff=(5000.0,))
    violation = simulate(Script(faults=(Fault(600.0, "cut"),)), lambda: Bot(policy=patient)).violation

    assert violation is not None
    assert str(violation).startswith("G1 at 3600.000 s: not every shard is there again after 720 s of fair weather")


class Unlucky:
    """Cannot bear two certain faults, one after the other."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, event: Event, process: Process) -> None:
        self.seen.append(type(event).__name__)
        assert self.seen.count("Disconnected") < 2, "twice"


def test_a_script_of_which_no_half_fails_shrinks_all_the_same() -> None:
    quiet = tuple(Fault(100.0 * number, "ask", value=1) for number in range(1, 31))
    script = Script(faults=(Fault(50.0, "cut"), *quiet, Fault(3200.0, "cut")))

    small = shrink(script, lambda: Bot(on_event=Unlucky()))
    report = simulate(small, lambda: Bot(on_event=Unlucky()), timeline=True)

    assert [fault.kind for fault in small.faults] == ["cut", "cut"]
    assert report.timeline is not None
    assert any("BROKEN exception" in line for line in report.timeline.lines)
