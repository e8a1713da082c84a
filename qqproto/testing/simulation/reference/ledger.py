"""Promise G7 from end to end: one shard's events, from the platform's count to the application that finished them.

How the wording is read: whenever a session was resumed, each of its events was either finished in some process, or
handed out in this one, or told as missing. An event that the platform sends again under another number is one event.
With a session its events end: an Identify has no replay.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from qqproto.testing.simulation.reference.verdict import demand


class Ledger:
    """The events of the newest session. It outlives the processes."""

    __slots__ = ("_finished", "_given", "_handed", "_owed", "_same", "_session")

    def __init__(self) -> None:
        self._begin(None)

    def _begin(self, session: str | None) -> None:
        self._session = session
        self._owed: set[int] = set()
        self._given: set[int] = set()
        self._handed: set[int] = set()
        self._finished: set[int] = set()
        self._same: dict[int, int] = {}

    # -- the platform ---------------------------------------------------------------------------------------------

    def happened(self, session: str, number: int, again: int | None = None) -> None:
        """The platform gave an event of ``session`` this number; it is the same as the one with the number
        ``again``."""
        if session != self._session:
            self._begin(session)
        if again is None:
            self._owed.add(number)
        else:
            self._same[number] = self._same.get(again, again)

    # -- the processes --------------------------------------------------------------------------------------------

    def process_begins(self) -> None:
        """What the last one did not finish is lost, unless it comes again."""
        self._owed |= self._given
        self._given.clear()
        self._handed.clear()

    def handed_out(self, session: str | None, number: int | None) -> None:
        """An event was handed out in this process."""
        if session != self._session or number is None:
            return
        demand(number not in self._handed, "G7", f"dispatch {number} was handed out twice")
        self._handed.add(number)
        event = self._same.get(number, number)
        self._owed.discard(event)
        if event not in self._finished:
            self._given.add(event)

    def finished(self, session: str | None, number: int | None) -> None:
        """The application has finished with it."""
        if session == self._session and number is not None:
            event = self._same.get(number, number)
            self._given.discard(event)
            self._finished.add(event)

    def write_off(self, gaps: Iterable[Container[int]]) -> None:
        """These numbers did not come, and the application knows it."""
        for gap in gaps:
            self._owed = {number for number in self._owed if number not in gap}

    def balance(self, session: str | None, last: int) -> None:
        """Everything up to ``last`` is accounted for."""
        if session == self._session:
            lost = [number for number in self._owed if number <= last]
            demand(not lost, "G7", f"lost without a word: dispatches {sorted(lost)[:10]}")
