"""What a measurement comes to, and how it is shown."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

COLUMNS = ("", "what", "ours", "peer", "peer's", "ratio", "spread", "target", "floor")


@dataclass
class Figure:
    """One line of the table. ``ratio`` is ours divided by the peer's; ``low`` and ``high`` its spread over the rounds;
    ``floor`` what nobody can be below, divided by the peer's too."""

    name: str
    what: str
    peer: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    low: float
    high: float
    target: float | None = None
    floor: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is within its target, if it has one."""
        return self.target is None or self.ratio <= self.target


@dataclass
class Missing:
    """A line that could not be measured, and why."""

    name: str
    what: str
    peer: str
    why: str


def as_json(figures: Sequence[Figure | Missing]) -> str:
    about = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    lines = [
        {**asdict(figure), "met": figure.met} if isinstance(figure, Figure) else asdict(figure) for figure in figures
    ]
    return json.dumps({**about, "figures": lines}, indent=1)


def as_table(figures: Iterable[Figure | Missing]) -> str:
    """For people. A target that is missed has a star."""
    rows = [COLUMNS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    left = (0, 1, 3)
    lines = []
    for row in rows:
        cells = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(figure: Figure | Missing) -> tuple[str, ...]:
    if isinstance(figure, Missing):
        return (figure.name, f"{figure.what}: {figure.why}", "", figure.peer, "", "", "", "", "")
    return (
        figure.name,
        figure.what,
        _amount(figure.ours, figure.unit),
        figure.peer,
        _amount(figure.theirs, figure.unit),
        f"{figure.ratio:.2f}",
        f"{figure.low:.2f}-{figure.high:.2f}",
        "" if figure.target is None else f"{figure.target:.2f}{' ' if figure.met else '*'}",
        "" if figure.floor is None else f"{figure.floor:.2f}",
    )


def _amount(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"
