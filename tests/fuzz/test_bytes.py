"""A connection under hostile bytes: nothing raises, nothing grows without bound, work is linear."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Policy, QQGatewayConnection, Token
from tests.core import frames
from tests.core.frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame
from tests.core.hosts import half
from tests.fuzz.machines import CONFIG, SECRET, TEXTS, campaign, drain, live_connection, size, work

SMALL = Policy(max_message=4096, max_fragments=16, max_control_frames=8)

FRAMES = st.one_of(
    TEXTS.map(frames.text),
    st.tuples(st.sampled_from([TEXT, BINARY, CONTINUATION, PING, PONG, 3, 8, 11]), st.binary(max_size=130)).map(
        lambda parts: frame(parts[0], parts[1])
    ),
    st.binary(max_size=40),
    st.sampled_from([b"\x81\x7f" + b"\x7f" + b"\xff" * 7, b"\x81\x7e\xff\xff", b"\x01\x00", b"\x88\x02\x0f\xa9"]),
)


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    """Frames, good and bad, cut anywhere, sometimes with a byte changed."""
    data = bytearray(b"".join(draw(st.lists(FRAMES, min_size=1, max_size=8))))
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=6))})
    return [bytes(data[start:end]) for start, end in itertools.pairwise(cuts)]


@given(chunked(), st.booleans())
@campaign
def test_any_bytes_on_a_live_connection(chunks: list[bytes], ends: bool) -> None:
    machine = live_connection(SMALL)
    now = 0.0
    for chunk in [*chunks, b""] if ends else chunks:
        now += 0.5
        machine.receive_data(chunk, now)
        list(drain(machine))
        assert machine.ended or machine.next_timer() is not None
        machine.handle_timer(now)
        list(drain(machine))
    assert not ends or machine.ended
    assert size(machine) < size(live_connection(SMALL)) + SMALL.max_message + (128 << 10)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"HTTP/1.1 101 x\r\n", b"upgrade: websocket\r\n", b"\r\n"])))
@campaign
def test_any_bytes_for_an_upgrade(chunks: list[bytes]) -> None:
    machine = QQGatewayConnection(CONFIG, "ws://gateway.example/", Token(SECRET), random=half)
    machine.connection_opened(0.0)
    for chunk in chunks:
        machine.receive_data(chunk, 0.0)
        list(drain(machine))
    machine.handle_timer(25.0)
    list(drain(machine))


FLOODS = {
    "dispatches": (b"", frames.text('{"op":0,"s":2,"t":"X","d":{"a":"b"}}')),
    "nonsense": (b"", frames.text("nonsense")),
    "unknown opcodes": (b"", frames.text('{"op":99}')),
    "heartbeat requests": (b"", frames.text('{"op":1}')),
    "pings": (b"", frame(PING, b"")),
    "empty fragments": (frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", fin=False)),
    "an endless message": (frame(TEXT, b"", fin=False), frame(CONTINUATION, b"a" * 1000, fin=False)),
    "a giant length": (b"\x81\x7f\x00\x00\x00\x7f\xff\xff\xff\xff", b"a" * 1000),
}
"""What comes first, and what then comes again and again."""


@pytest.mark.parametrize("name", FLOODS)
def test_work_and_memory_are_linear_in_the_bytes(name: str) -> None:
    """A flood either ends in a named outcome, or costs the same for each of its bytes."""
    first, again = FLOODS[name]

    def flood(length: int) -> tuple[int, QQGatewayConnection]:
        machine = live_connection()
        data = first + again * (length // len(again))

        def feed() -> None:
            machine.receive_data(data, 1.0)
            for _ in drain(machine):
                pass

        return work(feed), machine

    small, _ = flood(8 << 10)
    large, machine = flood(128 << 10)
    assert large <= 16 * small * 1.6
    assert machine.ended or size(machine) < size(live_connection()) + (512 << 10)


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_small_pieces_cost_what_they_bring(chunk: int) -> None:
    def feed(length: int) -> int:
        machine = live_connection()
        message = frames.text('{"op":0,"s":2,"t":"X","d":"' + "x" * length + '"}')

        def run() -> None:
            for start in range(0, len(message), chunk):
                machine.receive_data(message[start : start + chunk], 1.0)
                while machine.next_output() is not None:
                    pass

        return work(run)

    assert feed(64 << 10) <= 16 * feed(4 << 10) * 1.6
