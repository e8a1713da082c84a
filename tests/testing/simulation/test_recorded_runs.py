"""Any run of the simulation, recorded: replayed, every process of it says the same at the same times."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from qqproto.recording import Recorder, lives_of, read, replay
from qqproto.testing.simulation import Bot, script_of, simulate
from tests.fuzz.machines import EXAMPLES, campaign

_SECONDS = 600.0


@given(st.integers(0, 1 << 32), st.booleans())
@settings(campaign, max_examples=EXAMPLES // 25)
def test_a_recorded_run_replays(seed: int, hide: bool) -> None:
    """Faults of every kind, several shards, crashes and restarts with a store; with what people wrote or without."""
    written: list[str] = []
    recorder = Recorder(written.append, contents_key=b"0123456789abcdef" if hide else None)
    whole = script_of(seed)
    early = tuple(fault for fault in whole.faults if fault.at < _SECONDS)
    script = replace(whole, hours=min(whole.hours, _SECONDS / 3600), faults=early[:8])

    assert simulate(script, lambda: Bot(shard=recorder.shard)).kept

    lines = read(written)
    report = replay(lines)
    assert report.difference is None, str(report.difference)
    assert report.inputs == sum('"in":' in text for text in written)
    lives = lives_of(lines)
    assert len(lives) == report.shards
    for life in lives:
        assert all(before.end == after.begin for before, after in pairwise(life.spans))
        assert life.begin <= life.spans[0].begin <= life.spans[-1].end == life.end
