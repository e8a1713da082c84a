"""The bot's process in the simulation: a driver that carries things between the machines and the world."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qqproto.actions import (
    Abort,
    Cancel,
    CloseConnection,
    FetchGateway,
    FetchToken,
    OpenConnection,
    ReserveIdentify,
    SendData,
    SendText,
)
from qqproto.config import ShardConfig
from qqproto.credentials import Credentials, Endpoints
from qqproto.events import Dispatch, Event
from qqproto.failures import Failure
from qqproto.outbox import Output
from qqproto.shard import Shard
from qqproto.testing.simulation.application import Application
from qqproto.testing.simulation.desk import Answered, Desk
from qqproto.testing.simulation.ear import Ear
from qqproto.testing.simulation.link import Link
from qqproto.testing.simulation.reference import Broken, Observer
from qqproto.testing.simulation.store import Found, Keeper

if TYPE_CHECKING:
    from qqproto.testing.simulation.bot import Bot
    from qqproto.testing.simulation.world import World

APP_ID, SECRET = "11111111", "the-secret-of-a-simulated-bot"
_MOST_TICKS = 400
"""Wake-ups in one second of simulated time; more is a machine that spins."""


class Process:
    """One Account and its Shards, from the start to the last ``Stopped``; what a handler is given.

    ``now`` is the time by the process's own clock, which may have stood still while the machine slept. ``shards`` are
    the machines. ``found`` is what lies in the store, for each shard.
    """

    def __init__(self, world: World, bot: Bot, found: Sequence[Found | None]) -> None:
        self._world = world
        self._bot = bot
        self._lateness = world.script.lateness
        self._behind = 0.0
        self._asleep_for = 0.0
        self._awake_at = 0.0
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._due: list[float | None] = [None] * len(found)
        self._issued: list[set[int]] = [set() for _ in found]
        self._tick_second, self._ticks = 0.0, 0
        self.now = world.now
        self._holds: set[str] = set()
        self.at_end: Callable[[], None] | None = None
        self.stalled = False
        self.gone = False
        self.next_due: float | None = None
        self.links: list[Link | None] = [None] * len(found)
        account = bot.account(Credentials(APP_ID, SECRET), endpoints=Endpoints(), policy=bot.policy)
        self.desk = Desk(world, self, account)
        self.ear = Ear(world, self)
        self.application = Application(world, self, bot, world.habits)
        self._keepers = [Keeper(world, self, index) for index in range(len(found))]
        self.shards = [self._make_shard(index, len(found), saved) for index, saved in enumerate(found)]
        self.observer = Observer(
            [saved.seen if saved is not None else None for saved in found], world.ledgers, bot.policy, self._lateness,
            self.now, by_delivery=self.application.mode == "delivery",
        )  # fmt: skip

    def _make_shard(self, index: int, count: int, saved: Found | None) -> Shard:
        bot = self._bot
        config = ShardConfig(APP_ID, bot.intents, (index, count), settle=self.application.mode)
        session, age = (saved.session, saved.age) if saved is not None else (None, 0.0)
        return bot.shard(
            config, random=self._world.jitter, session=session, session_age=age, policy=bot.policy,
            framing=self._world.script.framing,
        )  # fmt: skip

    # -- for applications -----------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether every shard that has not stopped has a live session."""
        return all(shard.ended or seen.connected for shard, seen in zip(self.shards, self.observer.shards, strict=True))

    @property
    def ended(self) -> bool:
        """Whether every shard has stopped."""
        return all(shard.ended for shard in self.shards)

    @property
    def paused(self) -> bool:
        """Whether nothing is read."""
        return bool(self._holds)

    def close(self, *, keep_session: bool = False) -> None:
        """Close every shard."""
        self.application.close()
        for index, shard in enumerate(self.shards):
            self.observer.shards[index].closes(self.now)
            shard.close(self.now, keep_session=keep_session)
            self.drain(index)

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with a dispatch."""
        self.shards[dispatch.shard].settle(dispatch)
        self.observer.shards[dispatch.shard].settles(dispatch.session_id, dispatch.sequence)
        self._keepers[dispatch.shard].look()

    def pause_reading(self) -> None:
        """The application's buffer is full."""
        self.hold("application")

    def resume_reading(self) -> None:
        """There is room again; what has come meanwhile is read."""
        self.release("application")

    # -- for the world --------------------------------------------------------------------------------------------

    def start(self) -> None:
        for index, shard in enumerate(self.shards):
            shard.start(self.now)
            self.drain(index)

    def advance(self, at: float) -> None:
        """It is ``at`` by the world's clock, and the process runs: what is overdue is so now."""
        # The own clock does not go back, not even by the last bit of a subtraction.
        now = at - self._behind
        if now > self.now:
            self.now = now
        else:
            now = self.now
        self.observer.check(now)

    def tick(self) -> None:
        """Call every machine whose deadline has passed."""
        world = self._world
        self._count_tick(world.now)
        due = self.desk.due
        if due is not None and self._at(due) <= world.now:
            self.now = max(self.now, due)
            self.desk.tick(self.now)
        for index, shard in enumerate(self.shards):
            due = self._due[index]
            if due is not None and self._at(due) <= world.now:
                now = self.now = max(self.now, due)
                shard.handle_timer(now)
                self.drain(index)
                due = self._due[index]
                if due is not None and due <= now:
                    raise Broken("G2", f"the timer of shard {index} is due again at once")

    def answer(self, index: int, id: int, value: Answered) -> None:
        """The Account has an answer."""
        self.shards[index].answer(id, value, self.now)
        self.drain(index)

    def dialled(self, link: Link, failure: Failure | None) -> None:
        """A dial succeeded or failed."""
        if self.puts_off(self.dialled, link, failure) or not link.readable:
            return
        index, shard = link.index, self.shards[link.index]
        if failure is not None:
            self.forget(link)
            self.observer.shards[index].dial_failed(failure, self.now)
            shard.connection_lost(link.id, failure, self.now)
        else:
            link.talk = self._world.gateway.arrive(link)
            self.observer.shards[index].opened(self.now)
            shard.connection_opened(link.id, self.now)
        self.drain(index)

    def stall(self, seconds: float, *, asleep: bool = False) -> None:
        """Stand still; ``asleep``: the process's clock stands still as well."""
        world = self._world
        end = world.now + seconds
        if asleep:
            self._asleep_for += max(0.0, end - max(world.now, self._awake_at))
        self.stalled = True
        self._awake_at = max(self._awake_at, end)
        world.at(end, self._wake)

    def hold(self, why: str) -> None:
        """Read nothing until everybody who had it held has released it."""
        held = self.paused
        self._holds.add(why)
        if not held:
            for index, shard in enumerate(self.shards):
                self.observer.shards[index].reads(False, self.now)
                shard.reading_paused(self.now)
                self.drain(index)

    def release(self, why: str) -> None:
        """Read on, unless somebody else holds it."""
        if why not in self._holds:
            return
        self._holds.remove(why)
        if not self.paused:
            for index, shard in enumerate(self.shards):
                self.observer.shards[index].reads(True, self.now)
                shard.reading_resumed(self.now)
                self.drain(index)
            self.ear.read_on()

    def retire(self, drain: float, *, keep_session: bool) -> None:
        """Read no more, let the application finish for at most ``drain`` seconds, then close."""
        close = partial(self.close, keep_session=keep_session)
        if not drain or self.application.idle:
            close()
            return
        self.hold("retired")
        self.application.when_idle = close
        self._world.at(self._world.now + drain, self.notice, close)

    def save(self) -> None:
        """The end is orderly: save every session as it stands; one that is over is not to be gone on with."""
        for index, keeper in enumerate(self._keepers):
            if self.shards[index].session is None:
                self._world.store.end(index)
            keeper.save()

    def notice(self, do: Callable[[], None]) -> None:
        """Let the process do something as soon as it runs."""
        if not self.puts_off(do):
            do()

    def fail(self) -> None:
        """The driver cannot go on."""
        for index, shard in enumerate(self.shards):
            self.observer.shards[index].fails(self.now)
            shard.fail("a bug, made up", self.now)
            self.drain(index)

    def vanish(self) -> None:
        """The process is killed: its connections break off, and it is never heard of again."""
        self.gone = True
        for link in self.links:
            if link is not None:
                link.leave(flush=False)

    # -- for the links, the desk and the ear ----------------------------------------------------------------------

    def puts_off(self, method: Callable[..., None], *arguments: Any) -> bool:
        """Whether the process cannot do this now: it stands still, and does it later, or it is gone."""
        if self.stalled and not self.gone:
            self._inbox.append((method, arguments))
        return self.stalled or self.gone

    def said(self, link: Link, message: dict[str, Any]) -> None:
        """A message of a shard's goes out."""
        self.observer.shards[link.index].said(message, self.now)
        self._world.note_said(link, message)

    def forget(self, link: Link) -> None:
        """The connection is over for our side."""
        if self.links[link.index] is link:
            self.links[link.index] = None

    def drain(self, index: int) -> None:
        """Take what a shard has to say, and do it."""
        shard = self.shards[index]
        next_output = shard.next_output
        while (output := next_output()) is not None:
            self._obey(index, output)
        self.observer.shards[index].drained(self.now)
        self._keepers[index].look()
        due = self._due[index] = shard.next_timer()
        if due is None and not shard.ended:
            raise Broken("G1", f"shard {index} waits for nothing, and has not ended")
        self.look_ahead()
        if due is None and self.at_end is not None and self.ended:
            self._world.at(self._world.now, self.at_end)
            self.at_end = None

    def look_ahead(self) -> None:
        """Work out when the world has to call :meth:`tick`."""
        due = self.desk.due
        for at in self._due:
            if at is not None and (due is None or at < due):
                due = at
        self.next_due = None if due is None else self._at(due)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _obey(self, index: int, output: Output) -> None:
        match output:
            case SendText(id=id, text=text):
                self._link(index, id).send(text)
            case SendData(id=id, data=data):
                self._link(index, id).send(data)
            case FetchToken() | FetchGateway() | ReserveIdentify():
                self._issue(index, output.id)
                self.desk.ask(index, output)
            case Cancel(id=id):
                self.desk.withdraw(index, id)
            case OpenConnection(id=id):
                self._issue(index, id)
                self.observer.shards[index].dialled(self.now)
                link = self.links[index] = Link(self._world, self, index, id)
                self._world.dial(self, link)
            case CloseConnection(id=id, code=code):
                self._link(index, id).leave(flush=True, code=code)
                self.observer.shards[index].left(self.now)
            case Abort(id=id, code=code):
                self._abort(index, id, code)
            case _:
                self._tell(index, output)

    def _abort(self, index: int, id: int, code: int | None) -> None:
        link = self._link(index, id, left=True)
        self.forget(link)
        if link.writable:
            self.observer.shards[index].left(self.now)
        link.leave(flush=False, code=code)

    def _tell(self, index: int, event: Event) -> None:
        self._world.note_event(index, event)
        self.observer.shards[index].told(event, self.now)
        self.application.hand_over(event)

    def _link(self, index: int, id: int, *, left: bool = False) -> Link:
        """The connection; ``left``: our side may have said goodbye on it."""
        link = self.links[index]
        if link is None or link.id != id or not (left or link.writable):
            raise Broken("contract", f"shard {index} names connection {id}, which is over")
        return link

    def _issue(self, index: int, id: int) -> None:
        if id in self._issued[index]:
            raise Broken("contract", f"shard {index} uses id {id} again")
        self._issued[index].add(id)

    def _wake(self) -> None:
        world = self._world
        if self.gone or not self.stalled or world.now < self._awake_at:
            return
        self._behind += self._asleep_for
        self._asleep_for = 0.0
        self.stalled = False
        self.now = max(self.now, world.now - self._behind)
        self.observer.goes_on(self.now)
        for due, seen in zip(self._due, self.observer.shards, strict=True):
            if due is not None and self.now - due > self._bot.policy.lag_tolerance + 0.001:
                seen.overslept(self.now)
        inbox, self._inbox = self._inbox, deque()
        hear = self.ear.hear
        for method, arguments in inbox:
            if method == hear:
                # What lay in the system's buffers is read together.
                link, kind, envelope, payload = arguments
                self.ear.pile_up((link, kind, envelope, payload))
            else:
                method(*arguments)
        self.ear.read_on()
        self.look_ahead()

    def _at(self, due: float) -> float:
        """When a deadline of the process's clock is handled, by the world's."""
        return due + self._lateness + self._behind

    def _count_tick(self, now: float) -> None:
        if now - self._tick_second >= 1.0:
            self._tick_second, self._ticks = now, 0
        self._ticks += 1
        if self._ticks > _MOST_TICKS:
            raise Broken("G2", f"more than {_MOST_TICKS} wake-ups within a second")
