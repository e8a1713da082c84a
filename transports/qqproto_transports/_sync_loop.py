"""The turns of a thread of the sync driver: what sockets have, what other threads have posted, what is due.

No event loop for anybody else: it calls back, and its callbacks wait for nothing.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import ParamSpec, TypeAlias, TypeVar

from qqproto_transports import _sync_process
from qqproto_transports._clock import LONGEST_WAIT
from qqproto_transports._sync_threads import Latch

P = ParamSpec("P")
T = TypeVar("T")

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
OnReady: TypeAlias = Callable[[int], object]

_ANSWER_SLICE = 0.05
"""Seconds after which who waits for a loop's answer looks whether it still runs."""


class Loop:
    """Calls what is ready, in the one thread that runs it. ``clock`` says what is due; ``on_bug`` gets what is raised.

    :meth:`open` it and let a thread :meth:`run` it. Others :meth:`post`; while no thread runs it, before and after,
    they may :meth:`catch_up` with what they posted themselves.
    """

    def __init__(self, clock: Callable[[], float], on_bug: Callable[[BaseException], object]) -> None:
        self.clock = clock
        self._on_bug = on_bug
        self._inbox: deque[Callable[[], object]] = deque()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._sockets: dict[socket.socket, tuple[int, OnReady]] = {}
        self._selector: selectors.BaseSelector | None = None
        self._ear: socket.socket | None = None
        self._bell: socket.socket | None = None
        self._bell_lock = threading.RLock()
        """Like the next one it may be taken by the code that a signal interrupts, and by the signal's handler then."""
        self._asleep = False
        self._running = False
        self._catching_up = threading.RLock()
        self._thread: int | None = None
        """Whose callbacks are called now."""

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is the one that runs it."""
        return self._thread == threading.get_ident()

    @property
    def has_sockets(self) -> bool:
        """Whether somebody's socket is looked after here."""
        return bool(self._sockets)

    # -- from any thread ------------------------------------------------------------------------------------------

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` called by the loop. From any thread and any signal handler; waits for nothing."""
        self._inbox.append(call)
        # A loop says that it sleeps, then looks into its inbox once more: it sees this, or we see that.
        if self._asleep:
            self._ring_bell()

    def here(self, call: Callable[[], object]) -> None:
        """Call ``call`` if this is the loop's thread, else post it."""
        if self.is_here:
            call()
        else:
            self.post(call)

    def catch_up(self) -> None:
        """Do what was posted, if no thread runs it. From any thread and any signal handler; waits for others who do."""
        while self._inbox and not self._running and not self.is_here:
            self._stand_in(self._do_posted)

    def ask(self, question: Callable[[], T]) -> T:
        """What ``question`` gives when the loop calls it, which takes it no longer than a turn. From any thread."""
        if self.is_here:
            return question()
        answers: list[T] = []
        errors: list[BaseException] = []
        answered = Latch()

        def give_answer() -> None:
            if answers or errors:
                return
            try:
                answers.append(question())
            except BaseException as error:
                errors.append(error)
            answered.set()

        if self._running:
            self.post(give_answer)
        while not (answers or errors):
            if self._running:
                answered.wait(_ANSWER_SLICE)
            self.catch_up()
            self._stand_in(give_answer)
        if errors:
            raise errors[0]
        return answers[0]

    # -- for the thread that runs it ------------------------------------------------------------------------------

    def open(self) -> None:
        """From now on a thread runs it, or will at once."""
        self._running = True
        try:
            self._ear, self._bell = socket.socketpair()
            self._ear.setblocking(False)
            self._bell.setblocking(False)
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._ear, READ)
            _sync_process.joined(self)
        except BaseException:
            self.close()
            raise

    def run(self, over: Callable[[], bool]) -> None:
        """Take turns until it is ``over``, and close."""
        with self._catching_up:
            pass  # Who began before it was opened comes to an end.
        self._thread = threading.get_ident()
        try:
            while not over():
                self.turn()
        except BaseException as error:
            self._on_bug(error)
        finally:
            self._do_posted()
            self._thread = None
            self.close()

    def turn(self, until: float = math.inf) -> None:
        """Wait for something to do, no longer than ``until`` or 15 s, and do it."""
        due = min(until, self._alarms[0][0] if self._alarms else math.inf)
        self._look(min(max(due - self.clock(), 0.0), LONGEST_WAIT))
        self._do_posted()
        if self._alarms and self._alarms[0][0] <= self.clock():
            # The time is up. What has arrived meanwhile goes first.
            self._look(0.0)
            self._do_posted()
            self._ring_alarms()

    def watch(self, sock: socket.socket, events: int, on_ready: OnReady) -> None:
        """Look after ``sock``, non-blocking, and call ``on_ready`` with those of ``events`` that it is ready for.

        Without events it is looked after all the same.
        """
        assert self._selector is not None, "it is open"
        before, _ = self._sockets.get(sock, (0, None))
        self._sockets[sock] = (events, on_ready)
        if before and events:
            if before != events:
                self._selector.modify(sock, events)
        elif events:
            self._selector.register(sock, events)
        elif before:
            self._selector.unregister(sock)

    def forget(self, sock: socket.socket) -> None:
        """Look after ``sock`` no more; it is going to be closed."""
        events, _ = self._sockets.pop(sock, (0, None))
        if events and self._selector is not None:
            self._selector.unregister(sock)

    def close(self) -> None:
        """No thread runs it any more."""
        _sync_process.left(self)
        with self._bell_lock:  # A descriptor's number must not be another file's while somebody rings.
            self._close_files()
        self._running = False

    def die(self) -> None:
        """This is the child of a fork, and the loop's thread is the parent's: close our copies of its files.

        Nothing is sent, and nothing taken out of the selector, which is the parent's as well.
        """
        for sock in self._sockets:
            sock.close()
        self._close_files()

    # -- steps ----------------------------------------------------------------------------------------------------

    def add_alarm(self, at: float, alarm: Alarm) -> None:
        heapq.heappush(self._alarms, (at, next(self._numbers), alarm))

    def _stand_in(self, call: Callable[[], object]) -> None:
        """Call it as the loop's thread would, if there is none."""
        with self._catching_up:
            if not self._running:
                try:
                    self._thread = threading.get_ident()
                    call()
                finally:
                    self._thread = None

    def _close_files(self) -> None:
        for file in (self._selector, self._ear, self._bell):
            if file is not None:
                file.close()
        self._selector = self._ear = self._bell = None

    def _ring_bell(self) -> None:
        """Wake it."""
        with self._bell_lock:
            if self._bell is not None:
                with contextlib.suppress(BlockingIOError):  # It rings already.
                    self._bell.send(b"\0")

    def _look(self, wait: float) -> None:
        """See which sockets are ready, and call those who look after them."""
        assert self._selector is not None, "it is open"
        self._asleep = True
        try:
            ready = self._selector.select(0.0 if self._inbox else wait)
        finally:
            self._asleep = False
        for key, events in ready:
            sock = key.fileobj
            assert isinstance(sock, socket.socket), "nothing else is registered"
            if sock is self._ear:
                sock.recv(4096)
                continue
            wanted, on_ready = self._sockets.get(sock, (0, None))  # The one before may have closed this one.
            if on_ready is not None and events & wanted:
                self._call(on_ready, events & wanted)

    def _do_posted(self) -> None:
        while self._inbox:
            self._call(self._inbox.popleft())

    def _ring_alarms(self) -> None:
        now = self.clock()
        due = []
        while self._alarms and self._alarms[0][0] <= now:
            due.append(heapq.heappop(self._alarms)[2])
        for alarm in due:
            self._call(alarm.look, now)

    def _call(self, function: Callable[P, object], *args: P.args, **options: P.kwargs) -> None:
        try:
            function(*args, **options)
        except BaseException as error:
            self._on_bug(error)


class Alarm:
    """Calls ``ring`` when the loop's clock has reached a time. To be set in the loop's thread."""

    __slots__ = ("_at", "_looks_at", "_loop", "_ring")

    def __init__(self, loop: Loop, ring: Callable[[], object]) -> None:
        self._loop = loop
        self._ring = ring
        self._at = math.inf
        self._looks_at = math.inf

    def set(self, at: float | None) -> None:
        """Ring at ``at``, and not at what was set before; None: not at all."""
        self._at = math.inf if at is None else at
        if self._at < self._looks_at:  # Else it will look before, and see.
            self._looks_at = self._at
            self._loop.add_alarm(self._at, self)

    def look(self, now: float) -> None:
        """It may be time."""
        self._looks_at = math.inf
        if self._at <= now:
            self._at = math.inf
            self._ring()
        else:
            self.set(self._at)
