"""What a series of crashes may and may not do to the events, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.crash.journal import Entry

ALLOWANCE = 2.0
"""Seconds by which a save may be later than the pace has it: the machine has other things to do as well."""

_MOST_COMPLAINTS = 20


@dataclass(frozen=True, slots=True)
class Life:
    """One process: what it wrote down, how often it was to save, and when it was killed; None: it ended by itself."""

    entries: list[Entry]
    save_every: float
    killed_at: float | None


@dataclass(slots=True)
class Fate:
    """How far an event had got when the process that had it last was gone."""

    settled_at: float | None
    saved: bool
    """Whether a save that was completed said so."""
    gone_at: float
    save_every: float


@dataclass(slots=True)
class Figures:
    """What was counted. ``in_flight`` and ``unsaved`` are the repetitions, ``oldest`` is how long before its process
    was killed the oldest of the latter had been settled, in seconds."""

    sent: int = 0
    handed_out: int = 0
    lives: int = 0
    kills: int = 0
    saves: int = 0
    in_flight: int = 0
    unsaved: int = 0
    oldest: float = 0.0
    lost: list[int] = field(default_factory=list)


class Judge:
    """Looks at one life after the other; what breaks a promise is in ``complaints``."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.complaints: list[str] = []
        self._fates: dict[int, Fate] = {}
        self._finished: set[int] = set()

    @property
    def finished(self) -> int:
        """How many events some handler has finished with."""
        return len(self._finished)

    def add(self, life: Life) -> None:
        """Another process is gone."""
        figures = self.figures
        figures.lives += 1
        figures.kills += life.killed_at is not None
        begun: list[int] = []
        for entry in life.entries:
            if entry.word == "begin":
                number = int(entry.args[0])
                self._on_begin(number, entry.args[1] == "1", begun)
                begun.append(number)
            elif entry.word == "end":
                self._finished.add(int(entry.args[0]))
            elif entry.word == "ready" and figures.lives > 1:
                self.complain("a session was begun anew, though there was one to go on with")
            elif entry.word == "resumed" and entry.args[1] != "0":
                self.complain(f"{entry.args[1]} dispatches are missing after a Resume")
            elif entry.word == "trouble":
                self.complain(" ".join(entry.args))
        figures.saves += sum(entry.word == "saved" for entry in life.entries)
        if life.killed_at is None and not any(entry.word == "done" for entry in life.entries):
            self.complain(f"it ended by itself, and its last line was {life.entries[-1:]}")
        self._draw_fates(life, begun)

    def end(self, sent: Iterable[int]) -> None:
        """Nothing more comes: ``sent`` is everything that the platform has sent."""
        numbers = list(sent)
        self.figures.sent = len(numbers)
        self.figures.lost = [number for number in numbers if number not in self._finished]
        for number in self.figures.lost[:_MOST_COMPLAINTS]:
            self.complain(f"event {number} was sent, and no handler has finished with it")

    def complain(self, what: str) -> None:
        """A promise is broken; the first twenty are told."""
        if len(self.complaints) < _MOST_COMPLAINTS:
            self.complaints.append(f"life {self.figures.lives}: {what}")

    # -- steps ----------------------------------------------------------------------------------------------------

    def _on_begin(self, number: int, marked: bool, begun: list[int]) -> None:
        figures, fate = self.figures, self._fates.get(number)
        figures.handed_out += 1
        if begun and number <= begun[-1]:
            self.complain(f"event {number} was handed out after event {begun[-1]}, in one process")
        if fate is None:
            return
        if not marked:
            self.complain(f"event {number} was handed out again without a mark")
        if fate.saved:
            self.complain(f"event {number} was handed out again, though it had been settled and saved")
        if fate.settled_at is None:
            figures.in_flight += 1
            return
        age = fate.gone_at - fate.settled_at
        figures.unsaved += 1
        figures.oldest = max(figures.oldest, age)
        if age > fate.save_every + ALLOWANCE:
            self.complain(f"event {number} was handed out again, though settled {age:.1f} s before the end")

    def _draw_fates(self, life: Life, begun: list[int]) -> None:
        settled = {int(entry.args[0]): entry.at for entry in life.entries if entry.word == "settled"}
        # A save says how things stood when it was begun, and that is the time it carries.
        saves = [float(entry.args[0]) for entry in life.entries if entry.word == "saved"]
        saved_at = max(saves, default=-math.inf)
        gone_at = life.killed_at if life.killed_at is not None else math.inf
        for number in begun:
            at = settled.get(number)
            self._fates[number] = Fate(at, at is not None and at < saved_at, gone_at, life.save_every)
