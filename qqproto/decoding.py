"""What a message's JSON means, whichever decoder reads it."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Callable
from json.scanner import make_scanner
from typing import Any, AnyStr, NoReturn, TypeAlias

Loads: TypeAlias = Callable[[str | bytes], Any]
"""A JSON decoder: ``json.loads``, ``msgspec.json.decode``, ``orjson.loads``, or the like of them."""


class Unread:
    """A dispatch's message that is known to be JSON, and of which no more is decoded than its session looks at.

    A decoder may give one in place of the envelope: :func:`qqproto.lazy.loads` does.
    """

    __slots__ = ()

    t: Any
    s: Any
    id: Any

    @property
    @abstractmethod
    def named(self) -> Any:
        """``d.id``, None without one."""
        ...

    @abstractmethod
    def read(self) -> dict[str, Any]:
        """The whole envelope."""
        ...


NESTING = 500
"""How deep arrays and objects may be nested: about half of what CPython's recursion limit and orjson allow, so that
neither a deep call stack nor another decoder makes a difference. The platform's own messages have six levels."""

_LEAST = 2 * NESTING
"""A shorter message cannot be nested deeper."""


def decoder_of(loads: Loads) -> Loads:
    """``loads`` with the behaviour that is promised for every decoder (see the contract's page).

    It gives the value of a message, or raises ValueError or RecursionError if that is no JSON, and UnicodeDecodeError
    if it is not even UTF-8. What ``loads`` refuses is put to the standard library's decoder, whose word is the last: so
    a decoder may be stricter than that one, about half a surrogate pair say, without an event being lost. It must not
    be laxer; the standard library's own, msgspec's and orjson's are known to come to the same.
    """
    if loads is json.loads:
        return standard
    home = getattr(loads, "__module__", None) or type(getattr(loads, "__self__", None)).__module__
    package = home.partition(".")[0]
    if home == "qqproto.lazy":
        return loads
    if package == "msgspec":
        return _second(loads)
    return _second(_exact(loads) if package == "orjson" else _textual(loads))


# -- the standard library's ------------------------------------------------------------------------------------------


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_STANDARD = json.JSONDecoder(parse_constant=_refuse)
_scan = make_scanner(_STANDARD)  # type: ignore[arg-type]  # typeshed takes a scanner's context for a scanner


def standard(message: str | bytes) -> Any:
    """The standard library's decoder, without its extensions: no NaN, no infinity, and of bytes only UTF-8."""
    # The scanner by itself: ``json.loads`` looks at its arguments for half as long as a short message takes to decode.
    text = message if isinstance(message, str) else message.decode()
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        value, end = None, -1
    if end != len(text):
        # White space around it; or it is none, and this says so.
        value = _STANDARD.decode(text)
    if len(message) > _LEAST and may_be_nested(message):
        _check_nesting(value)
    return value


# -- the others ------------------------------------------------------------------------------------------------------


def _second(loads: Loads) -> Loads:
    """The standard library's decoder behind ``loads``, for what that one refuses."""

    def decode(message: str | bytes) -> Any:
        try:
            value = loads(message)
        except Exception:  # each library has exceptions of its own
            return standard(message)
        if len(message) > _LEAST and may_be_nested(message):
            _check_nesting(value)
        return value

    return decode


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


def may_be_nested(message: str | bytes) -> bool:
    """Whether it may be nested too deep: it is long enough, and has so many brackets, those in its texts included."""
    if len(message) <= _LEAST:
        return False
    return _opens_many(message, "[", "{") if isinstance(message, str) else _opens_many(message, b"[", b"{")


def _opens_many(message: AnyStr, *brackets: AnyStr) -> bool:
    """Whether it has more of these than levels are allowed.

    From one to the next, because there are few: to count them looks at every character, for as long as to decode them.
    """
    left = NESTING
    for bracket in brackets:
        at = message.find(bracket)
        while at >= 0:
            if not left:
                return True
            left -= 1
            at = message.find(bracket, at + 1)
    return False


def _check_nesting(value: Any) -> None:
    """Level by level, because to descend is what a value that is nested too deep forbids."""
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > NESTING:
            raise ValueError(f"nested deeper than {NESTING} levels")
        children = (child for node in level for child in (node.values() if isinstance(node, dict) else node))
        level = [child for child in children if isinstance(child, (dict, list))]
