"""What an examination finds, step by step: how each step went, how long it took, and what to do about it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from qqproto.failures import Failure
from qqproto_transports._doctor_deadline import within
from qqproto_transports._failures import Failed, failure_of


class State(enum.Enum):
    """How a step went."""

    OK = "ok"
    WARNING = "warning"
    """A bot gets past it, and all the same there is something to mend."""
    FAILED = "failed"
    """No bot gets past it, and nothing behind it was tried."""
    SKIPPED = "skipped"
    """It could not be told, or was not asked for."""


@dataclass(slots=True)
class Finding:
    """How one step went. ``text`` and ``remedy`` are for people, ``facts`` for programs; none holds a secret."""

    step: str
    state: State
    text: str
    seconds: float = 0.0
    host: str | None = None
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, on one line."""
        failed = " failed" if self.state is State.FAILED else ""
        where = f" ({self.host})" if self.host else ""
        return f"{self.step}{where}{failed}: {self.text}. What to do: {self.remedy}"


@dataclass(slots=True)
class Note:
    """What a step that got through says of itself; with a ``remedy`` it is a warning. ``seconds`` is what it took, if
    that is not the whole of it."""

    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""
    seconds: float | None = None


class Diagnosed(Failed):
    """A failure whose remedy is known where it was seen."""

    def __init__(self, failure: Failure, remedy: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(failure)
        self.remedy = remedy
        self.facts = facts or {}


class GaveUp(Exception):
    """A step failed, and nothing behind it can be tried."""


class Chart:
    """Takes the steps, each within ``deadline`` seconds, and tells how each went."""

    def __init__(self, tell: Callable[[Finding], None], deadline: float, clock: Callable[[], float]) -> None:
        self._tell = tell
        self.deadline = deadline
        self.clock = clock
        self._begun = clock()
        self._troubles: list[Finding] = []
        self.quiet = False
        """Whether only troubles are told."""

    def add(self, finding: Finding) -> None:
        """Tell a finding."""
        if finding.state in (State.FAILED, State.WARNING):
            self._troubles.append(finding)
        elif self.quiet:
            return
        self._tell(finding)

    async def step(
        self,
        name: str,
        host: str | None,
        coming: Coroutine[Any, Any, Note],
        remedy: Callable[[Failure], str],
        *,
        blame: Callable[[BaseException], BaseException] = lambda error: error,
        optional: bool = False,
        slack: float = 0.0,
    ) -> None:
        """Take a step. What goes wrong with the network is told, and ends the examination by :class:`GaveUp`, unless
        the step is ``optional`` and nothing is diagnosed; a bug is raised as it is. ``blame`` says what an exception
        means. ``slack`` are seconds beyond the deadline, for a step that keeps to it by itself and then looks further.
        """
        begun = self.clock()
        try:
            note = await within(self.deadline + slack, coming)
        except Exception as error:
            known = error if isinstance(error, Diagnosed) else blame(error)
            failure = failure_of(known)
            spent = self.clock() - begun
            if optional and not isinstance(known, Diagnosed):
                self.add(Finding(name, State.SKIPPED, f"not known: {failure.message}", spent, host))
                return
            if isinstance(known, Diagnosed):
                told = Finding(name, State.FAILED, failure.message, spent, host, known.remedy, known.facts)
            else:
                told = Finding(name, State.FAILED, failure.message, spent, host, remedy(failure))
            told.facts = {"failure": failure.kind.value, **told.facts}
            self.add(told)
            raise GaveUp from None
        state = State.WARNING if note.remedy else State.OK
        spent = self.clock() - begun if note.seconds is None else note.seconds
        self.add(Finding(name, state, note.text, spent, host, note.remedy, note.facts))

    def verdict(self) -> Finding:
        """What it comes to: the failure, else the first warning, the others behind it; else that all is well."""
        seconds = self.clock() - self._begun
        if not self._troubles:
            return Finding("verdict", State.OK, "all is well", seconds)
        # Only the last step fails, and it is why a bot cannot connect.
        cause = self._troubles[-1] if self._troubles[-1].state is State.FAILED else self._troubles[0]
        others = [trouble for trouble in self._troubles if trouble is not cause]
        text = cause.sentence + "".join(f". Besides, {other.step}: {other.text}" for other in others)
        facts = {"cause": cause.step, "host": cause.host}
        return Finding("verdict", cause.state, text, seconds, None, cause.remedy, facts)
