"""`qqproto doctor`: an examination as lines for people, or as JSON objects, and its exit code."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from qqproto_transports._cli_print import plain
from qqproto_transports._doctor import Case, examine
from qqproto_transports._doctor_findings import Finding, State
from qqproto_transports._signals import on_signals

Show: TypeAlias = Callable[[Finding], None]

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "bold red", State.SKIPPED: "dim"}


async def diagnose(case: Case, *, as_json: bool) -> int:
    """Examine, print, and return the exit code: 0 if all is well, 1 if not, or if somebody ended it before."""
    show: Show = _print_json if as_json else _Sheet().show
    examination = asyncio.ensure_future(examine(case, show))
    with on_signals(examination.cancel, exit_code=1):
        await asyncio.wait([examination])
    if examination.cancelled():
        show(Finding("verdict", State.SKIPPED, "ended before it was through"))
        return 1
    return 0 if examination.result().state is State.OK else 1


class _Sheet:
    """Standard output for people: a line a step, never wrapped; the last one is the verdict."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def show(self, finding: Finding) -> None:
        style = _STYLES[finding.state]
        if finding.step == "verdict":
            self._console.print(Text(plain(finding.text), style))
            return
        where = f"{finding.host}: " if finding.host else ""
        line = Text.assemble(
            (f"{finding.state.value:<9}", style),
            f"{finding.step:<12}",
            (f"{finding.seconds:6.3f} s  ", "dim"),
            plain(where + finding.text),
        )
        self._console.print(line)


def _print_json(finding: Finding) -> None:
    """One JSON object on one line, in ASCII, so that it survives every pipe."""
    record = {
        "step": finding.step,
        "state": finding.state.value,
        "time": round(time.time(), 3),
        "seconds": round(finding.seconds, 4),
        "host": finding.host,
        "text": finding.text,
        "remedy": finding.remedy or None,
        "facts": dict(finding.facts),
    }
    print(json.dumps(record, allow_nan=False), flush=True)
