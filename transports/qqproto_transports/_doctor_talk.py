"""A talk with the gateway on a wire: the library's own machine for one connection, and who drives it step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qqproto.actions import ReserveIdentify, SendData
from qqproto.connection import QQGatewayConnection
from qqproto.conversation import Ending
from qqproto.events import Ready
from qqproto.pacing import IdentifySlot
from qqproto_transports._clock import LONGEST_WAIT
from qqproto_transports._doctor_deadline import within
from qqproto_transports._doctor_wire import Wire
from qqproto_transports._failures import failure_of

_GOODBYE = 1.0
"""Seconds that the gateway gets to answer our goodbye."""


class Over(Exception):
    """The connection ended; ``ending`` says how, ``upgraded`` whether there was a WebSocket before."""

    def __init__(self, ending: Ending, upgraded: bool) -> None:
        super().__init__(ending.verdict)
        self.ending = ending
        self.upgraded = upgraded


class Talk:
    """Drives ``machine`` on ``wire``; its question, when it may identify, is answered by :meth:`identify`."""

    def __init__(self, wire: Wire, machine: QQGatewayConnection, clock: Callable[[], float]) -> None:
        self.machine = machine
        self._wire = wire
        self._clock = clock
        self._reading: asyncio.Task[bytes] | None = None
        self._question: int | None = None
        self._upgraded = False
        self.ready: Ready | None = None

    async def open(self) -> None:
        """The stream is up: ask for the WebSocket, and wait until it is granted."""
        self.machine.connection_opened(self._clock())
        await self.until(lambda: self._upgraded)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Go on until something has happened. Raises :class:`Over` if the connection ends before."""
        await self._drain()
        while not happened():
            if self.machine.ending is not None:
                raise Over(self.machine.ending, self._upgraded)
            await self._turn()

    async def glance(self) -> None:
        """Take what has come meanwhile. Raises :class:`Over` if that was the end."""
        await self._turn(at_most=0.0)
        if self.machine.ending is not None:
            raise Over(self.machine.ending, self._upgraded)

    async def identify(self, slot: IdentifySlot) -> None:
        """Send the Identify, in its slot."""
        assert self._question is not None, "it is asked at Hello"
        self.machine.answer(self._question, slot, self._clock())
        await self.until(lambda: self._clock() >= slot.at)

    async def close(self) -> None:
        """Say goodbye, if there is anybody, and leave nothing behind."""
        try:
            if not self.machine.ended:
                self.machine.close(self._clock())
                await self._drain()
                if self._upgraded:
                    await within(_GOODBYE, self._listen_to_the_end())
        except Exception as error:
            failure_of(error)  # What is not about the network is a bug, and raised.
        finally:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.wait([self._reading])
            self._wire.close()

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _turn(self, *, at_most: float = LONGEST_WAIT) -> None:
        """Wait for what comes first, bytes or a deadline, and give it to the machine."""
        due = self.machine.next_timer()
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._wire.receive())
        wait = at_most if due is None else min(max(due - self._clock(), 0.0), at_most)
        await asyncio.wait([self._reading], timeout=wait)
        if self._reading.done():
            reading, self._reading = self._reading, None
            try:
                data = reading.result()
            except Exception as error:
                self.machine.connection_lost(failure_of(error), self._clock())
            else:
                self.machine.receive_data(data, self._clock())
            self._upgraded = self._upgraded or self.machine.upgraded
        self.machine.handle_timer(self._clock())
        await self._drain()

    async def _drain(self) -> None:
        """Do what the machine asks, but for an end of the connection, which comes with the examination's."""
        while (output := self.machine.next_output()) is not None:
            match output:
                case SendData(data=data):
                    try:
                        await self._wire.send(data)
                    except Exception as error:
                        self.machine.connection_lost(failure_of(error), self._clock())
                case ReserveIdentify(id=id):
                    self._question = id
                case Ready():
                    self.ready = output
                case _:
                    pass

    async def _listen_to_the_end(self) -> None:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._wire.receive())
        while await asyncio.shield(self._reading):
            self._reading = asyncio.ensure_future(self._wire.receive())
