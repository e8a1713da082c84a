"""What is written down of one shard: the inputs before they are made, the outputs as they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec

from qqproto.actions import OpenConnection, SendData
from qqproto.credentials import Token
from qqproto.events import Dispatch
from qqproto.failures import Failure
from qqproto.outbox import Output
from qqproto.pacing import IdentifySlot
from qqproto.protocol.rest import GatewayInfo
from qqproto.recording.redaction import Redactor
from qqproto.recording.sent import key_of, sent_to_json
from qqproto.recording.stream import Incoming, message_to_json
from qqproto.recording.values import clean, gateway_to_json, output_to_json, plain

P = ParamSpec("P")


class Tape:
    """The recording of one shard; ``note`` writes a line with these fields."""

    def __init__(self, redactor: Redactor, note: Callable[[dict[str, Any]], None], *, in_bytes: bool) -> None:
        self.note = note
        self._redactor = redactor
        self._in_bytes = in_bytes
        self._incoming: dict[int, Incoming] = {}
        self._finished: deque[Dispatch] = deque()
        """What was settled, by any thread, and has not reached the machine."""
        self._busy = False
        self._drained = self._asked = True

    # -- inputs ---------------------------------------------------------------------------------------------------

    def input(
        self,
        what: str,
        now: float,
        fields: dict[str, Any],
        step: Callable[P, None],
        *args: P.args,
        **options: P.kwargs,
    ) -> None:
        """One input: written down, then given to the machine."""
        self._drained = self._asked = False
        self.note({"t": now, "in": what, **fields})
        self._busy = True
        try:
            step(*args, **options)
        except Exception as error:
            self.note({"raised": type(error).__name__})
            raise
        finally:
            self._busy = False

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> dict[str, Any]:
        """An answer as fields."""
        if isinstance(value, Token):
            return {"id": id, "token": self._redactor.secret(value.value, "token")}
        if isinstance(value, GatewayInfo):
            return {"id": id, "gateway": clean(gateway_to_json(value, self._redactor), self._redactor)}
        if isinstance(value, IdentifySlot):
            return {"id": id, "slot": value.at}
        return self.failure(id, value)

    def data(self, id: int, data: bytes) -> dict[str, Any]:
        """Bytes as fields."""
        incoming = self._incoming.get(id)
        return {"id": id, **(incoming.take(data) if incoming is not None else {"n": len(data)})}

    def message(self, id: int, message: str | bytes) -> dict[str, Any]:
        """A message of a host's WebSocket as fields."""
        return {"id": id, **message_to_json(message, self._redactor)}

    def failure(self, id: int, failure: Failure) -> dict[str, Any]:
        """A failure as fields."""
        return {"id": id, "failure": clean(plain(failure), self._redactor)}

    def text(self, text: str) -> str:
        """What somebody says, without secrets."""
        return self._redactor.text(text)

    # -- what is settled ------------------------------------------------------------------------------------------

    def settle(self, dispatch: Dispatch) -> None:
        """It may be another thread's, and where it stands among the inputs has to be known: it waits."""
        self._finished.append(dispatch)

    def settle_finished(self, settle: Callable[[Dispatch], None]) -> None:
        """What was settled since reaches the machine, unless something else does right now."""
        while not self._busy:
            try:
                dispatch = self._finished.popleft()
            except IndexError:
                return
            id = None if dispatch.id is None else self._redactor.word(dispatch.id)
            known = {"session": dispatch.session_id, "s": dispatch.sequence, "type": dispatch.type, "id": id}
            self.note({"in": "settle", **known})
            settle(dispatch)

    # -- outputs --------------------------------------------------------------------------------------------------

    def output(self, output: Output | None) -> None:
        """The machine was asked for its next output."""
        if output is None:
            self._drained = True
        else:
            self.note(self._said(output))

    def timer(self, due: float | None) -> None:
        """The machine was asked for its timer; the first time since an input is written down."""
        if not self._asked:
            self._asked = True
            self.note({"due": due} if self._drained else {"due": due, "drained": False})

    def _said(self, output: Output) -> dict[str, Any]:
        if isinstance(output, OpenConnection) and self._in_bytes:
            self._incoming = {output.id: Incoming(self._redactor)}
        if not isinstance(output, SendData):
            return output_to_json(output, self._redactor)
        key = key_of(output.data)
        if key is not None and output.id in self._incoming:
            self._incoming[output.id].asked(key)
        return {"out": "SendData", "id": output.id, "sent": sent_to_json(output.data, self._redactor)}
