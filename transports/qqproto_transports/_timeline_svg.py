"""The picture of a recording as an SVG: one file that needs nothing else, for an issue or a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from qqproto.protocol.close_codes import Phase
from qqproto.recording import Life, Outage
from qqproto_transports._timeline import (
    MOST_TOLD,
    cause,
    clock,
    duration,
    ending,
    later_causes,
    length,
    moment,
    others,
    pictures,
    ticks,
    title,
)

_WIDTH, _LEFT, _RIGHT = 960, 90, 20
_PLOT = _WIDTH - _LEFT - _RIGHT
_LINE = 18
_BARS = 240
"""Into so many bars the events are counted."""

_COLOURS = {Phase.READY: "#2f9e44", Phase.WAIT: "#e03131", Phase.CLOSING: "#868e96"}
_CONNECTING = "#f08c00"
_INK, _PALE, _PAPER = "#212529", "#868e96", "#ffffff"
_MOST_TICKS = 4_000
"""More heartbeats than this, and they are thinned out: a picture has fewer points."""


def svg_of(lives: Sequence[Life]) -> str:
    """The whole picture."""
    parts: list[str] = []
    y = 12.0
    several = len({life.chapter for life in lives}) > 1
    for begin, end, together in pictures(lives):
        scale = _Scale(begin, end)
        for life in together:
            drawn, y = _life(life, title(life, several), scale, y)
            parts += drawn
    parts += _legend(y)
    height = y + 2 * _LINE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:g}"'
            f' viewBox="0 0 {_WIDTH} {height:g}" font-family="system-ui, sans-serif" font-size="12">',
            f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


class _Scale:
    """Where a moment is."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin = begin
        self.end = end

    def x(self, at: float) -> float:
        return _LEFT + (at - self.begin) / (self.end - self.begin) * _PLOT


def _life(life: Life, heading: str, scale: _Scale, y: float) -> tuple[list[str], float]:
    """One life from ``y`` down, and where it ends."""
    parts = [_text(10, y + 12, heading, weight="bold")]
    y += 26
    parts += [_text(10, y + 14, "session"), *_session(life, scale, y)]
    parts += [_text(10, y + 40, "heartbeats"), *_ticks(life.beats, scale, y + 28, "#1971c2")]
    parts += [_text(10, y + 60, "ACKs"), *_ticks(life.acks, scale, y + 48, "#5f3dc4")]
    parts += [_text(10, y + 86, "events"), *_events(life.dispatches, scale, y + 68, 22)]
    parts += _axis(scale, y + 96)
    y += 130
    for words in _words(life, scale.begin):
        parts.append(_text(_LEFT, y, words))
        y += _LINE
    return parts, y + 14


def _session(life: Life, scale: _Scale, y: float) -> Iterator[str]:
    for span in life.spans:
        if span.phase in (Phase.ENDED, Phase.IDLE):
            continue
        at, to = scale.x(span.begin), scale.x(span.end)
        colour = _COLOURS.get(span.phase, _CONNECTING)
        told = f"{span.phase.value}, {duration(span.end - span.begin)}"
        yield _rect(at, y, max(to - at, 0.5), 20, colour, told)
    for number, outage in enumerate(life.outages, 1):
        yield _outage(number, outage, scale.x(outage.begin), y)
    for mark in others(life):
        at = scale.x(mark.at)
        triangle = f"{at:.1f},{y - 1:g} {at - 3:.1f},{y - 6:g} {at + 3:.1f},{y - 6:g}"
        yield f'<polygon points="{triangle}" fill="{_INK}"><title>{escape(mark.text)}</title></polygon>'


def _outage(number: int, outage: Outage, x: float, y: float) -> str:
    """Its number, and what is known of it for who points at it."""
    told = f"{number}: {cause(outage)}; {ending(outage)} {length(outage)}".rstrip()
    line = f'<line x1="{x:.1f}" y1="{y - 2:g}" x2="{x:.1f}" y2="{y + 24:g}" stroke="{_INK}" stroke-width="0.5"/>'
    return f"<g><title>{escape(told)}</title>{line}{_text(x + 2, y + 10, str(number), size=9, colour=_PAPER)}</g>"


def _ticks(times: Sequence[float], scale: _Scale, y: float, colour: str) -> Iterator[str]:
    """One path for them all."""
    thinned = times[:: 1 + len(times) // _MOST_TICKS]
    if thinned:
        path = "".join(f"M{scale.x(at):.1f} {y:g}v14" for at in thinned)
        yield f'<path d="{path}" stroke="{colour}" stroke-width="0.8" fill="none"/>'


def _events(times: Sequence[float], scale: _Scale, y: float, height: float) -> Iterator[str]:
    counts = [0] * _BARS
    for at in times:
        counts[min(_BARS - 1, int((scale.x(at) - _LEFT) / _PLOT * _BARS))] += 1
    most, width = max(counts), _PLOT / _BARS
    for number, count in enumerate(counts):
        if count:
            high = max(2.0, height * count / most)
            told = "1 event" if count == 1 else f"{count:,} events"
            yield _rect(_LEFT + number * width, y + height - high, width, high, "#868e96", told)


def _axis(scale: _Scale, y: float) -> Iterator[str]:
    yield f'<line x1="{_LEFT}" y1="{y:g}" x2="{_LEFT + _PLOT}" y2="{y:g}" stroke="{_PALE}"/>'
    for tick in ticks(scale.begin, scale.end, 10):
        x = scale.x(scale.begin + tick)
        yield f'<line x1="{x:.1f}" y1="{y:g}" x2="{x:.1f}" y2="{y + 4:g}" stroke="{_PALE}"/>'
        yield _text(x - 2, y + 16, clock(tick), size=10, colour=_PALE)


def _words(life: Life, begin: float) -> Iterator[str]:
    for number, outage in enumerate(life.outages[:MOST_TOLD], 1):
        over = f"{ending(outage)}" + (f" after {length(outage)}" if outage.end is not None else "")
        tries = f"; {outage.tries} tries failed" if outage.tries else ""
        yield f"{number}. at {moment(life, outage.begin, begin)}: {cause(outage)}{tries}; {over}"
        yield from (f"    {later}" for later in later_causes(outage))
    marks = others(life)
    for mark in marks[:MOST_TOLD]:
        yield f"at {moment(life, mark.at, begin)}: {mark.text}"
    left = max(0, len(life.outages) - MOST_TOLD) + max(0, len(marks) - MOST_TOLD)
    if left:
        yield f"and {left:,} more"


def _legend(y: float) -> Iterator[str]:
    x = float(_LEFT)
    for colour, what in (
        (_COLOURS[Phase.READY], "live"), (_CONNECTING, "connecting"), (_COLOURS[Phase.WAIT], "waiting to try again"),
        (_COLOURS[Phase.CLOSING], "closing"),
    ):  # fmt: skip
        yield _rect(x, y, 12, 12, colour, what)
        yield _text(x + 18, y + 10, what, colour=_PALE)
        x += 40 + 7 * len(what)


def _rect(x: float, y: float, width: float, height: float, colour: str, told: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}"><title>{escape(told)}</title></rect>'


def _text(x: float, y: float, words: str, *, size: int = 12, weight: str = "normal", colour: str = _INK) -> str:
    style = f'font-size="{size}" fill="{colour}"' + ("" if weight == "normal" else f' font-weight="{weight}"')
    return f'<text x="{x:.1f}" y="{y:.1f}" {style} xml:space="preserve">{escape(words)}</text>'
