"""The fast lane under every stream of frames that can be thought of: wsproto alone is the judge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.frames import TEXT, frame
from tests.core.wire.alone import KINDS, STREAMS, chunked, heard_alone, heard_by, upgraded, whole_frames
from tests.fuzz.machines import campaign


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A stream of frames in which some bytes were changed, left out, doubled, or put in."""
    data = bytearray(draw(STREAMS))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


ANYTHING = st.one_of(
    STREAMS,
    damaged(),
    st.lists(st.binary(max_size=20).map(lambda payload: frame(TEXT, payload)), max_size=6).map(b"".join),
    st.lists(st.sampled_from(KINDS[0]), max_size=40).map(b"".join),
)


@given(ANYTHING, st.lists(st.integers(0, 1 << 12), max_size=12))
@campaign
def test_the_lane_with_wsproto_hears_what_wsproto_alone_hears(data: bytes, cuts: list[int]) -> None:
    heard = heard_alone(whole_frames(data))
    chunks = chunked(data, cuts)
    assert heard_by(upgraded(), chunks) == heard
