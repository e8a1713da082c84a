"""One talk with the gateway in text messages: Hello, Identify or Resume, heartbeats, dispatches, goodbye."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from qqproto.actions import Abort, Cancel, CloseConnection, ReserveIdentify, SendText
from qqproto.config import ShardConfig
from qqproto.credentials import Token, authorization
from qqproto.decoding import Loads, Unread, decoder_of
from qqproto.errors import LocalProtocolError
from qqproto.event_names import Trace
from qqproto.events import Dispatch, LoopLag, Malformed, Ready, Resumed, SettlementLagging
from qqproto.failures import Failure, FailureKind
from qqproto.heartbeat import Beat, Heartbeat
from qqproto.live_session import MANY, LiveSession, Recall
from qqproto.outbox import Outbox, Output
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol import payloads
from qqproto.protocol.close_codes import CLOSE_CODES, Phase, Verdict, classify
from qqproto.protocol.opcodes import Opcode
from qqproto.session import Session, User
from qqproto.settlement import Settlement
from qqproto.timers import LagWatch, Timers

# Plain names for what is looked up for every event: a member of an enum costs as much as a call.
_DISPATCH, _ACK = int(Opcode.DISPATCH), int(Opcode.HEARTBEAT_ACK)
_AUTH = Phase.AUTH
_HEARTBEAT = Beat.HEARTBEAT
_BARE_ACK = '{"op":11}'
"""As the platform says it, once a heartbeat: what it means is known without a decoder, each of which has to agree."""
_new = object.__new__
_GOODBYE = 1000
_MOST_SLOTS = 3
"""A host that is always late gets its Identify all the same."""


class Link(Protocol):
    """What carries the messages: the host's WebSocket, or ours in :class:`~qqproto.QQGatewayConnection`."""

    def send_text(self, text: str) -> None: ...
    def ping(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def abort(self) -> None: ...


class TextLink:
    """The host's own WebSocket, reached by actions. It cannot be made to ping."""

    __slots__ = ("_id", "_leave_code", "_queue")

    def __init__(self, id: int, outbox: Outbox, leave_code: int | None) -> None:
        self._id = id
        self._queue = outbox.queue
        self._leave_code = leave_code

    def send_text(self, text: str) -> None:
        self._queue.append(SendText(self._id, text))

    def ping(self) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        self._queue.append(CloseConnection(self._id, code, reason))

    def abort(self) -> None:
        self._queue.append(Abort(self._id, self._leave_code))


@dataclass(slots=True)
class Ending:
    """How a talk ended. ``identify_refused``: the server would not start a session. ``session_refused``: it said that
    the session is not to be resumed, whatever the verdict is. ``wait_until``: nothing is wrong, but the identify slot
    is too far away to hold a socket for it."""

    verdict: Verdict
    phase: Phase
    code: int | None = None
    reason: str = ""
    failure: Failure | None = None
    planned: bool = False
    identify_refused: bool = False
    session_refused: bool = False
    wait_until: float | None = None


class Timer(enum.Enum):
    """What a talk waits for, besides its heartbeats."""

    __hash__ = object.__hash__

    HELLO = "hello"
    SLOT_ANSWER = "slot-answer"
    SLOT = "slot"
    READY = "ready"
    CAUSE = "cause"
    """Op 9 came; the close frame that names the cause."""


class Conversation:
    """Text messages in, events and text messages out, for exactly one WebSocket that the host owns.

    ``token`` is what Identify or Resume will carry, ``session`` what to resume (None: Identify). ``random`` gives
    floats in [0, 1). Call :meth:`start` when the WebSocket is open; after every input drain :meth:`next_output`. It is
    over when :attr:`ending` is set, whose verdict says what may be done next. ``outbox`` and ``link`` are for the
    machine around it. Nothing from the network raises.
    """

    __slots__ = (
        "__weakref__", "_asked_at", "_asked_for_slots", "_authenticated", "_config", "_decode", "_emit",
        "_flowing", "_link", "_outbox", "_paused", "_policy", "_question", "_random", "_recall", "_replayed",
        "_session_refused", "_shard", "_slot_at", "_token", "ending", "heartbeat", "lag", "live", "phase",
        "resuming", "timers", "watch",
    )  # fmt: skip

    def __init__(
        self,
        config: ShardConfig,
        token: Token,
        *,
        random: Callable[[], float],
        session: Session | LiveSession | None = None,
        policy: Policy = Policy(),
        loads: Loads = json.loads,
        outbox: Outbox | None = None,
        link: Link | None = None,
        recall: Recall | None = None,
    ) -> None:
        self._config = config
        self._token = token
        self._random = random
        self._policy = policy
        self._decode = decoder_of(loads)
        self._shard = config.shard[0]
        self._outbox = outbox or Outbox(self.settle if config.settle == "delivery" else None)
        self._emit = self._outbox.emit
        self._link = link or TextLink(self._outbox.new_id(), self._outbox, policy.leave_code)
        self.timers: Timers[Timer] = Timers()
        self.watch = LagWatch(policy.lag_tolerance)
        self._question: int | None = None
        self._asked_for_slots = 0
        self._asked_at = 0.0
        self._slot_at = 0.0
        self._authenticated = False
        self._session_refused = False
        self._replayed = 0
        self._paused = False
        self._recall = recall or Recall(policy)
        if isinstance(session, Session):
            session = LiveSession.restore(session, since=0.0, policy=policy, recall=self._recall)
        self.live = session
        self._flowing: LiveSession | None = None
        """The session whose dispatches may come: from READY on, or from the Resume that was sent."""
        self.resuming = self.live is not None
        self.phase = Phase.HELLO
        self.heartbeat = Heartbeat(policy)
        self.lag = 0.0
        self.ending: Ending | None = None

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the talk is over."""
        return self.ending is not None

    @property
    def verdict(self) -> Verdict | None:
        """What may be done next, once it is over."""
        return self.ending.verdict if self.ending else None

    @property
    def session(self) -> Session | None:
        """The session as it stands, None before READY."""
        return self.live.value(self._config) if self.live else None

    @property
    def question(self) -> int | None:
        """The id of the question that awaits its answer, None if none does."""
        return self._question

    # -- inputs ---------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """The WebSocket is open (or, beneath it, its stream is). Then drain :meth:`next_output`."""
        self.timers.set(Timer.HELLO, now + self._policy.hello_timeout)

    def bytes_received(self, now: float) -> None:
        """Something came, if only a part of a message: the link is alive. Not needed after :meth:`receive_message`."""
        watch = self.watch
        if now - watch.due > watch.tolerance:
            self._notice_lag(now)
        self.heartbeat.received_at = now

    def receive_message(self, message: str | bytes, now: float) -> None:
        """A message came, as text or as UTF-8 in a binary frame. Then drain :meth:`next_output`."""
        if self.ending is not None:
            return
        watch = self.watch
        if now - watch.due > watch.tolerance:
            self._notice_lag(now)
        self.heartbeat.received_at = now
        if type(message) is str and message == _BARE_ACK:
            self._outbox.acks += 1
            self.heartbeat.acknowledged(now)
            return
        try:
            envelope = self._decode(message)
        except (ValueError, RecursionError):
            self.not_json(message)
        else:
            self.receive_value(envelope, message, now)

    def not_json(self, message: str | bytes) -> None:
        """The part of :meth:`receive_message` for a message that its decoder refused."""
        self._malformed("a message that is not JSON", message)

    def receive_value(self, envelope: Any, message: str | bytes, now: float) -> None:
        """The part of :meth:`receive_message` for a message that was decoded; nothing after the end."""
        unread = data = named = None
        if type(envelope) is dict and type(opcode := envelope.get("op")) is int:
            if opcode != _DISPATCH:
                self._on_envelope(opcode, envelope, message, now)
                return
            kind, id, sequence, data = envelope.get("t"), envelope.get("id"), envelope.get("s"), envelope.get("d")
            if type(data) is dict:
                named = data.get("id")
        elif isinstance(envelope, Unread):
            unread, kind, id, sequence, named = envelope, envelope.t, envelope.id, envelope.s, envelope.named
        else:
            self._malformed("a message without an opcode", message)
            return
        live = self._flowing
        if type(kind) is not str:
            self._malformed("a dispatch without a type", message)
            return
        if kind == "READY" or kind == "RESUMED":
            self._on_session(kind, envelope if unread is None else unread.read(), message, now)
            return
        if live is None:
            self._malformed("a dispatch before READY", message)
            return
        # Without the calls that would make it read better: they would be a tenth of what a dispatch costs.
        if type(id) is not str:
            id = None
        if type(named) is not str:
            named = None
        if type(sequence) is int and sequence == live.expected:
            trace: Trace = (now, id, kind, named, sequence)
            live.journal.append(trace)
            live.expected = sequence + 1
            if not sequence % MANY:
                live.fold()
            redelivered = False
        else:
            if type(sequence) is not int or sequence < 1:
                sequence = None
            trace = (now, id, kind, named, sequence or 0)
            if not self._is_new(live, trace):
                return
            redelivered = live.redelivering
        # Field by field: so a dataclass is made in half the time that its __init__ takes.
        dispatch = _new(Dispatch)
        dispatch.type = kind
        dispatch.id = id
        dispatch.sequence = sequence
        dispatch.shard = self._shard
        dispatch.redelivered = redelivered
        dispatch.session_id = live.id
        dispatch.trace = trace
        dispatch.unread = unread
        if unread is None:
            dispatch.data, dispatch.envelope = data, envelope
        self._outbox.dispatches += 1
        self._emit(dispatch)

    def answer(self, id: int, value: IdentifySlot | Failure, now: float) -> None:
        """The answer to :class:`~qqproto.ReserveIdentify`. Then drain :meth:`next_output`."""
        if self.ending is not None or id != self._question:
            self._outbox.stale(id)
            return
        if not isinstance(value, (IdentifySlot, Failure)):
            raise LocalProtocolError(f"question {id} asks for an IdentifySlot, not a {type(value).__name__}")
        self._notice_lag(now)
        self._question = None
        self.timers.stop(Timer.SLOT_ANSWER)
        if isinstance(value, Failure):
            self._leave(Ending(Verdict.IDENTIFY, self.phase, failure=value), "no identify slot")
        elif value.at - now > self._policy.identify_slot_wait:
            self._leave(Ending(Verdict.IDENTIFY, self.phase, wait_until=value.at), "waiting for an identify slot")
        elif value.at <= now:
            self._use_slot(self._asked_at, now)
        else:
            self._slot_at = value.at
            self.timers.set(Timer.SLOT, value.at)

    def connection_closed(self, code: int | None, reason: str, now: float) -> None:
        """A close frame came. Then drain :meth:`next_output`."""
        if self.ending is not None:
            return
        self._note_lag(now)
        verdict = classify(code, self.phase)
        refused = code in (None, 1005, 1006, 4903)
        row = CLOSE_CODES.get(code) if code is not None else None
        planned = row is not None and row.planned
        self._end(Ending(verdict, self.phase, code, self._redacted(reason), planned=planned), refused)

    def connection_lost(self, failure: Failure, now: float) -> None:
        """The stream ended without a close frame. Then drain :meth:`next_output`."""
        if self.ending is not None:
            return
        self._note_lag(now)
        self._end(Ending(Verdict.RESUME, self.phase, failure=failure), failure.kind is FailureKind.EOF)

    def reading_paused(self, now: float) -> None:
        """The host reads nothing: silence says nothing, heartbeats go on. Then drain :meth:`next_output`."""
        self._notice_lag(now)
        self._paused = True
        self.heartbeat.pause()

    def reading_resumed(self, now: float) -> None:
        """The host reads again. What was waited for is waited for anew. Then drain :meth:`next_output`."""
        self._notice_lag(now)
        if self._paused and self.ending is None:
            self._paused = False
            self._start_anew(now)
            self.heartbeat.resume(now)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed; calls that come too early do no harm. Then drain :meth:`next_output`."""
        watch = self.watch
        if now - watch.due > watch.tolerance:
            self._notice_lag(now)
        while self.timers.earliest <= now and self.ending is None and (timer := self.timers.pop_due(now)):
            self._on_timer(timer, now)
        beats = self.heartbeat
        while beats.earliest <= now and self.ending is None and (beat := beats.due(now)):
            if beat is _HEARTBEAT:
                self._send_heartbeat(now)
            else:
                self._on_beat(beat, now)

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread; another session's is ignored."""
        if self.live is not None:
            self.live.settle(dispatch)

    def close(self, now: float, *, keep_session: bool = False) -> None:
        """Say goodbye. What was received and not handed out is withdrawn. Then drain :meth:`next_output`."""
        if self.ending is None:
            self.say_goodbye(self._outbox.withdraw(), keep_session=keep_session)

    def say_goodbye(self, withdrawn: set[int], *, keep_session: bool) -> None:
        """The part of :meth:`close` that the machine around it shares; ``withdrawn`` is what was never asked for."""
        if self._question in withdrawn:
            self._question = None
        ending = Ending(Verdict.RESUME if keep_session else Verdict.IDENTIFY, self.phase)
        if keep_session:
            self._leave(ending, "")
        else:
            self._link.close(_GOODBYE, "")
            self._end(ending, False)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> Output | None:
        """The oldest action or event, None when there is none left."""
        return self._outbox.next()

    def next_timer(self) -> float | None:
        """When :meth:`handle_timer` is due, None once it is over."""
        due = math.inf
        if self.ending is None:
            due = min(self.timers.earliest, self.heartbeat.earliest)
        self.watch.due = due
        return due if due < math.inf else None

    # -- steps: what the server says ------------------------------------------------------------------------------

    def _on_envelope(self, opcode: int, envelope: dict[str, Any], message: str | bytes, now: float) -> None:
        if opcode == _ACK:
            self._outbox.acks += 1
            self.heartbeat.acknowledged(now)
        elif opcode == Opcode.HELLO:
            self._on_hello(envelope.get("d"), message, now)
        elif opcode == Opcode.HEARTBEAT:
            sent_at = self.heartbeat.sent_at
            if self.heartbeat.running and (sent_at is None or now - sent_at >= self._policy.heartbeat_reply_gap):
                self.heartbeat.sent(now)
                self._send_heartbeat(now)
        elif opcode == Opcode.RECONNECT:
            self._leave(Ending(Verdict.RESUME, self.phase, planned=True), "reconnect asked for")
        elif opcode == Opcode.INVALID_SESSION:
            self._on_invalid_session(envelope.get("d") is True, now)
        else:
            self._outbox.count("unknown_opcodes")

    def _on_hello(self, data: Any, message: str | bytes, now: float) -> None:
        if self.phase is not Phase.HELLO:
            self._malformed("a second Hello", message)
            return
        interval = payloads.heartbeat_interval(data)
        policy = self._policy
        if interval is None or interval < policy.min_interval:
            self._malformed(f"Hello with a heartbeat interval below {policy.min_interval} s", message)
            interval = policy.min_interval
        self.phase = Phase.AUTH
        self.timers.stop(Timer.HELLO)
        self.heartbeat.begin(min(interval, policy.max_interval), now, self._random())
        if self.live is not None:
            self._resume(self.live, now)
        else:
            self._ask_for_slot(now)

    def _is_new(self, live: LiveSession, trace: Trace) -> bool:
        """Judge a dispatch that is not simply the next one; a repetition is counted."""
        new = live.take(trace)
        if self.phase is _AUTH:
            self._replayed += new
            self._await_ready(trace[0])
        if not new:
            self._outbox.count("repetitions")
        return new

    def _on_session(self, kind: str, envelope: dict[str, Any], message: str | bytes, now: float) -> None:
        if kind == "READY":
            self._on_ready(envelope, message, now)
        else:
            self._on_resumed(envelope, message)

    def _on_ready(self, envelope: dict[str, Any], message: str | bytes, now: float) -> None:
        if self.phase is not Phase.AUTH or not self._authenticated:
            self._malformed("READY without an Identify", message)
            return
        ready = payloads.ready_of(envelope.get("d"))
        if ready is None:
            self._malformed("READY without a session", message)
            failure = Failure(FailureKind.OTHER, "READY named no session")
            self._leave(Ending(Verdict.IDENTIFY, self.phase, failure=failure), "READY named no session")
            return
        session_id, user_id, username = ready
        user = User(user_id, username)
        if self.live is not None:
            self.live.give_up()
        live = self.live = self._flowing = LiveSession(
            session_id, user, since=now, policy=self._policy, recall=self._recall
        )
        dispatch = self._session_is_live(live, "READY", envelope)
        if dispatch.sequence is not None:
            live.settlement.pass_over(dispatch.sequence)
        self._emit(Ready(self._shard, live.id, live.user, dispatch))

    def _on_resumed(self, envelope: dict[str, Any], message: str | bytes) -> None:
        live = self.live
        if self.phase is not Phase.AUTH or not self._authenticated or live is None:
            self._malformed("RESUMED without a Resume", message)
            return
        dispatch = self._session_is_live(live, "RESUMED", envelope)
        restored, missing = live.restored, live.resumed(dispatch.sequence)
        self._emit(Resumed(self._shard, live.id, live.user, dispatch, self._replayed, missing, restored))

    def _on_invalid_session(self, resumable: bool, now: float) -> None:
        if self._session_refused:
            # What was refused stays refused, whatever the server says next.
            return
        if resumable:
            self._leave(Ending(Verdict.RESUME, self.phase), "invalid session, to be resumed", refused=True)
        else:
            # The close frame that follows names the cause; one recovery comes of both.
            self._session_refused = True
            self.timers.stop(Timer.HELLO)
            self.timers.stop(Timer.READY)
            self.timers.set(Timer.CAUSE, now + self._policy.invalid_session_wait)

    # -- steps: what we say ---------------------------------------------------------------------------------------

    def _ask_for_slot(self, now: float) -> None:
        deadline = now + self._policy.http_timeout
        self._asked_at = now
        self._asked_for_slots += 1
        self._question = self._outbox.new_id()
        self.timers.set(Timer.SLOT_ANSWER, deadline)
        self._emit(ReserveIdentify(self._question, deadline))

    def _use_slot(self, open_since: float, now: float) -> None:
        """A slot may be used; so late that it comes too close to the next one, another is asked for."""
        too_late = now - open_since > self._policy.identify_margin
        if too_late and self._asked_for_slots < _MOST_SLOTS:
            self._ask_for_slot(now)
        else:
            self._identify(now)

    def _identify(self, now: float) -> None:
        self._outbox.identifies += 1
        config = self._config
        self._authenticate(
            payloads.identify(
                token=authorization(self._token),
                intents=config.intents,
                shard=config.shard,
                properties=config.properties,
            ),
            now,
        )

    def _resume(self, live: LiveSession, now: float) -> None:
        self._outbox.count("resumes")
        live.resuming()
        self._flowing = live
        sequence = live.settlement.received
        self._authenticate(
            payloads.resume(token=authorization(self._token), session_id=live.id, sequence=sequence), now
        )

    def _authenticate(self, text: str, now: float) -> None:
        self._authenticated = True
        self._link.send_text(text)
        self._await_ready(now)

    def _await_ready(self, now: float) -> None:
        if not self._session_refused:
            self.timers.set(Timer.READY, now + self._policy.ready_timeout)

    def _send_heartbeat(self, now: float) -> None:
        live, settled = self.live, None
        if live is not None and (settled := live.all_settled) is None:
            settlement = live.settlement
            settled = settlement.settled
            self._tell_lagging(live, settlement, now)
        self._outbox.heartbeats += 1
        self._link.send_text(payloads.heartbeat(settled or None))

    # -- steps: time ----------------------------------------------------------------------------------------------

    def _on_timer(self, timer: Timer, now: float) -> None:
        if timer is Timer.SLOT:
            self._use_slot(self._slot_at, now)
        elif self._paused and timer in (Timer.HELLO, Timer.READY):
            self._start_anew(now)
        elif timer is Timer.CAUSE:
            self._leave(Ending(Verdict.IDENTIFY, self.phase), "invalid session")
        else:
            waited_for = {
                Timer.HELLO: "the WebSocket's upgrade and Hello",
                Timer.READY: "RESUMED" if self.resuming else "READY",
                Timer.SLOT_ANSWER: "the answer to ReserveIdentify",
            }[timer]
            self._die(Failure(FailureKind.TIMEOUT, f"{waited_for} did not come in time"))

    def _on_beat(self, beat: Beat, now: float) -> None:
        if beat is Beat.PING:
            self._link.ping()
        elif beat is Beat.PROBE:
            self._probe(now)
        elif beat is Beat.SILENT:
            self._die(Failure(FailureKind.TIMEOUT, "the link is dead: a heartbeat was sent and not one byte came back"))
        else:
            self._die(Failure(FailureKind.TIMEOUT, "the link is dead: the server acknowledges no heartbeat"))

    def _probe(self, now: float) -> None:
        self._link.ping()
        self.heartbeat.sent(now)
        self._send_heartbeat(now)

    def _notice_lag(self, now: float) -> None:
        """If we were stalled, nothing of what was not heard meanwhile counts; is the link still there?"""
        if not self._note_lag(now):
            return
        self._start_anew(now)
        if self.heartbeat.running:
            self.heartbeat.start_anew(now)
            self._probe(now)

    def _note_lag(self, now: float) -> bool:
        """Tell if we were stalled; it is part of the diagnosis, also of an end that was read only now."""
        seconds = self.watch.late(now)
        if not seconds or self.ending is not None:
            return False
        self.lag = max(self.lag, seconds)
        self._emit(LoopLag(self._shard, seconds))
        return True

    def _start_anew(self, now: float) -> None:
        if self.phase is Phase.HELLO:
            self.timers.set(Timer.HELLO, now + self._policy.hello_timeout)
        elif self.phase is Phase.AUTH and self._authenticated:
            self._await_ready(now)

    # -- steps: the session ---------------------------------------------------------------------------------------

    def _session_is_live(self, live: LiveSession, kind: str, envelope: dict[str, Any]) -> Dispatch:
        """READY or RESUMED came; returns it as a dispatch, which settles itself."""
        self.phase = Phase.READY
        self.timers.stop(Timer.READY)
        id = envelope.get("id")
        return Dispatch(
            kind,
            envelope.get("d"),
            id if type(id) is str else None,
            payloads.sequence_of(envelope),
            self._shard,
            False,
            envelope,
            live.id,
        )

    def _tell_lagging(self, live: LiveSession, settlement: Settlement, now: float) -> None:
        """Told when it begins, and again whenever more was given up."""
        oldest = settlement.oldest(now)
        lags = oldest is not None and oldest > self._policy.settlement_lag
        if settlement.given_up > live.given_up_told or (lags and not live.lag_told):
            self._emit(SettlementLagging(self._shard, settlement.unsettled, oldest or 0.0, settlement.given_up))
        live.given_up_told, live.lag_told = settlement.given_up, lags

    # -- steps: the end -------------------------------------------------------------------------------------------

    def _leave(self, ending: Ending, reason: str, *, refused: bool = False) -> None:
        """We go, and may come back: with the leave code, which keeps the session."""
        if self._policy.leave_code is None:
            self._link.abort()
        else:
            self._link.close(self._policy.leave_code, reason)
        self._end(ending, refused)

    def _die(self, failure: Failure) -> None:
        self._link.abort()
        self._end(Ending(Verdict.RESUME, self.phase, failure=failure), False)

    def _end(self, ending: Ending, refused: bool) -> None:
        refused = refused or self._session_refused
        ending.identify_refused = refused and ending.phase is Phase.AUTH and self._authenticated and not self.resuming
        ending.session_refused = self._session_refused
        if self._session_refused and ending.verdict is Verdict.RESUME:
            ending.verdict = Verdict.IDENTIFY
        self.ending = ending
        self.timers.clear()
        if self._question is not None:
            self._emit(Cancel(self._question))
            self._question = None

    def _malformed(self, what: str, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._outbox.count("malformed")
        self._emit(Malformed(self._shard, what, self._redacted(text)[:200]))

    def _redacted(self, text: str) -> str:
        """What the server said, should it repeat what we said."""
        return text.replace(self._token.value, "[token]")
