"""A dispatch that is left unread until somebody looks at it is the dispatch that it would have been."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle
import types
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qqproto.lazy
from qqproto import Dispatch, Malformed, Ready, Resumed
from qqproto.decoding import Loads
from tests.core.frames import TEXT, accept, frame
from tests.core.hosts import ACK, SESSION, dispatch, hello, message, ready, resumed
from tests.core.test_connection import Socket
from tests.core.test_decoding import DISPATCHES, TABLE

MESSAGE = message(0, t="C2C_MESSAGE_CREATE", s=2, id="e-2", d={"id": "m-2", "content": "你好"}, extra=[1])


def live(loads: Loads = qqproto.lazy.loads) -> Socket:
    socket = Socket(loads=loads)
    socket.up()
    return socket


def heard(text: str = MESSAGE) -> Dispatch:
    """The dispatch that this message is, not looked at by anybody."""
    machine = live().machine
    machine.receive_data(frame(TEXT, text.encode()), 1000.0)
    output = machine.next_output()
    assert type(output) is Dispatch
    return output


def test_it_is_decoded_when_it_is_looked_at_and_once() -> None:
    event = heard()
    assert (event.type, event.id, event.sequence, event.session_id) == ("C2C_MESSAGE_CREATE", "e-2", 2, "S-1")
    assert event.unread is not None
    assert event.data == {"id": "m-2", "content": "你好"}
    assert event.unread is None
    assert event.envelope == json.loads(MESSAGE)
    assert event.envelope["d"] is event.data
    assert event.data is event.data


def test_the_envelope_may_be_looked_at_first() -> None:
    event = heard()
    assert event.envelope["extra"] == [1]
    assert event.envelope["d"] is event.data


def test_one_without_data_has_none() -> None:
    event = heard(message(0, t="GUILD_UPDATE", s=2))
    assert event.data is None
    assert event.envelope == {"op": 0, "t": "GUILD_UPDATE", "s": 2}


def test_it_matches_compares_and_shows_like_any_other() -> None:
    eager = live(msgspec.json.decode)
    eager.say(MESSAGE)
    other = eager.only(Dispatch)
    assert heard() == other
    assert repr(heard()) == repr(other)
    assert dataclasses.replace(heard(), id="x") == dataclasses.replace(other, id="x")
    assert dataclasses.asdict(heard()) == dataclasses.asdict(other)
    match heard():
        case Dispatch(type="C2C_MESSAGE_CREATE", data={"content": content}):
            assert content == "你好"
        case _:
            raise AssertionError


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_it_can_be_copied(copied: Any) -> None:
    twin = copied(heard())
    assert type(twin) is Dispatch
    assert twin == heard()


def test_what_it_does_not_have_it_does_not_have() -> None:
    event = heard()
    for it in (event, Dispatch("T", {})):
        assert not hasattr(it, "content")
    assert event.unread is not None, "nobody looked at it"
    assert not hasattr(Dispatch.__new__(Dispatch), "data")


def test_it_is_settled_and_known_again_without_being_looked_at() -> None:
    socket = live()
    first, again = (message(0, t="C2C_MESSAGE_CREATE", s=s, d={"id": "m-1"}) for s in (2, 5))
    socket.machine.receive_data(frame(TEXT, first.encode()), socket.now)
    event = socket.machine.next_output()
    assert isinstance(event, Dispatch)
    assert event.unread is not None
    socket.say(again)
    assert not socket.take(Dispatch), "its d.id was heard before, and the numbers in between were not"
    session = socket.machine.session
    assert session is not None
    assert (session.settled, session.done) == (5, ("C2C_MESSAGE_CREATE m-1",))
    assert event.unread is not None


def test_what_is_not_handed_out_as_a_dispatch_is_read_at_once() -> None:
    socket = Socket(SESSION, loads=qqproto.lazy.loads)
    socket.receive(accept(socket.request))
    socket.say(hello(), dispatch(42), resumed(43), ACK)
    assert socket.only(Dispatch).data == {"id": "m-42"}
    assert socket.only(Resumed).dispatch.envelope == json.loads(resumed(43))
    socket.say(ready())
    assert "READY" in socket.only(Malformed).what


def test_a_new_session_is_read_at_once() -> None:
    socket = Socket(loads=qqproto.lazy.loads)
    socket.receive(accept(socket.request))
    socket.say(hello(), MESSAGE)
    assert "before READY" in socket.only(Malformed).what
    socket.allow_identify()
    socket.say(ready())
    assert socket.only(Ready).dispatch.envelope == json.loads(ready())


# -- next to one that reads everything at once -----------------------------------------------------------------------


def told(loads: Loads, chunks: list[bytes]) -> list[str]:
    """All that a live connection says to these bytes, every dispatch looked at, and where its session is then."""
    socket = live(loads)
    socket.receive(*chunks)
    machine = socket.machine
    return [*map(repr, socket.outputs), *(repr(output.envelope) for output in socket.take(Dispatch)),
            repr(machine.ending), repr(machine.session)]  # fmt: skip


def agree(loads: Loads, messages: list[bytes]) -> None:
    chunks = [frame(TEXT, text) for text in messages]
    assert told(loads, chunks) == told(json.loads, chunks)


@given(st.lists(DISPATCHES.map(json.dumps) | st.sampled_from([MESSAGE, dispatch(2), dispatch(3), ACK]), max_size=4))
@settings(max_examples=50)
def test_whatever_comes_a_connection_says_the_same(texts: list[str]) -> None:
    agree(qqproto.lazy.loads, [text.encode() for text in texts])


ODD = [b'{"op":0,"t":"T","s":2,"d":{"id":"1","x":%s}}' % row[1] for row in TABLE] + [
    b'{"op":0,"t":"T","s":2,"d":{"id":"1","x":[%s]}}' % number
    for number in (b"7" * 4300, b"7" * 4301, b" " * 2000 + b"-" + b"7" * 4301, b"1." + b"7" * 5000)
]


@pytest.mark.parametrize("text", ODD)
def test_what_cannot_be_read_is_told_when_it_comes(text: bytes) -> None:
    agree(qqproto.lazy.loads, [text])


FAULTS = {
    "a text that is no UTF-8 is let through": ("        message.decode()", "        pass"),
    "what is nested too deep is let through": ("if may_be_nested(message):", "if False:"),
    "a number that is too long is let through": ("// 2]", "]"),
    "... in bytes": ("else _two_digits_of_bytes(sample))", "else None)"),
    "any opcode is a dispatch": ("unread.op != _DISPATCH", "False"),
    "so is false": ("type(unread.op) is not int or ", ""),
    "d.id is forgotten": ("else self.d.id", "else None"),
    "what is no object by msgspec's lights is no JSON": ("return _whole(message)\n    if type", "raise\n    if type"),
    "the message is not kept": ("    unread.text = message\n", ""),
}  # fmt: skip
"""A line of the decoder, and what is wrong in its place."""


@pytest.mark.parametrize(("right", "wrong"), FAULTS.values(), ids=FAULTS)
def test_faults_in_it_are_found(right: str, wrong: str) -> None:
    source = inspect.getsource(qqproto.lazy)
    assert right in source, "there is no such line any more"
    faulty = types.ModuleType("qqproto.lazy")
    exec(compile(source.replace(right, wrong), "faulty", "exec"), faulty.__dict__)
    with pytest.raises((AssertionError, AttributeError, ValueError, msgspec.MsgspecError)):
        search(faulty.loads)


def search(loads: Loads) -> None:
    for text in ODD:
        agree(loads, [text])
    several = [
        *(message(op, t="C2C_MESSAGE_CREATE", s=3, d={}) for op in (False, 12)),
        *(message(0, t="C2C_MESSAGE_CREATE", s=s, d={"id": "m-1"}) for s in (2, 5)),
        message(0, t="T", d=""),
    ]
    agree(loads, [text.encode() for text in several])
