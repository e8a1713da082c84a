"""A bot's callback address but for the way on which requests come: its buffer, its replies, its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping

from qqproto.config import SettleMode
from qqproto.credentials import Credentials
from qqproto.events import Dispatch
from qqproto.policy import Policy
from qqproto.webhook import Headers, Webhook, WebhookReply, refuse
from qqproto_transports._async_delivery import AsyncDelivery
from qqproto_transports._asyncio_account import BotAccount
from qqproto_transports._changes import Changes
from qqproto_transports._clock import clock as system_clock
from qqproto_transports._common import Logger
from qqproto_transports._journal import Journal

_BUSY = "the bot has as much to do as it can remember; deliver it again later"
_CLOSED = "the bot has gone; deliver it again later"


class CallbackAddress(AsyncDelivery[Dispatch]):
    """What :class:`WebhookApp` and :class:`WebhookServer` have in common.

    Each request goes to :meth:`_answer`, its reply is sent, and then what it brought goes to :meth:`_hand_over`: so no
    handler keeps the platform waiting.
    """

    def __init__(
        self,
        account: Credentials | BotAccount,
        *,
        settle: SettleMode,
        require_signature: bool,
        max_skew: float,
        policy: Policy | None,
        logger: Logger | None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        shared = None if isinstance(account, Credentials) else account
        policy = policy or (shared.policy if shared else Policy())
        super().__init__(settle, policy.max_buffered)
        self._credentials = account if isinstance(account, Credentials) else account.credentials
        self._account = shared
        self._webhook = Webhook(
            self._credentials, require_signature=require_signature, max_skew=max_skew, policy=policy
        )
        self._policy = policy
        self._unix_time = unix_time
        self._journal = Journal(logger, shared.runner.clock if shared else system_clock)
        self._changes = Changes()
        self._this_task = asyncio.current_task
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrival: asyncio.Future[None]
        self._coming = 0
        """Requests whose reply is on its way, and whose event is not in the buffer yet."""
        self._unsettled: dict[int, Dispatch] = {}
        """By identity, the oldest first."""

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def account(self) -> BotAccount:
        """The bot's account, for REST calls. One that was not given is made when it is first asked for."""
        if self._account is None:
            self._account = BotAccount(self._credentials, policy=self._policy)
        return self._account

    @property
    def counters(self) -> Mapping[str, int]:
        """How often what came, as :attr:`Webhook.counters <qqproto.webhook.Webhook.counters>` has it."""
        return self._webhook.counters

    # -- its life -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more requests, at once, from any callback, thread or signal handler, any number of times.

        What was taken and not handed out is withdrawn, and the platform does not deliver it again: to have it handed
        out first, :meth:`aclose` with ``drain``. Requests are answered with 503 from now on. Iterating ends.
        """
        self._closing = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, and the block was left with it.
                self._loop.call_soon_threadsafe(self._wake_waiter)
        self._changes.changed()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """:meth:`close`; with ``drain``, before that, no more requests are taken, and for so many seconds at most it is
        waited for until all that was taken is handed out and settled, but for what the caller itself has in hand.
        """
        if drain > 0 and self._entered and not self._closing:
            me = self._this_task()
            self._draining = True
            await self._changes.until(lambda: self._closing or self._is_settled_but_for(self._held_by(me)), drain)
        self.close()

    async def authorization(self) -> dict[str, str]:
        """The account's :meth:`BotAccount.authorization <qqproto_transports.asyncio.BotAccount.authorization>`."""
        return await self.account.authorization()

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread.

        The platform delivers nothing a second time that it has a reply to; so settling has a meaning here for
        :meth:`aclose` alone.
        """
        self._unsettled.pop(id(dispatch), None)
        if self._draining:
            self._changes.changed()

    # -- steps: requests ------------------------------------------------------------------------------------------

    def _answer(self, headers: Headers, body: bytes) -> WebhookReply:
        """The reply to a POST. Once it is sent, or cannot be, :meth:`_hand_over` has to be called with it."""
        self._settle_in(asyncio.get_running_loop())
        if self._closing or self._draining:
            reply = refuse(503, _CLOSED)
        elif len(self._buffer) + self._coming >= self._max_buffered:
            # Not looked at: an event that was would be a repetition when the platform delivers it again.
            reply = refuse(503, _BUSY)
        else:
            reply = self._webhook.handle(headers, body, self._unix_time())
        self._coming += len(reply.dispatches)
        if reply.refused is not None:
            self._journal.refusal(reply.status, reply.refused)
        return reply

    def _refuse(self, status: int, reason: str) -> WebhookReply:
        """The reply to what is no POST of a body that can be read."""
        self._journal.refusal(status, reason)
        return refuse(status, reason)

    def _hand_over(self, reply: WebhookReply) -> None:
        """The reply is sent; also when it could not be: the platform may well know it, and then delivers no more."""
        self._coming -= len(reply.dispatches)
        for dispatch in reply.dispatches:
            if len(self._unsettled) >= self._policy.max_unsettled:
                del self._unsettled[next(iter(self._unsettled))]
            self._unsettled[id(dispatch)] = dispatch
            self._buffer.append(dispatch)
            self._wake_waiter()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        if self._entered:
            raise RuntimeError("it is entered once: make another one")
        self._settle_in(asyncio.get_running_loop())
        self._entered = True

    def _settle_in(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("requests have to come in the event loop in which the events are iterated over")

    def _is_settled_but_for(self, mine: list[Dispatch]) -> bool:
        held = sum(id(dispatch) in self._unsettled for dispatch in mine)
        return not self._coming and len(self._unsettled) <= held

    def _is_over(self) -> bool:
        return self._closing

    def _wait(self) -> Awaitable[None]:
        self._arrival = asyncio.get_running_loop().create_future()
        return self._arrival

    def _wake(self) -> None:
        if not self._arrival.done():
            self._arrival.set_result(None)
