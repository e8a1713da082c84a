"""What happened in a recording, for a picture of it: phases, heartbeats, ACKs, outages and how each of them ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qqproto.protocol.close_codes import Phase, Verdict
from qqproto.protocol.opcodes import Opcode
from qqproto.recording.lines import Line


@dataclass(slots=True)
class Span:
    """A phase, from ``begin`` to ``end``."""

    phase: Phase
    begin: float
    end: float


@dataclass(slots=True)
class Mark:
    """Something that happened at a moment: ``kind`` in one word, ``text`` in a few."""

    at: float
    kind: str
    text: str


@dataclass(slots=True)
class Outage:
    """From the end of a live connection, or the first failed try, until a session was live again.

    ``end`` is None if none was. ``causes`` says why connections and tries ended and how often, the first cause first;
    ``tries`` is how many tries failed in it. ``planned``: a rotation that the server asked for. ``ending`` is
    "Resume", "Identify", "stopped", or "not over" as long as the recording goes; ``missing`` is how many events the
    server did not send again. ``told``: the application was told that the shard is offline.
    """

    begin: float
    end: float | None = None
    causes: dict[str, int] = field(default_factory=dict)
    tries: int = 0
    planned: bool = False
    ending: str = "not over"
    missing: int = 0
    told: bool = False


@dataclass(slots=True)
class Life:
    """One shard's life, or as much of it as the recording has.

    Times are on the clock of the process, in seconds. ``beats`` are the heartbeats that were sent, ``acks`` the ACKs
    that came, ``dispatches`` the events that were handed out. ``chapter`` is the process, of those in the recording.
    ``unix`` is the Unix time at ``begin``, None if the recording does not know it.
    ``whole``: the recording has it from its beginning, so that it can be replayed.
    """

    shard: int
    chapter: int = 1
    whole: bool = True
    begin: float = 0.0
    end: float = 0.0
    unix: float | None = None
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    acks: list[float] = field(default_factory=list)
    dispatches: list[float] = field(default_factory=list)

    @property
    def live(self) -> float:
        """How long a session was live, in seconds."""
        return sum(span.end - span.begin for span in self.spans if span.phase is Phase.READY)


def lives_of(lines: Sequence[Line]) -> list[Life]:
    """The lives in a recording, in the order in which they began. One in which nothing happened yet is left out."""
    watchers: dict[tuple[int, int], _Watcher] = {}
    for line in lines:
        if "made" in line.fields or "goes_on" in line.fields:
            whole = "made" in line.fields
            config = line.fields["made"] if whole else line.fields["goes_on"]["made"]
            watchers[line.life] = _Watcher(Life(int(config["shard"][0]), line.chapter, whole))
            watchers[line.life].look_at_clock(line.fields.get("head", {}))
        elif line.life in watchers:
            watchers[line.life].see(line.fields)
    return [watcher.finished() for watcher in watchers.values() if watcher.seen]


class _Watcher:
    """Sees the lines of a life."""

    def __init__(self, life: Life) -> None:
        self.seen = False
        self._life = life
        self._at = 0.0
        self._outage: Outage | None = None
        self._zero: float | None = None
        """The Unix time at which the recording's clock showed zero."""

    def look_at_clock(self, fields: dict[str, Any]) -> None:
        """It may say what time of day it is."""
        if "unix" in fields:
            self._zero = fields["unix"] - fields["t"]

    def see(self, fields: dict[str, Any]) -> None:
        if "t" in fields:
            self._at = fields["t"]
            self.look_at_clock(fields)
            if not self.seen:
                self.seen = True
                self._life.begin = self._at
        if not self.seen:
            return
        if "in" in fields:
            self._hear(fields)
        elif "out" in fields:
            self._say(fields["out"], fields)
        elif "raised" in fields:
            self._mark("bug", f"the machine raised {fields['raised']}")

    def finished(self) -> Life:
        self._life.end = self._at
        if self._zero is not None:
            self._life.unix = self._zero + self._life.begin
        if self._life.spans:
            self._life.spans[-1].end = self._at
        return self._life

    # -- steps ----------------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        spans = self._life.spans
        if spans and spans[-1].phase is phase:
            return
        if spans:
            spans[-1].end = self._at
        spans.append(Span(phase, self._at, self._at))

    def _mark(self, kind: str, text: str) -> None:
        self._life.marks.append(Mark(self._at, kind, text))

    def _hear(self, fields: dict[str, Any]) -> None:
        what = fields["in"]
        if what == "opened":
            self._enter(Phase.HELLO)
        elif what == "close":
            if not any(mark.kind in ("close", "stopped") for mark in self._life.marks):
                self._mark("close", "closed by the application")
        elif what == "paused":
            self._mark("paused", "reading paused")
        elif what == "fail":
            self._mark("bug", fields["message"])
        elif what in ("data", "message"):
            acks = sum(op == Opcode.HEARTBEAT_ACK for op in opcodes(fields.get("units") or [fields.get("text")]))
            self._life.acks += [self._at] * acks

    def _say(self, what: str, fields: dict[str, Any]) -> None:
        if what in ("SendData", "SendText"):
            for opcode in opcodes(fields["sent"] if what == "SendData" else [fields["text"]]):
                self._sent(opcode)
        elif what in _PHASES:
            self._enter(_PHASES[what])
        elif what == "Dispatch":
            self._life.dispatches.append(self._at)
        elif what == "Disconnected":
            self._on_disconnected(fields)
        elif what in ("Ready", "Resumed"):
            self._on_live(what, fields)
        elif what == "CloseConnection":
            self._enter(Phase.CLOSING)
        elif what in _TOLD:
            if self._outage is not None:
                self._outage.told |= what == "Offline"
                if what == "Stopped":
                    self._outage.ending = "stopped"
            kind, text = _TOLD[what]
            self._mark(kind, text.format(**fields))

    def _sent(self, opcode: Any) -> None:
        if opcode == Opcode.HEARTBEAT:
            self._life.beats.append(self._at)
        else:  # Nothing else is ever said.
            self._enter(Phase.AUTH)
            name = "Identify" if opcode == Opcode.IDENTIFY else "Resume"
            self._mark(name.lower(), name)

    def _on_disconnected(self, fields: dict[str, Any]) -> None:
        if self._outage is None:
            self._outage = Outage(self._at, planned=fields["planned"])
            self._life.outages.append(self._outage)
        causes, cause = self._outage.causes, cause_of(fields)
        causes[cause] = causes.get(cause, 0) + 1
        self._outage.tries += fields["phase"] != Phase.READY.value
        if fields["verdict"] != Verdict.STOP.value:
            self._enter(Phase.WAIT)

    def _on_live(self, what: str, fields: dict[str, Any]) -> None:
        self._enter(Phase.READY)
        self._mark(what.lower(), f"resumed, {fields['replayed']} replayed" if what == "Resumed" else "ready")
        missing = fields.get("missing", 0)
        if missing:
            self._mark("gap", f"{missing} events are missing")
        if self._outage is not None:
            self._outage.end = self._at
            self._outage.ending = "Resume" if what == "Resumed" else "Identify"
            self._outage.missing = missing
            self._outage = None


_PHASES = {
    "FetchToken": Phase.HTTP,
    "FetchGateway": Phase.HTTP,
    "OpenConnection": Phase.DIAL,
}
"""What begins which phase."""

_TOLD = {
    "Offline": ("offline", "offline"),
    "Online": ("online", "online"),
    "LoopLag": ("lag", "this process was {seconds:.1f} s late"),
    "Malformed": ("malformed", "the server sent {what}"),
    "IdentifyBudgetLow": ("budget", "{remaining} of {total} session starts left"),
    "ConflictSuspected": ("conflict", "another process seems to run this bot"),
    "ConfigurationError": ("configuration", "{hint}"),
    "SettlementLagging": ("unsettled", "{unsettled} dispatches are not settled"),
    "SessionRefused": ("refused", "the saved session is not resumed: {reason}"),
    "Stopped": ("stopped", "stopped ({reason}): {hint}"),
}
"""Events as marks: the kind, and the text."""


_TRACE = re.compile(r" \(trace [^)]*\)")
"""Of a request to the platform; each has another one."""


def cause_of(disconnected: dict[str, Any]) -> str:
    """Why a connection, or a try, ended."""
    code, failure = disconnected["code"], disconnected["failure"]
    if code is not None:
        reason = disconnected["reason"]
        return f"close code {code}" + (f" ({reason})" if reason else "")
    if failure is not None:
        message = _TRACE.sub("", failure["message"])
        return f"{failure['kind']}: {message}" if message else str(failure["kind"])
    return "op 7" if disconnected["planned"] else "invalid session"


def opcodes(messages: Sequence[Any]) -> Iterator[Any]:
    """The opcodes of those that are messages of the gateway's protocol."""
    for message in messages:
        if not isinstance(message, str):
            continue
        try:
            envelope = json.loads(message)
        except (ValueError, RecursionError):
            continue
        if isinstance(envelope, dict):
            yield envelope.get("op")
