"""What a message's JSON means, whichever decoder reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json.scanner import make_scanner
from typing import Any, NoReturn, TypeAlias

Loads: TypeAlias = Callable[[str | bytes], Any]
"""A JSON decoder: ``json.loads``, ``msgspec.json.decode``, ``orjson.loads``, or the like of them."""

NESTING = 500
"""How deep arrays and objects may be nested: about half of what CPython's recursion limit and orjson allow, so that
neither a deep call stack nor another decoder makes a difference. The platform's own messages have six levels."""

_LEAST = 2 * NESTING
"""A shorter message cannot be nested deeper."""


@dataclass(slots=True)
class Decoder:
    """``decode`` gives the value of a message, or raises ValueError or RecursionError if it is no JSON.

    Bytes that are no UTF-8 raise UnicodeDecodeError. ``raw``: it is the faster for being given bytes.
    """

    decode: Loads
    raw: bool


def decoder_of(loads: Loads) -> Decoder:
    """``loads`` with the behaviour that is promised for every decoder (see the contract's page).

    What it refuses is put to the standard library's decoder, whose word is the last: so a decoder may be stricter than
    that one, about half a surrogate pair say, without an event being lost. It must not be laxer, and only three are
    known to be told from it nowhere: the standard library's, msgspec's and orjson's.
    """
    if loads is json.loads:
        return Decoder(standard, raw=False)
    home = getattr(loads, "__module__", None) or type(getattr(loads, "__self__", None)).__module__
    package = home.partition(".")[0]
    if package == "msgspec":
        return Decoder(_second(loads), raw=True)
    if package == "orjson":
        return Decoder(_second(_exact(loads)), raw=True)
    return Decoder(_second(_textual(loads)), raw=False)


# -- the standard library's ------------------------------------------------------------------------------------------


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_STANDARD = json.JSONDecoder(parse_constant=_refuse)
_scan = make_scanner(_STANDARD)  # type: ignore[arg-type]  # typeshed takes a scanner's context for a scanner


def standard(message: str | bytes) -> Any:
    """The standard library's decoder, without its extensions: no NaN, no infinity, and of bytes only UTF-8."""
    # ``json.loads`` looks at types and arguments for longer than a short message takes to decode.
    text = message if isinstance(message, str) else str(message, "utf-8")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        value, end = None, -1
    if end != len(text):
        # White space around it; or it is none, and this says so.
        value = _STANDARD.decode(text)
    if len(text) > _LEAST:
        _check_nesting(value, text.count("[") + text.count("{"))
    return value


# -- the others ------------------------------------------------------------------------------------------------------


def _second(loads: Loads) -> Loads:
    """The standard library's decoder behind ``loads``, for what that one refuses."""

    def decode(message: str | bytes) -> Any:
        try:
            value = loads(message)
        except Exception:  # each library has exceptions of its own
            return standard(message)
        if len(message) > _LEAST:
            opened = message.count("[") + message.count("{") if isinstance(message, str) else _opened(message)
            _check_nesting(value, opened)
        return value

    return decode


def _opened(message: bytes) -> int:
    return message.count(b"[") + message.count(b"{")


def _textual(loads: Loads) -> Loads:
    """What is not known to look at its UTF-8 gets text."""
    return lambda message: loads(message if isinstance(message, str) else str(message, "utf-8"))


_WIDE = r"(?:^|[:,\[])[ \t\r\n]*-?[0-9]{19}"
"""What an integer looks like that may not fit into 64 bits; a text may look like it too."""
_wide_text = re.compile(_WIDE).search
_wide_bytes = re.compile(_WIDE.encode()).search


def _exact(loads: Loads) -> Loads:
    """orjson makes a float of an integer that needs more than 64 bits."""

    def decode(message: str | bytes) -> Any:
        wide = _wide_text(message) if isinstance(message, str) else _wide_bytes(message)
        return standard(message) if wide else loads(message)

    return decode


# -- nesting ---------------------------------------------------------------------------------------------------------


def _check_nesting(value: Any, opened: int) -> None:
    """``opened``: how many brackets and braces the message has, those in its texts included."""
    if opened <= NESTING:
        return
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > NESTING:
            raise ValueError(f"nested deeper than {NESTING} levels")
        children = (child for node in level for child in (node.values() if isinstance(node, dict) else node))
        level = [child for child in children if isinstance(child, (dict, list))]
