"""One connection through a network of this machine: what comes in at one end goes out at the other, if it is let."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from qqproto_transports._break_off import break_off


class Weather(Protocol):
    """What a link asks its network about; see :class:`~qqproto_transports._network.Network`."""

    links: list[Link]
    pace: tuple[int, float] | None
    cut_after: int | None
    idle_cut: float | None
    swallows: bool
    impostor: bytes | None

    def joined(self) -> None: ...
    def left(self) -> None: ...
    def lead_on(self, link: Link) -> None: ...


class Link:
    """``near`` is its end towards the client, ``far`` the one towards the gateway.

    ``from_client`` and ``to_client`` are the bytes that it has carried, ``lost`` is whether it carries any more.
    """

    def __init__(self, network: Weather) -> None:
        self.network = network
        self.from_client = bytearray()
        self.to_client = bytearray()
        self.lost = network.swallows
        self.impostor = network.impostor
        self.near = End(self, self.from_client)
        self.far = End(self, self.to_client)
        self._idle: asyncio.TimerHandle | None = None

    def other(self, end: End) -> End:
        return self.far if end is self.near else self.near

    def lose(self) -> None:
        """Nothing passes any more, and neither end is told."""
        self.lost = True
        self.rest()

    def reset(self) -> None:
        """Break it off, at both ends."""
        self.near.reset()
        self.far.reset()

    # -- for its ends ---------------------------------------------------------------------------------------------

    def came(self) -> None:
        """The client's connection is there."""
        self.network.links.append(self)
        if not self.lost and self.impostor is None:
            self.network.lead_on(self)
        self.stir()

    def room(self, end: End) -> int | None:
        """How many more bytes that come in at ``end`` may go on before it breaks off, None if any number may."""
        limit = self.network.cut_after
        return None if limit is None or end is self.near else max(limit - len(self.to_client), 0)

    def stir(self) -> None:
        """Something happens on it: the time without anything begins anew."""
        self.rest()
        if self.network.idle_cut is not None and not self.lost:
            self._idle = asyncio.get_running_loop().call_later(self.network.idle_cut, self.lose)

    def rest(self) -> None:
        """Nothing is waited for any more."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


class End(asyncio.Protocol):
    """One end of a link: bytes, the end of a stream and a reset, each goes on to the other end. ``carried`` grows."""

    def __init__(self, link: Link, carried: bytearray) -> None:
        self._link = link
        self._carried = carried
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._waiting = bytearray()
        self._next_piece: asyncio.TimerHandle | None = None
        self._ended = False
        """Whether the end of its stream came in."""
        self._unread_for: set[str] = set()
        self.over = False

    @property
    def there(self) -> bool:
        """Whether somebody is there who has not ended the connection."""
        return self._transport is not None and not self.over and not self._ended

    @property
    def stalled(self) -> bool:
        """Whether it takes nothing more, and so does not see an end either."""
        return "stall" in self._unread_for

    @property
    def _other(self) -> End:
        return self._link.other(self)

    # -- from the event loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._link.network.joined()
        if self is self._link.near:
            self._link.came()
        elif self._other.over:
            self.reset()
        else:
            self._transport.write(bytes(self._early))
            if self._other._ended:
                self.end()

    def data_received(self, data: bytes) -> None:
        if self._link.lost:
            return
        self._link.stir()
        if self._link.impostor is not None:
            self._carried += data
            self._answer(self._link.impostor)
            return
        self._waiting += data
        if self._next_piece is None:
            self._carry()

    def eof_received(self) -> bool:
        """The transport closes itself when this is false."""
        self._ended = True
        if self._link.lost:
            return True
        if self._link.impostor is not None:
            return False
        if self._next_piece is None:
            self._other.end()
        return not self._other._ended

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        self._link.rest()
        if self._next_piece is not None:
            self._next_piece.cancel()
        self._link.network.left()
        if self._link.lost:
            return
        if exc is None:
            self._other.close()
        else:
            self._other.reset()

    def pause_writing(self) -> None:
        """What this end is to send piles up: the other one takes no more."""
        self._other._hold_back("pressure", True)

    def resume_writing(self) -> None:
        self._other._hold_back("pressure", False)

    # -- from the link and the other end --------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early += data
        elif not self._transport.is_closing():
            self._transport.write(data)

    def end(self) -> None:
        """The end of the stream goes out here."""
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def stall(self) -> None:
        """Take nothing more."""
        self._hold_back("stall", True)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None and not self.over:
            break_off(self._transport)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _answer(self, impostor: bytes) -> None:
        """Say what is said in place of the gateway, once."""
        if not self._link.to_client:
            self._link.to_client += impostor
            self.write(impostor)

    def _carry(self) -> None:
        """Let the next piece of what has come in go on."""
        self._next_piece = None
        if self._link.lost:
            return
        size, pause = self._link.network.pace or (len(self._waiting), 0.0)
        room = self._link.room(self)
        piece = bytes(self._waiting[: size if room is None else min(size, room)])
        del self._waiting[: len(piece)]
        self._carried += piece
        self._other.write(piece)
        if room == len(piece):
            self._link.reset()
            return
        self._hold_back("pace", bool(self._waiting))
        if self._waiting:
            self._next_piece = asyncio.get_running_loop().call_later(pause, self._carry)
        elif self._ended:
            self._other.end()

    def _hold_back(self, why: str, on: bool) -> None:
        """Take nothing more for this reason, or take it again if there is no other one."""
        (self._unread_for.add if on else self._unread_for.discard)(why)
        if self._transport is None or self._transport.is_closing():
            return
        if self._unread_for:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
