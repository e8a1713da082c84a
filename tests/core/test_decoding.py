from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qqproto import lazy
from qqproto.decoding import NESTING, Loads, Unread, decoder_of


def text_only(message: str | bytes) -> Any:
    """A decoder that nobody has heard of: it takes only text, refuses whatever is odd, and has errors of its own."""
    assert isinstance(message, str)
    if not message.isascii() or "\\" in message or len(message) > 5000:
        raise KeyError("not for me")
    if "N" in message or "I" in message:
        raise KeyError("neither are you")
    return json.loads(message)


DECODERS: dict[str, Loads] = {
    "json": json.loads,
    "msgspec": msgspec.json.decode,
    "a decoder of msgspec's": msgspec.json.Decoder().decode,
    "orjson": orjson.loads,
    "another": text_only,
    "one that leaves dispatches unread": lazy.loads,
}


def decoded(name: str, message: str | bytes) -> Any:
    """The value of a message, with what was left unread."""
    value = decoder_of(DECODERS[name])(message)
    return value.read() if isinstance(value, Unread) else value


def nested(depth: int, kind: str = "[") -> bytes:
    """So many arrays or objects in one another."""
    if kind == "[":
        return b"[" * depth + b"]" * depth
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


REFUSED = None

TABLE: list[tuple[str, bytes, Any]] = [
    ("a plain message", b'{"op":0,"d":{"a":[1,true,null]}}', {"op": 0, "d": {"a": [1, True, None]}}),
    ("white space", b" \t\r\n{ \"op\" : 0 }\n", {"op": 0}),
    ("other white space", b"\x0b{}", REFUSED),
    ("something behind it", b"{} {}", REFUSED),
    ("a comma too many", b'{"op":0,}', REFUSED),
    ("nothing", b"", REFUSED),
    ("a byte order mark", b"\xef\xbb\xbf{}", REFUSED),
    ("UTF-16", "{}".encode("utf-16-le"), REFUSED),
    ("no UTF-8", b'{"a":"\xff"}', REFUSED),
    ("a surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}', REFUSED),
    ("a key that is no UTF-8", b'{"\xff":1}', REFUSED),
    ("a control character in a text", b'["\x01"]', REFUSED),
    ("an escape that is none", rb'["\x41"]', REFUSED),
    ("Chinese", '["你好"]'.encode(), ["你好"]),
    ("an escaped pair of surrogates", rb'["\ud83d\ude00"]', ["😀"]),
    ("half a surrogate pair", rb'["\ud83d"]', ["\ud83d"]),
    ("the other half", rb'["\ude00x"]', ["\ude00x"]),
    ("both halves, the wrong way round", rb'["\ude00\ud83d"]', ["\ude00\ud83d"]),
    ("NaN", b'{"op":0,"d":NaN}', REFUSED),
    ("infinity", b"[Infinity]", REFUSED),
    ("minus infinity", b"[-Infinity]", REFUSED),
    ("a float that is too large", b"[1e400,-1e400]", [math.inf, -math.inf]),
    ("a float that is too small", b"[1e-400]", [0.0]),
    ("the largest 64-bit integers", b"[9223372036854775807,18446744073709551615]", [2**63 - 1, 2**64 - 1]),
    ("an integer of 65 bits", b"[18446744073709551616]", [2**64]),
    ("a negative one", b'{"s": -9223372036854775809}', {"s": -(2**63) - 1}),
    ("one by itself", b"123456789012345678901234567890", 123456789012345678901234567890),
    ("one of 400 digits", b"[" + b"7" * 400 + b"]", [int("7" * 400)]),
    ("one of 5,000 digits", b"[" + b"7" * 5000 + b"]", REFUSED),
    ("its digits in a text", b'["%d",":%d"]' % (2**64, 2**64), [str(2**64), f":{2**64}"]),
    ("a float for op", b'{"op":10.0}', {"op": 10.0}),
    ("minus nought", b"[-0,-0.0]", [0, -0.0]),
    ("a leading nought", b"[01]", REFUSED),
    ("a key twice: the last counts", b'{"op":0,"op":7,"d":{"a":1,"a":2}}', {"op": 7, "d": {"a": 2}}),
    ("500 arrays in one another", nested(NESTING), json.loads(nested(NESTING))),
    ("501", nested(NESTING + 1), REFUSED),
    ("500 objects in one another", nested(NESTING, "{"), json.loads(nested(NESTING, "{"))),
    ("501 of them", nested(NESTING + 1, "{"), REFUSED),
    ("100,000", nested(100_000), REFUSED),
    ("100,000 that are not closed", b"[" * 100_000, REFUSED),
    ("1,000 side by side", b"[" + b"[]," * 999 + b"{}]", [[]] * 999 + [{}]),
    ("1,000 in a text", b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
]  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three values, and so are 0.0 and -0.0."""
    return repr(one) == repr(other)


def judge(name: str, message: str | bytes, value: Any) -> None:
    if value is REFUSED:
        with pytest.raises((ValueError, RecursionError)):
            decoder_of(DECODERS[name])(message)
    else:
        assert same(decoded(name, message), value)


@pytest.mark.parametrize(("message", "value"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("name", DECODERS)
def test_one_behaviour_for_every_decoder(name: str, message: bytes, value: Any) -> None:
    judge(name, message, value)
    try:
        text = message.decode()
    except UnicodeDecodeError:
        return
    judge(name, text, value)


@pytest.mark.parametrize("message", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("dispatch", [b'{"op":0,"t":"T","d":{"id":"1","x":%s}}', b'{"op":0,"t":"T","x":%s,"d":{}}'])
def test_the_same_inside_of_a_dispatch(dispatch: bytes, message: bytes) -> None:
    message = dispatch % message
    assert len({outcome(name, message) for name in DECODERS}) == 1


@pytest.mark.parametrize("name", DECODERS)
def test_half_a_pair_in_the_text_itself_is_kept(name: str) -> None:
    judge(name, '["\ud83d"]', ["\ud83d"])


@pytest.mark.parametrize("name", DECODERS)
def test_bytes_that_are_no_utf_8_are_told_from_what_is_no_json(name: str) -> None:
    with pytest.raises(UnicodeDecodeError):
        decoder_of(DECODERS[name])(b'{"a":"\xff"}')
    with pytest.raises(json.JSONDecodeError):
        decoder_of(DECODERS[name])(b'{"a":\xc3\xa9}')


PIECES = st.sampled_from([
    "[", "]", "{", "}", ",", ":", '"', "\\", '"a"', '"a":', "0", "1", "-", ".", "e", "E5", "+", " ", "\n", "\t", "\x00",
    "true", "false", "null", "NaN", "Infinity", "\\ud83d", "\\ude00", "\\u0041", "9" * 19, "1" * 20, "é", "😀",
    "\ufeff", "//",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.one_of(
    st.lists(PIECES, max_size=20).map("".join),
    VALUES.map(json.dumps),
    VALUES.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
)


def outcome(name: str, message: str | bytes) -> str:
    try:
        value = decoder_of(DECODERS[name])(message)
    except UnicodeDecodeError:
        return "no UTF-8"
    except (ValueError, RecursionError):
        return "no JSON"
    # What is left unread may not turn out to be none of it later.
    return repr(value.read() if isinstance(value, Unread) else value)


@given(MESSAGES, st.binary(max_size=3), st.integers(0, 200))
def test_whatever_the_message_they_agree(text: str, dirt: bytes, place: int) -> None:
    message = text.encode("utf-8", "surrogatepass")
    dirty = message[:place] + dirt + message[place:]
    assert len({outcome(name, text) for name in DECODERS}) == 1
    assert len({outcome(name, message) for name in DECODERS}) == 1
    assert len({outcome(name, dirty) for name in DECODERS}) == 1


DISPATCHES = st.fixed_dictionaries({}, optional={
    "op": st.sampled_from([0, 0, 0, 0, False, 0.0, 1, None]),
    "t": st.sampled_from(["READY", "GUILD_UPDATE", "C2C_MESSAGE_CREATE"]) | VALUES,
    "s": st.integers(-1, 9) | VALUES,
    "id": st.text(max_size=3) | VALUES,
    "d": st.fixed_dictionaries({}, optional={"id": st.text(max_size=3) | VALUES, "content": VALUES}) | VALUES,
    "text": VALUES,
})  # fmt: skip


@given(DISPATCHES, st.booleans(), st.lists(PIECES, max_size=3).map("".join), st.integers(0, 200))
@settings(max_examples=150)
def test_whatever_the_dispatch_they_agree(value: Any, ascii: bool, dirt: str, place: int) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    text = text[:place] + dirt + text[place:]
    message = text.encode("utf-8", "surrogatepass")
    assert len({outcome(name, text) for name in DECODERS}) == 1
    assert len({outcome(name, message) for name in DECODERS}) == 1
