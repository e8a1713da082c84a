"""Odd pieces and floods: the work is linear, what is kept is bounded, and each ends in an outcome that has a name."""

from __future__ import annotations

import tracemalloc

import pytest

from benchmarks.streams import STREAMS, Stream, hear
from benchmarks.work import dispatch, frame
from tests.core.effort import bytecodes

SMALL, LARGE = 1 << 10, 8 << 10
GROWTH = 1.6
KEPT = 128 << 10

streams = pytest.mark.parametrize("stream", STREAMS, ids=[stream.name for stream in STREAMS])


@streams
def test_a_byte_costs_the_same_however_many_there_are(stream: Stream) -> None:
    small = bytecodes(hear(stream.chunks(SMALL)))
    large = bytecodes(hear(stream.chunks(LARGE)))
    assert large <= GROWTH * small * LARGE / SMALL


@streams
def test_each_ends_in_its_outcome_and_little_is_kept(stream: Stream) -> None:
    chunks = stream.chunks(2 * LARGE)
    hearing = hear(chunks)
    tracemalloc.start()
    try:
        assert hearing().startswith(stream.outcome)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < KEPT


@pytest.mark.parametrize("size", [4 << 10, 64 << 10, 256 << 10])
def test_a_message_that_is_not_whole_is_kept_once(size: int) -> None:
    data = frame(dispatch(size, 2))
    hearing = hear([data[start : min(start + 100, len(data) - 1)] for start in range(0, len(data), 100)])
    tracemalloc.start()
    try:
        assert hearing() == "nothing"
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < kept < most < size + KEPT


@pytest.mark.parametrize("size", [4 << 10, 64 << 10, 256 << 10])
def test_a_message_takes_less_than_ten_times_its_size(size: int) -> None:
    hearing = hear([frame(dispatch(size, 2))])
    tracemalloc.start()
    try:
        assert hearing() == "dispatches"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 * size
