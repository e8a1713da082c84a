"""A shard whose life is recorded from outside: every call is written down before it is made."""

from __future__ import annotations

from collections.abc import Callable

from qqproto.config import Framing, ShardConfig
from qqproto.credentials import Token
from qqproto.decoding import Loads
from qqproto.events import Dispatch
from qqproto.failures import Failure
from qqproto.outbox import Output
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo
from qqproto.recording.tape import Tape
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto.status import Status


class RecordedShard(Shard):
    """Made by a :class:`~qqproto.recording.Recorder`; to be driven as any other."""

    def __init__(
        self,
        config: ShardConfig,
        tape: Tape,
        time_of_day: Callable[[], dict[str, float]],
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
            tape.note({"random": number})
            return number

        super().__init__(
            config, random=drawn, session=session, session_age=session_age, policy=policy, framing=framing, loads=loads
        )
        self._tape = tape
        self._time_of_day = time_of_day

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session | None:
        self._tape.settle_finished(super().settle)
        return super().session

    @property
    def progress(self) -> tuple[str, int, int] | None:
        self._tape.settle_finished(super().settle)
        return super().progress

    @property
    def unsettled(self) -> int:
        self._tape.settle_finished(super().settle)
        return super().unsettled

    def is_unsettled(self, dispatch: Dispatch) -> bool:
        self._tape.settle_finished(super().settle)
        return super().is_unsettled(dispatch)

    def status(self, now: float) -> Status:
        self._tape.settle_finished(super().settle)
        return super().status(now)

    # -- inputs ---------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        self._settled().input("start", now, self._time_of_day(), super().start, now)

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure, now: float) -> None:
        tape = self._settled()
        tape.input("answer", now, tape.answer(id, value), super().answer, id, value, now)

    def connection_opened(self, id: int, now: float) -> None:
        self._settled().input("opened", now, {"id": id}, super().connection_opened, id, now)

    def receive_data(self, id: int, data: bytes, now: float) -> None:
        tape = self._settled()
        tape.input("data", now, tape.data(id, data), super().receive_data, id, data, now)

    def receive_message(self, id: int, message: str | bytes, now: float) -> None:
        tape = self._settled()
        tape.input("message", now, tape.message(id, message), super().receive_message, id, message, now)

    def connection_closed(self, id: int, code: int | None, reason: str, now: float) -> None:
        tape = self._settled()
        fields = {"id": id, "code": code, "reason": tape.text(reason)}
        tape.input("closed", now, fields, super().connection_closed, id, code, reason, now)

    def connection_lost(self, id: int, failure: Failure, now: float) -> None:
        tape = self._settled()
        tape.input("lost", now, tape.failure(id, failure), super().connection_lost, id, failure, now)

    def reading_paused(self, now: float) -> None:
        self._settled().input("paused", now, {}, super().reading_paused, now)

    def reading_resumed(self, now: float) -> None:
        self._settled().input("resumed", now, {}, super().reading_resumed, now)

    def handle_timer(self, now: float) -> None:
        self._settled().input("timer", now, {}, super().handle_timer, now)

    def settle(self, dispatch: Dispatch) -> None:
        self._tape.settle(dispatch)

    def close(self, now: float, *, keep_session: bool = False) -> None:
        self._settled().input("close", now, {"keep": keep_session}, super().close, now, keep_session=keep_session)

    def fail(self, message: str, now: float) -> None:
        tape = self._settled()
        tape.input("fail", now, {"message": tape.text(message)}, super().fail, message, now)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> Output | None:
        output = super().next_output()
        self._tape.output(output)
        return output

    def next_timer(self) -> float | None:
        due = super().next_timer()
        self._tape.timer(due)
        return due

    # -- steps ----------------------------------------------------------------------------------------------------

    def _settled(self) -> Tape:
        """The tape, for the next input: what was settled before comes first."""
        self._tape.settle_finished(super().settle)
        return self._tape
