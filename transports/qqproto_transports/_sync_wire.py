"""One connection for a thread that waits for it: a stream of the sync driver, in the shape that httpcore wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpcore

from qqproto.actions import OpenConnection
from qqproto.policy import Policy
from qqproto_transports._egress import Egress
from qqproto_transports._sync_loop import Loop
from qqproto_transports._sync_stream import SyncStream


class Wire(httpcore.NetworkStream):
    """A connection to where ``url`` leads; its TLS, and whatever else is on the way, is part of it.

    The thread that uses it enters it, which dials, and leaves it, after which nothing is left of it. Every wait ends
    with TimeoutError at ``deadline``, on ``clock``, and when another thread calls :meth:`interrupt`.
    """

    def __init__(
        self,
        url: str,
        deadline: float,
        egress: Egress,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        self._deadline = deadline
        self._loop = Loop(clock, self._end)
        self._opened = False
        self._received = bytearray()
        self._ended = False
        self._error: BaseException | None = None
        action = OpenConnection(0, deadline, url, {})
        self._stream = SyncStream(self, action, egress, policy, self._loop, lambda stream: None)

    # -- for the thread that uses it ------------------------------------------------------------------------------

    def __enter__(self) -> Wire:
        self._loop.open()
        try:
            self._wait(lambda: self._opened)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.abort()
        self._loop.close()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._wait(lambda: self._received or self._ended)
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """If it cannot be sent, that is raised to who reads, behind what the peer has said before."""
        if not self._ended:
            self._stream.send(bytes(buffer))

    def close(self) -> None:
        self._stream.abort()

    def get_extra_info(self, info: str) -> Any:
        return None

    # -- from another thread --------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Let what waits raise TimeoutError."""
        self._loop.post(lambda: self._end(TimeoutError("called off")))

    # -- what the stream tells ------------------------------------------------------------------------------------

    def stream_opened(self, id: int) -> None:
        self._opened = True

    def data_received(self, id: int, data: bytes) -> None:
        self._received += data
        self._ended = self._ended or not data

    def stream_failed(self, id: int, error: BaseException) -> None:
        self._end(error)

    def stream_closed(self, id: int) -> None:
        self._ended = True

    # -- steps ----------------------------------------------------------------------------------------------------

    def _end(self, error: BaseException) -> None:
        self._error = self._error or error
        self._ended = True

    def _wait(self, enough: Callable[[], object]) -> None:
        """Wait until it is enough, or nothing more will come; raises what ended it, if that was an error."""
        while not enough() and not self._ended:
            if self._loop.clock() >= self._deadline:
                self._end(TimeoutError("no reply in time"))
            else:
                self._loop.turn(self._deadline)
        if self._error is not None and not self._received:
            raise self._error
