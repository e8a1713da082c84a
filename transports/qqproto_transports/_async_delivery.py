"""Events for those whose code awaits: the iterator and the block that settles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from qqproto.events import Dispatch
from qqproto_transports._delivery import Delivery, Told

_NO_BLOCK = "its block comes first: async with ..., and the iteration inside"
_TAKEN = "somebody else waits for the next event"


class AsyncDelivery(Delivery[Told], ABC):
    """What is iterated over with ``async for``. ``_this_task`` gives the task that runs."""

    _this_task: Callable[[], object]
    _entered = False
    _waited_for = False
    """Whether somebody waits for the next event."""

    def __aiter__(self) -> AsyncIterator[Told]:
        return self

    async def __anext__(self) -> Told:
        self._reader = self._this_task()
        self._settle_in_hand()
        while (event := self._take()) is None:
            if self._is_over():
                raise StopAsyncIteration
            if self._waited_for or not self._entered:
                raise RuntimeError(_TAKEN if self._waited_for else _NO_BLOCK)
            self._waited_for = True
            try:
                await self._wait()
            finally:
                self._waited_for = False
        return event

    @asynccontextmanager
    async def handling(
        self, dispatch: Dispatch, *, on_error: Literal["settle", "keep"] = "settle"
    ) -> AsyncIterator[Dispatch]:
        """Settle ``dispatch`` at the end of the block.

        Also when it ends with an exception, which would end with one next time as well; ``on_error="keep"`` leaves it
        unsettled then. Cancellation always does.
        """
        with self._handling(self._this_task(), dispatch, on_error):
            yield dispatch

    # -- what a driver does ---------------------------------------------------------------------------------------

    @abstractmethod
    def _is_over(self) -> bool:
        """Whether nothing more will come. Raises what is to end the iteration in place of its plain end."""

    @abstractmethod
    def _wait(self) -> Awaitable[None]:
        """What is to be awaited until :meth:`_wake` is called."""

    @abstractmethod
    def _wake(self) -> None:
        """Somebody may wait for it."""

    # -- steps ----------------------------------------------------------------------------------------------------

    def _wake_waiter(self) -> None:
        """There is something in the buffer, or nothing more will come."""
        if self._waited_for:
            self._wake()
