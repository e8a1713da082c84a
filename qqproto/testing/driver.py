"""A driver in memory: one bot process, its Account and its Shards, on a virtual clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qqproto.account import Account
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
from qqproto.config import Framing
from qqproto.credentials import Token
from qqproto.events import Dispatch, Event, Stopped
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo
from qqproto.shard import Shard
from qqproto.testing.desk import Asked, Desk
from qqproto.testing.network import Cable
from qqproto.testing.registry import Frame

if TYPE_CHECKING:
    from qqproto.testing.world import World


@dataclass(slots=True)
class Dial:
    """An attempt to connect: when, by which shard, and to where."""

    at: float
    shard: int
    url: str


class MemoryDriver:
    """Runs one Account and its Shards in a :class:`~qqproto.testing.World`, by the contract of the drivers.

    It begins what the actions ask and never waits inside a drain; answers, replies and bytes come back as inputs of
    their own. ``events`` is what the shards told, ``connections`` the dials, both in order; a long simulation clears
    these lists. ``on_event`` is the application, called with each event; if ``settles``, a dispatch is settled once it
    has returned (settle mode ``"iteration"``).

    AssertionError is raised where a machine breaks the contract: nothing to wait for and not ended (promise G1), a
    timer that is still due after it was handled (G2), an action about a connection that is over, two connections of one
    shard at once, two token requests at once (G6), anything after ``Stopped`` (G8).
    """

    def __init__(
        self,
        world: World,
        account: Account,
        shards: Sequence[Shard],
        *,
        framing: Framing = Framing.BYTES,
        settles: bool = False,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._world = world
        self._settles = settles
        self._on_event = on_event
        self._desk = Desk(world, account, self.notice, self._answered)
        self._cables: dict[int, Cable] = {}
        self._numbers: set[int] = set()
        self._inbox: deque[Callable[[], None]] = deque()
        self._unread: deque[Callable[[], None]] = deque()
        self._paused = False
        self._stalled = False
        self._stopped: set[int] = set()
        self.account = account
        self.shards = tuple(shards)
        self.framing = framing
        self.events: list[Event] = []
        self.connections: list[Dial] = []

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def shard(self) -> Shard:
        """The first shard, for the many uses that have one."""
        return self.shards[0]

    @property
    def connected(self) -> bool:
        """Whether every shard's session is live."""
        return all(shard.status(self._world.now).connected for shard in self.shards)

    @property
    def ended(self) -> bool:
        """Whether every shard has stopped."""
        return all(shard.ended for shard in self.shards)

    @property
    def dispatches(self) -> list[Dispatch]:
        """The dispatches among the events."""
        return [event for event in self.events if type(event) is Dispatch]

    @property
    def frames(self) -> list[Frame]:
        """What this bot said on the gateway, decoded, as far as it got there."""
        return [frame for frame in self._world.platform.frames if frame.connection in self._numbers]

    @property
    def requests(self) -> list[Asked]:
        """The HTTP requests that it began, with their times."""
        return self._desk.requests

    # -- levers ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every shard."""
        for index, shard in enumerate(self.shards):
            shard.start(self._world.now)
            self._drain(index)

    def close(self, *, keep_session: bool = False) -> None:
        """Close every shard, as an application does."""
        for index, shard in enumerate(self.shards):
            shard.close(self._world.now, keep_session=keep_session)
            self._drain(index)

    def pause_reading(self) -> None:
        """Read nothing more from any connection: the application's buffer is full."""
        self._paused = True
        for index, shard in enumerate(self.shards):
            shard.reading_paused(self._world.now)
            self._drain(index)

    def resume_reading(self) -> None:
        """Read again, first what has come meanwhile."""
        self._paused = False
        for index, shard in enumerate(self.shards):
            shard.reading_resumed(self._world.now)
            self._drain(index)
        self._world.after(0.0, partial(self.notice, self._read_on))

    def stall(self, seconds: float) -> None:
        """The process stands still: a blocked event loop, or a laptop asleep. The network goes on without it."""
        self._stalled = True
        for cable in self._cables.values():
            cable.excuse()
        self._world.after(seconds, self._wake)

    def cut(self) -> None:
        """Let every connection end without a close frame."""
        for cable in list(self._cables.values()):
            cable.cut()

    def reset(self) -> None:
        """Let every connection break off."""
        for cable in list(self._cables.values()):
            cable.reset()

    def black_hole(self) -> None:
        """Let nothing arrive any more on the connections there are, in either direction, without telling anybody."""
        for cable in list(self._cables.values()):
            cable.black_hole()

    # -- for the world --------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When the next of its machines wants to be called, None while it is stalled."""
        if self._stalled:
            return None
        due = [self._desk.next_timer(), *(shard.next_timer() for shard in self.shards)]
        return min((at for at in due if at is not None), default=None)

    def handle_timer(self) -> None:
        """Call every machine that is due."""
        now = self._world.now
        if _is_due(self._desk, now):
            self._desk.handle_timer(now)
            assert not _is_due(self._desk, now), f"{now:.3f} s: the account's timer is due again at once"
        for index, shard in enumerate(self.shards):
            if _is_due(shard, now):
                shard.handle_timer(now)
                self._drain(index)
                assert not _is_due(shard, now), f"{now:.3f} s: the timer of shard {index} is due again at once"

    def notice(self, do: Callable[[], None]) -> None:
        """Something happened to this process; it learns of it when it runs."""
        if self._stalled:
            self._inbox.append(do)
        else:
            do()

    def hear(self, do: Callable[[], None]) -> None:
        """Something came on a connection; it learns of it when it runs and reads."""
        self.notice(lambda: self._unread.append(do) if self._paused or self._unread else do())

    # -- for the cables -------------------------------------------------------------------------------------------

    def opened(self, cable: Cable, number: int) -> None:
        """A dial succeeded; the platform knows the connection by ``number``."""
        self._numbers.add(number)
        self.shards[cable.index].connection_opened(cable.id, self._world.now)
        self._drain(cable.index)

    def received(self, cable: Cable, message: bytes | str) -> None:
        """The server sent something; ``b""``, in framing BYTES, is the end of its stream."""
        shard, now = self.shards[cable.index], self._world.now
        if isinstance(message, bytes) and self.framing is Framing.BYTES:
            shard.receive_data(cable.id, message, now)
        else:
            shard.receive_message(cable.id, message, now)
        self._drain(cable.index)

    def closed(self, cable: Cable, code: int, reason: str) -> None:
        """Framing TEXT: the server closed the WebSocket."""
        self._forget(cable)
        self.shards[cable.index].connection_closed(cable.id, code, reason, self._world.now)
        self._drain(cable.index)

    def lost(self, cable: Cable, failure: Failure) -> None:
        """The dial failed, or the stream is gone."""
        self._forget(cable)
        self.shards[cable.index].connection_lost(cable.id, failure, self._world.now)
        self._drain(cable.index)

    # -- steps: what the shards say -------------------------------------------------------------------------------

    def _drain(self, index: int) -> None:
        shard = self.shards[index]
        while (output := shard.next_output()) is not None:
            match output:
                case FetchToken() | FetchGateway() | ReserveIdentify():
                    self._desk.ask(index, output)
                case Cancel(id=id):
                    self._desk.withdraw(index, id)
                case OpenConnection(id=id, url=url):
                    self._dial(index, id, url)
                case SendData(id=id, data=data):
                    self._open_cable(index, id).send(data)
                case SendText(id=id, text=text):
                    self._open_cable(index, id).send(text)
                case CloseConnection(id=id, code=code):
                    self._open_cable(index, id).close(code)
                case Abort(id=id, code=code):
                    self._abort(index, id, code)
                case _:
                    self._tell(index, output)
        waits = shard.ended or shard.next_timer() is not None
        assert waits, f"{self._world.now:.3f} s: shard {index} waits for nothing and has not ended"

    def _answered(self, index: int, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        self.shards[index].answer(id, value, self._world.now)
        self._drain(index)

    def _dial(self, index: int, id: int, url: str) -> None:
        old = self._cables.get(index)
        if old is not None and old.client_sends:
            raise AssertionError(f"{self._world.now:.3f} s: shard {index} dials while connection {old.id} is open")
        self.connections.append(Dial(self._world.now, index, url))
        cable = self._cables[index] = Cable(self._world, self, index, id)
        cable.dial()

    def _open_cable(self, index: int, id: int) -> Cable:
        cable = self._cables.get(index)
        if cable is None or cable.id != id or not cable.client_sends:
            raise AssertionError(f"{self._world.now:.3f} s: shard {index} writes to connection {id}, which is over")
        return cable

    def _abort(self, index: int, id: int, code: int | None) -> None:
        """Legal for whatever is not over yet, after a CloseConnection too, and harmless afterwards."""
        cable = self._cables.get(index)
        if cable is not None and cable.id == id:
            self._forget(cable)
            cable.abort(code)

    def _tell(self, index: int, event: Event) -> None:
        if index in self._stopped:
            raise AssertionError(f"{self._world.now:.3f} s: shard {index} told {event} after Stopped")
        if type(event) is Stopped:
            self._stopped.add(index)
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)
        if self._settles and type(event) is Dispatch:
            self.shards[index].settle(event)

    # -- small things ---------------------------------------------------------------------------------------------

    def _forget(self, cable: Cable) -> None:
        if self._cables.get(cable.index) is cable:
            del self._cables[cable.index]

    def _wake(self) -> None:
        self._stalled = False
        for cable in self._cables.values():
            cable.judge_again()
        while self._inbox and not self._stalled:
            self._inbox.popleft()()

    def _read_on(self) -> None:
        while self._unread and not self._paused:
            self._unread.popleft()()


def _is_due(machine: Desk | Shard, now: float) -> bool:
    due = machine.next_timer()
    return due is not None and due <= now
