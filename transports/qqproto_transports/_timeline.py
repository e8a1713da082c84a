"""What the pictures of a recording have in common: which lives share a scale, and what is said of each in words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from qqproto.protocol.close_codes import Phase
from qqproto.recording import Life, Mark, Outage
from qqproto_transports._cli_print import shorten

MOST_TOLD = 40
"""Outages, and other things, of one life that are told in words; a picture has room for no more."""

MOST_CAUSES = 5
"""Causes of failed tries in one outage that are told."""

_COUNTED = 600.0
"""Seconds that people count; what is longer ago has a time of day."""

_SHOWN_OTHERWISE = ("ready", "resumed", "identify", "resume", "offline", "online")
"""Marks that phases and outages show as well."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def pictures(lives: Sequence[Life]) -> Iterator[tuple[float, float, list[Life]]]:
    """The lives of each process, with the time at which it began and that at which it ended."""
    for _, group in groupby(lives, lambda life: life.chapter):
        together = list(group)
        begin, end = min(life.begin for life in together), max(life.end for life in together)
        yield begin, max(end, begin + 0.001), together


def title(life: Life, process: bool) -> str:
    """A life in one line; of which process it is, if there are several."""
    span = max(life.end - life.begin, 0.001)
    counts = [
        _many(len([outage for outage in life.outages if not outage.planned]), "outage"),
        _many(len([outage for outage in life.outages if outage.planned]), "rotation"),
        _many(count_of(life, "identify"), "Identify", "Identifies"),
        _many(count_of(life, "resume"), "Resume"),
        _many(len(life.beats), "heartbeat"),
        _many(len(life.acks), "ACK"),
        _many(len(life.dispatches), "event"),
    ]
    cut = "" if life.whole else ", its beginning was rotated away"
    whose = f"process {life.chapter}, " if process else ""
    since = "" if life.unix is None else f", from {date(life.unix)}"
    return (
        f"{whose}shard {life.shard}, {duration(span)}{since}{cut}: live {100 * life.live / span:.1f} %, "
        + ", ".join(counts)
    )


def count_of(life: Life, kind: str) -> int:
    """How many marks of a kind there are."""
    return sum(mark.kind == kind for mark in life.marks)


def cause(outage: Outage) -> str:
    """Why it began."""
    return ("rotation, " if outage.planned else "") + shorten(next(iter(outage.causes)), 90)


def later_causes(outage: Outage) -> list[str]:
    """Why it went on: the causes of failed tries, with how often."""
    first, *others = outage.causes.items()
    later = [(first[0], first[1] - 1)] * (first[1] > 1) + others
    told = [f"{count:,} x {shorten(what, 80)}" for what, count in later[:MOST_CAUSES]]
    left = sum(count for _, count in later[MOST_CAUSES:])
    return [*told, f"{left:,} others"] if left else told


def ending(outage: Outage) -> str:
    """How it ended."""
    return outage.ending + (f", {outage.missing} missing" if outage.missing else "")


def length(outage: Outage) -> str:
    return "" if outage.end is None else duration(outage.end - outage.begin)


def others(life: Life) -> list[Mark]:
    """What else happened, without what phases and outages show."""
    return [
        Mark(mark.at, mark.kind, shorten(mark.text, 120)) for mark in life.marks if mark.kind not in _SHOWN_OTHERWISE
    ]


def ticks(begin: float, end: float, most: int) -> list[float]:
    """Round spans since ``begin``, no more than so many, the first of them zero."""
    span = end - begin
    step = next((step for step in _STEPS if span / step < most), 86400.0 * (1 + span // (86400.0 * most)))
    return [step * number for number in range(int(span // step) + 1)]


def duration(seconds: float) -> str:
    """A span for people."""
    if seconds < 99.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    return clock(round(seconds))


def moment(life: Life, at: float, begin: float) -> str:
    """When something was: so long after ``begin``, or, in a life that is longer than people count, by their clock."""
    if life.unix is None or life.end - life.begin < _COUNTED:
        return duration(at - begin)
    return time.strftime("%m-%d %H:%M:%S", time.localtime(life.unix + at - life.begin))


def date(unix_time: float) -> str:
    """A moment by the clock on the wall."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(unix_time))


def clock(seconds: float) -> str:
    """A round span for people."""
    if seconds < 100:
        return f"{seconds:g} s"
    minutes, whole = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{whole:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02} h"


def shown(life: Life, begin: float, end: float) -> tuple[Phase | None, bool]:
    """The phase that takes the most of the time between two moments, None where there was none; and whether a session
    that was live for most of it was not so all the time."""
    spans = [span for span in life.spans if span.begin < end and span.end > begin]
    shares: dict[Phase, float] = {}
    for span in spans:
        shares[span.phase] = shares.get(span.phase, 0.0) + min(span.end, end) - max(span.begin, begin)
    if not shares:
        return None, False
    phase = max(shares, key=shares.__getitem__)
    return phase, phase is Phase.READY and len(shares) > 1


def _many(count: int, one: str, many: str = "") -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"
