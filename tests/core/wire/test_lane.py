from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from wsproto.utilities import LocalProtocolError

import qqproto.connection
import qqproto.wire.lane
from qqproto import QQGatewayConnection
from qqproto.wire.lane import Lane
from qqproto.wire.websocket import WebSocket
from tests.core.wire.alone import (
    LONG,
    STREAMS,
    boundaries,
    chunked,
    heard_alone,
    heard_by,
    opened,
    upgraded,
    whole_frames,
)

STREAMS_A_RUN = 2000
CHUNKINGS = 10
"""Of each stream; 20,000 cases all in all."""

SEEDS = st.integers(0, (1 << 32) - 1)
"""Where the chunkings that are left to chance come from: to draw each cut costs more than the rest of a case."""


def cuts(seed: int) -> list[list[int]]:
    random = Random(seed)
    return [[random.randrange(1 << 16) for _ in range(random.randint(1, 6))] for _ in range(CHUNKINGS - 4)]


def chunkings(data: bytes, seed: int) -> Iterator[list[bytes]]:
    """The stream frame by frame, as most come; in one piece; byte by byte; with its ends apart; in ways drawn."""
    yield chunked(data, boundaries(data))
    yield [data]
    yield chunked(data, range(len(data)))
    yield chunked(data, [1, 3, -1])
    for places in cuts(seed):
        yield chunked(data, places)


def agree(make: Callable[[], QQGatewayConnection], data: bytes, seed: int) -> None:
    """However the stream is cut, what is heard is what wsproto alone hears."""
    heard = heard_alone(whole_frames(data))
    for chunks in chunkings(data, seed):
        assert heard_by(make(), chunks) == heard


@given(STREAMS, SEEDS)
@settings(max_examples=STREAMS_A_RUN)
def test_the_lane_with_wsproto_hears_what_wsproto_alone_hears(data: bytes, seed: int) -> None:
    agree(opened, data, seed)


@given(st.sampled_from(LONG), STREAMS, SEEDS)
@settings(max_examples=20)
def test_frames_with_eight_bytes_of_length_too_and_after_an_upgrade(long: bytes, data: bytes, seed: int) -> None:
    heard = heard_alone(whole_frames(long + data))
    for places in cuts(seed):
        assert heard_by(upgraded(), chunked(long + data, places)) == heard


# -- is the judge any good? ----------------------------------------------------------------------------------------

FAULTS = {
    "a mask is overlooked": ("second < _MASK and", ""),
    "a length may be longer than it has to be": ("least <= length", "length"),
    "... by a byte": ("(at + 4, 126)", "(at + 4, 125)"),
    "a reserved bit is overlooked": ("first == ORDINARY", "first & 0x8F == ORDINARY"),
    "a first fragment counts as a message": ("first == ORDINARY", "first & 0x7F == 1"),
    "binary counts as text": ("first == ORDINARY", "first in (0x81, 0x82)"),
    "an open message is overlooked": ("<= limit and not self._fragments", "<= limit"),
    "a header in two pieces is lost": ("self._head = data[at:]", "self._head = b''"),
    "the rest of a read is lost": ("            at = stop\n", "            at = end\n"),
    "a payload begins a byte late": ("payload = data[start:stop]", "payload = data[start + 1 : stop]"),
    "a payload takes what is not its own": ("= self._fill(self._body, data)", "= 1 + self._fill(self._body, data)"),
    "a payload in pieces is jumbled": ("self._filled = filled + taken", "self._filled = taken"),
    "a payload is whole a byte late": ("self._filled + len(data) <", "self._filled + len(data) <="),
    "what follows the end is heard": ("while not self._over and end", "while end"),
    "a frame goes without its header": ("yield from self._other(header)\n        if self._size", "if self._size"),
    "what was handed out is not remembered": ("self.given = payload = data", "payload = data"),
    "... in pieces": ("self.given = payload = bytes", "payload = bytes"),
}  # fmt: skip
"""A line of the lane, and what is wrong in its place."""

USUAL_FAULTS = {
    "a mask is overlooked": ("length, start = data[at + 1]", "length, start = data[at + 1] & 127"),
    "... with a longer length": ("length != 126", "length & 127 != 126"),
    "a length may be longer than it has to be": ("length < 126", "length < 125"),
    "the longest header counts as the longer": ("length != 126 or", "length < 126 or"),
    "a length is taken for a byte more": ("data[at + 3], at + 4", "data[at + 3] + 1, at + 4"),
    "a header that is not whole is read": ("or end - at < 4", ""),
    "... nor its first two bytes": ("end - at > 1", "end > at"),
    "a payload that is not whole is read": ("stop > end or", "stop > end + 1 or"),
    "a payload begins a byte late": ("data[start:stop]", "data[start + 1 : stop]"),
    "a reserved bit is overlooked": ("== ORDINARY", "& 0x8F == ORDINARY"),
    "a first fragment counts as a message": ("== ORDINARY", "& 0x7F == 1"),
    "binary counts as text": ("data[at] == ORDINARY", "data[at] in (0x81, 0x82)"),
    "an open message is overlooked": ("not websocket.idle or", ""),
    "what was handed out is not remembered": ("websocket.given = message", "pass"),
    "what follows the end is heard": ("conversation.ending is not None:\n                return", "False: return"),
    "the rest of a read is lost": ("if at < end:", "if at == 0:"),
    "... but for its beginning": ("self._on_data(data[at:], now)", "self._on_data(data[: end - at], now)"),
}  # fmt: skip
"""A line of the connection's, and what is wrong in its place."""


def with_fault(right: str, wrong: str) -> type[WebSocket]:
    """A WebSocket whose lane has this fault."""
    lane = faulty(qqproto.wire.lane, right, wrong)
    methods = {name: method for name, method in vars(lane.Lane).items() if inspect.isfunction(method)}
    slow = type("FaultyLane", (Lane,), {name: methods[name] for name in methods.keys() - {"_other", "_excess"}})
    return type("FaultyWebSocket", (WebSocket, slow), {})


def faulty(module: types.ModuleType, right: str, wrong: str) -> types.ModuleType:
    source = inspect.getsource(module)
    assert right in source, f"{module.__name__} has no such line any more"
    copy = types.ModuleType("faulty")
    exec(compile(source.replace(right, wrong), "faulty", "exec"), copy.__dict__)
    return copy


def search(make: Callable[[], QQGatewayConnection]) -> None:
    """The property above for any lane; the same streams every time, and nothing is made smaller."""

    @given(STREAMS, SEEDS)
    @settings(max_examples=2000, derandomize=True, database=None, phases=[Phase.generate])
    def property(data: bytes, seed: int) -> None:
        agree(make, data, seed)

    property()


FOUND = (AssertionError, IndexError, ValueError, LocalProtocolError)


@pytest.mark.untraced
@pytest.mark.parametrize(("right", "wrong"), FAULTS.values(), ids=FAULTS)
def test_faults_in_the_lane_are_found(right: str, wrong: str) -> None:
    with pytest.raises(FOUND):
        search(partial(opened, websocket=with_fault(right, wrong)))


@pytest.mark.untraced
@pytest.mark.parametrize(("right", "wrong"), USUAL_FAULTS.values(), ids=USUAL_FAULTS)
def test_faults_in_the_usual_case_are_found(right: str, wrong: str) -> None:
    with pytest.raises(FOUND):
        search(partial(opened, faulty(qqproto.connection, right, wrong).QQGatewayConnection))
