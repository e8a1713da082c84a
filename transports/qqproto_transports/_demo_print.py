"""How the demo looks to people: a line for what happens, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qqproto.events import Disconnected, Event
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase
from qqproto.recording import Life
from qqproto.status import Status
from qqproto_transports._cli_print import describe
from qqproto_transports._demo_judge import Outcome, Report
from qqproto_transports._demo_scenes import Scene
from qqproto_transports._demo_stage import HEARTBEAT, PATIENCE_OF_GATEWAY, POLICY
from qqproto_transports._timeline_text import draw_on


def spans() -> list[str]:
    """What is quicker in the demo than in life, in sentences; the figures of life are the policy's defaults."""
    life, here = Policy(), POLICY
    return [
        f"spans are scaled down: a heartbeat every {HEARTBEAT:g} s (in life 41.25), and the gateway closes with 4009"
        f" when it is {PATIENCE_OF_GATEWAY:g} s late (about 20)",
        f"a connection is stable after {here.stable_after:g} s ({life.stable_after:g}), silent for too long after"
        f" {here.dead_after:g} s ({life.dead_after:g}); a bot that is away is offline after {here.offline_grace:g} s"
        f" ({life.offline_grace:g})",
        f"a wait between two tries is {_then(here.backoff)} s at most ({_then(life.backoff)}), so that the tries of an"
        f" hour fit into seconds; limits on requests go along",
    ]


def _then(waits: tuple[float, ...]) -> str:
    *first, last = (f"{wait:g}" for wait in waits)
    return f"{', '.join(first)}, then {last}"


class Narrator:
    """Tells the demo as it happens, with the seconds since its beginning."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._told: tuple[object, ...] = ()

    def say(self, text: str, style: str = "") -> None:
        """One line, now."""
        seconds = time.monotonic() - self._began
        self._console.print(Text.assemble((f"{seconds:5.1f} s", "dim"), "  ", (text, style)))

    def event(self, event: Event) -> None:
        """What the bot is told; of failed tries that are alike the 1st, 2nd, 4th, 8th …"""
        text = describe(event)
        if text is not None and self._is_news(event):
            self.say(f"  bot: {text}")

    def scene(self, scene: Scene) -> None:
        """Something is about to happen."""
        self.say(f"{scene.name}: {scene.story}", "bold")

    def absence(self, status: Status, tries: int, seconds: float, cpu: float) -> None:
        """How the bot fares while it is away, and what it says of itself."""
        self.say(f"  {tries} tries have failed; CPU {cpu:.2f} s in {seconds:.1f} s ({cpu / seconds:.0%})")
        there = "connected" if status.connected else "not connected"
        line = "online" if status.online else "offline"
        wait = "" if status.retry_in is None else f", next try in {status.retry_in:.2f} s"
        self.say(f"  its status: {there}, {line}, phase {status.phase.value}, attempt {status.attempt}{wait}")

    def outcome(self, outcome: Outcome) -> None:
        """What came of it."""
        told = f"{outcome.sent} messages sent, {outcome.lost} lost, {outcome.repeated} repeated"
        if outcome.back is not None:
            told = f"back in {outcome.back:.2f} s; {outcome.heartbeats} heartbeats since; {told}"
        elif outcome.stopped is not None:
            told = "stopped, and nothing came from it any more"
        self.say(f"  {told}", "red" if outcome.broken else "green")
        for sentence in outcome.broken:
            self.say(f"  not as promised: {sentence}", "red")

    def show(self, report: Report) -> None:
        """The table, and the verdict."""
        # It has to fit into 80 columns.
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
        table.add_column("what happened", no_wrap=True)
        for title in ("away", "back", "beats", "sent", "received", "lost", "repeated", "as\npromised"):
            table.add_column(title, justify="right", no_wrap=True)
        for outcome in report.outcomes:
            kept = Text("no", "red") if outcome.broken else Text("yes", "green")
            beats = "-" if outcome.back is None else str(outcome.heartbeats)
            counts = map(str, (outcome.sent, outcome.received, outcome.lost, outcome.repeated))
            table.add_row(outcome.name, _span(outcome.away), _span(outcome.back), beats, *counts, kept)
        self._console.print()
        self._console.print(table)
        self._console.print()
        for sentence in report.broken:
            self._console.print(Text(f"not as promised: {sentence}", "red"))
        verdict = "everything as promised" if report.kept else "not everything was as promised"
        self._console.print(Text(verdict, "green" if report.kept else "red"))
        identifies = "1 Identify" if report.identifies == 1 else f"{report.identifies} Identifies"
        resumes = "1 Resume" if report.resumes == 1 else f"{report.resumes} Resumes"
        seen = f"{identifies}, {resumes}, {report.heartbeats} heartbeats"
        self._console.print(f"{seen} in all; CPU {report.cpu:.1f} s in {report.seconds:.1f} s")

    def picture(self, lives: Sequence[Life]) -> None:
        """The bot's life."""
        self._console.print()
        draw_on(self._console, lives)

    def recorded(self, path: Path) -> None:
        """Where the recording is, and what for."""
        self._console.print(f"recorded in {path}: see qqproto replay, qqproto timeline")

    def _is_news(self, event: Event) -> bool:
        if not isinstance(event, Disconnected) or event.phase is Phase.READY:
            self._told = ()
            return True
        failure = event.failure
        told = (event.phase, event.code, failure and (failure.kind, failure.http_status, failure.code))
        if told == self._told and event.attempt & (event.attempt - 1):
            return False
        self._told = told
        return True


def _span(seconds: float | None) -> str:
    """Three figures, so that the column stays narrow."""
    return "-" if seconds is None else f"{seconds:#.3g} s" if seconds >= 1 else f"{seconds:.2f} s"
