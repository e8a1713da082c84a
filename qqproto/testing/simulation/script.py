"""A run as data: which bot in which world, and what goes wrong when; to be printed, shrunk, pasted into a test."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from qqproto.config import Framing, SettleMode
from qqproto.testing.simulation.kinds import KINDS

CALM = 720.0
"""Seconds of fair weather after the last fault, after which every shard has to be there again."""


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """One thing that goes wrong: ``kind``, a name out of ``KINDS``, at ``at`` seconds, for ``span`` seconds.

    ``shard`` is the index of the shard that it happens to, None for all. ``value`` is the kind's own. Raises ValueError
    for an unknown kind, a time that is none, and for a span where there is none to have.
    """

    at: float
    kind: str
    shard: int | None = None
    span: float = 0.0
    value: Any = None

    def __post_init__(self) -> None:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise ValueError(f"no such fault: {self.kind!r}; there are {', '.join(KINDS)}")
        if self.at < 0.0:
            raise ValueError(f"a fault that begins at {self.at:g}")
        if (self.span > 0.0) is not kind.lasts:
            raise ValueError(f"fault {self.kind!r} {'needs a span' if kind.lasts else 'has no span'}")

    @property
    def end(self) -> float:
        """When it is over."""
        return self.at + self.span

    def __repr__(self) -> str:
        rest = [f"{name}={value!r}" for name, value in _changed(self) if name not in ("at", "kind")]
        return f"Fault({', '.join([repr(self.at), repr(self.kind), *rest])})"


@dataclass(frozen=True, slots=True, repr=False)
class Script:
    """One run: the bot's form, the world's habits, and the faults.

    ``seed`` feeds whatever is left to chance while it runs: the machines' jitter, the times of the dispatches.
    ``hours`` is how long the world exists at least: it goes on until ``CALM`` seconds after the last fault.
    ``interval`` is Hello's, ``latency`` how long everything takes in one direction, ``lateness`` how late the driver
    wakes up, ``traffic`` the mean time between two dispatches of a session (0: there are none), ``concurrency``,
    ``budget`` and ``token_life`` what the platform grants, ``own_numbers`` whether RESUMED has a number of its own or
    repeats that of the last dispatch. ``settle`` is how the application settles, ``work`` the mean time that it takes
    for an event, ``forgets`` the part of them that it never settles, if it does so by hand. All spans in seconds.
    """

    seed: int = 0
    hours: float = 1.0
    shards: int = 1
    framing: Framing = Framing.BYTES
    interval: float = 41.25
    latency: float = 0.0
    lateness: float = 0.0
    traffic: float = 600.0
    concurrency: int = 1
    budget: int = 1500
    token_life: float = 7200.0
    own_numbers: bool = False
    settle: SettleMode = "delivery"
    work: float = 0.0
    forgets: float = 0.0
    faults: tuple[Fault, ...] = ()

    @property
    def calm_from(self) -> float:
        """From when on nothing goes wrong any more, in seconds."""
        return max((fault.end + KINDS[fault.kind].echo(fault.value) for fault in self.faults), default=0.0)

    @property
    def end(self) -> float:
        """When the bot is closed, in seconds."""
        return max(self.hours * 3600.0, self.calm_from + CALM)

    def with_faults(self, faults: tuple[Fault, ...]) -> Script:
        """The same run with other faults."""
        return replace(self, faults=faults)

    def __repr__(self) -> str:
        """As Python that makes it again; one fault a line."""
        lines = [f"{name}={value!r}" for name, value in _changed(self) if name not in ("faults", "framing")]
        if self.framing is not Framing.BYTES:
            lines.append(f"framing=Framing.{self.framing.name}")
        if self.faults:
            lines.append("faults=(\n" + "".join(f"        {fault!r},\n" for fault in self.faults) + "    )")
        return "Script(\n" + "".join(f"    {line},\n" for line in lines) + ")" if lines else "Script()"


def _changed(value: Fault | Script) -> list[tuple[str, Any]]:
    """The fields that are not as they are by default."""
    pairs = [(field, getattr(value, field.name)) for field in fields(value)]
    return [(field.name, given) for field, given in pairs if given != field.default]
