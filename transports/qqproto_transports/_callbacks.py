"""The platform's deliveries to a bot's callback address: validated first, signed, and again if need be."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from qqproto.policy import Policy
from qqproto.protocol.rest import HTTPRequest, HTTPResponse
from qqproto.testing import FakeCallbacks
from qqproto_transports import _asyncio_dial
from qqproto_transports._egress import Egress
from qqproto_transports._failures import failure_of
from qqproto_transports._http import exchange_by

_PATIENCE = 5.0
"""Seconds that a bot has for its reply. The platform's are not documented; they are few."""
_PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before each further try at an event; after the last one it is given up."""
_BETWEEN_VALIDATIONS = 2.0


class Callbacks:
    """Delivers to one address while its block lasts.

    The address is asked to validate itself, again and again until it does, and what is dispatched meanwhile waits. An
    event is posted until it is acknowledged, five times at most. ``say`` is told what happens, in sentences.
    ``validated`` is set once the address is the bot's; ``delivered`` and ``given_up`` are the ids of events.
    """

    def __init__(
        self,
        sender: FakeCallbacks,
        note: Callable[[str, Any], None],
        *,
        say: Callable[[str], None] = lambda text: None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self.validated = asyncio.Event()
        self.delivered: list[str] = []
        self.given_up: list[str] = []
        self._sender = sender
        self._note = note
        self._say = say
        self._unix_time = unix_time
        self._exchange = exchange_by(None, Egress(None), _asyncio_dial, Policy())
        self._waiting: deque[tuple[str, HTTPRequest]] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Callbacks:
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def dispatch(self, type: str, data: Any, *, id: str) -> None:
        """Let something happen; ``id`` is the event's. The bot may reply to it from now on."""
        self._waiting.append((id, self._sender.dispatch(type, data, self._unix_time(), id=id)))
        self._note(id, data)
        self._news.set()

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not await self._validate():  # noqa: ASYNC110  # nobody tells when a bot begins to listen
            await asyncio.sleep(_BETWEEN_VALIDATIONS)
        self.validated.set()
        self._say(f"{self._sender.url} is the bot's: its signature is right")
        while True:
            while self._waiting:
                await self._deliver(*self._waiting.popleft())
            self._news.clear()
            await self._news.wait()

    async def _validate(self) -> bool:
        response = await self._post(self._sender.validation(self._unix_time()))
        if isinstance(response, str):
            self._say(f"{self._sender.url} cannot be validated: {response}")
            return False
        if not self._sender.confirms(response):
            self._say(f"{self._sender.url} did not validate itself: status {response.status}, {_told(response)}")
            return False
        return True

    async def _deliver(self, id: str, request: HTTPRequest) -> None:
        for pause in (*_PAUSES, None):
            response = await self._post(self._sender.again(request, self._unix_time()))
            if not isinstance(response, str) and self._sender.acknowledged(response):
                self.delivered.append(id)
                self._say(f"delivered: {id}")
                return
            what = response if isinstance(response, str) else f"status {response.status}, {_told(response)}"
            if pause is None:
                self.given_up.append(id)
                self._say(f"not taken, and given up: {id}: {what}")
            else:
                self._say(f"not taken, again in {pause:g} s: {id}: {what}")
                await asyncio.sleep(pause)

    async def _post(self, request: HTTPRequest) -> HTTPResponse | str:
        """The reply, or what went wrong."""
        exchange = asyncio.ensure_future(self._attempt(request))
        try:
            done, _ = await asyncio.wait([exchange], timeout=_PATIENCE)
        finally:
            exchange.cancel()
        if not done:
            await asyncio.wait([exchange])
            return f"no reply within {_PATIENCE:g} s"
        return exchange.result()

    async def _attempt(self, request: HTTPRequest) -> HTTPResponse | str:
        try:
            return await self._exchange(request)
        except Exception as error:
            return str(failure_of(error))


def _told(response: HTTPResponse) -> str:
    """The beginning of a reply, for people."""
    return repr(response.body[:80].decode("utf-8", "replace")) if response.body else "nothing said"
