"""Whether decoded JSON fits a TypedDict: the question that the library never asks at run time."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any


def hints_of(shape: Any) -> dict[str, Any]:
    """The fields of a TypedDict with their types, without what ``Annotated`` adds."""
    return typing.get_type_hints(shape)


def misfits(value: Any, shape: Any, where: str = "d") -> Iterator[str]:
    """One sentence for each way in which ``value`` is not of type ``shape``; fields that it does not name are none."""
    origin, args = typing.get_origin(shape), typing.get_args(shape)
    if shape is Any:
        return
    if typing.is_typeddict(shape):
        if not isinstance(value, dict):
            yield f"{where} is no object"
            return
        for name in sorted(shape.__required_keys__ - set(value)):
            yield f"{where}.{name} is missing"
        for name, kind in hints_of(shape).items():
            if name in value:
                yield from misfits(value[name], kind, f"{where}.{name}")
    elif origin is typing.Literal:
        if value not in args:
            yield f"{where} is {value!r}, none of {args}"
    elif origin in (typing.Union, types.UnionType):
        if all(list(misfits(value, kind)) for kind in args):
            yield f"{where} is {value!r}, none of {args}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{where} is no array"
            return
        for index, item in enumerate(value):
            yield from misfits(item, args[0], f"{where}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{where} is no object"
    elif type(value) is not shape:
        yield f"{where} is {value!r}, no {shape.__name__}"


def strangers(value: Any, shape: Any, where: str = "d") -> Iterator[str]:
    """The fields of ``value`` that ``shape`` does not name."""
    if typing.is_typeddict(shape) and isinstance(value, dict):
        hints = hints_of(shape)
        for name, item in value.items():
            if name in hints:
                yield from strangers(item, hints[name], f"{where}.{name}")
            else:
                yield f"{where}.{name}"
    elif typing.get_origin(shape) is list:
        for index, item in enumerate(value):
            yield from strangers(item, typing.get_args(shape)[0], f"{where}[{index}]")
