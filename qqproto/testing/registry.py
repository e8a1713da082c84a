"""What the fake platform has on file: bots, sessions, what was asked, said and sent, and what clients did wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qqproto.testing.behaviour import Behaviour
from qqproto.testing.bots import FakeBot
from qqproto.testing.replies import Replies, SentMessage
from qqproto.testing.sessions import FakeSession

_REMEMBERED = 10_000


@dataclass(slots=True)
class Frame:
    """A message that the gateway received: when, on which connection, and the decoded envelope.

    Identify and Resume hold a token, so that the envelope is in no repr.
    """

    at: float
    connection: int
    payload: dict[str, Any] = field(repr=False)

    @property
    def op(self) -> int:
        """The envelope's opcode."""
        opcode: int = self.payload["op"]
        return opcode


@dataclass(slots=True)
class Request:
    """An HTTP request that the platform answered: when, what was asked, and the status of the reply."""

    at: float
    method: str
    path: str
    status: int


class Registry:
    """Shared by the talks, the sessions and the HTTP endpoints of one platform."""

    def __init__(self, bots: tuple[FakeBot, ...], gateway_url: str, behaviour: Behaviour) -> None:
        self.bots = {bot.app_id: bot for bot in bots}
        self.gateway_url = gateway_url
        self.behaviour = behaviour
        self.sessions: dict[str, FakeSession] = {}
        self.violations: list[str] = []
        self.frames: list[Frame] = []
        self.requests: list[Request] = []
        self.messages: list[SentMessage] = []
        self.acknowledged: dict[str, list[Any]] = {}
        self.replies = Replies()
        self._ids = 0
        self._over: dict[str, None] = {}

    def new_id(self) -> str:
        """An id that was never given out before."""
        self._ids += 1
        return f"{self._ids:08x}"

    def blame(self, connection: int | None, what: str, now: float) -> None:
        """A client did something wrong; None: over HTTP."""
        where = "HTTP" if connection is None else f"connection {connection}"
        self.violations.append(f"{now:.3f} s, {where}: {what}")

    def bot_of(self, token: str, now: float) -> FakeBot | None:
        """The bot whose valid token this is."""
        return next((bot for bot in self.bots.values() if bot.takes(token, now)), None)

    # -- sessions -------------------------------------------------------------------------------------------------

    def new_session(self, app_id: str, shard: tuple[int, int], intents: int, now: float) -> FakeSession:
        """A session for an Identify that is granted; those that nobody came back to are thrown away."""
        window = self.behaviour.resume_window
        for old in [session for session in self.sessions.values() if session.expired(now, window)]:
            del self.sessions[old.id]
        session = FakeSession(self, f"fake-session-{self.new_id()}", app_id, shard, intents, now)
        self.sessions[session.id] = session
        return session

    def session_to_resume(self, id: str, now: float) -> FakeSession | None:
        """The session that a Resume names, None if there is none any more."""
        session = self.sessions.get(id)
        if session is not None and session.expired(now, self.behaviour.resume_window):
            del self.sessions[id]
            return None
        return session

    def due_sessions(self, app_id: str, shard: tuple[int, int], now: float) -> list[FakeSession]:
        """The sessions of a shard that a planned rotation left to be resumed."""
        window = self.behaviour.resume_window
        of_shard = [session for session in self.sessions.values() if (session.app_id, session.shard) == (app_id, shard)]
        return [session for session in of_shard if session.resume_due and not session.expired(now, window)]

    def left_without_session(self) -> None:
        """A connection ended before it had a session: it may have been the one that was to resume any of them."""
        for session in self.sessions.values():
            session.resume_due = False

    def end_session(self, session: FakeSession) -> None:
        """The session is over, and the client knows."""
        self.sessions.pop(session.id, None)
        session.resume_due = False
        self.refuse_session(session.id)

    def refuse_session(self, id: str) -> None:
        """The client has been told that there is no such session; the last 10,000 are remembered."""
        self._over[id] = None
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]

    def was_refused(self, id: str) -> bool:
        """Whether the client was told before that there is no such session."""
        return id in self._over
