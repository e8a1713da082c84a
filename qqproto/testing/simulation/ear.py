"""What the process reads: one thing after another, or in one read what has piled up while it did not look."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from qqproto.failures import Failure, FailureKind
from qqproto.testing.simulation.link import Link

if TYPE_CHECKING:
    from qqproto.testing.simulation.process import Process
    from qqproto.testing.simulation.world import World

Item: TypeAlias = tuple[Link, str, Any, Any]
"""Where, what kind, what it means, and the bytes or the text. The kinds are :class:`Link`'s."""

_ENDS = ("eof", "reset", "closed")
"""What is not read as bytes, together with others."""


class Ear:
    """The reading half of a process's driver."""

    __slots__ = ("_process", "_unread", "_world")

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._unread: deque[Item] = deque()

    def hear(self, link: Link, kind: str, envelope: Any, payload: Any) -> None:
        """Something arrived on a connection."""
        process = self._process
        if process.puts_off(self.hear, link, kind, envelope, payload):
            return
        if process.paused or self._unread:
            self._unread.append((link, kind, envelope, payload))
        elif link.readable:
            self._read([(link, kind, envelope, payload)])

    def pile_up(self, item: Item) -> None:
        """Something lies in the system's buffer."""
        self._unread.append(item)

    def read_on(self) -> None:
        """Read what has piled up; bytes of one connection that lie together are read together."""
        unread = self._unread
        while unread and not self._process.paused:
            items = [unread.popleft()]
            link, kind = items[0][0], items[0][1]
            while unread and not link.text and kind not in _ENDS:
                if unread[0][0] is not link or unread[0][1] in _ENDS:
                    break
                items.append(unread.popleft())
            if link.readable:
                self._read(items)

    def _read(self, items: list[Item]) -> None:
        """One read's worth of one connection."""
        process, (link, kind, envelope, payload) = self._process, items[0]
        now = process.now
        if link.writable and process.links[link.index] is link:
            for item in items:
                self._observe(link, item[1], item[2], now)
        shard = process.shards[link.index]
        if kind in ("reset", "closed") or (link.text and kind == "eof"):
            process.forget(link)
            what = FailureKind.RESET if kind == "reset" else FailureKind.EOF
            shard.connection_lost(link.id, Failure(what, "made up"), now)
        elif not link.text:
            data = b"".join(item[3] for item in items) if len(items) > 1 else payload
            shard.receive_data(link.id, data, now)
        elif kind == "close":
            process.forget(link)
            shard.connection_closed(link.id, envelope, payload, now)
        else:
            shard.receive_message(link.id, payload, now)
        process.drain(link.index)

    def _observe(self, link: Link, kind: str, envelope: Any, now: float) -> None:
        """Show the observer what is about to be read."""
        self._world.note_heard(link, kind, envelope)
        seen = self._process.observer.shards[link.index]
        if kind == "message" or kind == "bytes":
            seen.heard(envelope, now)
        elif kind == "broken":
            seen.broke_protocol(now)
        elif kind == "close":
            seen.heard_close(envelope, now)
        elif kind == "refused":
            seen.lost("lost", now, retry_after=envelope or 0.0)
        else:
            seen.lost("eof" if kind == "eof" else "lost", now)
