"""What the stories have in common: one bot in a world, and what may happen to the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from qqproto import Disconnected, Event, Failure, FailureKind, Framing, Status
from qqproto.testing import FakeConversation, FakeSession, World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
GATEWAY, TOKEN = "/gateway/bot", "/app/getAppAccessToken"
STABLE = 61.0
"""A session that has lived this long has been stable for a moment."""

Told = TypeVar("Told", bound=Event)


class Scene:
    """A world with one bot in it, from its start; it may be the start that is troubled, in a ``world`` made before.

    ``handler`` is the bot's application.
    """

    def __init__(
        self,
        framing: Framing = Framing.BYTES,
        *,
        world: World | None = None,
        shards: int = 1,
        latency: float = 0.0,
    ) -> None:
        self.world = world or World()
        self.network = self.world.network
        self.network.latency = latency
        self.platform = self.world.platform
        self.behaviour = self.platform.behaviour
        self.log: list[tuple[float, Event]] = []
        self.handler: Callable[[Event], None] | None = None
        self.bot = self.world.bot(framing=framing, shards=shards, on_event=self._heard)

    @classmethod
    def online(cls, framing: Framing = Framing.BYTES, *, latency: float = 0.0) -> Scene:
        """A bot that has been online for a stable minute."""
        scene = cls(framing, latency=latency)
        scene.run(STABLE)
        assert scene.ready
        return scene

    def _heard(self, event: Event) -> None:
        self.log.append((self.now, event))
        if self.handler is not None:
            self.handler(event)

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.world.now

    @property
    def ready(self) -> bool:
        """Whether the session is live, here and there."""
        return self.bot.connected and all(
            shard.session is not None
            and (there := self.platform.sessions.get(shard.session.id)) is not None
            and there.live is not None
            for shard in self.bot.shards
        )

    @property
    def status(self) -> Status:
        return self.bot.shard.status(self.now)

    @property
    def session(self) -> FakeSession:
        """The newest session, as the platform has it."""
        return self.platform.session()

    @property
    def talk(self) -> FakeConversation:
        """The platform's end of the newest connection."""
        return self.platform.conversations[-1]

    @property
    def ops(self) -> list[int]:
        """The opcodes that the platform received, without heartbeats."""
        return self.platform.ops()

    @property
    def dials(self) -> list[float]:
        """When the bot dialled."""
        return [dial.at for dial in self.bot.connections]

    def told(self, kind: type[Told]) -> list[Told]:
        """The events of this kind."""
        return [event for _, event in self.log if isinstance(event, kind)]

    def only(self, kind: type[Told]) -> Told:
        """The one event of this kind."""
        events = self.told(kind)
        assert len(events) == 1, f"{len(events)} times {kind.__name__}"
        return events[0]

    def beats(self, connection: int) -> list[float]:
        """When heartbeats came on this connection."""
        return [frame.at for frame in self.platform.frames if frame.connection == connection and frame.op == 1]

    def calls(self, path: str) -> list[float]:
        """When the bot asked an endpoint."""
        return [asked.at for asked in self.bot.requests if asked.request.url.endswith(path)]

    def losses(self) -> list[tuple[float, Disconnected]]:
        """The ends of connections and of attempts at one, with their times."""
        return [(at, event) for at, event in self.log if isinstance(event, Disconnected)]

    # -- time -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float = 0.0) -> None:
        self.world.run(seconds)

    def until(self, predicate: Callable[[], bool], limit: float) -> float:
        return self.world.run_until(predicate, limit)

    def until_ready(self, limit: float) -> float:
        """Let time pass until the session is live; returns how long it took."""
        return self.until(lambda: self.ready, limit)

    def until_lost(self, limit: float) -> None:
        """Let time pass until the end of a connection is told."""
        lost = len(self.losses())
        self.until(lambda: len(self.losses()) > lost, limit)

    def until_beat(self) -> None:
        """Let time pass until a heartbeat has just been sent."""
        sent = self.status.counters["heartbeats"]
        self.until(lambda: self.status.counters["heartbeats"] > sent, 120.0)

    def comes_back(self, limit: float) -> None:
        """The connection ends, and the session is live again within ``limit`` seconds of now."""
        end = self.now + limit
        self.until(lambda: not self.ready, limit)
        self.until_ready(end - self.now)

    # -- what happens ---------------------------------------------------------------------------------------------

    def net_down(self) -> None:
        """No name resolves any more, and what is open is open in name only."""
        self.network.dial = self.network.http = Failure(FailureKind.DNS, "the network is down")
        self.bot.black_hole()

    def net_up(self) -> None:
        self.network.dial = self.network.http = None
        self.network.hang_dials = self.network.hang_http = False

    def rotate(self, number: int = 0) -> None:
        """A planned rotation: op 7, or close code 4009 for an odd ``number``."""
        if number % 2:
            self.talk.close(4009, "session timed out", self.now)
        else:
            self.talk.send_reconnect(self.now)

    def taken_over(self) -> None:
        """Somebody else resumes this bot's session."""
        session = self.bot.shard.session
        if session is not None and (live := self.platform.sessions[session.id].live) is not None:
            live.close(4902, "reset by resume", self.now)

    def message(self, number: int) -> None:
        """Somebody writes to the bot."""
        self.session.dispatch("C2C_MESSAGE_CREATE", {"id": f"m-{number}", "content": "hello"}, self.now)

    def chatter(self) -> None:
        """From now on somebody writes every second."""
        self.message(round(self.now))
        self.world.after(1.0, self.chatter)

    def forget(self) -> None:
        """Clear the lists that grow."""
        bot, platform = self.bot, self.platform
        for forget in (self.log, bot.events, bot.connections, bot.requests, platform.frames, platform.requests):
            assert isinstance(forget, list)
            forget.clear()


def many(number: int, framing: Framing) -> int:
    """So many; in framing BYTES, where each takes four times as long, a quarter of them."""
    return number if framing is Framing.TEXT else number // 4


def gaps(times: Iterable[float]) -> list[float]:
    """The spans between one and the next."""
    return [later - earlier for earlier, later in pairwise(times)]


def most_within(times: Sequence[float], window: float) -> int:
    """The most that fall into any window of this length."""
    return max((sum(at <= other < at + window for other in times) for at in times), default=0)
