"""The fast lane before wsproto: it reads ordinary text messages, cuts out every other frame, and keeps the limits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from qqproto.policy import Policy

ORDINARY = 0x81
"""What an ordinary frame begins with: FIN and the opcode of text: a whole message in one frame (RFC 6455 §5.2)."""
_FIN, _CONTROL, _MASK = 0x80, 0x08, 0x80
_POLICY, _TOO_BIG = 1008, 1009

Other = TypeVar("Other")


class Lane(Generic[Other]):
    """Frames out of a stream of bytes, each as soon as it is whole; whoever extends it has the engine for the others.

    A frame is *ordinary* if it is a text message by itself: 0x81, unmasked, its length written as short as can be and
    within the limit, no fragmented message open. Its payload is handed out at once, as it is: the reader finds out
    whether it is UTF-8, as decoding it does anyway. Every other frame goes to :meth:`_other`: first its header, so that
    what is wrong with it is told before its payload is waited for, then its payload, whole.

    Who reads may take ordinary frames by himself, if it is :attr:`idle`, the shorter ones of up to :attr:`longest`
    bytes, and gives :meth:`receive` what comes after them.

    What is kept is the beginning of a header, or a payload whose length is within the limit before a byte of it is
    kept. The work is linear in the bytes, however they are cut.
    """

    __slots__ = (
        "_body", "_control", "_filled", "_fragments", "_head", "_over", "_policy", "_size", "given", "idle", "longest",
    )  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.longest = min(policy.max_message, 0xFFFF)
        """No frame with the shorter of the two headers holds more."""
        self.idle = True
        """Nothing is kept, no fragmented message is open, and it is not over: a frame may begin."""
        self._over = False
        self._head = b""
        self._body: bytearray | None = None
        self._filled = 0
        self._size = 0
        self._fragments = 0
        self._control = 0
        self.given: bytes | None = None
        """The payload of an ordinary frame that is handed out just now; it may be large, and is not kept for longer."""

    @abstractmethod
    def _other(self, data: bytes | bytearray) -> Iterable[Other]:
        """Read a header, a payload or a whole frame; calls :meth:`_end` when it is the last that is heard."""

    @abstractmethod
    def _excess(self, what: str, code: int) -> Other:
        """A limit is passed: the last thing that is heard, of what it is and the close code. Calls :meth:`_end`."""

    def _end(self) -> None:
        """Nothing more is read."""
        self._over, self.idle = True, False
        self._head, self._body = b"", None

    def receive(self, data: bytes) -> Iterable[bytes | Other]:
        """What these bytes brought, one thing after another; stop reading whenever enough was heard."""
        if self._body is not None and self._filled + len(data) < len(self._body):
            self._fill(self._body, data)
            return ()
        return self._frames(data)

    def _frames(self, data: bytes) -> Iterator[bytes | Other]:
        self.idle = False
        self._control = 0
        limit = self._policy.max_message
        at = 0
        if self._body is not None:
            at = self._fill(self._body, data)
            yield from self._filled_up(self._body)
            self.given = None
        elif self._head:
            data = self._head + data
        end = len(data)
        while not self._over and end - at >= 2:
            first, second, start = data[at], data[at + 1], at + 2
            length = second & ~_MASK
            least = 0
            if length > 125:
                start, least = (at + 4, 126) if length == 126 else (at + 10, 1 << 16)
                if start > end:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            stop = start + length
            if first == ORDINARY and second < _MASK and least <= length <= limit and not self._fragments:
                if stop > end:
                    self._keep(data[at:start], length, data[start:])
                    return
                self.given = payload = data[start:stop]
                yield payload
                self.given = None
            else:
                yield from self._header(first, data[at:start], length)
                if stop > end:
                    self._keep(b"", length, data[start:])
                    return
                if length and not self._over:
                    yield from self._other(data[start:stop])
            at = stop
        if not self._over:
            self._head = data[at:]
            self.idle = not self._head and not self._fragments

    def _header(self, first: int, header: bytes, length: int) -> Iterator[Other]:
        """A frame begins that is not ordinary: count it, and let the engine judge it."""
        policy = self._policy
        if first & _CONTROL:
            self._control += 1
            if self._control > policy.max_control_frames:
                yield self._excess(f"more than {policy.max_control_frames} control frames in one read", _POLICY)
            else:
                yield from self._other(header)
            return
        self._fragments += 1
        self._size += length
        if self._fragments > policy.max_fragments:
            yield self._excess(f"a message in more than {policy.max_fragments} fragments", _POLICY)
            return
        yield from self._other(header)
        if self._size > policy.max_message and not self._over:
            yield self._excess(f"a message of more than {policy.max_message} bytes", _TOO_BIG)
        if first & _FIN:
            self._fragments = self._size = 0

    def _keep(self, header: bytes, length: int, payload: bytes) -> None:
        """The frame is not whole yet; ``header`` is an ordinary one's."""
        if not self._over:
            self._head = header
            self._body = bytearray(length)
            self._filled = 0
            self._fill(self._body, payload)

    def _fill(self, body: bytearray, data: bytes) -> int:
        """Go on with the payload; returns how many bytes of ``data`` belonged to it."""
        filled = self._filled
        taken = min(len(data), len(body) - filled)
        # Through a view: a slice of the bytearray itself would copy the data once more.
        memoryview(body)[filled : filled + taken] = data[:taken]
        self._filled = filled + taken
        return taken

    def _filled_up(self, body: bytearray) -> Iterable[bytes | Other]:
        ordinary, self._head, self._body = bool(self._head), b"", None
        if not ordinary:
            return self._other(body)
        self.given = payload = bytes(body)
        return (payload,)
