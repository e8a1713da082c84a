"""The picture of the house: which room imports which, found in the code, each room above all that it stands on."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

from docs.tables import table

ROOT = Path(__file__).parent.parent
DRIVERS = "qqproto_transports"
_CORE = "qqproto"

_WIDTH, _ROW, _HIGH, _GAP = 780, 82, 32, 8
_WIDE = 88
_TITLE = "The rooms of the house, each above those that it imports"
_STYLE = """
  .house { font-family: var(--font-stack, sans-serif); font-size: 12px; max-width: 100%; height: auto;
    color: var(--color-foreground-primary, #1a1a1a); background: var(--color-background-primary, #ffffff); }
  .house text { fill: currentColor; text-anchor: middle; }
  .house rect { fill: var(--color-background-secondary, #f4f5f7); stroke: currentColor; }
  .house line { stroke: var(--color-foreground-muted, #888888); stroke-width: 1; }
"""


def imports() -> dict[str, set[str]]:
    """For each room of the core, and for the drivers as one, the rooms that it imports.

    A room is a module or a package directly beneath ``qqproto``. Imports for type checkers alone do not count.
    """
    graph = grimp.build_graph(_CORE, DRIVERS, exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        if (room := _room(module)) is None:
            continue
        found[room] |= {name for name in map(_room, graph.find_modules_directly_imported_by(module)) if name}
        found[room].discard(room)
    return dict(found)


def _room(module: str) -> str | None:
    package, _, rest = module.partition(".")
    return DRIVERS if package == DRIVERS else rest.partition(".")[0] or None


def storeys(imports: Mapping[str, Set[str]]) -> list[list[str]]:
    """The rooms, from the ground up: each one storey above the highest that it imports.

    ValueError if rooms import each other in a circle.
    """
    height: dict[str, int] = {}
    while len(height) < len(imports):
        ready = {
            room: 1 + max((height[below] for below in imports[room]), default=-1)
            for room in imports
            if room not in height and imports[room] <= height.keys()
        }
        if not ready:
            raise ValueError(f"these rooms import each other in a circle: {sorted(imports.keys() - height.keys())}")
        height.update(ready)
    return [sorted(room for room in height if height[room] == storey) for storey in range(max(height.values()) + 1)]


def steps(imports: Mapping[str, Set[str]]) -> Iterator[tuple[str, str]]:
    """The imports that are not implied by others: from each room to those that it stands on directly."""

    def reach(room: str) -> set[str]:
        return set(imports[room]).union(*(reach(below) for below in imports[room]))

    for room in sorted(imports):
        implied = set[str]().union(*(reach(below) for below in imports[room]))
        yield from ((room, below) for below in sorted(imports[room] - implied))


def draw(imports: Mapping[str, Set[str]], words: Mapping[str, str] | None = None) -> str:
    """The house as an SVG, the drivers beneath the roof; ``words`` are those of another language."""
    rows = storeys(imports)
    beneath = defaultdict[str, list[str]](list)
    for above, below in steps(imports):
        beneath[above].append(below)
    places: dict[str, tuple[float, float]] = {}
    width = max(_WIDTH, *((_WIDE + _GAP) * len(rooms) for rooms in rows))
    for row, rooms in enumerate(rows):
        # Over what they stand on, so that few lines cross.
        rooms.sort(key=lambda room: sum(places[below][0] for below in beneath[room]) / (len(beneath[room]) or 1))
        apart = width / len(rooms) if row else _WIDE + _GAP
        left = (width - apart * (len(rooms) - 1)) / 2
        for column, room in enumerate(rooms):
            places[room] = (left + column * apart, 10 + (len(rows) - 1 - row) * _ROW)
    height = 10 + (len(rows) - 1) * _ROW + _HIGH + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="house" role="img" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}">',
        f"<title>{escape((words or {}).get(_TITLE, _TITLE))}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for above, below in steps(imports):
        (x1, y1), (x2, y2) = places[above], places[below]
        parts.append(f'<line x1="{x1:g}" y1="{y1 + _HIGH:g}" x2="{x2:g}" y2="{y2:g}"/>')
    for room, (x, y) in places.items():
        wide = _WIDE + 40 if room == DRIVERS else _WIDE
        parts.append(f'<rect x="{x - wide / 2:g}" y="{y:g}" width="{wide}" height="{_HIGH}" rx="6"/>')
        parts.append(f'<text x="{x:g}" y="{y + _HIGH / 2 + 4:g}">{escape(room)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def rooms(imports: Mapping[str, Set[str]]) -> str:
    """Every room from the roof down: what its docstring says it is, and what it imports."""
    rows = []
    for room in (room for storey in storeys(imports)[::-1] for room in storey if room != DRIVERS):
        path = ROOT / _CORE / f"{room}.py"
        path = path if path.is_file() else ROOT / _CORE / room / "__init__.py"
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        sentence = said.partition("\n\n")[0].replace("\n", " ").replace("``", "`")
        rows.append((f"`{room}`", sentence, ", ".join(f"`{below}`" for below in sorted(imports[room])) or "nothing"))
    return table(("room", "what it says of itself", "imports"), rows)
