"""How much work something is, without a clock: the bytecodes that Python runs, and the calls into C."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effort:
    """The same each time on one Python, however busy the machine is."""

    bytecodes: int
    calls: int
    """Of functions written in C, whose own work is not seen."""


def effort(action: Callable[[], object]) -> Effort:
    """Runs ``action`` twice: to count its bytecodes, and to count its calls."""
    return Effort(bytecodes(action), _calls(action))


def bytecodes(action: Callable[[], object]) -> int:
    """How many bytecodes ``action`` runs, those of everything that it calls included."""
    count = 0

    def trace(frame: types.FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    # CPython 3.12 counts bytecodes from the second time on.
    for counted in (lambda: None, action):
        count = 0
        sys.settrace(trace)
        try:
            counted()
        finally:
            sys.settrace(before)
    return count


def _calls(action: Callable[[], object]) -> int:
    count = 0

    def profile(frame: types.FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "c_call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count
