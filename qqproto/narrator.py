"""What the drivers log: one line an event for people, repeats collapsed, with stable fields for machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

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
from qqproto.protocol.close_codes import StopReason

Line: TypeAlias = tuple[int, str, dict[str, Any]]
"""A level of :mod:`logging` as a number, the text, and the record's ``extra``."""

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40
_DOUBLING_UNTIL = 64
_THEN_EVERY = 3600.0


@dataclass(slots=True)
class _Repeats:
    """Of many alike the first, second, fourth … is told, and after the 64th one an hour."""

    count: int = 0
    told_at: float = 0.0

    def tells(self, now: float) -> bool:
        """Whether one more is told."""
        return self.tells_of(self.count + 1, now)

    def tells_of(self, count: int, now: float) -> bool:
        """Whether this one is told, which is the ``count``-th."""
        self.count = count
        doubling = count <= _DOUBLING_UNTIL and count & (count - 1) == 0
        if not doubling and (count < _DOUBLING_UNTIL or now - self.told_at < _THEN_EVERY):
            return False
        self.told_at = now
        return True


class Narrator:
    """Turns events into log lines; pure, so that hosts with loggers of their own can use it too.

    A rotation is one DEBUG line. An outage is told when it begins, ever more rarely while it lasts, and when it ends.
    It never makes a line of a dispatch. One narrator serves all shards of a bot.
    """

    def __init__(self) -> None:
        self._repeats: dict[tuple[int, type[Event]], _Repeats] = {}
        self._quiet: set[int] = set()
        """Shards of which no end of a connection was told above DEBUG since the last mending, so that the next mending
        is not either."""
        self._refusals: dict[str, _Repeats] = {}

    def line(self, event: Event, now: float) -> Line | None:
        """The line for ``event``, None if it is not worth one (now). ``extra``'s keys begin with ``qq_``."""
        match event:
            case Dispatch():
                return None
            case Ready(session_id=session, user=user):
                level = _DEBUG if event.shard in self._quiet else _INFO
                self._quiet.add(event.shard)
                return _line(level, event, f"ready as {user.username or user.id}", qq_session=session)
            case Resumed(session_id=session, replayed=replayed, missing=missing):
                text = f"resumed, {replayed} replayed" + (f", {missing} missing" if missing else "")
                fields = {"qq_session": session, "qq_replayed": replayed, "qq_missing": missing}
                quiet = event.shard in self._quiet
                self._quiet.add(event.shard)
                if quiet and not missing:
                    return None
                return _line(_WARNING if missing else _INFO, event, text, **fields)
            case Disconnected():
                return self._disconnected(event, now)
            case Online(away=away):
                return None if away is None else _line(_INFO, event, f"online again after {away:.0f} s", qq_away=away)
            case Offline(cause=cause):
                why = f": {_why(cause)}" if cause else ""
                return _line(_WARNING, event, f"offline{why}")
            case Malformed(what=what):
                repeats = self._repeats_of(event)
                if not repeats.tells(now):
                    return None
                text = f"the server sent {what} ({repeats.count} so far)"
                return _line(_WARNING, event, text, qq_count=repeats.count)
            case LoopLag(seconds=seconds):
                repeats = self._repeats_of(event)
                if not repeats.tells(now):
                    return None
                text = f"this process was {seconds:.1f} s late ({repeats.count} times so far): blocked, or suspended"
                return _line(_WARNING, event, text, qq_lag=seconds, qq_count=repeats.count)
            case IdentifyBudgetLow(remaining=remaining, total=total, reset_after=after):
                text = f"{remaining} of {total} session starts left, refilled in {after:.0f} s"
                return _line(_WARNING, event, text, qq_remaining=remaining, qq_total=total)
            case ConflictSuspected(hint=hint):
                return _line(_ERROR, event, hint)
            case ConfigurationError(hint=hint, code=code):
                return _line(_ERROR, event, f"{hint}; tried again every few minutes", qq_code=code)
            case SettlementLagging(unsettled=unsettled, oldest=oldest, given_up=given_up):
                text = f"{unsettled} dispatches are not settled, the oldest for {oldest:.0f} s; {given_up} given up"
                return _line(_WARNING, event, text, qq_unsettled=unsettled, qq_given_up=given_up)
            case SessionRefused(reason=reason):
                return _line(_WARNING, event, f"the saved session is not resumed: {reason}")
            case StoreFailed(operation=operation, reason=reason):
                return _line(_ERROR, event, f"{store_failure(operation)}: {reason}", qq_operation=operation)
            case ReadingPaused(buffered=buffered):
                repeats = self._repeats_of(event)
                if not repeats.tells(now):
                    return None
                text = f"{buffered} events wait for the application, reading pauses ({repeats.count} times so far)"
                return _line(_WARNING, event, text, qq_buffered=buffered, qq_count=repeats.count)
            case Stopped(reason=reason, hint=hint, code=code):  # pragma: no branch - the union is closed
                level = _INFO if reason is StopReason.CLOSED else _ERROR
                return _line(level, event, f"stopped: {hint}", qq_reason=reason.value, qq_code=code)

    def refusal(self, status: int, reason: str, now: float) -> Line | None:
        """The line for a request that a webhook has turned away, None if it is not worth one (now).

        ``reason`` is that of :attr:`WebhookReply.refused <qqproto.webhook.WebhookReply.refused>`; there are few of
        them, and each is told more rarely the more often it comes, so that nobody outside can fill the log.
        """
        repeats = self._refusals.setdefault(reason, _Repeats())
        if not repeats.tells(now):
            return None
        count = repeats.count
        text = f"webhook: a request was refused with {status}, {reason}" + (f" ({count} so far)" if count > 1 else "")
        return _WARNING, text, {"qq_event": "WebhookRefused", "qq_status": status, "qq_count": count}

    def _repeats_of(self, event: Event) -> _Repeats:
        """Those of this kind, of this shard: kept from the first on, and most shards have none of most kinds."""
        return self._repeats.setdefault((event.shard, type(event)), _Repeats())

    def _disconnected(self, event: Disconnected, now: float) -> Line | None:
        fields = {
            "qq_code": event.code,
            "qq_verdict": event.verdict.value,
            "qq_phase": event.phase.value,
            "qq_attempt": event.attempt,
            "qq_retry_in": event.retry_in,
            "qq_planned": event.planned,
        }
        if event.planned and event.attempt == 0:
            self._quiet.add(event.shard)
            return _line(_DEBUG, event, "rotation asked for by the server", **fields)
        if not self._repeats_of(event).tells_of(max(event.attempt, 1), now):
            return None
        self._quiet.discard(event.shard)
        text = f"disconnected in phase {event.phase.value}: {_why(event)}"
        if event.retry_in is not None:
            text += f"; attempt {event.attempt}, next in {event.retry_in:.1f} s ({event.verdict.value})"
        return _line(_WARNING, event, text, **fields)


def store_failure(operation: str) -> str:
    """What the failure of a store's operation means, in words."""
    if operation == "load":
        return "the saved session cannot be read, a new one is started"
    return "the session cannot be saved, which is tried again"


def _why(event: Disconnected) -> str:
    if event.code is not None:
        return f"closed with {event.code}" + (f" ({event.reason})" if event.reason else "")
    return str(event.failure) if event.failure is not None else event.reason or "we left"


def _line(level: int, event: Event, text: str, **fields: Any) -> Line:
    extra = {"qq_event": type(event).__name__, "qq_shard": event.shard, **fields}
    return level, f"shard {event.shard}: {text}", extra
