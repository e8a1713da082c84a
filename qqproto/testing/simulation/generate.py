"""Scripts out of seeds: the bot's form, the world's habits, and a weather of faults that suits both."""

from __future__ import annotations

from dataclasses import dataclass

from qqproto.config import Framing, SettleMode
from qqproto.testing.simulation.dice import Dice
from qqproto.testing.simulation.kinds import KINDS, Kind
from qqproto.testing.simulation.script import CALM, Fault, Script

_INTERVALS = ((12, 41.25), (3, 45.0), (2, 30.0), (2, 60.0), (3, 120.0), (1, 5.0), (1, 1.0), (1, 0.25))
MODES: tuple[SettleMode, ...] = ("delivery", "iteration", "manual")
_SHARDS = ((14, 1), (3, 2), (2, 4), (1, 8))


@dataclass(frozen=True, slots=True)
class _Weather:
    """How often something goes wrong, in seconds between two faults, for how many hours; what, if not everything; the
    seconds between two dispatches of a session, if not as usual; and what comes five times as often as elsewhere."""

    gap: float
    hours: float
    only: tuple[str, ...] = ()
    traffic: tuple[float, ...] = ()
    often: tuple[str, ...] = ()


_LOSSES = (
    "cut", "black hole", "hold", "latency", "rotate", "close", "refused resume", "forget", "replay all", "slow replay",
    "partial replay", "gaps", "repeats", "burst", "nonsense", "early dispatch", "stall", "pause", "restart",
    "host failure", "crash", "full disk", "odd store",
)  # fmt: skip
"""What may cost an event, or bring it twice."""

_WEATHERS = (
    (6, _Weather(900.0, 24.0)),
    (4, _Weather(240.0, 10.0)),
    (3, _Weather(60.0, 4.0)),
    (1, _Weather(12.0, 1.5)),
    (1, _Weather(1800.0, 24.0, ("rotate",))),
    (1, _Weather(5400.0, 80.0, ("rotate", "close", "stall"))),
    (1, _Weather(150.0, 6.0, ("op 9", "refused resume", "refused identify", "revoke", "close", "refused tokens"))),
    (1, _Weather(300.0, 8.0, ("http", "budget", "revoke", "forget", "cut", "restart"))),
    (
        3,
        _Weather(200.0, 5.0, _LOSSES, traffic=(8.0, 40.0, 200.0), often=("crash", "gaps", "partial replay", "repeats")),
    ),
    (1, _Weather(400.0, 12.0, ("stall", "suspend", "pause", "mute", "late acks", "black hole", "hold", "latency"))),
)


def script_of(seed: int) -> Script:
    """The script that ``seed`` stands for; the same one for ever in one release of this package."""
    dice = Dice(seed)
    weather = dice.weighted(_WEATHERS)
    interval, shards = dice.weighted(_INTERVALS), dice.weighted(_SHARDS)
    # A connection with many heartbeats has as many as the others, in less time.
    hours = round(weather.hours * min(1.0, interval / 30.0) / shards, 3)
    traffic = dice.pick(weather.traffic) if weather.traffic else dice.weighted(_traffic(hours))
    work = dice.weighted(((2, 0.0), (2, 0.3), (2, 5.0), (1, 60.0)))
    form = Script(
        seed=seed,
        hours=hours,
        shards=shards,
        framing=Framing.TEXT if dice.happens(0.6) else Framing.BYTES,
        interval=interval,
        latency=dice.weighted(((3, 0.0), (2, 0.02), (1, 0.3))),
        lateness=dice.weighted(((3, 0.0), (2, 0.002), (1, 0.015))),
        traffic=traffic,
        concurrency=dice.weighted(((3, 1), (1, 2))),
        token_life=dice.weighted(((4, 7200.0), (1, 900.0), (1, 130.0))),
        own_numbers=dice.happens(0.3),
        settle=dice.pick(MODES),
        # It has time to do it, one after the other.
        work=min(work, round(traffic / shards / 3.0, 3)),
        forgets=dice.weighted(((4, 0.0), (1, 0.02))),
    )
    return form.with_faults(tuple(_faults(dice, form, weather)))


def _traffic(hours: float) -> tuple[tuple[float, float], ...]:
    return (2, 0.0), (5, 1800.0), (3, 600.0), (1, 10.0 if hours < 2.0 else 300.0)


def _faults(dice: Dice, form: Script, weather: _Weather) -> list[Fault]:
    kinds = [
        (kind.weight * (5.0 if name in weather.often else 1.0), (name, kind))
        for name, kind in KINDS.items()
        if not weather.only or name in weather.only
    ]
    faults = []
    at = dice.wait(weather.gap)
    while at < form.hours * 3600.0 - CALM:
        name, kind = dice.weighted(kinds)
        faults.append(_fault(dice, name, kind, at, form))
        at = round(at + dice.wait(weather.gap), 3)
    return faults


def _fault(dice: Dice, name: str, kind: Kind, at: float, form: Script) -> Fault:
    span = dice.scale(*kind.span) if kind.span is not None else 0.0
    one = not kind.shared and form.shards > 1 and dice.happens(0.7)
    shard = dice.whole(0, form.shards - 1) if one else None
    return Fault(at, name, shard, span, kind.value(dice))
