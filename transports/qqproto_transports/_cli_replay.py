"""`qqproto replay`: a recording lived through again, what happens in it, and whether the same comes of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from qqproto.actions import OpenConnection, SendData, SendText
from qqproto.events import Dispatch, Event
from qqproto.protocol.opcodes import Opcode
from qqproto.recording import Line, Moment, Replay, Report
from qqproto.recording import replay as replay_lines
from qqproto.recording.timeline import opcodes
from qqproto.recording.values import dump
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_print import describe, plain, style_of
from qqproto_transports._timeline import date
from qqproto_transports.recordings import read_recording

_SAID = {Opcode.IDENTIFY: "Identify", Opcode.RESUME: "Resume"}


def load(path: Path) -> list[Line]:
    """The recording at ``path``. Raises UsageError if it is none."""
    try:
        lines = read_recording(path)
    except OSError as error:
        raise UsageError(f"the recording {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    if not lines:
        raise UsageError(f"the recording {path} has nothing in it yet")
    return lines


@contextmanager
def sound(path: Path) -> Iterator[None]:
    """What a line lacks that somebody has edited is told as the file's fault."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged: a line lacks something ({type(error).__name__}: {error})") from error


def replay(path: Path, *, speed: float | None = None, events: bool = False) -> int:
    """Replay the recording and show what happens; returns 0 if it was as recorded, 1 if it was not.

    ``speed`` is how many recorded seconds pass in a second, None for as fast as can be; ``events`` shows each dispatch.
    """
    replayed = Replay(_whole(load(path), path))
    story = _Story(events)
    last: float | None = None
    with sound(path):
        for moment in replayed:
            if speed is not None and last is not None and moment.at > last:
                time.sleep((moment.at - last) / speed)
            last = moment.at
            story.tell(moment)
    return story.end(replayed.report)


def print_test(path: Path) -> int:
    """Print a test that replays the recording; returns 0."""
    lines = [line for line in _whole(load(path), path) if "goes_on" not in line.fields]
    with sound(path):
        report = replay_lines(lines)
    print("".join(_test(lines, path, report)), end="")
    return 0


def _whole(lines: list[Line], path: Path) -> list[Line]:
    """Those lines, if there is a life among them that can be replayed."""
    if not any("made" in line.fields for line in lines):
        raise UsageError(
            f"{path} begins in the middle of a life, whose beginning was rotated away: it cannot be replayed, but"
            " `qqproto timeline` shows it"
        )
    return lines


class _Story:
    """What happens in a replay, a line for each thing; heartbeats and dispatches are counted."""

    def __init__(self, events: bool) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._events = events
        self._chapter = 0
        self._begin = 0.0
        self._at = 0.0
        self._counts: dict[int, Counter[str]] = {}
        self._closed: set[tuple[int, int]] = set()

    def tell(self, moment: Moment) -> None:
        if moment.line.chapter != self._chapter:
            self._tell_all_counts()
            self._chapter, self._begin = moment.line.chapter, moment.at
        self._at = moment.at - self._begin
        counts = self._counts.setdefault(moment.shard, Counter())
        if moment.said is None:
            text = self._heard(moment, counts)
        else:
            text = self._said(moment, counts)
        if text is not None:
            self._tell_counts(moment.shard)
            self._say(moment.shard, *text)

    def end(self, report: Report) -> int:
        """The verdict."""
        self._tell_all_counts()
        if report.skipped:
            what = "lines of shards whose beginning was rotated away were left out"
            self._console.print(Text(f"{report.skipped:,} {what}", "yellow"))
        for raised in report.raised:
            self._console.print(Text(f"as recorded, the machine raised {plain(raised)}", "red"))
        shards = "1 shard" if report.shards == 1 else f"{report.shards} shards"
        counted = f"{report.inputs:,} inputs, {report.outputs:,} outputs of {shards}"
        if report.difference is None:
            self._console.print(Text(f"the same as recorded: {counted}", "green"))
            return 0
        self._console.print(Text(f"not as recorded, after {counted}", "red"))
        self._console.print(Text(plain(str(report.difference)), "red"))
        return 1

    # -- steps ----------------------------------------------------------------------------------------------------

    def _heard(self, moment: Moment, counts: Counter[str]) -> tuple[str, str] | None:
        fields = moment.line.fields
        what = fields["in"]
        if what == "data" or what == "message":
            texts = fields.get("units") or [fields.get("text")]
            counts["ACK"] += sum(opcode == Opcode.HEARTBEAT_ACK for opcode in opcodes(texts))
        if what == "close":
            if moment.line.life in self._closed:
                return None
            self._closed.add(moment.line.life)
        since = f", {date(fields['unix'])}" if "unix" in fields else ""
        told = {
            "start": f"start{since}",
            "opened": "connected",
            "paused": "reading paused",
            "resumed": "reading resumed",
            "close": "close()",
            "fail": f"fail({fields.get('message')!r})",
        }
        return (told[what], "dim") if what in told else None

    def _said(self, moment: Moment, counts: Counter[str]) -> tuple[str, str] | None:
        said = moment.said
        if isinstance(said, Dispatch) and not self._events:
            counts["event"] += 1
        elif isinstance(said, Event):
            text = describe(said)
            return None if text is None else (text, style_of(said))
        elif isinstance(said, OpenConnection):
            return f"dials {said.url}", "dim"
        elif isinstance(said, (SendData, SendText)):
            fields = moment.line.fields
            for opcode in opcodes(fields["sent"] if isinstance(said, SendData) else [fields["text"]]):
                counts["heartbeat"] += opcode == Opcode.HEARTBEAT
                if opcode in _SAID:
                    return f"sends {_SAID[opcode]}", "dim"
        return None

    def _tell_all_counts(self) -> None:
        for shard in self._counts:
            self._tell_counts(shard)

    def _tell_counts(self, shard: int) -> None:
        counts = self._counts[shard]
        told = [f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in sorted(counts.items()) if count]
        counts.clear()
        if told:
            self._say(shard, "  " + ", ".join(reversed(told)), "dim")

    def _say(self, shard: int, text: str, style: str) -> None:
        self._console.print(Text.assemble((f"{self._at:10.3f} s", "dim"), f"  shard {shard}  ", (text, style)))


def _test(lines: Sequence[Line], path: Path, report: Report) -> Iterator[str]:
    yield f'"""A regression test that `qqproto replay --as-test` has made of {plain(path.name)}."""\n\n'
    yield "# ruff: noqa: E501\n\nfrom qqproto.recording import read, replay\n\n"
    # Raw, and nowhere three quotes in a row: JSON writes a quote in a text with a backslash before it.
    yield 'RECORDING = r"""\n'
    chapter = 0
    for line in lines:
        if line.chapter != chapter:
            chapter = line.chapter
            yield json.dumps({"recording": 1, "contents": "hidden" if line.hidden else "kept"}) + "\n"
        yield dump(line.fields) + "\n"
    yield '"""\n\n\ndef test_what_was_recorded_happens_again() -> None:\n'
    yield '    report = replay(read(RECORDING.split("\\n")))\n\n'
    yield "    assert report.difference is None, str(report.difference)\n"
    yield f"    assert report.raised == {report.raised!r}\n"
