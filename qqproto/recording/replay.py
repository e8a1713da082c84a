"""Living a recording through again: the same inputs at the same times, and whether the same comes of them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qqproto.actions import SendData
from qqproto.config import Framing
from qqproto.credentials import Token
from qqproto.decoding import Loads
from qqproto.events import Dispatch
from qqproto.failures import Failure
from qqproto.outbox import Output
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo
from qqproto.recording.lines import Line
from qqproto.recording.redaction import Transparent
from qqproto.recording.sent import key_of, sent_to_json
from qqproto.recording.stream import Outgoing, message_of
from qqproto.recording.values import (
    config_of,
    dump,
    failure_of,
    framing_of,
    gateway_of,
    output_to_json,
    policy_of,
    session_of,
)
from qqproto.shard import Shard

_UNFORESEEN = 0.5
"""What a machine draws that draws more often than the recorded one did."""


@dataclass(slots=True)
class Moment:
    """One thing that happened in a replay: an input that was given to a shard, or an output that it said.

    ``at`` is when, in seconds on the recording's clock, ``line`` which line of the recording has it, ``shard`` the
    shard's index. ``said`` is the output, None for an input.
    """

    at: float
    line: Line
    shard: int
    said: Output | None = None


@dataclass(slots=True)
class Difference:
    """Where a replay parted from its recording: at which line, when, and what was there in place of what.

    ``recorded`` and ``replayed`` are outputs, times or exceptions as a recording has them; None for nothing.
    """

    number: int
    at: float
    shard: int
    recorded: str | None
    replayed: str | None

    def __str__(self) -> str:
        recorded, replayed = (what or "nothing" for what in (self.recorded, self.replayed))
        return f"line {self.number}, shard {self.shard}: recorded was {recorded}; now it is {replayed}"


@dataclass(slots=True)
class Report:
    """What came of a replay.

    ``inputs`` were given to ``shards`` shards, and ``outputs`` came of them. ``difference`` is where it parted from the
    recording and ended, None if everything was the same. ``raised`` are the exceptions of the machines, which were so
    in the recording as well. ``skipped`` lines are of shards whose beginning the recording does not have.
    """

    shards: int = 0
    inputs: int = 0
    outputs: int = 0
    skipped: int = 0
    raised: list[str] = field(default_factory=list)
    difference: Difference | None = None


class _Differs(Exception):
    """Something is not as it was recorded; ``args`` are what was recorded, and what is now."""


class Replay:
    """A recording's inputs, given to fresh shards one after the other; iterate to see what happens.

    ``lines`` are those of :func:`~qqproto.recording.read`. Nothing here knows how long anything takes: who iterates
    may wait as long as the recorded bot did, or not at all. ``report`` is complete when there are no more moments.
    """

    def __init__(self, lines: Sequence[Line], *, loads: Loads = json.loads) -> None:
        self._lines = lines
        self._loads = loads
        self.report = Report()

    def __iter__(self) -> Iterator[Moment]:
        whole: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for line in self._lines:
            whole.setdefault(line.life, []).append(line.fields)
        lives: dict[tuple[int, int], _Life] = {}
        at = 0.0
        for line in self._lines:
            fields = line.fields
            if "made" in fields:
                lives[line.life] = _Life(line, whole[line.life], self._loads)
                continue
            life = lives.get(line.life)
            if life is None:
                self.report.skipped += 1
                continue
            at = fields.get("t", at)
            try:
                said = life.take(fields, self.report)
            except _Differs as differs:
                self.report.difference = Difference(line.number, at, life.index, *differs.args)
                return
            if "in" in fields or said is not None:
                yield Moment(at, line, life.index, said)
        self.report.raised += [_told(life.raised) for life in lives.values() if life.raised is not None]


def replay(lines: Sequence[Line], *, loads: Loads = json.loads) -> Report:
    """Replay a recording in no time; returns what came of it.

    >>> from qqproto.recording import Recorder, read, replay
    >>> from qqproto import Shard, ShardConfig
    >>> written = []
    >>> shard = Recorder(written.append).shard(ShardConfig("102000000", 1 << 25), random=lambda: 0.5)
    >>> shard.start(now=0.0)
    >>> shard.next_output()
    FetchToken(id=1, deadline=15.0)
    >>> replay(read(written)).difference is None
    True
    """
    replayed = Replay(lines, loads=loads)
    for _ in replayed:
        pass
    return replayed.report


class _Life:
    """One shard's life, again."""

    def __init__(self, begin: Line, whole: Sequence[dict[str, Any]], loads: Loads) -> None:
        made = begin.fields
        self._numbers = deque(fields["random"] for fields in whole if "random" in fields)
        self._streams: dict[int, Outgoing] = {}
        for fields in whole:
            if fields.get("in") == "data":
                self._streams.setdefault(fields["id"], Outgoing()).reads.append(fields)
        self._begun = False
        self.raised: Exception | None = None
        self._dispatches: dict[tuple[str | None, int | None, str | None], Dispatch] = {}
        self._redactor = Transparent(hides_contents=begin.hidden)
        config = config_of(made["made"])
        self.index = config.shard[0]
        self._by_bytes = framing_of(made["framing"]) is Framing.BYTES
        self._shard = Shard(
            config, random=self._random, session=session_of(made["session"]), session_age=made["age"],
            policy=policy_of(made["policy"]), framing=framing_of(made["framing"]), loads=loads,
        )  # fmt: skip

    def take(self, fields: dict[str, Any], report: Report) -> Output | None:
        """One line: an input is given, anything else compared. Returns what the machine said for an output's line."""
        raised, self.raised = self.raised, None
        if raised is not None and "raised" not in fields and "random" not in fields:
            raise _Differs(None, _told(raised)) from raised
        if "in" in fields:
            report.shards += not self._begun
            self._begun = True
            report.inputs += 1
            self._give(fields)
        elif "out" in fields:
            report.outputs += 1
            return self._compare(fields)
        elif "due" in fields:
            self._compare_time(fields)
        elif "raised" in fields:
            if raised is None or type(raised).__name__ != fields["raised"]:
                raise _Differs(fields["raised"], None if raised is None else _told(raised))
            report.raised.append(_told(raised))
        else:
            self.raised = raised
        return None

    # -- steps ----------------------------------------------------------------------------------------------------

    def _random(self) -> float:
        return self._numbers.popleft() if self._numbers else _UNFORESEEN

    def _give(self, fields: dict[str, Any]) -> None:
        if fields["in"] == "settle":
            self._shard.settle(self._dispatch(fields))
            return
        try:
            _INPUTS[fields["in"]](self, fields, fields["t"])
        except Exception as error:  # What a machine raised then, it is to raise now.
            self.raised = error

    def _compare(self, fields: dict[str, Any]) -> Output | None:
        output = self._shard.next_output()
        replayed = None if output is None else dump(self._said(output))
        recorded = dump({name: value for name, value in fields.items() if name != "m"})
        if replayed != recorded:
            raise _Differs(recorded, replayed)
        return output

    def _said(self, output: Output) -> dict[str, Any]:
        if isinstance(output, Dispatch):
            self._dispatches[output.session_id, output.sequence, output.id] = output
        if not isinstance(output, SendData):
            return output_to_json(output, self._redactor)
        key = key_of(output.data)
        if key is not None and output.id in self._streams:
            self._streams[output.id].asked(key)
        return {"out": "SendData", "id": output.id, "sent": sent_to_json(output.data, self._redactor)}

    def _compare_time(self, fields: dict[str, Any]) -> None:
        if fields.get("drained", True) and (output := self._shard.next_output()) is not None:
            raise _Differs(None, dump(self._said(output)))
        due = self._shard.next_timer()
        if due != fields["due"]:
            raise _Differs(f"a timer at {fields['due']}", f"a timer at {due}")

    def _dispatch(self, fields: dict[str, Any]) -> Dispatch:
        key = fields["session"], fields["s"], fields["id"]
        known = self._dispatches.get(key)
        if known is not None:
            return known
        return Dispatch(fields["type"], None, fields["id"], fields["s"], self.index, session_id=fields["session"])

    def _answer(self, fields: dict[str, Any], now: float) -> None:
        value: Token | GatewayInfo | IdentifySlot | Failure
        if "token" in fields:
            value = Token(fields["token"])
        elif "gateway" in fields:
            value = gateway_of(fields["gateway"])
        elif "slot" in fields:
            value = IdentifySlot(fields["slot"])
        else:
            value = failure_of(fields["failure"])
        self._shard.answer(fields["id"], value, now)

    def _data(self, fields: dict[str, Any], now: float) -> None:
        self._shard.receive_data(fields["id"], self._streams[fields["id"]].next(), now)


_INPUTS: dict[str, Callable[[_Life, dict[str, Any], float], None]] = {
    "start": lambda life, fields, now: life._shard.start(now),
    "answer": _Life._answer,
    "opened": lambda life, fields, now: life._shard.connection_opened(fields["id"], now),
    "data": _Life._data,
    "message": lambda life, fields, now: life._shard.receive_message(fields["id"], message_of(fields), now),
    "closed": lambda life, fields, now: life._shard.connection_closed(
        fields["id"], fields["code"], fields["reason"], now
    ),
    "lost": lambda life, fields, now: life._shard.connection_lost(fields["id"], failure_of(fields["failure"]), now),
    "paused": lambda life, fields, now: life._shard.reading_paused(now),
    "resumed": lambda life, fields, now: life._shard.reading_resumed(now),
    "timer": lambda life, fields, now: life._shard.handle_timer(now),
    "close": lambda life, fields, now: life._shard.close(now, keep_session=fields["keep"]),
    "fail": lambda life, fields, now: life._shard.fail(fields["message"], now),
}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
