"""How bugs are put into the real code: a method that does something else, a deadline that is never armed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

import pytest

from qqproto import Phase, Policy, Verdict
from qqproto.heartbeat import Heartbeat
from qqproto.protocol.close_codes import classify
from qqproto.testing import World
from qqproto.timers import Timers
from tests.outages.catalogue import Plant

Method = Callable[..., object]


def replaced(method: Method, other: Method) -> Plant:
    """The method does this instead."""
    owner = getattr(sys.modules[method.__module__], method.__qualname__.partition(".")[0])
    return lambda patch: patch.setattr(owner, method.__name__, other)


def around(method: Method, other: Method) -> Plant:
    """``other`` is called in place of the method, with it as its first argument."""
    return replaced(method, lambda *args, **kwargs: other(method, *args, **kwargs))


def without(*methods: Method) -> Plant:
    """These methods do nothing."""
    return together(*(replaced(method, lambda *_, **__: None) for method in methods))


def never_armed(*names: Enum) -> Plant:
    """These deadlines are never set."""

    def set(self: Timers[Enum], name: Enum, at: float) -> None:
        if name not in names:
            self._due[name] = at
            self._look()

    return replaced(Timers.set, set)


def disarm(heartbeat: Heartbeat, deadline: str) -> None:
    """Nobody waits for this one any more."""
    setattr(heartbeat, deadline, math.inf)
    heartbeat._look()


def policy(**changes: float) -> Plant:
    """The bots of a world have a policy with other numbers."""
    wrong = replace(Policy(), **changes)  # type: ignore[arg-type]  # which field has which type is not worth a table
    defaults = World.bot.__kwdefaults__
    assert defaults is not None
    return lambda patch: patch.setitem(defaults, "policy", wrong)


def verdicts(verdict: Verdict, *codes: int | None) -> Plant:
    """These close codes lead to that verdict, in every phase."""

    def wrong(code: int | None, phase: Phase) -> Verdict:
        return verdict if code in codes else classify(code, phase)

    return lambda patch: patch.setattr("qqproto.conversation.classify", wrong)


def together(*plants: Plant) -> Plant:
    """One bug out of several changes."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant
