"""The picture of a recording for a terminal."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Console
from rich.text import Text

from qqproto.protocol.close_codes import Phase
from qqproto.recording import Life
from qqproto_transports._timeline import (
    MOST_TOLD,
    cause,
    clock,
    ending,
    later_causes,
    length,
    moment,
    others,
    pictures,
    shown,
    ticks,
    title,
)

_MARGIN = 11
_WIDEST = 160
_INDENT = 40
"""Of why an outage went on."""
_LABELS = "123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class _Ink:
    """What a picture is drawn with."""

    live: str
    torn: str
    begins: str
    waits: str
    levels: str


_PENS = _Ink("█", "▓", "▒", "░", " ▁▂▃▄▅▆▇█")
_TYPEWRITER = _Ink("#", "%", "+", "-", " .:-=+*%#")


def draw_on(console: Console, lives: Sequence[Life]) -> None:
    """Draw on a console, as wide as it is, or as is of use."""
    for line in draw(lives, min(console.width, _WIDEST), unicode=console.encoding.startswith("utf")):
        console.print(line)


def draw(lives: Sequence[Life], width: int = 80, *, unicode: bool = True) -> Iterator[Text]:
    """The lines of a picture, none of them wider than ``width`` but for words. Without ``unicode`` it is ASCII."""
    ink, columns = _PENS if unicode else _TYPEWRITER, max(20, width - _MARGIN)
    several = len({life.chapter for life in lives}) > 1
    for begin, end, together in pictures(lives):
        cell = (end - begin) / columns
        edges = [begin + cell * number for number in range(columns + 1)]
        for life in together:
            yield Text(title(life, several), "bold")
            yield Text.assemble(
                (f"{'session':<{_MARGIN}}", "dim"), *(_state(life, *cut, ink) for cut in pairwise(edges))
            )
            yield _row("heartbeats", "".join("|" if count else " " for count in _counts(life.beats, edges)))
            yield _row("ACKs", "".join("|" if count else " " for count in _counts(life.acks, edges)))
            yield _row("events", _levels(_counts(life.dispatches, edges), ink))
            yield _row("outages", _labels(life, edges))
            yield _row("", _axis(begin, end, columns))
            yield from _words(life, begin)
            yield Text("")
    legend = (
        f"{ink.live} live   {ink.torn} live, interrupted   {ink.begins} connecting   {ink.waits} waiting to try again"
    )
    yield Text(legend, "dim")


def _row(name: str, cells: str) -> Text:
    return Text.assemble((f"{name:<{_MARGIN}}"[:_MARGIN], "dim"), cells.rstrip())


def _state(life: Life, begin: float, end: float, ink: _Ink) -> tuple[str, str]:
    phase, torn = shown(life, begin, end)
    match phase:
        case Phase.READY:
            return (ink.torn, "yellow") if torn else (ink.live, "green")
        case Phase.WAIT:
            return ink.waits, "red"
        case Phase.IDLE | Phase.ENDED | None:
            return " ", ""
        case _:
            return ink.begins, "yellow"


def _counts(times: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many fall between one edge and the next; the last edge belongs to the last."""
    at = [bisect_left(times, edge) for edge in edges]
    at[-1] = len(times)
    return [after - before for before, after in pairwise(at)]


def _levels(counts: Sequence[int], ink: _Ink) -> str:
    most, top = max(counts, default=0), len(ink.levels) - 1
    return "".join(ink.levels[-(-count * top // most) if most else 0] for count in counts)


def _labels(life: Life, edges: Sequence[float]) -> str:
    """Where each outage begins, by its number in the list below; of several in one place the first one's."""
    cells = [" "] * (len(edges) - 1)
    for number, outage in enumerate(life.outages[: len(_LABELS)]):
        at = max(0, min(bisect_left(edges, outage.begin) - 1, len(cells) - 1))
        if cells[at] == " ":
            cells[at] = _LABELS[number]
    return "".join(cells)


def _axis(begin: float, end: float, columns: int) -> str:
    cells = [" "] * (columns + _MARGIN)
    for tick in ticks(begin, end, columns // 12):
        at = int(tick / (end - begin) * columns)
        for offset, letter in enumerate(f"^{clock(tick)}"[: columns + _MARGIN - at]):
            cells[at + offset] = letter
    return "".join(cells)


def _words(life: Life, begin: float) -> Iterator[Text]:
    """The outages, and what else happened."""
    for number, outage in enumerate(life.outages[:MOST_TOLD]):
        label = _LABELS[number] if number < len(_LABELS) else " "
        span = f"{moment(life, outage.begin, begin):>10}  {length(outage):>10}"
        told = f"; {outage.tries} tries failed" if outage.tries else ""
        told += ", told as offline" if outage.told else ""
        style = "dim" if outage.planned else "red" if outage.end is None else ""
        yield Text(f"  {label} {span}  {ending(outage):<8}  {cause(outage)}{told}", style)
        yield from (Text(f"{'':{_INDENT}}{later}", "dim") for later in later_causes(outage))
    yield from _more(len(life.outages), "outages")
    marks = others(life)
    for mark in marks[:MOST_TOLD]:
        yield Text(f"    {moment(life, mark.at, begin):>10}  {mark.text}")
    yield from _more(len(marks), "others")


def _more(count: int, what: str) -> Iterator[Text]:
    if count > MOST_TOLD:
        yield Text(f"    and {count - MOST_TOLD:,} {what} more", "dim")
