"""Reading a recording: its lines, of which life each is, and what a crash has torn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_FORMAT = 1


@dataclass(slots=True)
class Line:
    """One line of a recording.

    ``number`` counts from 1. ``chapter`` is the process that wrote it, of those that wrote to the same file,
    ``machine`` the shard's number in it, and ``fields`` is what it says. ``hidden``: contents were replaced.
    """

    number: int
    chapter: int
    machine: int
    fields: dict[str, Any]
    hidden: bool = False

    @property
    def life(self) -> tuple[int, int]:
        """Whose line it is."""
        return self.chapter, self.machine


def read(texts: Iterable[str]) -> list[Line]:
    """The lines of a recording, of one file or of a series that rotation has made, in order.

    The last line of a process may be torn: it was being written when the process died, and is left aside. Raises
    ValueError that says which line is none of a recording.
    """
    return list(_lines(texts))


def _lines(texts: Iterable[str]) -> Iterator[Line]:
    chapter, hidden, torn = 0, False, 0
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        fields = _fields(text)
        if fields is not None and "recording" in fields:
            if fields["recording"] != _FORMAT:
                raise ValueError(f"line {number} begins a recording of another format")
            hidden, torn = fields.get("contents") == "hidden", 0
            if not fields.get("continued"):
                chapter += 1
            elif not chapter:
                chapter = 1
                for made in fields["made"]:
                    yield Line(number, chapter, made["m"], {"m": made["m"], "goes_on": made, "head": fields}, hidden)
        elif not chapter:
            raise ValueError("this is no recording: its first line does not say so")
        elif torn:
            raise ValueError(f"line {torn} is no line of a recording")
        elif fields is None or type(fields.get("m")) is not int:
            torn = number
        else:
            yield Line(number, chapter, fields["m"], fields, hidden)


def _fields(text: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
