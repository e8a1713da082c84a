"""A gateway for those whose code awaits: what its waiting is made of, whatever event loop it waits on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qqproto.config import SettleMode
from qqproto.events import Event
from qqproto.policy import Policy
from qqproto_transports._account import AsyncAccount
from qqproto_transports._async_delivery import AsyncDelivery
from qqproto_transports._gateway import Crew, GatewayCore, Runner
from qqproto_transports._journal import Journal

if TYPE_CHECKING:
    from qqproto_transports._keeper import Keeper


class AsyncCrew(Crew[Runner], ABC):
    """The runners of one gateway, and how a change or their end is waited for."""

    @abstractmethod
    async def until(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until ``condition`` holds or the time is up."""

    @abstractmethod
    async def shut(self, timeout: float, *, keep_session: bool = False) -> None:
        """Say goodbye, wait for its end for so long, drop what is left then, and see that it is gone."""


class AsyncGateway(GatewayCore[Runner], AsyncDelivery[Event], ABC):
    """What the gateways of the drivers with an event loop have in common.

    A driver's own class is its block, for as long as which :attr:`_inside` is set. ``this_task`` gives the task that
    runs.
    """

    def __init__(
        self,
        account: AsyncAccount[Any],
        crew: AsyncCrew[Runner],
        policy: Policy,
        settle: SettleMode,
        *,
        journal: Journal,
        keeper: Keeper | None,
        this_task: Callable[[], object],
    ) -> None:
        super().__init__(crew, account.runner.clock, policy, settle, journal=journal, keeper=keeper)
        self._awaited = crew
        self._authorize = account.authorization
        self._inside = False
        self._this_task = this_task

    # -- its life -------------------------------------------------------------------------------------------------

    def close(self, *, keep_session: bool | None = None) -> None:
        """Say goodbye, at once, from any callback, thread or signal handler, any number of times.

        What was received and not handed out is withdrawn. Iterating yields ``Stopped`` and ends. ``keep_session``: the
        goodbye says that we will be back (``policy.leave_code``), and the session may be gone on with; without it, it
        is 1000, and the session is over. None keeps it if there is a store. It is saved when the block is left.
        """
        keep = self._keeps_session(keep_session)
        self._begin_closing()
        if self._inside:
            self._close_soon(keep)
        else:
            self._crew.close(keep_session=keep)

    async def aclose(self, timeout: float = 5.0, *, drain: float = 0.0, keep_session: bool | None = None) -> None:
        """:meth:`close`, and wait until the session is saved and no task and no socket is left.

        With ``drain``, before that: nothing more is read, what was read is still handed out, and for so many seconds
        at most it is waited for until all of it is settled, but for the event that the caller itself has in hand. What
        takes longer than ``timeout`` after that is dropped. From anywhere, in any state, any number of times.
        """
        keep = self._keeps_session(keep_session)
        deadline = self._clock() + timeout
        try:
            if drain > 0 and self._inside and not self._closing:
                me = self._this_task()
                self._begin_draining()
                await self._awaited.until(lambda: self._has_drained(me) or self._crew.ended, drain)
                deadline = self._clock() + timeout
            if keep:
                await self._save(timeout / 2)
        finally:
            self._begin_closing()
            self._crew.close(keep_session=keep)
        await self._awaited.shut(max(0.0, deadline - self._clock()), keep_session=keep)
        await self._save(max(0.0, deadline - self._clock()))

    async def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until it is :attr:`connected`. False when ``timeout`` seconds are over, or it has stopped.

        It may be called before the block is entered, by another task.
        """
        await self._awaited.until(lambda: self.connected or self._crew.ended, timeout)
        return self.connected

    async def wait_online(self, timeout: float | None = None) -> bool:
        """Wait until it is :attr:`online`, which it stays through a short absence; else as :meth:`wait_connected`."""
        await self._awaited.until(lambda: self.online or self._crew.ended, timeout)
        return self.online

    async def authorization(self) -> dict[str, str]:
        """The account's :meth:`BotAccount.authorization`."""
        return await self._authorize()

    # -- what the driver does -------------------------------------------------------------------------------------

    @abstractmethod
    def _close_soon(self, keep_session: bool) -> None:
        """Let the crew say goodbye where the machines are driven. From any thread."""

    # -- steps ----------------------------------------------------------------------------------------------------

    def _arrived(self) -> None:
        if self._waited_for and (self._buffer or self._crew.ended):
            self._wake()
        self._crew.changed()

    def _is_over(self) -> bool:
        if not self._crew.ended:
            return False
        self._raise_ending()
        return True

    async def _save(self, timeout: float) -> None:
        """What is new in the sessions is in the store, or the time is up."""
        keeper = self._keeper
        if keeper is not None and self._inside:
            keeper.hurry()
            await self._awaited.until(lambda: keeper.at_rest, timeout)
