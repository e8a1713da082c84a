"""Recording shards: each input with its time, each output, each random number, as lines of JSON without secrets."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

import qqproto
from qqproto.actions import OpenConnection, SendData
from qqproto.config import Framing, ShardConfig
from qqproto.credentials import Token
from qqproto.decoding import Loads
from qqproto.events import Dispatch
from qqproto.failures import Failure
from qqproto.outbox import Output
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo
from qqproto.recording.redaction import Redactor
from qqproto.recording.stream import Incoming, key_of, message_to_json, sent_to_json
from qqproto.recording.values import (
    clean,
    config_to_json,
    dump,
    gateway_to_json,
    output_to_json,
    plain,
    session_to_json,
)
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto.status import Status

P = ParamSpec("P")


class Recorder:
    """Makes shards that record themselves: ``write`` is called with each line, which has no end of line yet.

    One recorder serves any number of shards that run in one thread. ``secrets`` are replaced wherever they turn up;
    tokens are so anyway. ``contents_key``, 16 to 64 random bytes, hides what people wrote as well: the texts in
    dispatches. Both are replaced one to one, so that a recording replays as it is (:func:`~qqproto.recording.replay`).
    ``unix_time`` tells the time of day, for a recording that is to know when it was.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        secrets: Iterable[str] = (),
        contents_key: bytes | None = None,
        unix_time: Callable[[], float] | None = None,
    ) -> None:
        self._write = write
        self._unix_time = unix_time
        self.redactor = Redactor(secrets, key=contents_key)
        self._head = {
            "recording": 1,
            "qqproto": qqproto.__version__,
            "contents": "hidden" if contents_key is not None else "kept",
        }
        self._made: list[dict[str, Any]] = []
        self._begun = False
        self._now = 0.0

    def conceal(self, secret: str) -> None:
        """From now on ``secret`` is replaced wherever it turns up."""
        self.redactor.secret(secret)

    def shard(
        self,
        config: ShardConfig,
        *,
        random: Callable[[], float],
        session: Session | None = None,
        session_age: float = 0.0,
        policy: Policy = Policy(),
        framing: Framing = Framing.BYTES,
        loads: Loads = json.loads,
    ) -> Shard:
        """A :class:`~qqproto.Shard`, made of the same arguments, and driven by the same contract."""
        return RecordedShard(
            self, config, random=random, session=session, session_age=session_age, policy=policy, framing=framing,
            loads=loads,
        )  # fmt: skip

    def head(self) -> str:
        """The first line of a file that goes on with another one: which recording it is, and of which shards."""
        return dump({**self._head, "continued": True, "made": self._made, "t": self._now, **self._time_of_day()})

    # -- for the shards -------------------------------------------------------------------------------------------

    def _add(self, made: dict[str, Any]) -> int:
        """Another shard begins; returns its number."""
        if not self._begun:
            self._begun = True
            self._write(dump(self._head))
        line = {"m": len(self._made) + 1, **made}
        self._made.append(line)
        self._write(dump(line))
        return len(self._made)

    def _time_of_day(self) -> dict[str, float]:
        """The time of day as a field, if it is known."""
        return {} if self._unix_time is None else {"unix": round(self._unix_time(), 3)}

    def _note(self, number: int, fields: dict[str, Any]) -> None:
        """Something happened to a shard."""
        self._now = fields.get("t", self._now)
        self._write(dump({"m": number, **fields}))


class RecordedShard(Shard):
    """A shard whose life is recorded from outside: every call is written down before it is made."""

    def __init__(
        self,
        recorder: Recorder,
        config: ShardConfig,
        *,
        random: Callable[[], float],
        session: Session | None,
        session_age: float,
        policy: Policy,
        framing: Framing,
        loads: Loads,
    ) -> None:
        def drawn() -> float:
            number = random()
            self._note({"random": number})
            return number

        super().__init__(
            config, random=drawn, session=session, session_age=session_age, policy=policy, framing=framing, loads=loads
        )
        self._recorder = recorder
        self._in_bytes = framing is Framing.BYTES
        self._redactor = redactor = recorder.redactor
        self._incoming: dict[int, Incoming] = {}
        self._finished: deque[Dispatch] = deque()
        """What was settled, by any thread, and has not reached the machine."""
        self._busy = False
        self._drained = self._asked = True
        made = {
            "made": config_to_json(config, redactor),
            "framing": framing.value,
            "policy": plain(policy),
            "session": session_to_json(session, redactor),
            "age": session_age,
        }
        self._number = recorder._add(clean(made, redactor))

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        self._settle_finished()
        return super().session

    @property
    def progress(self) -> tuple[str, int, int] | None:
        self._settle_finished()
        return super().progress

    @property
    def unsettled(self) -> int:
        self._settle_finished()
        return super().unsettled

    def is_unsettled(self, dispatch: Dispatch) -> bool:
        self._settle_finished()
        return super().is_unsettled(dispatch)

    def status(self, now: float) -> Status:
        self._settle_finished()
        return super().status(now)

    # -- inputs ---------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        self._told("start", now, self._recorder._time_of_day(), super().start, now)

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure, now: float) -> None:
        fields: dict[str, Any]
        if isinstance(value, Token):
            fields = {"token": self._redactor.secret(value.value, "token")}
        elif isinstance(value, GatewayInfo):
            fields = {"gateway": clean(gateway_to_json(value, self._redactor), self._redactor)}
        elif isinstance(value, IdentifySlot):
            fields = {"slot": value.at}
        else:
            fields = {"failure": clean(plain(value), self._redactor)}
        self._told("answer", now, {"id": id, **fields}, super().answer, id, value, now)

    def connection_opened(self, id: int, now: float) -> None:
        self._told("opened", now, {"id": id}, super().connection_opened, id, now)

    def receive_data(self, id: int, data: bytes, now: float) -> None:
        incoming = self._incoming.get(id)
        fields = incoming.take(data) if incoming is not None else {"n": len(data)}
        self._told("data", now, {"id": id, **fields}, super().receive_data, id, data, now)

    def receive_message(self, id: int, message: str | bytes, now: float) -> None:
        fields = message_to_json(message, self._redactor)
        self._told("message", now, {"id": id, **fields}, super().receive_message, id, message, now)

    def connection_closed(self, id: int, code: int | None, reason: str, now: float) -> None:
        fields = {"id": id, "code": code, "reason": self._redactor.text(reason)}
        self._told("closed", now, fields, super().connection_closed, id, code, reason, now)

    def connection_lost(self, id: int, failure: Failure, now: float) -> None:
        fields = {"id": id, "failure": clean(plain(failure), self._redactor)}
        self._told("lost", now, fields, super().connection_lost, id, failure, now)

    def reading_paused(self, now: float) -> None:
        self._told("paused", now, {}, super().reading_paused, now)

    def reading_resumed(self, now: float) -> None:
        self._told("resumed", now, {}, super().reading_resumed, now)

    def handle_timer(self, now: float) -> None:
        self._told("timer", now, {}, super().handle_timer, now)

    def settle(self, dispatch: Dispatch) -> None:
        # It may be another thread's, and where it stands among the inputs has to be known.
        self._finished.append(dispatch)

    def close(self, now: float, *, keep_session: bool = False) -> None:
        self._told("close", now, {"keep": keep_session}, super().close, now, keep_session=keep_session)

    def fail(self, message: str, now: float) -> None:
        self._told("fail", now, {"message": self._redactor.text(message)}, super().fail, message, now)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> Output | None:
        output = super().next_output()
        if output is None:
            self._drained = True
        else:
            self._note(self._said(output))
        return output

    def next_timer(self) -> float | None:
        due = super().next_timer()
        if not self._asked:
            self._asked = True
            self._note({"due": due} if self._drained else {"due": due, "drained": False})
        return due

    # -- steps ----------------------------------------------------------------------------------------------------

    def _told(
        self,
        what: str,
        now: float,
        fields: dict[str, Any],
        step: Callable[P, None],
        *args: P.args,
        **options: P.kwargs,
    ) -> None:
        """One input: written down, then given to the machine."""
        self._settle_finished()
        self._drained = self._asked = False
        self._note({"t": now, "in": what, **fields})
        self._busy = True
        try:
            step(*args, **options)
        except Exception as error:
            self._note({"raised": type(error).__name__})
            raise
        finally:
            self._busy = False

    def _said(self, output: Output) -> dict[str, Any]:
        if isinstance(output, OpenConnection) and self._in_bytes:
            self._incoming = {output.id: Incoming(self._redactor)}
        if not isinstance(output, SendData):
            return output_to_json(output, self._redactor)
        key = key_of(output.data)
        if key is not None and output.id in self._incoming:
            self._incoming[output.id].asked(key)
        return {"out": "SendData", "id": output.id, "sent": sent_to_json(output.data, self._redactor)}

    def _settle_finished(self) -> None:
        """What was settled since reaches the machine, now that nothing else does."""
        while not self._busy:
            try:
                dispatch = self._finished.popleft()
            except IndexError:
                return
            self._note(
                {
                    "in": "settle",
                    "session": dispatch.session_id,
                    "s": dispatch.sequence,
                    "type": dispatch.type,
                    "id": None if dispatch.id is None else self._redactor.word(dispatch.id),
                }
            )
            super().settle(dispatch)

    def _note(self, fields: dict[str, Any]) -> None:
        self._recorder._note(self._number, fields)
