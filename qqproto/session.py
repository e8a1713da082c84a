"""The one value that survives a socket: which session the platform keeps for us, and how far we are in it."""

from __future__ import annotations

from dataclasses import dataclass

from qqproto.config import ShardConfig
from qqproto.settlement import Settlement


@dataclass(frozen=True, slots=True)
class User:
    """The bot's own account, from READY: ``id`` and ``username``."""

    id: str
    username: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session on the gateway; small and secret-free, so that it may be saved.

    ``received`` is the highest sequence that came, ``settled`` the highest up to which the application has finished
    with everything. It belongs to one bot, one shard layout and one set of intents, and is refused for another.
    """

    id: str
    app_id: str
    shard: tuple[int, int]
    intents: int
    received: int
    settled: int
    user: User

    def fits(self, config: ShardConfig) -> bool:
        """Whether it was made for this bot, this shard layout and these intents."""
        return (self.app_id, self.shard, self.intents) == (config.app_id, config.shard, config.intents)


class LiveSession:
    """A session in use: it outlives the sockets that it lives on, and its sequences move.

    ``restored``: it was another process's. ``since``: when Identify began it, on the host's clock. ``busy``: a dispatch
    has come since its last READY or RESUMED.
    """

    __slots__ = ("busy", "id", "restored", "settlement", "since", "user")

    def __init__(self, id: str, user: User, *, since: float) -> None:
        self.id = id
        self.user = user
        self.since = since
        self.settlement = Settlement()
        self.restored = False
        self.busy = False

    @classmethod
    def restore(cls, session: Session, *, since: float) -> LiveSession:
        """Go on with a saved session, from what was settled: the rest is to come again."""
        live = cls(session.id, session.user, since=since)
        live.settlement.receive_settled(session.settled)
        live.restored = True
        return live

    def value(self, config: ShardConfig) -> Session:
        """What may be saved of it now."""
        settlement = self.settlement
        return Session(
            self.id, config.app_id, config.shard, config.intents, settlement.received, settlement.settled, self.user
        )
