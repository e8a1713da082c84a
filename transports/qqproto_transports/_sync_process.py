"""What a fork and the end of the process do to the loops that run: a child's copies are closed, no thread goes on."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qqproto_transports._sync_loop import Loop

_running: dict[Loop, Callable[[], None] | None] = {}
"""Each loop that runs, and what ends it at once, if it has to be ended before the interpreter is."""


class Home:
    """The process that something lives in, from :meth:`settle` on: its thread does not follow a fork."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._process: int | None = None

    def settle(self) -> None:
        """It lives here."""
        self._process = os.getpid()

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is a child of the process that it lives in."""
        return self._process is not None and self._process != os.getpid()

    def check(self) -> None:
        """Raises RuntimeError in a child of the process that it lives in."""
        if self._process is not None and self._process != os.getpid():  # Once an event: no call more than needed.
            raise RuntimeError(
                f"this {self._what} belongs to the process that forked, and goes on there: make one in each process "
                "after the fork, or start processes with the method 'spawn'"
            )


def joined(loop: Loop) -> None:
    """``loop`` runs from now on."""
    _watch()
    _running[loop] = None


def ends_by(loop: Loop, end: Callable[[], None]) -> None:
    """``end`` ends ``loop``, at once."""
    _running[loop] = end


def left(loop: Loop) -> None:
    """``loop`` runs no more."""
    _running.pop(loop, None)


@functools.cache
def _watch() -> None:
    """Not when this is imported: a program without a gateway has nothing to do with it."""
    atexit.register(_at_exit)
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=_in_child)


def _at_exit() -> None:
    """A thread that went on while the interpreter is taken down could trip over it, and say so on the console."""
    for end in list(_running.values()):
        if end is not None:
            end()


def _in_child() -> None:
    for loop in list(_running):
        loop.die()
    _running.clear()
