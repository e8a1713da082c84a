"""One run and its report: did every promise hold, what was done, and if not, the smallest script that still fails."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from qqproto.testing.simulation.bot import Bot
from qqproto.testing.simulation.reference import Broken
from qqproto.testing.simulation.script import Script
from qqproto.testing.simulation.timeline import Timeline
from qqproto.testing.simulation.world import World


@dataclass(slots=True)
class Violation:
    """A promise that did not hold: which one, what was seen, and when, in seconds.

    ``promise`` is "G1" to "G10", "contract" for that of the machines, or "exception" for anything that was raised, by a
    machine or by the application; ``what`` is then the traceback.
    """

    promise: str
    what: str
    at: float

    def __str__(self) -> str:
        return f"{self.promise} at {self.at:.3f} s: {self.what}"


@dataclass(slots=True)
class Report:
    """What came of a run.

    ``hours`` are connection-hours: of simulated time, times the shards. ``counts`` says how often things happened:
    ``dials``, ``identifies``, ``resumes``, ``heartbeats``, each fault, each event by its class's name.
    """

    script: Script
    hours: float
    violation: Violation | None = None
    counts: Counter[str] = field(default_factory=Counter)
    timeline: Timeline | None = None

    @property
    def kept(self) -> bool:
        """Whether every promise held."""
        return self.violation is None


def simulate(script: Script, bot: Callable[[], Bot] = Bot, *, timeline: bool = False) -> Report:
    """Let a bot live through ``script``. ``bot`` makes a fresh one; with ``timeline`` the report shows what happened.

    Nothing is raised: what a machine or an application raises is a violation like any other.

    >>> simulate(Script(seed=1, hours=2.0)).kept
    True
    """
    world = World(script, bot(), Timeline() if timeline else None)
    violation: Violation | None = None
    try:
        world.run()
    except Broken as broken:
        violation = Violation(broken.promise, broken.what, world.now)
    except Exception:
        violation = Violation("exception", traceback.format_exc(), world.now)
    if violation is not None and world.timeline is not None:
        world.timeline.add(world.now, None, f"BROKEN {violation.promise}: {violation.what}")
    hours = world.now / 3600.0 * script.shards
    return Report(script, hours, violation, world.counts, world.timeline)


def shrink(script: Script, bot: Callable[[], Bot] = Bot, *, most_runs: int = 400) -> Script:
    """The script without the faults that its failure does not need; the promise that breaks stays the same.

    Faults are left out half by half, then in smaller and smaller parts, until each one that is left is needed or
    ``most_runs`` are used up. A script that does not fail is returned as it is.
    """
    first = simulate(script, bot).violation
    if first is None:
        return script
    runs = 0

    def fails(candidate: Script) -> bool:
        nonlocal runs
        runs += 1
        violation = simulate(candidate, bot).violation
        return violation is not None and violation.promise == first.promise

    earlier = tuple(fault for fault in script.faults if fault.at <= first.at)
    shorter = replace(script, hours=round(min(script.hours, first.at / 3600.0), 3), faults=earlier)
    best = shorter if fails(shorter) else script
    parts = 2
    while best.faults and runs < most_runs:
        size = max(1, len(best.faults) // parts)
        for start in range(0, len(best.faults), size):
            candidate = best.with_faults(best.faults[:start] + best.faults[start + size :])
            if runs < most_runs and fails(candidate):
                best = candidate
                parts = max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(best.faults))
    return best
