"""How the sync driver reaches a host: the name looked up by a helper, its addresses raced, the losers closed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from qqproto.failures import Failure, FailureKind
from qqproto_transports._addresses import HEAD_START, Address, in_turn
from qqproto_transports._failures import Failed
from qqproto_transports._sync_loop import WRITE, Alarm, Loop
from qqproto_transports._sync_threads import Helper


class Dial:
    """One attempt to reach a host. In the end it calls ``reached`` with a connected, non-blocking socket, or ``failed``
    with the first error; never before the constructor has returned.

    A look-up that hangs cannot be called off. Its thread stays until the system gives up, and nobody hears of it.
    """

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        reached: Callable[[socket.socket], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        self._loop = loop
        self._host = host
        self._port = port
        self._reached = reached
        self._failed = failed
        self._over = False
        self._waiting: list[Address] = []
        self._racing: set[socket.socket] = set()
        self._error: BaseException | None = None
        self._next = Alarm(loop, self._try_next)
        loop.post(self._look_up)

    def cancel(self) -> None:
        """Give it up."""
        self._over = True
        self._next.set(None)
        for sock in self._racing:
            self._loop.forget(sock)
            sock.close()
        self._racing.clear()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _look_up(self) -> None:
        if self._over:
            return
        try:
            self._race(_look_up(self._host, self._port, socket.AI_NUMERICHOST))
        except socket.gaierror:  # It is a name, and that takes its time.
            looking = Helper(partial(_look_up, self._host, self._port), "name look-up").begin()
            looking.add_done_callback(lambda looking: self._loop.post(lambda: self._on_looked_up(looking)))
        except Exception as error:
            self._fail(error)

    def _on_looked_up(self, looking: Future[list[Address]]) -> None:
        if self._over:
            return
        error = looking.exception()
        if error is None:
            self._race(looking.result())
        else:
            self._fail(error)

    def _race(self, addresses: list[Address]) -> None:
        self._waiting = in_turn(addresses)
        self._try_next()

    def _try_next(self) -> None:
        """Try the next address, beside those that have not answered yet."""
        while self._waiting:
            try:
                self._try(self._waiting.pop(0))
            except OSError as error:
                self._error = self._error or error
            else:
                break
        if self._waiting:
            self._next.set(self._loop.clock() + HEAD_START)
        elif not self._racing:
            self._fail(self._error or OSError("the name has no address"))

    def _try(self, address: Address) -> None:
        family, kind, protocol, _, where = address
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                sock.connect(where)
            except BlockingIOError:
                pass
            self._loop.watch(sock, WRITE, lambda _: self._on_answer(sock))
        except BaseException:
            sock.close()
            raise
        self._racing.add(sock)

    def _on_answer(self, sock: socket.socket) -> None:
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._loop.forget(sock)
        self._racing.discard(sock)
        if number == 0:
            self.cancel()
            self._reached(sock)
            return
        sock.close()
        self._error = self._error or OSError(number, "the address could not be reached")
        self._try_next()

    def _fail(self, error: BaseException) -> None:
        self.cancel()
        self._failed(error)


def _look_up(host: str, port: int, flags: int = 0) -> list[Address]:
    try:
        return list[Address](socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
    except UnicodeError:
        raise Failed(Failure(FailureKind.DNS, "the host is no valid name")) from None
