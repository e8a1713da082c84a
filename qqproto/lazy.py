"""A decoder that leaves a dispatch unread until somebody looks at it. Needs the extra ``speed``."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from qqproto.decoding import Unread, decoder_of, may_be_nested
from qqproto.protocol.opcodes import Opcode

_DISPATCH = int(Opcode.DISPATCH)
_whole = decoder_of(msgspec.json.decode)

_MOST_DIGITS = 4300
"""Python reads no integer that is longer, unless it was told to (sys.set_int_max_str_digits)."""
_two_digits = re.compile(r"[0-9]{2}").search
_two_digits_of_bytes = re.compile(rb"[0-9]{2}").search


class _Data(msgspec.Struct, gc=False):
    id: Any = None


class _Message(Unread, msgspec.Struct, gc=False):
    """What is decoded at once. The rest is looked at by msgspec as well, and refused if it is no JSON."""

    op: Any = None
    t: Any = None
    s: Any = None
    id: Any = None
    d: _Data | None = None
    text: Any = None
    """The message itself, whatever it says here."""

    @property
    def named(self) -> Any:
        return None if self.d is None else self.d.id

    def read(self) -> dict[str, Any]:
        envelope = _whole(self.text)
        assert type(envelope) is dict
        return envelope


_decode = msgspec.json.Decoder(_Message).decode


def loads(message: str | bytes) -> Any:
    """A decoder for ``loads=``: as ``msgspec.json.decode``, but a dispatch is not decoded until it is looked at.

    That is when its ``data`` or its ``envelope`` is asked for the first time. What is no JSON, no UTF-8 or nested too
    deep is told when it comes, as with every decoder; what is odd in any other way is decoded at once.
    """
    try:
        unread = _decode(message)
    except Exception:  # no JSON, not by msgspec's lights, or no object in one
        return _whole(message)
    if type(unread.op) is not int or unread.op != _DISPATCH or _is_doubtful(message):
        return _whole(message)
    if isinstance(message, bytes):
        # In what it skips, msgspec does not look whether it is UTF-8.
        message.decode()
    unread.text = message
    return unread


def _is_doubtful(message: str | bytes) -> bool:
    """Whether it may be nested too deep, or have a number that is too long: msgspec skips both."""
    if may_be_nested(message):
        return True
    if len(message) <= _MOST_DIGITS:
        return False
    # A number that is too long has two of these in a row, wherever it begins.
    sample = message[:: _MOST_DIGITS // 2]
    return bool(_two_digits(sample) if isinstance(sample, str) else _two_digits_of_bytes(sample))
