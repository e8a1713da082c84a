"""The network between a driver in memory and the fake platform: what it does to dials, requests and connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qqproto.config import Framing
from qqproto.failures import Failure, FailureKind
from qqproto.testing.conversation import FakeConversation

if TYPE_CHECKING:
    from qqproto.testing.driver import MemoryDriver
    from qqproto.testing.world import World


@dataclass(slots=True)
class Network:
    """What the network does from now on; change any field at any time.

    ``latency`` is how long everything takes in one direction, in seconds. ``chunk``: bytes arrive in pieces of this
    size, None for the pieces they were sent in. ``dial`` and ``http`` are what dials and HTTP exchanges fail with, None
    if they do not; ``hang_dials`` and ``hang_http`` let new ones lead to nothing at all.
    """

    latency: float = 0.0
    chunk: int | None = None
    dial: Failure | None = None
    http: Failure | None = None
    hang_dials: bool = False
    hang_http: bool = False


class Cable:
    """One connection, from its dial to its end: the client's ``id`` of shard ``index`` at one end, the platform's
    ``number`` at the other, None before it is there.

    What is on its way when a cable ends never arrives.
    """

    def __init__(self, world: World, driver: MemoryDriver, index: int, id: int) -> None:
        self._world = world
        self._driver = driver
        self._framing = driver.framing
        self._free_up = 0.0
        self._free_down = 0.0
        self._black = False
        self._broken = False
        self.index = index
        self.id = id
        self.number: int | None = None
        self.client_listens = True
        self.client_sends = True
        self.server_there = False

    # -- the client's side ----------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Open it, as the network lets."""
        network = self._world.network
        if network.hang_dials:
            return
        failure = network.dial
        if failure is None and self._framing is Framing.TEXT:
            failure = self._refused_upgrade()
        done = self._opened if failure is None else partial(self._tell_lost, failure)
        self._world.after(2 * network.latency, lambda: self._driver.notice(done))

    def send(self, message: bytes | str) -> None:
        """Bytes of the client's (framing TEXT: a message)."""
        platform, number = self._world.platform, self._number()
        for piece in self._pieces(message):
            if isinstance(piece, str):
                self._up(partial(self._at_server, partial(platform.receive_message, number, piece)))
            else:
                self._up(partial(self._at_server, partial(platform.receive_data, number, piece)))

    def close(self, code: int) -> None:
        """The client's end of the stream, after all that it sent; it is told when it is done."""
        self.client_sends = False
        number, platform = self._number(), self._world.platform
        done = partial(self._tell_lost, Failure(FailureKind.EOF, "closed"))
        if self._framing is Framing.BYTES:
            self._up(partial(self._end_server, partial(platform.receive_data, number, b"")))
            self._world.after(0.0, lambda: self._driver.notice(done))
            return

        def arrive() -> None:
            # A WebSocket client waits for the answer to its close frame; in a black hole for ever.
            self._end_server(partial(platform.connection_closed, number, code))
            self._down(done)

        self._up(arrive)

    def abort(self, code: int | None) -> None:
        """The client drops it; nothing more is heard of it there."""
        self.client_sends = self.client_listens = False
        if self.number is None:
            return
        platform = self._world.platform
        if self._framing is Framing.TEXT and code is not None:
            self._up(partial(self._end_server, partial(platform.connection_closed, self.number, code)))
        else:
            self._up(partial(self._end_server, partial(platform.connection_lost, self.number)))

    # -- the server's side ----------------------------------------------------------------------------------------

    def deliver(self, message: bytes | str) -> None:
        """Bytes of the server's (framing TEXT: a message)."""
        for piece in self._pieces(message):
            self._down(partial(self._driver.received, self, piece))

    def server_closed(self, code: int, reason: str) -> None:
        """The server ends its half of the stream, after all that it sent."""
        if self._black:
            # The client's half will never end; the server's system gives it up.
            self._drop_server()
        elif self._framing is Framing.BYTES:
            self._down(partial(self._driver.received, self, b""))
        elif code == 1006:
            self._drop_server()
            self._down(partial(self._tell_lost, Failure(FailureKind.EOF, "no close frame came")))
        else:
            self._drop_server()
            self._down(partial(self._driver.closed, self, code, reason))

    def server_aborted(self) -> None:
        """The server breaks it off."""
        self._drop_server()
        self._down(partial(self._tell_lost, Failure(FailureKind.RESET, "connection reset by peer")))

    # -- what happens to it ---------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The stream ends for both, without a close frame; what was on its way is lost."""
        if self._framing is Framing.BYTES and self.number is not None:
            self._break(partial(self._driver.received, self, b""))
        else:
            self._break(partial(self._tell_lost, Failure(FailureKind.EOF, "the stream ended")))

    def reset(self) -> None:
        """The stream breaks off for both; what was on its way is lost."""
        self._break(partial(self._tell_lost, Failure(FailureKind.RESET, "connection reset by peer")))

    def black_hole(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told."""
        self._black = True
        self.excuse()

    def excuse(self) -> None:
        """Whatever does not arrive at the server in time now, the client could not help it."""
        if (talk := self._talk()) is not None:
            talk.excuse()

    def judge_again(self) -> None:
        """The end of :meth:`excuse`, unless nothing arrives at all."""
        if (talk := self._talk()) is not None and not self._black:
            talk.judge_again(self._world.now)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _talk(self) -> FakeConversation | None:
        return next((talk for talk in self._world.platform.conversations if talk.id == self.number), None)

    def _opened(self) -> None:
        if self.client_listens and not self._black:
            number = self.number = self._world.platform.connect(self._world.now, self._framing)
            self.server_there = True
            self._world.plug_in(self, number)
            self._driver.opened(self, number)

    def _refused_upgrade(self) -> Failure | None:
        """In framing TEXT the host's WebSocket client makes a failed dial of it."""
        refusal = self._world.platform.behaviour.upgrade
        if refusal is None:
            return None
        return Failure(FailureKind.HTTP_STATUS, f"HTTP {refusal.status} to the upgrade", refusal.status)

    def _pieces(self, message: bytes | str) -> list[bytes | str]:
        chunk = self._world.network.chunk
        if chunk is None or isinstance(message, str) or self._framing is Framing.TEXT:
            return [message]
        return [message[start : start + chunk] for start in range(0, len(message), chunk)]

    def _up(self, arrive: Callable[[], None]) -> None:
        """Let something arrive at the server, behind all that is on its way there."""
        self._free_up = self._world.arrival(self._free_up)
        self._world.at(self._free_up, lambda: arrive() if self.server_there and not self._black else None)

    def _down(self, arrive: Callable[[], None]) -> None:
        """Let something arrive at the client, behind all that is on its way there."""
        self._free_down = self._world.arrival(self._free_down)
        self._world.at(self._free_down, lambda: None if self._black or self._broken else self._heard(arrive))

    def _heard(self, arrive: Callable[[], None]) -> None:
        self._driver.hear(lambda: arrive() if self.client_listens else None)

    def _break(self, arrive: Callable[[], None]) -> None:
        self._drop_server()
        self._heard(arrive)
        self._broken = True

    def _tell_lost(self, failure: Failure) -> None:
        if self.client_listens:
            self.client_listens = self.client_sends = False
            self._driver.lost(self, failure)

    def _at_server(self, tell: Callable[[float], None]) -> None:
        tell(self._world.now)

    def _end_server(self, tell: Callable[[float], None]) -> None:
        self.server_there = False
        tell(self._world.now)
        self._world.unplug(self._number())

    def _drop_server(self) -> None:
        if self.server_there:
            self._end_server(partial(self._world.platform.connection_lost, self._number()))

    def _number(self) -> int:
        assert self.number is not None, f"connection {self.id} is not open yet"
        return self.number
