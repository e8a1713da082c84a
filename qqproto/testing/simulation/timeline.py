"""What happened in a run, in lines for people: faults, dials, messages, events, and what was wrong in the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from qqproto.events import Disconnected, Dispatch, Event, Stopped

if TYPE_CHECKING:
    from qqproto.testing.simulation.script import Fault

_OPCODES = {1: "heartbeat", 2: "Identify", 6: "Resume", 7: "Reconnect", 9: "invalid session", 10: "Hello", 11: "ACK"}
_KEPT = 2000


class Timeline:
    """The last 2,000 lines of a run. Heartbeats that are acknowledged at once are counted, not shown."""

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=_KEPT)
        self._beats: dict[int, tuple[float, int]] = {}
        self._waiting: dict[int, float] = {}

    def __str__(self) -> str:
        return "\n".join(f"{_time(at)}  {who:<9} {what}" for at, who, what in self._lines)

    @property
    def lines(self) -> list[str]:
        """One for each thing that happened."""
        return str(self).splitlines()

    def add(self, at: float, index: int | None, what: str) -> None:
        """A line of any kind; ``index`` is the shard's, None for what concerns all."""
        if index is not None:
            self._tell_beats(index)
        self._lines.append((at, "" if index is None else f"shard {index}", what))

    def fault(self, at: float, fault: Fault) -> None:
        """Something goes wrong."""
        for index in sorted({*self._beats, *self._waiting}):
            self._tell_beats(index)
        self._lines.append((at, "FAULT", repr(fault)))

    def said(self, at: float, index: int, message: dict[str, Any]) -> None:
        """Our side sent a message."""
        opcode, data = message["op"], message["d"]
        if opcode == 1:
            self._waiting[index] = at
            return
        detail = f" session {data['session_id']} from {data['seq']}" if opcode == 6 else ""
        self.add(at, index, f"-> {_OPCODES.get(opcode, opcode)}{detail}")

    def heard(self, at: float, index: int, kind: str, envelope: Any) -> None:
        """Something arrived."""
        if kind == "message" and envelope is not None:
            opcode = envelope["op"]
            sent_at = self._waiting.pop(index, None) if opcode == 11 else None
            if sent_at is not None:
                _, count = self._beats.get(index, (0.0, 0))
                self._beats[index] = at, count + 1
                if at - sent_at > 1.0:
                    self.add(at, index, f"<- ACK after {at - sent_at:.3f} s")
                return
            self.add(at, index, f"<- {_describe(envelope)}")
        elif kind == "close":
            self.add(at, index, f"<- close frame, code {envelope}")
        elif kind != "bytes":
            self.add(at, index, "<- " + {"message": "a message without sense", "eof": "end of stream"}.get(kind, kind))

    def told(self, at: float, index: int, event: Event) -> None:
        """The application was told something."""
        if isinstance(event, Dispatch):
            return
        if isinstance(event, Disconnected):
            why = f"code {event.code}" if event.code is not None else str(event.failure or "by us")
            text = f"Disconnected in {event.phase.value}: {why}; {event.verdict.value}"
            text += f", attempt {event.attempt}" + (", planned" if event.planned else "")
            if event.retry_in is not None:
                text += f", again in {event.retry_in:.3f} s"
        elif isinstance(event, Stopped):
            text = f"Stopped: {event.reason.value}, {event.hint}"
        else:
            text = type(event).__name__
        self.add(at, index, f"** {text}")

    def _tell_beats(self, index: int) -> None:
        """Say how many heartbeats were acknowledged, and whether one was not, before anything else is said."""
        at, count = self._beats.pop(index, (0.0, 0))
        if count:
            many = "1 heartbeat" if count == 1 else f"{count} heartbeats"
            self._lines.append((at, f"shard {index}", f"   {many}, acknowledged"))
        sent_at = self._waiting.pop(index, None)
        if sent_at is not None:
            self._lines.append((sent_at, f"shard {index}", "-> heartbeat"))


def _describe(envelope: dict[str, Any]) -> str:
    opcode = envelope["op"]
    if opcode == 0:
        return f"{envelope.get('t')} (s={envelope.get('s')})"
    name = _OPCODES.get(opcode, f"opcode {str(opcode)[:20]}")
    return f"{name} {envelope['d']!r:.60}" if "d" in envelope else name


def _time(at: float) -> str:
    hours, seconds = divmod(at, 3600.0)
    return f"{int(hours):4}:{int(seconds // 60):02}:{seconds % 60.0:06.3f}"
