"""One shard of a bot, for ever: token, gateway, connection, and again, whatever happens in between."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from qqproto.actions import Abort, Cancel, FetchGateway, FetchToken, OpenConnection
from qqproto.config import Framing, ShardConfig
from qqproto.conversation import Conversation, Ending, TextLink
from qqproto.credentials import Token
from qqproto.decoding import Loads
from qqproto.errors import LocalProtocolError
from qqproto.events import (
    ConfigurationError,
    ConflictSuspected,
    Disconnected,
    Dispatch,
    IdentifyBudgetLow,
    LoopLag,
    Offline,
    Online,
    Ready,
    Resumed,
    SessionRefused,
    Stopped,
)
from qqproto.failures import Failure, FailureKind
from qqproto.live_session import LiveSession, Recall
from qqproto.outbox import Outbox, Output
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase, StopReason, Verdict
from qqproto.protocol.rest import GatewayInfo, usable_gateway_url
from qqproto.recovery import Plan, Recovery, Stop
from qqproto.session import Session
from qqproto.status import Status
from qqproto.timers import LagWatch, Timers

if TYPE_CHECKING:
    from qqproto.connection import QQGatewayConnection

_NEVER = math.inf
_TEXT = Framing.TEXT
_CLOSING = Phase.CLOSING
_OVER = (_CLOSING, Phase.ENDED)


class Timer(enum.Enum):
    """What a shard waits for, besides what its connection waits for."""

    __hash__ = object.__hash__

    QUESTION = "question"
    DIAL = "dial"
    RETRY = "retry"
    STABLE = "stable"
    GRACE = "grace"
    GOODBYE = "goodbye"


class Shard:
    """One shard, from :meth:`start` to ``Stopped``; it makes a fresh connection for every socket.

    ``session`` is a saved one to go on with, ``session_age`` its age in seconds; it is left aside if it is another
    bot's, another layout's, other intents', or too old. ``random`` gives floats in [0, 1), ``loads`` decodes JSON.
    Every input takes ``now``, seconds on the host's one monotonic clock. After every input drain :meth:`next_output` to
    None, in order, then look at :meth:`next_timer`. Only misuse raises, :class:`~qqproto.LocalProtocolError`.
    """

    __slots__ = (
        "__weakref__", "_asked_for_token", "_config", "_configuration_error", "_connection", "_emit", "_framing",
        "_index", "_info", "_last_disconnect", "_last_rotation", "_last_up", "_live", "_loads", "_online", "_outbox",
        "_phase", "_phase_since", "_policy", "_question", "_queue", "_random", "_reading_paused", "_recall",
        "_recovery", "_rejected", "_saved", "_saved_age", "_session_up", "_settles", "_stream", "_talk", "_timers",
        "_token", "_watch", "stopped",
    )  # fmt: skip

    def __init__(
        self,
        config: ShardConfig,
        *,
        random: Callable[[], float],
        session: Session | None = None,
        session_age: float = 0.0,
        policy: Policy = Policy(),
        framing: Framing = Framing.BYTES,
        loads: Loads = json.loads,
    ) -> None:
        if framing is Framing.BYTES:
            # Now, and not in the middle of its work: it reads files.
            _connection_on_bytes()
        self._config = config
        self._random = random
        self._policy = policy
        self._framing = framing
        self._loads = loads
        self._index = config.shard[0]
        self._settles = config.settle == "delivery"
        self._outbox = Outbox(None)
        self._queue = self._outbox.queue
        self._emit = self._outbox.emit
        self._timers: Timers[Timer] = Timers()
        self._watch = LagWatch(policy.lag_tolerance)
        self._recovery = Recovery(policy)
        self._stream: QQGatewayConnection | None = None
        self._talk: Conversation | None = None
        self._connection: int | None = None
        self._question: int | None = None
        self._asked_for_token = False
        self._token = Token("")
        self._rejected: str | None = None
        self._info: GatewayInfo | None = None
        self._phase = Phase.IDLE
        self._phase_since = 0.0
        self._session_up = False
        self._online = False
        self._last_up: float | None = None
        self._last_rotation: float | None = None
        self._last_disconnect: Disconnected | None = None
        self._configuration_error: ConfigurationError | None = None
        self._reading_paused = False
        self._live: LiveSession | None = None
        self._recall = Recall(policy)
        self._saved = session
        self._saved_age = session_age
        self.stopped: Stopped | None = None

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether ``Stopped`` was said. Nothing is heeded any more but ``settle``."""
        return self.stopped is not None

    @property
    def session(self) -> Session | None:
        """The session as it stands, to be saved; None without one."""
        if self._phase is Phase.IDLE:
            return self._saved
        return self._live.value(self._config) if self._live else None

    @property
    def progress(self) -> tuple[str, int, int] | None:
        """Equal as long as there is nothing new in :attr:`session` that is worth a save; None without a session."""
        return (self._live.id, *self._live.progress) if self._live else None

    @property
    def unsettled(self) -> int:
        """How many dispatches of the session came and are not settled."""
        return self._live.unsettled if self._live else 0

    def is_unsettled(self, dispatch: Dispatch) -> bool:
        """Whether ``dispatch`` is one of them."""
        live = self._live
        return live is not None and dispatch.session_id == live.id and live.settlement.is_open(dispatch.sequence)

    @property
    def phase(self) -> Phase:
        """Where it is in the life of a connection. May be looked at from any thread."""
        talk = self._talk
        return talk.phase if talk and self._phase is not Phase.CLOSING else self._phase

    def status(self, now: float) -> Status:
        """A snapshot for a health endpoint."""
        live = self._live
        beat = self._talk.heartbeat if self._talk else None
        retry_at = self._timers.at(Timer.RETRY)
        return Status(
            shard=self._index,
            phase=self.phase,
            since=now - self._phase_since,
            connected=self._session_up,
            online=self._online,
            attempt=self._recovery.failures,
            retry_in=None if retry_at is None else max(0.0, retry_at - now),
            latency=beat.latency if beat else None,
            last_send=_age(beat.sent_at if beat else None, now),
            last_receive=_age(beat.received_at if beat else None, now),
            last_ack=_age(beat.acked_at if beat else None, now),
            session_id=live.id if live else None,
            user=live.user if live else None,
            last_disconnect=self._last_disconnect,
            configuration_error=self._configuration_error,
            stopped=self.stopped,
            budget=self._info,
            unsettled=self.unsettled,
            oldest_unsettled=live.settlement.oldest(now) if live else None,
            last_rotation=_age(self._last_rotation, now),
            counters=self._outbox.counts(),
        )

    # -- inputs ---------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin; starting is the same road as reconnecting. Then drain :meth:`next_output`."""
        if self._phase is not Phase.IDLE:
            raise LocalProtocolError("start() was called before, or the shard has ended")
        self._restore(now)
        self._timers.set(Timer.GRACE, now + self._policy.offline_grace)
        self._begin(now)

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure, now: float) -> None:
        """The answer to the question ``id``. Then drain :meth:`next_output`."""
        if id != self._question:
            talk = self._talk
            if talk is not None and self._phase not in _OVER and talk.question == id:
                self._heed_slot(talk, id, value, now)
            else:
                self._outbox.stale(id)
            return
        expected = Token if self._asked_for_token else GatewayInfo
        if not isinstance(value, (expected, Failure)):
            raise LocalProtocolError(f"question {id} asks for a {expected.__name__}, not a {type(value).__name__}")
        self._notice_lag(now)
        self._question = None
        self._timers.stop(Timer.QUESTION)
        if isinstance(value, Failure):
            self._attempt_failed(value, now)
        elif isinstance(value, Token):
            self._on_token(value, now)
        else:
            assert isinstance(value, GatewayInfo)
            self._on_gateway(value, now)

    def connection_opened(self, id: int, now: float) -> None:
        """The stream is up (framing TEXT: the WebSocket). Then drain :meth:`next_output`."""
        if id != self._connection or self._phase is not Phase.DIAL or self._info is None:
            self._outbox.stale(id)
            return
        self._notice_lag(now)
        self._timers.stop(Timer.DIAL)
        self._enter(Phase.HELLO, now)
        self._outbox.connections += 1
        if self._framing is Framing.BYTES:
            stream = self._make_connection(self._info.url, id)
            stream.connection_opened(now)
            self._stream, talk = stream, stream.conversation
        else:
            talk = self._make_conversation(id)
            talk.start(now)
        self._talk = talk
        if self._reading_paused:
            talk.reading_paused(now)

    def receive_data(self, id: int, data: bytes, now: float) -> None:
        """Framing BYTES: bytes came; ``b""`` is the end of the stream. Then drain :meth:`next_output`."""
        stream = self._stream
        if stream is None or id != self._connection:
            self._check_framing(Framing.BYTES, "receive_data")
            self._outbox.stale(id)
        elif self._phase is _CLOSING:
            if not data:
                self._emit(Abort(id))
                self._closed(now)
        else:
            mark = 0 if self._online else len(self._queue)
            stream.receive_data(data, now)
            talk = stream.conversation
            if not self._session_up or not self._online or talk.ending is not None:
                self._after(talk, now, mark)

    def receive_message(self, id: int, message: str | bytes, now: float) -> None:
        """Framing TEXT: a message came; binary is UTF-8 JSON. Then drain :meth:`next_output`."""
        if self._framing is not _TEXT:
            self._check_framing(Framing.TEXT, "receive_message")
        talk = self._talk
        if talk is None or id != self._connection:
            self._outbox.stale(id)
        elif self._phase is not _CLOSING:
            mark = 0 if self._online else len(self._queue)
            talk.receive_message(message, now)
            if not self._session_up or not self._online or talk.ending is not None:
                self._after(talk, now, mark)

    def connection_closed(self, id: int, code: int | None, reason: str, now: float) -> None:
        """Framing TEXT: a close frame came, with ``code``; a close of the client's own making is ``connection_lost``.

        Then drain :meth:`next_output`.
        """
        self._check_framing(Framing.TEXT, "connection_closed")
        talk = self._talk
        if id != self._connection or talk is None:
            self._outbox.stale(id)
        elif self._phase is Phase.CLOSING:
            self._closed(now)
        else:
            mark = len(self._queue)
            talk.connection_closed(code, reason, now)
            self._after(talk, now, mark)

    def connection_lost(self, id: int, failure: Failure, now: float) -> None:
        """The dial failed, or the stream is gone. Then drain :meth:`next_output`."""
        talk = self._talk
        if id != self._connection:
            self._outbox.stale(id)
        elif self._phase is Phase.CLOSING:
            self._closed(now)
        elif talk is None:
            self._notice_lag(now)
            self._connection = None
            self._timers.stop(Timer.DIAL)
            self._attempt_failed(failure, now)
        else:
            mark = len(self._queue)
            talk.connection_lost(failure, now)
            self._after(talk, now, mark)

    def reading_paused(self, now: float) -> None:
        """The host reads nothing from now on, on this connection and the next: silence says nothing.

        Then drain :meth:`next_output`.
        """
        self._reading_paused = True
        if self._talk is not None:
            self._talk.reading_paused(now)

    def reading_resumed(self, now: float) -> None:
        """The host reads again. Then drain :meth:`next_output`."""
        self._reading_paused = False
        if self._talk is not None:
            self._talk.reading_resumed(now)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed; calls that come too early do no harm. Then drain :meth:`next_output`."""
        watch, talk = self._watch, self._talk
        if now - watch.due > watch.tolerance:
            self._notice_lag(now)
        if talk is not None and self._phase is not _CLOSING:
            mark = 0 if self._online else len(self._queue)
            talk.handle_timer(now)
            if not self._session_up or not self._online or talk.ending is not None:
                self._after(talk, now, mark)
        while self._timers.earliest <= now and (timer := self._timers.pop_due(now)):
            self._on_timer(timer, now)

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread, wakes nobody; another session's is
        ignored.
        """
        live = self._live
        if live is not None:
            live.settle(dispatch)

    def close(self, now: float, *, keep_session: bool = False) -> None:
        """Say goodbye, from any state, any number of times. What was not handed out is withdrawn.

        ``keep_session``: with the leave code, so that the session may be resumed. ``Stopped`` comes when the stream has
        ended, or ``policy.close_timeout`` later. Then drain :meth:`next_output`.
        """
        if self._phase in _OVER:
            return
        withdrawn = self._outbox.withdraw()
        talk, connection = self._talk, self._connection
        self._timers.clear()
        if not keep_session:
            self._drop_session()
        if talk is None or connection is None:
            self._call_off(withdrawn)
            self._closed(now)
            return
        talk.say_goodbye(withdrawn, keep_session=keep_session)
        if keep_session and self._policy.leave_code is None:
            self._closed(now)
            return
        self._session_up = self._online = False
        self._enter(Phase.CLOSING, now)
        self._timers.set(Timer.GOODBYE, now + self._policy.close_timeout)

    def fail(self, message: str, now: float) -> None:
        """The host has a bug and cannot go on: drop everything and say ``Stopped``. Then drain :meth:`next_output`."""
        if self._phase is Phase.ENDED:
            return
        self._call_off(set())
        self._stop(Stop(StopReason.HOST_FAILURE, True, message), now)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> Output | None:
        """The oldest action or event, None when there is none left."""
        queue = self._queue
        if not queue:
            return None
        output = queue.popleft()
        if self._settles and type(output) is Dispatch:
            live = self._live
            if live is not None:
                live.settle(output)
        return output

    def next_timer(self) -> float | None:
        """When :meth:`handle_timer` is due; None only before the start and after the end."""
        due, talk, watch = self._timers.earliest, self._talk, self._watch
        if talk is not None and self._phase is not _CLOSING:
            # Late is late, whichever of the two it was that should have been called.
            watch.due = _NEVER
            watch = talk.watch
            first, beat = talk.timers.earliest, talk.heartbeat.earliest
            if first < due:
                due = first
            if beat < due:
                due = beat
        watch.due = due
        return due if due < _NEVER else None

    # -- steps: the saved session ---------------------------------------------------------------------------------

    def _restore(self, now: float) -> None:
        """Go on with the saved session, or say why not."""
        session, age = self._saved, self._saved_age
        if session is None:
            return
        refusal = session.unfit_for(self._config)
        if age < 0:
            refusal = f"it was saved {-age:.0f} s in the future: the clock was set back, or is wrong"
        elif age > self._policy.saved_session_life:
            refusal = f"it is {age:.0f} s old, and after {self._policy.saved_session_life:.0f} s it is not resumed"
        if refusal is not None:
            self._emit(SessionRefused(self._index, refusal))
        else:
            self._live = LiveSession.restore(session, since=now - age, policy=self._policy, recall=self._recall)

    # -- steps: on the way to a connection ------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        self._enter(Phase.HTTP, now)
        if self._live is not None and now - self._left_at(self._live) > self._policy.saved_session_life:
            # To be refused now would cost one more step of a backoff that has grown to a minute.
            self._drop_session()
        id, deadline = self._new_question(now, for_token=True)
        self._emit(FetchToken(id, deadline, self._rejected))

    def _drop_session(self) -> None:
        if self._live is not None:
            self._live.give_up()
            self._live = None

    def _left_at(self, live: LiveSession) -> float:
        """Since when the session has been without a connection; a restored one, since it was saved."""
        return live.since if self._last_up is None else self._last_up

    def _new_question(self, now: float, *, for_token: bool) -> tuple[int, float]:
        deadline = now + self._policy.http_timeout
        self._question = id = self._outbox.new_id()
        self._asked_for_token = for_token
        self._timers.set(Timer.QUESTION, deadline)
        return id, deadline

    def _on_token(self, token: Token, now: float) -> None:
        self._token = token
        id, deadline = self._new_question(now, for_token=False)
        self._emit(FetchGateway(id, deadline, fresh=self._live is None))

    def _on_gateway(self, info: GatewayInfo, now: float) -> None:
        if not usable_gateway_url(info.url):
            self._attempt_failed(Failure(FailureKind.OTHER, "the gateway's address is no ws:// or wss:// URL"), now)
            return
        self._info = info
        self._rejected = None
        if self._live is None and self._budget_is_spent(info, now):
            return
        self._connection = self._outbox.new_id()
        self._enter(Phase.DIAL, now)
        deadline = now + self._policy.dial_timeout
        self._timers.set(Timer.DIAL, deadline)
        self._emit(OpenConnection(self._connection, deadline, info.url, dict(self._config.headers)))

    def _budget_is_spent(self, info: GatewayInfo, now: float) -> bool:
        """Tell when little is left of the identify budget; wait for the refill, without a socket, when nothing is."""
        if info.remaining is None or info.total is None or info.remaining > info.total * self._policy.budget_low:
            return False
        wait = info.reset_after if info.reset_after is not None else self._policy.configuration_retry
        self._emit(IdentifyBudgetLow(self._index, info.remaining, info.total, wait))
        if info.remaining > 0:
            return False
        floor = self._policy.delay(self._recovery.failures, self._random()) if self._recovery.failures else 1.0
        self._enter(Phase.WAIT, now)
        self._timers.set(Timer.RETRY, now + max(wait, floor))
        return True

    def _attempt_failed(self, failure: Failure, now: float) -> None:
        """A question or the dial failed."""
        plan = self._recovery.after_failure(failure, now, self._random())
        if plan.verdict is Verdict.RESUME and self._live is None:
            plan.verdict = Verdict.IDENTIFY
        self._disconnected(Ending(plan.verdict, self._phase, failure=failure), plan, now)

    # -- steps: on a connection -----------------------------------------------------------------------------------

    def _make_connection(self, url: str, id: int) -> QQGatewayConnection:
        return _connection_on_bytes()(
            self._config, url, self._token, random=self._random, session=self._live, policy=self._policy,
            loads=self._loads, outbox=self._outbox, id=id, recall=self._recall,
        )  # fmt: skip

    def _make_conversation(self, id: int) -> Conversation:
        return Conversation(
            self._config, self._token, random=self._random, session=self._live, policy=self._policy,
            loads=self._loads, outbox=self._outbox, link=TextLink(id, self._outbox, self._policy.leave_code),
            recall=self._recall,
        )  # fmt: skip

    def _heed_slot(
        self,
        talk: Conversation,
        id: int,
        value: Token | GatewayInfo | IdentifySlot | Failure,
        now: float,
    ) -> None:
        if not isinstance(value, (IdentifySlot, Failure)):
            raise LocalProtocolError(f"question {id} asks for an IdentifySlot, not a {type(value).__name__}")
        mark = len(self._queue)
        talk.answer(id, value, now)
        self._after(talk, now, mark)

    def _after(self, talk: Conversation, now: float, mark: int) -> None:
        """Draw the consequences of what the conversation has just said; its outputs begin at ``mark``."""
        if not self._online:
            self._announce_online(now, mark)
        if not self._session_up:
            self._live = talk.live
            if talk.phase is Phase.READY:
                self._on_session_up(now)
        if talk.ending is not None:
            self._on_talk_ended(talk, talk.ending, now)

    def _announce_online(self, now: float, mark: int) -> None:
        """``Online`` goes before the first dispatch, also when that is a replayed one."""
        queue = self._queue
        for position in range(mark, len(queue)):
            if isinstance(queue[position], (Dispatch, Ready, Resumed)):
                away = None if self._last_up is None else now - self._last_up
                queue.insert(position, Online(self._index, away))
                self._online = True
                self._timers.stop(Timer.GRACE)
                return

    def _on_session_up(self, now: float) -> None:
        self._session_up = True
        self._enter(Phase.READY, now)
        self._timers.stop(Timer.GRACE)
        self._timers.set(Timer.STABLE, now + self._policy.stable_after)
        self._recovery.session_is_live()
        self._configuration_error = None

    def _on_talk_ended(self, conversation: Conversation, ending: Ending, now: float) -> None:
        plan = self._recovery.after_connection(ending, conversation.resuming, now, self._random())
        if ending.planned and plan.stop is None:
            self._last_rotation = now
            if self._session_is_rotten(now):
                plan.drop_session = True
        self._disconnected(ending, plan, now, conversation)

    def _session_is_rotten(self, now: float) -> bool:
        live = self._live
        return live is not None and not live.busy and now - live.since > self._policy.session_life

    # -- steps: after it ------------------------------------------------------------------------------------------

    def _disconnected(self, ending: Ending, plan: Plan, now: float, conversation: Conversation | None = None) -> None:
        if plan.drop_session:
            self._drop_session()
        if plan.refuse_token and self._token.value:
            self._rejected = self._token.value
        beat = conversation.heartbeat if conversation else None
        event = Disconnected(
            shard=self._index,
            code=ending.code,
            reason=ending.reason,
            verdict=plan.verdict if self._live is not None or plan.verdict is not Verdict.RESUME else Verdict.IDENTIFY,
            phase=ending.phase,
            failure=ending.failure,
            planned=ending.planned,
            last_send=_age(beat.sent_at if beat else None, now),
            last_receive=_age(beat.received_at if beat else None, now),
            last_ack=_age(beat.acked_at if beat else None, now),
            lag=conversation.lag if conversation else 0.0,
            retry_in=plan.delay if plan.stop is None else None,
            attempt=self._recovery.failures,
        )
        self._stream = self._talk = self._connection = None
        self._last_disconnect = event
        self._emit(event)
        if self._session_up:
            self._last_up = now
            self._session_up = False
        if plan.stop is not None:
            self._stop(plan.stop, now, code=ending.code, failure=ending.failure)
            return
        self._tell(plan, ending)
        self._timers.stop(Timer.STABLE)
        if self._online and self._timers.at(Timer.GRACE) is None:
            self._timers.set(Timer.GRACE, now + self._policy.offline_grace)
        self._enter(Phase.WAIT, now)
        self._timers.set(Timer.RETRY, now + plan.delay)

    def _tell(self, plan: Plan, ending: Ending) -> None:
        if plan.configuration is not None and self._configuration_error is None:
            error = ConfigurationError(self._index, plan.configuration, ending.failure, ending.code)
            self._configuration_error = error
            self._emit(error)
        if plan.conflict is not None:
            self._emit(ConflictSuspected(self._index, plan.conflict))

    def _call_off(self, withdrawn: set[int]) -> None:
        """Call off the question, the dial or the connection under way, unless the driver was never asked for it."""
        slot = self._talk.question if self._talk else None
        for question in (self._question, slot):
            if question is not None and question not in withdrawn:
                self._emit(Cancel(question))
        if self._connection is not None and self._connection not in withdrawn:
            self._emit(Abort(self._connection, self._policy.leave_code))
        self._question = self._connection = None

    def _closed(self, now: float) -> None:
        self._stop(Stop(StopReason.CLOSED, False, "closed by the application"), now)

    def _stop(self, stop: Stop, now: float, *, code: int | None = None, failure: Failure | None = None) -> None:
        self._timers.clear()
        self._stream = self._talk = self._connection = self._question = None
        self._session_up = self._online = False
        self._enter(Phase.ENDED, now)
        self.stopped = Stopped(self._index, stop.reason, stop.retryable, stop.hint, code, failure)
        self._emit(self.stopped)

    # -- steps: time ----------------------------------------------------------------------------------------------

    def _on_timer(self, timer: Timer, now: float) -> None:
        if timer is Timer.RETRY:
            self._begin(now)
        elif timer is Timer.STABLE:
            self._recovery.connection_is_stable()
        elif timer is Timer.GRACE:
            self._online = False
            self._emit(Offline(self._index, self._last_disconnect))
        elif timer is Timer.GOODBYE:
            self._call_off(set())
            self._closed(now)
        elif timer is Timer.QUESTION:
            self._call_off(set())
            wanted = "an access token" if self._asked_for_token else "the gateway's address"
            self._attempt_failed(Failure(FailureKind.TIMEOUT, f"no answer to the request for {wanted}"), now)
        else:
            self._call_off(set())
            self._attempt_failed(Failure(FailureKind.TIMEOUT, "the connection could not be opened in time"), now)

    def _notice_lag(self, now: float) -> None:
        """On a connection the conversation notices; this is for the rest of the time."""
        seconds = self._watch.late(now)
        if seconds and self._phase not in _OVER:
            self._emit(LoopLag(self._index, seconds))

    # -- small things ---------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase, now: float) -> None:
        self._phase = phase
        self._phase_since = now

    def _check_framing(self, framing: Framing, method: str) -> None:
        if self._framing is not framing:
            raise LocalProtocolError(f"{method} is for framing {framing.name}; this shard has {self._framing.name}")


def _connection_on_bytes() -> type[QQGatewayConnection]:
    """Imported with the first shard that needs a WebSocket of its own: with all that it is made of it takes as long to
    import as a third of this house, and a shard on texts has its host's.
    """
    from qqproto.connection import QQGatewayConnection

    return QQGatewayConnection


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else now - at
