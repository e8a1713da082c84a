"""How events look on standard output: a line for people, or a JSON object."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from qqproto.events import (
    ConfigurationError,
    ConflictSuspected,
    Disconnected,
    Dispatch,
    Event,
    IdentifyBudgetLow,
    LoopLag,
    Malformed,
    Offline,
    Online,
    ReadingPaused,
    Ready,
    Resumed,
    SessionRefused,
    SettlementLagging,
    Stopped,
    StoreFailed,
)
from qqproto.narrator import store_failure
from qqproto.protocol.close_codes import Phase, Verdict, row_of

_LONGEST = 80

_MESSAGES = {
    "C2C_MESSAGE_CREATE": "private message",
    "GROUP_AT_MESSAGE_CREATE": "group message",
    "GROUP_MESSAGE_CREATE": "group message",
    "AT_MESSAGE_CREATE": "channel message",
    "MESSAGE_CREATE": "channel message",
    "DIRECT_MESSAGE_CREATE": "direct message",
}

_BEFORE_READY = {
    Phase.HTTP: "could not ask the platform for token and gateway",
    Phase.DIAL: "could not connect to the gateway",
    Phase.HELLO: "the gateway's greeting failed",
    Phase.AUTH: "the login failed",
}


def plain(text: str) -> str:
    """``text`` on one line and without what a terminal would obey; senders choose their words freely."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def shorten(text: str, longest: int = _LONGEST) -> str:
    """``text`` made plain and cut."""
    text = plain(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def describe(event: Event) -> str | None:
    """What happened, in one line for people; None where the next event says it better."""
    text = _describe(event)
    return None if text is None else plain(text)


def _describe(event: Event) -> str | None:
    match event:
        case Dispatch():
            return _dispatch(event)
        case Ready():
            return f"ready: {event.user.username or 'the bot'} ({event.user.id}), session {event.session_id}"
        case Resumed():
            missing = f", {event.missing} missing" if event.missing else ""
            return f"resumed: session {event.session_id}, {event.replayed} replayed{missing}"
        case Disconnected():
            return _disconnected(event)
        case Online():
            return None if event.away is None else f"online again after {event.away:.1f} s"
        case Offline():
            return "offline: away for longer than the grace; still trying"
        case Malformed():
            return f"malformed: {event.what}: {shorten(event.sample)}"
        case LoopLag():
            return f"this process was held up for {event.seconds:.1f} s"
        case IdentifyBudgetLow():
            return (
                f"identify budget low: {event.remaining} of {event.total} left,"
                f" refilled in {event.reset_after / 3600:.1f} h"
            )
        case ConflictSuspected():
            return f"conflict: {event.hint}"
        case ConfigurationError():
            return f"configuration: {event.hint}{_because(event.failure)}; tried again every few minutes"
        case SettlementLagging():
            return f"{event.unsettled} dispatches are not settled, the oldest for {event.oldest:.0f} s"
        case SessionRefused():
            return f"the saved session is not resumed: {event.reason}"
        case StoreFailed():
            return f"{store_failure(event.operation)}: {event.reason}"
        case ReadingPaused():
            return f"{event.buffered} events wait for this program: reading pauses"
        case Stopped():
            return f"stopped ({event.reason.value}): {event.hint}{_because(event.failure)}"


def _because(failure: object) -> str:
    return "" if failure is None else f" ({failure})"


def _dispatch(event: Dispatch) -> str:
    again = " (replayed)" if event.redelivered else ""
    kind = _MESSAGES.get(event.type)
    if kind is None or not isinstance(event.data, dict):
        return f"{event.type}{again} {shorten(json.dumps(event.data, ensure_ascii=False))}"
    content = event.data.get("content")
    return f"{kind}{again} from {_sender(event.data)}: {shorten(content if isinstance(content, str) else '')}"


def _sender(message: dict[str, Any]) -> str:
    author = message.get("author")
    author = author if isinstance(author, dict) else {}
    keys = ("username", "member_openid", "user_openid", "id")
    name = next((author[key] for key in keys if isinstance(author.get(key), str) and author[key]), "somebody")
    place = next((message[key] for key in ("group_openid", "channel_id") if isinstance(message.get(key), str)), None)
    return shorten(name, 16) + (f" in {shorten(place, 16)}" if place else "")


def _disconnected(event: Disconnected) -> str | None:
    if event.verdict is Verdict.STOP:
        return None
    digits = 1 if event.retry_in is not None and event.retry_in >= 1 else 2
    after = "" if event.retry_in is None else f"; next try in {event.retry_in:.{digits}f} s"
    if event.planned:
        asked = "op 7" if event.code is None else f"close code {event.code}"
        return f"rotation: the gateway asked for a new connection ({asked}){after}"
    if event.code is not None:
        cause = f"close code {event.code}, {row_of(event.code).meaning}"
        if event.reason:
            cause += f" ({event.reason})"
    else:
        cause = str(event.failure) if event.failure is not None else "no reason given"
    what = _BEFORE_READY.get(event.phase, "disconnected")
    return f"{what}: {cause}{after}"


def as_record(event: Event, unix_time: float) -> dict[str, Any]:
    """The event as a JSON object: ``event`` names it in snake case, ``time`` is Unix time, then its own fields.

    A dispatch is ``type``, ``id``, ``s``, ``d`` as on the wire, ``shard`` and ``redelivered``; READY and RESUMED are
    given without the dispatch that announced them.
    """
    record: dict[str, Any] = {"event": _snake_case(type(event).__name__), "time": round(unix_time, 3)}
    if isinstance(event, Dispatch):
        record |= {"shard": event.shard, "type": event.type, "id": event.id, "s": event.sequence}
        return record | {"redelivered": event.redelivered, "d": event.data}
    fields = (field.name for field in dataclasses.fields(event) if field.name != "dispatch")
    return record | {name: _as_json(getattr(event, name)) for name in fields}


def _as_json(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value) if field.name != "dispatch")
        return {name: _as_json(getattr(value, name)) for name in fields}
    return round(value, 3) if isinstance(value, float) else value


def _snake_case(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


def print_json(event: Event) -> None:
    """One JSON object on one line, in ASCII, so that it survives every pipe."""
    record = as_record(event, time.time())
    try:
        text = json.dumps(record, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(record), allow_nan=False)
    print(text, flush=True)


def _finite(value: Any) -> Any:
    """``value`` with null for NaN and infinities, which Python reads as JSON and nobody else does."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class People:
    """Standard output for people: a line has the time of day and what happened, and is never wrapped."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._disconnected_at: float | None = None

    def say(self, text: str, style: str = "") -> None:
        """Print one line, now."""
        line = Text.assemble((time.strftime("%H:%M:%S"), "dim"), "  ", (text, style))
        self._console.print(line)

    def show(self, event: Event) -> None:
        """Print an event, unless it says nothing to people."""
        text = describe(event)
        if text is not None:
            self.say(text + self._span(event), style_of(event))

    def _span(self, event: Event) -> str:
        """How long it was away, where that is over."""
        if isinstance(event, Disconnected):
            if self._disconnected_at is None:
                self._disconnected_at = time.monotonic()
        elif isinstance(event, (Ready, Resumed)) and self._disconnected_at is not None:
            away, self._disconnected_at = time.monotonic() - self._disconnected_at, None
            return f", back after {away:.2f} s"
        return ""


def style_of(event: Event) -> str:
    match event:
        case Ready() | Resumed():
            return "green"
        case Stopped() | ConfigurationError() | StoreFailed():
            return "red"
        case Disconnected(planned=False) | Offline():
            return "yellow"
        case Dispatch():
            return "bold"
        case _:
            return ""
