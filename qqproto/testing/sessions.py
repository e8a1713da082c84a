"""The platform's side of a session: what was dispatched in it, what was sent, what is kept for a Resume."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from qqproto.protocol.opcodes import Opcode
from qqproto.testing.wording import encode

if TYPE_CHECKING:
    from qqproto.testing.conversation import FakeConversation
    from qqproto.testing.registry import Registry

_KEPT = 10_000


class FakeSession:
    """A session, from READY until the platform drops it; connections come and go.

    ``sequence`` is the last number given to a dispatch, ``sent`` the last one that went out on any connection. ``live``
    is the connection that it lives on, None while the bot is away, since ``away_since``. The last 10,000 dispatches are
    kept for a replay.
    """

    def __init__(
        self, registry: Registry, id: str, app_id: str, shard: tuple[int, int], intents: int, now: float
    ) -> None:
        self._registry = registry
        self.id = id
        self.app_id = app_id
        self.shard = shard
        self.intents = intents
        self.created_at = now
        self.sequence = 0
        self.sent = 0
        self.heartbeat: int | None = None
        self.live: FakeConversation | None = None
        self.away_since: float | None = None
        self.resume_due = False
        self._kept: deque[tuple[int, str]] = deque(maxlen=_KEPT)

    def __repr__(self) -> str:
        where = "live" if self.live else "away"
        return f"FakeSession({self.id!r}, shard={self.shard}, sequence={self.sequence}, {where})"

    # -- levers ---------------------------------------------------------------------------------------------------

    def dispatch(self, type: str, data: Any, now: float, *, id: str | None = None) -> int:
        """Let something happen: a dispatch of ``type`` with ``data`` as its ``d``; returns its sequence.

        It is sent at once if the bot is there, and kept for a replay in any case. ``id`` is the event id, made up if
        None. If ``data`` has a message id, or by the event id, the bot may reply to it from now on.
        """
        self.sequence += 1
        event_id = id if id is not None else f"{type}:{self._registry.new_id()}"
        text = encode({"op": int(Opcode.DISPATCH), "s": self.sequence, "t": type, "d": data, "id": event_id})
        self._kept.append((self.sequence, text))
        self._registry.replies.allow_both(event_id, data, now)
        if self.live is not None:
            self.live.deliver(self, self.sequence, text)
        return self.sequence

    def ready(self, user: dict[str, Any]) -> str:
        """READY, the first dispatch of every session; it is never replayed, since a Resume needs a session."""
        self.sequence = 1
        data = {"version": 1, "session_id": self.id, "user": user, "shard": list(self.shard)}
        return encode({"op": int(Opcode.DISPATCH), "s": 1, "t": "READY", "d": data})

    # -- facts ----------------------------------------------------------------------------------------------------

    def after(self, sequence: int) -> list[tuple[int, str]]:
        """What a Resume from ``sequence`` gets, with the numbers."""
        return [(number, text) for number, text in self._kept if number > sequence]

    def reaches(self, sequence: int) -> bool:
        """Whether everything after ``sequence`` is still kept."""
        return sequence >= self.sequence or bool(self._kept and self._kept[0][0] <= sequence + 1)

    def expired(self, now: float, window: float) -> bool:
        """Whether the bot has been away for longer than sessions are kept."""
        return self.live is None and self.away_since is not None and now - self.away_since > window

    def resumed(self) -> str:
        """RESUMED. It repeats the last number: it is not replayed, so a number of its own could be lost for good."""
        return encode({"op": int(Opcode.DISPATCH), "s": self.sequence, "t": "RESUMED", "d": ""})
