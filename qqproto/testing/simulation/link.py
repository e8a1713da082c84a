"""One connection in the simulated network: what our side sends, what the server says, and what gets lost between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qqproto.config import Framing
from qqproto.testing.simulation import stream
from qqproto.testing.simulation.reference import Broken

if TYPE_CHECKING:
    from qqproto.testing.simulation.gateway import Talk
    from qqproto.testing.simulation.process import Process
    from qqproto.testing.simulation.world import World

ACK = '{"op":11}'
_ACK_ENVELOPE = {"op": 11}
_ACK_FRAME = stream.text_frame(ACK)
_LONGEST_IN_PIECES = 2048


class Link:
    """The connection ``id`` of shard ``index``. What is on its way when it ends never arrives.

    ``writable``: our side may still send on it; ``readable``: our side still listens. What arrives is told as ``(link,
    kind, envelope, payload)``. The kinds: "message" with its envelope (None: not one with an opcode), "bytes" that
    complete nothing, "broken" bytes, "close", "refused", "eof", "reset", and "closed" when our own goodbye is done.
    """

    __slots__ = ("_free_down", "_free_up", "_process", "_stream", "_world", "deaf", "dumb", "id", "index", "readable",
                 "talk", "text", "writable")  # fmt: skip

    def __init__(self, world: World, process: Process, index: int, id: int) -> None:
        self._world = world
        self._process = process
        self._free_up = self._free_down = 0.0
        self.text = world.script.framing is Framing.TEXT
        self._stream = None if self.text else stream.ClientStream()
        self.index = index
        self.id = id
        self.talk: Talk | None = None
        self.readable = self.writable = True
        self.deaf = False
        """Nothing of the server's arrives here."""
        self.dumb = False
        """Nothing of ours arrives there."""

    # -- our side -------------------------------------------------------------------------------------------------

    def send(self, data: bytes | str) -> None:
        """The machine says this."""
        if isinstance(data, str):
            self._said("text", data)
            return
        assert self._stream is not None
        try:
            items = self._stream.feed(data)
        except ValueError as error:
            raise Broken("contract", f"the shard sent {error}") from error
        for kind, payload in items:
            self._said(kind, payload)

    def leave(self, *, flush: bool, code: int | None = None) -> None:
        """Our side ends it: after what it has sent (``flush``), or at once."""
        self.writable = False
        if not flush:
            self.readable = False
        self._up("end", code)
        if not flush:
            return
        # The system flushes and closes by itself; a WebSocket client waits for the answer to its close frame.
        if not (self.text and (self.deaf or self.dumb)):
            delay = 2.0 * self._world.latency if self.text else 0.0
            self._world.at(self._world.now + delay, self._process.ear.hear, self, "closed", None, b"")

    # -- the server's side ----------------------------------------------------------------------------------------

    def acknowledge(self) -> None:
        """Op 11, the one message that is said a million times."""
        self._down("message", _ACK_ENVELOPE, ACK if self.text else _ACK_FRAME)

    def say(self, envelope: dict[str, Any]) -> None:
        """A message of the server's."""
        self.say_raw(json.dumps(envelope), envelope)

    def say_raw(self, message: str | bytes, envelope: dict[str, Any] | None) -> None:
        """A message as it is; ``envelope`` is what it means, None if it means nothing."""
        if self.text:
            self._down("message", envelope, message)
        else:
            frame = stream.text_frame(message) if isinstance(message, str) else stream.binary_frame(message)
            self._down_in_pieces("message", envelope, frame)

    def say_bytes(self, kind: str, data: bytes, envelope: Any = None) -> None:
        """Bytes that are no message: an upgrade's reply ("bytes" or "refused"), or "broken" ones."""
        self._down(kind, envelope, data)

    def close(self, code: int | None, reason: str) -> None:
        """The server closes."""
        if self.text:
            self._down("close", code, reason)
        else:
            self._down_in_pieces("close", code, stream.close_frame(code, reason))

    def end(self, kind: str) -> None:
        """The stream is over for our side: "eof" or "reset"."""
        self._down(kind, None, b"")

    def hold(self, seconds: float) -> None:
        """What is said from now on arrives in ``seconds`` at the earliest."""
        self._free_down = max(self._free_down, self._world.now + seconds)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _said(self, kind: str, payload: Any) -> None:
        if kind == "text":
            message = json.loads(payload)
            self._process.said(self, message)
            self._up(kind, message)
        else:
            self._up(kind, payload)

    def _up(self, kind: str, payload: Any) -> None:
        talk = self.talk
        if talk is None or self.dumb:
            return
        world = self._world
        arrives = world.now + world.latency
        if arrives < self._free_up:
            arrives = self._free_up
        else:
            self._free_up = arrives
        world.at(arrives, talk.hear, kind, payload)

    def _down(self, kind: str, envelope: Any, payload: Any) -> None:
        if self.deaf:
            return
        world = self._world
        arrives = world.now + world.latency
        if arrives < self._free_down:
            arrives = self._free_down
        else:
            self._free_down = arrives
        world.at(arrives, self._arrive, kind, envelope, payload)

    def _down_in_pieces(self, kind: str, envelope: Any, frame: bytes) -> None:
        fault = self._world.on("chunks")
        if fault is None or len(frame) > _LONGEST_IN_PIECES:
            self._down(kind, envelope, frame)
            return
        pieces = [frame[start : start + fault.value] for start in range(0, len(frame), fault.value)]
        for piece in pieces[:-1]:
            self._down("bytes", None, piece)
        self._down(kind, envelope, pieces[-1])

    def _arrive(self, kind: str, envelope: Any, payload: Any) -> None:
        if self.readable and not self.deaf:
            self._process.ear.hear(self, kind, envelope, payload)
