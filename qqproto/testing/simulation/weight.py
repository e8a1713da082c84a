"""How much a machine holds: promise G10, seen from outside by counting what its containers contain."""

from __future__ import annotations

from collections import deque
from typing import Any

_SCALARS = (int, float, bool, str, bytes, type(None))
_OURS = "qqproto."


def weight(machine: Any) -> int:
    """The number of things in all containers that can be reached from ``machine``, and of bytes and characters above a
    thousand in one piece. Objects of other packages are not looked into.
    """
    total = 0
    seen: set[int] = set()
    todo: list[Any] = [machine]
    while todo:
        thing = todo.pop()
        if isinstance(thing, (bytes, str)):
            total += max(0, len(thing) - 1000)
        if isinstance(thing, _SCALARS) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            total += len(thing)
            todo.extend(thing.values())
        elif isinstance(thing, (list, tuple, set, frozenset, deque)):
            total += len(thing)
            todo.extend(thing)
        elif type(thing).__module__.startswith(_OURS):
            todo.extend(_attributes(thing))
    return total


def _attributes(thing: Any) -> list[Any]:
    values = list(getattr(thing, "__dict__", {}).values())
    for cls in type(thing).__mro__:
        for name in getattr(cls, "__slots__", ()):
            values.append(getattr(thing, name, None))
    return values
