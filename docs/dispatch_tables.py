"""What the documentation says of intents, dispatch types and payloads, out of their tables and classes."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

from docs.tables import table
from qqproto.protocol import dispatches
from qqproto.protocol.dispatches import DISPATCH_TYPES, Wild
from qqproto.protocol.intents import INTENTS

SHAPES = {
    name: getattr(dispatches, name) for name in dispatches.__all__ if typing.is_typeddict(getattr(dispatches, name))
}


def intents() -> str:
    """Every bit: its name, what it carries, who may have it."""
    head = ("bit", "name", "dispatch types", "permission", "source")
    return table(
        head,
        (
            (
                str(row.intent.bit_length() - 1),
                f"`{row.intent.names[0]}`",
                ", ".join(f"`{type}`" for type in row.types),
                row.permission,
                row.source,
            )
            for row in INTENTS
        ),
    )


def dispatch_types() -> str:
    """Every type: what its payload is called, which intent carries it, what ``d.id`` names."""
    head = ("type", "payload", "intent", "`d.id` names the event", "source")
    return table(
        head,
        (
            (
                f"`{row.type}`",
                f"{{py:class}}`~qqproto.protocol.dispatches.{row.payload}`" if row.payload else "none",
                f"`{row.intent.names[0]}`" if row.intent is not None else "none needed",
                "yes" if row.id_names_event else "",
                row.source,
            )
            for row in DISPATCH_TYPES.values()
        ),
    )


def payloads() -> str:
    """The reference of the shapes, in reStructuredText: those of the types in their order, then what they hold."""
    order = list(dict.fromkeys(row.payload for row in DISPATCH_TYPES.values() if row.payload))
    order += [name for name in SHAPES if name not in order]
    return "\n".join([".. py:currentmodule:: qqproto.protocol.dispatches\n", *(_entry(name) for name in order)])


def _entry(name: str) -> str:
    shape = SHAPES[name]
    of = [f"``{row.type}``" for row in DISPATCH_TYPES.values() if row.payload == name]
    lines = [f".. py:class:: {name}", ""]
    lines += [f"   {line}".rstrip() for line in (inspect.getdoc(shape) or "").splitlines()]
    if of:
        lines += ["", f"   Of {', '.join(of)}."]
    lines += ["", "   .. list-table::", "      :header-rows: 1", ""]
    for cells in [("field", "type", ""), *_fields(shape)]:
        lines += [f"      {'* -' if not index else '  -'} {cell}".rstrip() for index, cell in enumerate(cells)]
    return "\n".join([*lines, ""])


def _fields(shape: Any) -> list[tuple[str, str, str]]:
    """Name, type, and how sure it is that the field comes: required fields first, those of the wild last."""
    rows = []
    for field, kind in typing.get_type_hints(shape, include_extras=True).items():
        marks = [mark for mark in getattr(kind, "__metadata__", ()) if isinstance(mark, Wild)]
        if marks:
            rank, note = 2, f"in the wild: {marks[0].source}"
        elif field in shape.__required_keys__:
            rank, note = 0, "required"
        else:
            rank, note = 1, "may be absent"
        rows.append((rank, f"``{field}``", _type(kind), note))
    return [row[1:] for row in sorted(rows, key=lambda row: row[0])]


def _type(kind: Any) -> str:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type(args[0])
    if typing.is_typeddict(kind):
        return f":py:class:`{kind.__name__}`"
    if kind is Any:
        return "anything"
    if origin is list:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return "object"
    if origin is typing.Literal:
        return ", ".join(f'``"{value}"``' for value in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(arg) for arg in args)
    return f"``{kind.__name__}``"
