"""Which messages a bot may reply to, how long and how often, and what it sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

_REMEMBERED = 10_000

# Seconds and replies for each place, as of 2026-01 (server-inter/message/overview.html).
_WINDOWS = {"users": (3600.0, 4.0), "groups": (300.0, 5.0), "channels": (300.0, math.inf), "dms": (300.0, math.inf)}


@dataclass(slots=True)
class SentMessage:
    """A message that a bot sent over HTTP: ``place`` is users, groups, channels or dms, ``target`` the id in the path,
    ``body`` what was posted, ``id`` what the bot was told."""

    at: float
    app_id: str
    place: str
    target: str
    body: dict[str, Any]
    id: str


@dataclass(slots=True)
class _Replyable:
    at: float
    used: set[int] = field(default_factory=set)


class Replies:
    """The messages and events that were dispatched, by id; the last 10,000 are remembered."""

    def __init__(self) -> None:
        self._known: dict[str, _Replyable] = {}

    def allow(self, id: str, now: float) -> None:
        """A message or an event with this id went to a bot."""
        self._known.setdefault(id, _Replyable(now))
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def allow_both(self, event_id: str, data: Any, now: float) -> None:
        """Something was dispatched: it may be replied to by its event id, and by its message id if it has one."""
        self.allow(event_id, now)
        message_id = data.get("id") if isinstance(data, dict) else None
        if isinstance(message_id, str):
            self.allow(message_id, now)

    def use(self, place: str, *, message_id: str | None, event_id: str | None, number: int, now: float) -> int | None:
        """Count a reply to a message or an event; returns the error code of one that is refused, else None.

        Without either id it is a message of the bot's own accord, which is allowed. ``number`` is ``msg_seq``.
        """
        id = message_id if message_id is not None else event_id
        if id is None:
            return None
        replyable = self._known.get(id)
        window, most = _WINDOWS[place]
        if replyable is None:
            return 40034024 if message_id is not None else 40034025
        if now - replyable.at > window:
            return 40034005 if message_id is not None else 40034026
        if number in replyable.used:
            return 40054005
        if len(replyable.used) >= most:
            return 40034128
        replyable.used.add(number)
        return None
