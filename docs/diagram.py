"""The picture of a Shard's phases as an SVG, for pages light and dark: where each box stands, how each arrow runs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from docs.exploration import Edge

_COLUMN = ("idle", "http", "dial", "hello", "auth", "ready", "closing")
"""The way of a connection, from above to below. ``ended`` stands to its left, ``wait`` to its right."""

_WIDTH = 780
_ENDED, _WAIT = (4, 84), (696, 776)
_LEFT, _RIGHT = 274, 464
_MIDDLE = (_LEFT + _RIGHT) / 2
_TRUNK = _LEFT - 18
_TRUNK_ROOM = 14
_GAP = 40
_LINE = 15

_STYLE = """
  .shard-states { font-family: var(--font-stack, sans-serif); font-size: 12px; max-width: 100%; height: auto;
    color: var(--color-foreground-primary, #1a1a1a); background: var(--color-background-primary, #ffffff); }
  .shard-states text { fill: currentColor; }
  .shard-states .name { font-weight: bold; font-size: 14px; text-anchor: middle; }
  .shard-states .note { fill: var(--color-foreground-secondary, #555555); font-size: 11px; text-anchor: middle; }
  .shard-states .label { text-anchor: middle; }
  .shard-states .side { text-anchor: start; }
  .shard-states .end { text-anchor: end; }
  .shard-states rect { fill: var(--color-background-secondary, #f4f5f7); stroke: currentColor; }
  .shard-states .live { stroke: var(--color-brand-primary, #0a4bff); stroke-width: 2.5; }
  .shard-states path { fill: none; stroke: currentColor; stroke-width: 1.3; }
  .shard-states .asked { stroke-dasharray: 5 4; stroke: var(--color-foreground-secondary, #555555); }
  .shard-states marker path { fill: currentColor; stroke: none; }
"""


def draw(edges: Sequence[Edge], notes: Mapping[str, str], words: Mapping[str, str] | None = None) -> str:
    """The SVG for these edges; ``notes`` says of each phase what it is. KeyError for an edge that has no place here.

    ``words`` are those of another language, for names, notes and whatever else is said.
    """
    return _Picture(edges, notes, words or {}).text()


class _Picture:
    def __init__(self, edges: Sequence[Edge], notes: Mapping[str, str], words: Mapping[str, str]) -> None:
        self._words = words
        self._notes = {phase: self._say(note) for phase, note in notes.items()}
        self._labels: dict[tuple[str, str], list[str]] = defaultdict(list)
        for before, name, after in edges:
            # What leads to two places leads to the end only when it has come often enough.
            repeated = after == "ended" and (before, name, "wait") in edges
            said = self._say(name)
            self._labels[before, after].append(f"{said}{self._say(', repeated')}" if repeated else said)
        self._parts: list[str] = []
        self._trunk_from = 0

    def text(self) -> str:
        bottom = self._column()
        self._bars(bottom)
        assert not self._labels, f"these edges have no place in the picture: {sorted(self._labels)}"
        height = bottom + 12
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="shard-states" role="img" viewBox="0 0 {_WIDTH} {height}"'
            f' width="{_WIDTH}" height="{height}">'
        )
        title = f"<title>{self._say('The phases of a Shard, and the inputs that lead from one to another')}</title>"
        arrow = (
            '<defs><marker id="shard-states-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"'
            ' orient="auto-start-reverse" markerUnits="userSpaceOnUse"><path d="M0 0.5 8 4 0 7.5z"/></marker></defs>'
        )
        return "\n".join([head, title, f"<style>{_STYLE}</style>", arrow, *self._parts, "</svg>"]) + "\n"

    # -- the boxes ------------------------------------------------------------------------------------------------

    def _column(self) -> int:
        """Everything that belongs to one row after the other; returns where the rows end."""
        top = 10
        for row, phase in enumerate(_COLUMN):
            left = self._split(phase, "ended", 26)
            right = [*self._split(phase, "wait", 36), *self._split("wait", phase, 36)]
            note = [*_wrapped([self._notes[phase]], 31, " "), *self._inside(phase)]
            above = _TRUNK_ROOM if phase == "closing" else 0
            beneath = _TRUNK_ROOM if (phase, "closing") in self._labels and phase != "ready" else 0
            height = max(_stack(left) + above + beneath, _stack(right), 32 + _LINE * len(note))
            self._box(phase, _LEFT, top, _RIGHT - _LEFT, height, note)
            self._arrows(left, top + above, height - above - beneath, _LEFT, _ENDED[1])
            self._arrows(right, top, height, _RIGHT, _WAIT[0])
            if beneath:
                self._branch(phase, top + height)
            if phase == "closing":
                self._path(f"M{_TRUNK} {self._trunk_from}V{top + 10}H{_LEFT}", "asked", arrow=True)
            else:
                self._down(phase, _COLUMN[row + 1], top + height)
            top += height + _GAP
        return top

    def _branch(self, phase: str, bottom: int) -> None:
        """To ``closing``, past the boxes between."""
        self._trunk_from = self._trunk_from or bottom - 10
        self._path(f"M{_LEFT} {bottom - 10}H{_TRUNK}", "asked")
        self._text("end", _TRUNK - 6, bottom + 14, " · ".join(self._labels.pop((phase, "closing"))))

    def _bars(self, bottom: int) -> None:
        """The two bars beside the column, and the way between them beneath it."""
        for name, (left, right) in (("ended", _ENDED), ("wait", _WAIT)):
            self._box(name, left, 10, right - left, bottom - 10, _wrapped([self._notes[name]], 13, " "))
        [(lines, style, _)] = self._split("wait", "ended", 60)
        self._path(f"M{_WAIT[0]} {bottom - 10}H{_ENDED[1]}", style, arrow=True)
        self._label(lines, _MIDDLE, bottom - 10)

    def _box(self, name: str, x: float, y: float, width: float, height: float, note: list[str]) -> None:
        live = ' class="live"' if name == "ready" else ""
        self._parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6"{live}/>')
        middle = x + width / 2
        first = y + (height - _LINE * len(note)) / 2 + 4
        self._text("name", middle, first, name)
        for number, line in enumerate(note, 1):
            self._text("note", middle, first + _LINE * number, line)

    def _inside(self, phase: str) -> list[str]:
        names = self._labels.pop((phase, phase), [])
        return [self._say("within: ") + self._say(", ").join(names)] if names else []

    # -- the arrows -----------------------------------------------------------------------------------------------

    def _split(self, before: str, after: str, width: int) -> list[tuple[list[str], str, bool]]:
        """One arrow for what comes from outside and one for what the host asks for, each with its lines of text."""
        names = self._labels.pop((before, after), [])
        arrows = []
        for style in ("met", "asked"):
            alike = [name for name in names if _style(name) == style]
            if alike:
                arrows.append((_wrapped(alike, width, " · "), style, before == "wait"))
        return arrows

    def _arrows(
        self, arrows: list[tuple[list[str], str, bool]], top: float, height: float, start: float, end: float
    ) -> None:
        y = top + (height - _stack(arrows)) / 2
        for lines, style, back in arrows:
            y += _LINE * len(lines) + 8
            self._path(f"M{end} {y}H{start}" if back else f"M{start} {y}H{end}", style, arrow=True)
            # The trunk of the arrows to "closing" runs beside the boxes, and must not run through a word.
            self._label(lines, (end + (_TRUNK if end < start else start)) / 2, y)

    def _down(self, before: str, after: str, y: float) -> None:
        names = self._labels.pop((before, after))
        self._path(f"M{_MIDDLE} {y}V{y + _GAP}", _style(names[0]), arrow=True)
        self._text("side", _MIDDLE + 8, y + _GAP / 2 + 4, " · ".join(names))

    def _path(self, d: str, style: str, *, arrow: bool = False) -> None:
        marker = ' marker-end="url(#shard-states-arrow)"' if arrow else ""
        self._parts.append(f'<path class="{style}" d="{d}"{marker}/>')

    def _label(self, lines: list[str], x: float, y: float) -> None:
        """The lines above an arrow at height ``y``."""
        for number, line in enumerate(reversed(lines)):
            self._text("label", x, y - 5 - _LINE * number, line)

    def _say(self, text: str) -> str:
        return self._words.get(text, text)

    def _text(self, style: str, x: float, y: float, text: str) -> None:
        self._parts.append(f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(text)}</text>')


def _style(name: str) -> str:
    """Whether an input is met with, or asked for by the host: a method that it calls because it wants to."""
    return "asked" if name.endswith("()") else "met"


def _stack(arrows: list[tuple[list[str], str, bool]]) -> int:
    """How much room arrows above each other need with their labels."""
    return sum(_LINE * len(lines) + 8 for lines, _, _ in arrows) + 6


def _wide(text: str) -> int:
    """How many Latin letters are as wide as this."""
    return sum(2 if letter >= "\u2e80" else 1 for letter in text)


def _wrapped(names: list[str], width: int, between: str) -> list[str]:
    """Lines of at most ``width`` characters."""
    words = names[0].split() if between == " " else names
    if between == " " and _wide(names[0]) > len(names[0]):  # Chinese has no blanks, and may be broken anywhere
        words, between = re.findall(r"[\u2e80-\uffff]|[^\s\u2e80-\uffff]+ ?", names[0]), ""
    lines = [words[0]]
    for word in words[1:]:
        if _wide(lines[-1]) + len(between) + _wide(word) <= width:
            lines[-1] += between + word
        else:
            lines[-1] += between.rstrip()
            lines.append(word)
    return lines
