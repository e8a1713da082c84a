"""Recordings: what a shard was told and when, without secrets, and the same life lived through again.

A :class:`Recorder` makes shards that write down each of their inputs, with its time, and what came of it, as lines of
JSON. :func:`read` reads them, :func:`replay` gives the inputs to a fresh shard and compares what comes of them, and
:func:`lives_of` tells what happened: phases, heartbeats, outages and how each of them ended.
"""

from qqproto.recording.lines import Line, read
from qqproto.recording.recorder import Recorder
from qqproto.recording.replay import Difference, Moment, Replay, Report, replay
from qqproto.recording.timeline import Life, Mark, Outage, Span, lives_of

__all__ = [
    "Difference",
    "Life",
    "Line",
    "Mark",
    "Moment",
    "Outage",
    "Recorder",
    "Replay",
    "Report",
    "Span",
    "lives_of",
    "read",
    "replay",
]
