"""One connection to the gateway, but for the journey of its bytes: its route, what is told of it, what may be unsent.

Nothing in here waits, and nothing knows of an event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto_transports._failures import Failed
from qqproto_transports._route import Route

READ_SIZE = 65_536
"""Bytes that one read takes at most. The events in them are handed out before the next read, while the processor still
has them at hand; of four times as many, which is what asyncio takes, each event in a burst costs a fifth more. And who
asks for so many at a time in a thread is given new memory by the system, each time."""

LINGER = 1.0
"""Seconds that a peer gets to close its half after our goodbye."""


class Listener(Protocol):
    """Who is told of a stream; a :class:`~qqproto_transports._shard_runner.ShardRunner`, as a rule."""

    def stream_opened(self, id: int) -> None: ...
    def data_received(self, id: int, data: bytes) -> None: ...
    def stream_failed(self, id: int, error: BaseException) -> None: ...
    def stream_closed(self, id: int) -> None: ...


class StreamCore(ABC):
    """A connection from its dial to its end, told to ``runner``; a :class:`~qqproto_transports._shard_runner.Stream`.

    A driver's own class makes :attr:`_route` and opens TCP to its address, then calls :meth:`_take` with None, later
    with what comes, and :meth:`_closed` or :meth:`_fail` in the end.
    """

    __slots__ = ("_bare", "_opened", "_over", "_policy", "_route", "_runner", "id")

    def __init__(self, runner: Listener, id: int, policy: Policy) -> None:
        self._runner = runner
        self.id = id
        self._policy = policy
        self._route: Route | None = None
        self._opened = False
        self._bare = False
        """Whether the bytes that come are the host's own words: it is open, and there is nothing on the way. Then there
        is no route any more."""
        self._over = False
        """Whether nothing more is told of it."""

    # -- what the runner asks -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send, in order, without waiting; the link is lost if too much is unsent."""
        assert self._opened, "a shard sends when it was told that the stream is open"
        try:
            if self._route is not None:
                self._route.send_data(data)
                data = self._route.data_to_send()
            self._write(data)
        except Exception as error:
            self._fail(error)

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def _put(self, data: bytes) -> None:
        """Give ``data`` to the system, in order and without waiting; what it does not take at once is kept."""

    @abstractmethod
    def _count_unsent(self) -> int:
        """How many bytes the system has not taken yet."""

    @abstractmethod
    def _finish(self) -> None:
        """The peer has said its last: close the connection when all is sent."""

    @abstractmethod
    def _cut(self) -> None:
        """Drop the connection, dialled or open."""

    # -- steps ----------------------------------------------------------------------------------------------------

    def _take(self, data: bytes | None) -> None:
        """Take what came along the route, and send what the route answers; None begins it."""
        if self._bare and data is not None:
            if not self._over:
                self._runner.data_received(self.id, data)
                if not data:
                    self._finish()
            return
        route = self._route
        assert route is not None, "it was made before it was connected"
        said = b""
        try:
            if data is None:
                route.start()
            else:
                said = route.receive_data(data)
            if answer := route.data_to_send():
                self._write(answer)
        except Exception as error:
            # The peer is told what is wrong with its TLS; what the system does not take at once is dropped.
            self._put(route.data_to_send())
            self._fail(error)
            return
        if not self._opened and route.established:
            self._open(route)
        if said and not self._over:
            self._runner.data_received(self.id, said)
        if route.ended and not self._over:
            self._runner.data_received(self.id, b"")
            self._finish()

    def _open(self, route: Route) -> None:
        if not self._over:
            self._opened = True
            if route.bare:
                self._bare, self._route = True, None  # It has led there; what is said needs nothing of it.
            self._runner.stream_opened(self.id)

    def _write(self, data: bytes) -> None:
        self._put(data)
        limit = self._policy.max_unsent
        if self._count_unsent() > limit:
            raise Failed(Failure(FailureKind.OTHER, f"more than {limit} bytes could not be sent"))

    def _fail(self, error: BaseException) -> None:
        if self._route is not None and not self._opened:
            error = self._route.blame(error)
        self._cut()
        if not self._over:
            self._over = True
            self._runner.stream_failed(self.id, error)

    def _fail_for_want_of_progress(self) -> None:
        """For as long as the policy allows the system has taken nothing."""
        seconds = self._policy.unsent_timeout
        self._fail(Failed(Failure(FailureKind.TIMEOUT, f"nothing could be sent for {seconds:g} s")))

    def _closed(self) -> None:
        if not self._over:
            self._over = True
            self._runner.stream_closed(self.id)
