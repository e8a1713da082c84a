"""Exceptions out of a signal handler, at each place in turn where one can come."""

from __future__ import annotations

import ctypes
import functools
import gc
import operator
import signal
import sys
import threading
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

import pytest

import qqproto_transports

T = TypeVar("T")

_FILES = (str(Path(qqproto_transports.__file__).parent), threading.__file__)
"""What a signal is to come in the middle of."""


in_cpython = pytest.mark.skipif(
    sys.implementation.name != "cpython" or sys.platform == "win32",
    reason="signals are placed in CPython on POSIX alone",
)


class Interrupted(Exception):
    """What a host's signal handler may raise, as Python's own raises KeyboardInterrupt."""


class Interrupter:
    """Lets a signal come at one instruction of the main thread, and no clock decides which.

    A trace function counts instructions. The interpreter handles signals between some of them only, so none may be
    handled in the trace function itself: the last thing it does is to have the interpreter call a function of C.
    """

    def __init__(self) -> None:
        self._left = 0
        self.came = False
        self._send = _sender(signal.SIGALRM)

    def at(self, instruction: int, call: Callable[[], T]) -> T:
        """Call ``call``, and interrupt it at this instruction, if it makes so many: :attr:`came` says whether."""
        self._left = instruction
        self.came = False
        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # CPython 3.12 asks for it beforehand.
        try:
            sys.settrace(self._enter)
            return call()
        finally:
            sys.settrace(before)

    def handle(self, number: int, frame: FrameType | None) -> None:
        sys.settrace(None)
        self.came = frame is not None and frame.f_code is not Interrupter.at.__code__  # There the call is over.
        if self.came:
            raise Interrupted

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(_FILES):
            return None
        trace = self._count if self._left else self._send
        frame.f_trace = trace  # Which CPython 3.13 wants before it traces instructions.
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    def _count(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            self._left -= 1
        return self._count if self._left else self._send


@contextmanager
def interrupter() -> Iterator[Interrupter]:
    """For a test in the main thread of CPython."""
    interrupter = Interrupter()
    before = signal.signal(signal.SIGALRM, interrupter.handle)
    gc.collect()
    gc.disable()  # What is raised while it calls back, hypothesis's clock of it say, Python throws away.
    try:
        yield interrupter
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)


def _sender(number: int) -> Callable[..., None]:
    """A function of C, with the arguments of a trace function, that has a signal handled as soon as any is."""
    send: Any = ctypes.PyDLL(None).PyErr_SetInterruptEx
    numbers: defaultdict[object, int] = defaultdict(functools.partial(int, number))
    # From a trace function's arguments: a number, whatever the frame, and what is not looked at.
    converters = [numbers.__getitem__, *2 * [functools.partial(operator.is_, object())]]
    send.argtypes = [types.SimpleNamespace(from_param=converter) for converter in converters]
    send.restype = None
    return cast(Callable[..., None], send)
