"""One shard as it looks from outside, from its start to its one ending.

How the wording is read, beyond what :mod:`pulse`, :mod:`pace` and :mod:`course` say: our side may leave a connection
only for a reason that can be seen (op 7, op 9, a READY without a session, silence, a phase whose deadline has passed, a
slot that is far away, something that is no WebSocket, ``close()``). Every end of an attempt is told by exactly one
``Disconnected``, at once, with the delay that then holds. After ``close()`` nothing is told but ``Stopped``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qqproto.events import (
    ConfigurationError,
    ConflictSuspected,
    Disconnected,
    Dispatch,
    Event,
    IdentifyBudgetLow,
    LoopLag,
    Offline,
    Online,
    Resumed,
    SessionRefused,
    SettlementLagging,
    Stopped,
)
from qqproto.failures import Failure
from qqproto.policy import Policy
from qqproto.testing.simulation.reference.course import IDENTIFY, RESUME, Course, End
from qqproto.testing.simulation.reference.debts import Debts, Renewal
from qqproto.testing.simulation.reference.deliveries import Deliveries, Known
from qqproto.testing.simulation.reference.endings import Endings
from qqproto.testing.simulation.reference.ledger import Ledger
from qqproto.testing.simulation.reference.pace import Pace
from qqproto.testing.simulation.reference.presence import Presence
from qqproto.testing.simulation.reference.pulse import Pulse
from qqproto.testing.simulation.reference.purse import Purse
from qqproto.testing.simulation.reference.table import needs_a_person
from qqproto.testing.simulation.reference.talk import Talk
from qqproto.testing.simulation.reference.verdict import Broken, demand


@dataclass(frozen=True, slots=True)
class Saved:
    """What a process finds in its store: what was known of the session when it was saved, ``age`` seconds ago, and
    whether it is another bot's, layout's or set of intents'."""

    known: Known
    age: float
    foreign: bool


class ShardObserver:
    """Sees what one shard does. Every method raises :class:`Broken` where a promise is broken."""

    def __init__(
        self, index: int, count: int, policy: Policy, purse: Purse, slack: float, now: float, deliveries: Deliveries,
        ledger: Ledger,
    ) -> None:  # fmt: skip
        self._index = index
        self._count = count
        self._policy = policy
        self._purse = purse
        self._slack = slack
        self._dial_by: float | None = None
        self._stop_by: float | None = None
        self._goodbye = "closed"
        self._debts = Debts()
        self._renewal = Renewal(policy, purse, slack)
        self._presence = Presence(policy, slack, now)
        self._forgiven = now
        self._disturbed_at = now
        self.alarm = float("-inf")
        """Until then :meth:`check` has nothing to say."""
        self._deliveries = deliveries
        self._ledger = ledger
        self._owes_refusal = False
        self._saved: Known | None = None
        self.course = Course(policy, deliveries)
        self.pace = Pace(policy, slack, now)
        self._endings = Endings(policy, self.course, self.pace, self._debts, self._renewal, purse, count)
        self.talk: Talk | None = None
        self.reading = True
        self.closing = False
        self.stopped: Stopped | None = None

    def restore(self, saved: Saved, now: float) -> None:
        """It was given a saved session."""
        if saved.foreign or not 0.0 <= saved.age <= self._policy.saved_session_life:
            self._owes_refusal = True
        else:
            self.course.restore(saved.known, saved.age, now)

    @property
    def connected(self) -> bool:
        """Whether its session is live."""
        return self.talk is not None and self.talk.live_at is not None

    # -- dials ----------------------------------------------------------------------------------------------------

    def dialled(self, now: float) -> None:
        demand(self.talk is None and self._dial_by is None, "contract", "a dial while another connection is there")
        self._still_there("dials")
        self.pace.dialled(now)
        if self.course.may == (IDENTIFY,):
            age = now - self._purse.gateway_told_at
            fresh = age <= self._policy.gateway_fresh_for + self._slack or self._disturbed_at >= now - age
            demand(fresh, "G6", f"a dial for an Identify with gateway information of {age:.1f} s ago")
        self._dial_by = now + self._policy.dial_timeout

    def opened(self, now: float) -> None:
        self._dial_by = None
        self.talk = Talk(Pulse(self._policy, self._slack, now), now)

    def dial_failed(self, failure: Failure, now: float) -> None:
        self._dial_by = None
        mendable = needs_a_person(failure.kind)
        self._endings.over(End("lost", retry_after=failure.retry_after or 0.0, for_a_person=mendable))

    # -- what our side says ---------------------------------------------------------------------------------------

    def said(self, payload: dict[str, Any], now: float) -> None:
        """A message of ours went out."""
        opcode, data = payload["op"], payload["d"]
        end = self._endings.untold
        if end is not None:
            # The end was read together with what this is the answer to.
            if opcode in (IDENTIFY, RESUME):
                self._authenticates(opcode, data, now)
                end.auth, end.token = opcode, data["token"]
            return
        talk = self._open_talk("speaks")
        demand(talk.hello_at is not None, "G5", f"opcode {opcode} was sent before Hello")
        if opcode == 1:
            talk.pulse.beat(now)
            self._beats(talk, data, now)
            return
        demand(opcode in (IDENTIFY, RESUME), "G5", f"opcode {opcode} was sent, which no client sends")
        demand(talk.auth is None, "G5", "a connection was authenticated twice")
        self._authenticates(opcode, data, now)
        talk.authenticated(opcode, data["token"], now)

    def left(self, now: float) -> None:
        """Our side closes or drops the connection, or calls off the dial."""
        talk = self.talk
        if self._dial_by is not None:
            overdue = now >= self._dial_by - self._slack
            demand(self.closing or overdue, "G4", "a dial was called off before its time")
            self._dial_by = None
            if not self.closing:
                self._endings.over(End("lost"))
        elif talk is not None:
            if not self.closing:
                end = self._end(talk, "left", now)
                end.for_slot = self._judge_leaving(talk, now)
                self._endings.over(end)
            self.talk = None

    # -- what comes -----------------------------------------------------------------------------------------------

    def heard(self, message: dict[str, Any] | None, now: float) -> None:
        """A message came, with an integer for an opcode; None: bytes that are none. After the end nothing is heeded."""
        talk = self.talk
        if talk is None or self.closing or talk.leaving:
            return
        talk.pulse.heard_at = now
        if message is None:
            return
        opcode, data = message["op"], message.get("d")
        if opcode == 11:
            talk.pulse.acked(now)
        elif opcode == 10 and talk.hello_at is None:
            talk.greeted(data, now)
        elif opcode == 7:
            talk.op7 = True
        elif opcode == 9 and talk.op9 is not False:
            talk.op9, talk.op9_at = data is True, now
        elif opcode == 0 and isinstance(message.get("t"), str):
            self._heard_dispatch(talk, message, now)

    def heard_close(self, code: int | None, now: float) -> None:
        """A close frame came."""
        self._heard_end("close", now, code)

    def lost(self, how: str, now: float, retry_after: float = 0.0) -> None:
        """The stream ended ("eof"), broke off, or the upgrade was refused ("lost")."""
        self._heard_end(how, now, retry_after=retry_after)

    def broke_protocol(self, now: float) -> None:
        """Bytes came that no WebSocket client has to put up with."""
        talk = self._open_talk("is spoken to")
        talk.pulse.heard_at = now
        talk.broken = True

    # -- the application, and what is saved -----------------------------------------------------------------------

    def settles(self, session: str | None, sequence: int | None) -> None:
        """The application has finished with a dispatch."""
        self._deliveries.settles(sequence, session)
        self._ledger.finished(session, sequence)

    def saves(self, now: float, *, anew: bool) -> Known:
        """The session is saved; not ``anew``: the shard said that nothing has been settled since the last time."""
        demand(self.course.session is not None, "G5", "a session is saved that is over")
        known = self._deliveries.known(now)
        new = self._saved is None or known.differs_from(self._saved)
        demand(anew or not new, "G7", "something was settled, and the shard says that there is nothing to save")
        self._saved = known
        return known

    def take_stock(self, last: int | None = None) -> None:
        """Nothing may be missing of what has come, up to ``last``, but for what is told as missing or will be."""
        deliveries = self._deliveries
        self._ledger.write_off(deliveries.jumped)
        deliveries.jumped.clear()
        self._ledger.balance(self.course.session, deliveries.received if last is None else last)

    # -- the process ----------------------------------------------------------------------------------------------

    def closes(self, now: float) -> None:
        """The application says goodbye."""
        if not self.closing:
            self.closing = True
            self._stop_by = now + (self._policy.close_timeout if self.talk is not None else 0.0)

    def fails(self, now: float) -> None:
        """The driver gives up."""
        self.closing = True
        self._goodbye = "host-failure"
        self._stop_by = now

    def overslept(self, now: float) -> None:
        """After a stall: the machine was to be called long ago, and has to notice that it was not."""
        if not self.closing and self.stopped is None:
            self._debts.lag_since = self._forgiven = now

    def goes_on(self, now: float) -> None:
        """After a stall."""
        self._disturbed_at = now
        self.pace.begin_anew(now)
        self._begin_anew(now)
        if self._stop_by is not None:
            self._stop_by = max(self._stop_by, now)
        if self._dial_by is not None:
            self._dial_by = max(self._dial_by, now)

    def reads(self, reading: bool, now: float) -> None:
        self.reading = reading
        self._forgiven = now
        if reading:
            self._begin_anew(now)

    def check(self, now: float) -> None:
        """Raise if something should have happened by now. Call while the process runs, before anything else does."""
        talk = self.talk
        if self.stopped is not None:
            return
        lag_since = self._debts.lag_since
        noticed = lag_since is None or now <= lag_since or self.closing
        demand(noticed, "G4", "a stall was not noticed, and may be blamed on the link")
        if self._stop_by is not None:
            demand(now <= self._stop_by + self._slack, "G8", "no Stopped within the time for a goodbye")
        elif talk is not None:
            talk.pulse.check(now, self.reading)
            if talk.live_at is None and self.reading:
                talk.check(now, self._policy, self._slack)
        elif self._dial_by is not None:
            demand(now <= self._dial_by + self._slack, "G4", "a dial is waited for beyond its deadline")
        else:
            self.pace.check(now)
        if not self.closing:
            self._presence.check(now, self._disturbed_at)

    def drained(self, now: float) -> None:
        """The machine has said all that it had to say."""
        talk = self.talk
        live = talk is not None and talk.live_at is not None and not self.closing and self._debts.lag_since is None
        self.alarm = talk.pulse.alarm(self.reading) if talk is not None and live else float("-inf")
        self._write_off_abandoned()
        if self.stopped is not None or self.closing:
            return
        demand(not self._owes_refusal, "G7", "a saved session was left aside, and no SessionRefused was told")
        self._deliveries.drained()
        demand(self._endings.untold is None, "G1", "a connection ended, and no Disconnected was told")
        self._debts.settle()
        if talk is not None:
            demand(not talk.op7, "G5", "op 7 came, and the connection is still there")
            demand(talk.op9 is not True, "G5", "op 9 came, to be resumed, and the connection is still there")
            demand(not talk.broken, "G10", "the server broke the WebSocket, and the connection is still there")
            silent = talk.hello_at is not None and talk.auth is None and talk.op9 is not False
            demand(not silent or IDENTIFY in self.course.due(now), "G5", "Hello came, and no Resume went out")

    # -- events ---------------------------------------------------------------------------------------------------

    def told(self, event: Event, now: float) -> None:
        """The application was told something."""
        demand(self.stopped is None, "G8", f"{type(event).__name__} was told after Stopped")
        if isinstance(event, Stopped):
            self._stops(event)
            return
        demand(not self.closing, "G8", f"{type(event).__name__} was told after close()")
        if isinstance(event, Dispatch):
            self._deliveries.told(event.sequence, event.session_id, marked=event.redelivered)
            self._ledger.handed_out(event.session_id, event.sequence)
            if self._deliveries.by_delivery:
                self._ledger.finished(event.session_id, event.sequence)
            return
        if isinstance(event, Disconnected):
            self._endings.told(event, now, connected=self.talk is not None or self._dial_by is not None)
        elif isinstance(event, IdentifyBudgetLow):
            if event.remaining == 0:
                self.pace.budget_spent(now, event.reset_after)
        elif isinstance(event, ConfigurationError):
            self._debts.pay_configuration(event.hint)
        elif isinstance(event, ConflictSuspected):
            self._debts.pay_conflict()
        elif isinstance(event, LoopLag):
            self._forgiven, self._debts.lag_since = now, None
        elif isinstance(event, Online):
            self._presence.online()
            if self.talk is not None:
                self._presence.comes()
                self.talk.announced = True
            else:
                # It was read together with the end.
                self._presence.goes(now)
        elif isinstance(event, Offline):
            self._presence.offline(now)
        elif isinstance(event, Resumed):
            self._deliveries.told_resumed(event.replayed, event.missing, restored=event.restored)
            self.take_stock(self._deliveries.resumed_up_to)
        elif isinstance(event, SettlementLagging):
            most = self._deliveries.given_up
            demand(event.given_up <= most, "G7", f"{event.given_up} dispatches were given up, not only {most}")
        elif isinstance(event, SessionRefused):
            demand(self._owes_refusal, "G7", f"the saved session was refused: {event.reason}")
            demand(bool(event.reason.strip()), "G8", "SessionRefused without a reason")
            self._owes_refusal = False

    # -- steps ----------------------------------------------------------------------------------------------------

    def _beats(self, talk: Talk, sequence: Any, now: float) -> None:
        """A session that is about to be given up need not be named any more."""
        given_up = talk.auth is None and IDENTIFY in self.course.due(now)
        if self.course.session is None or (given_up and sequence is None):
            demand(sequence is None, "G7", f"a heartbeat names sequence {sequence!r} of no session")
        else:
            self._deliveries.beats(sequence)

    def _write_off_abandoned(self) -> None:
        """What the shard has given up is finished for every process."""
        for sequence in self._deliveries.abandoned:
            self._ledger.finished(self.course.session, sequence)
        self._deliveries.abandoned.clear()

    def _authenticates(self, opcode: int, data: dict[str, Any], now: float) -> None:
        self.course.authenticates(opcode, data, now)
        self._renewal.sends(data["token"], now, alone=self._count == 1)
        if opcode == IDENTIFY:
            self._purse.identified(now)

    def _heard_dispatch(self, talk: Talk, message: dict[str, Any], now: float) -> None:
        kind, data = message["t"], message.get("d")
        if kind == "READY":
            session = data.get("session_id") if isinstance(data, dict) else None
            if talk.auth is None or talk.live_at is not None:
                return
            if isinstance(session, str) and session:
                self._goes_live(talk, session, now)
                self._deliveries.counted(message.get("s"))
            else:
                talk.no_session = True
        elif kind == "RESUMED":
            if talk.auth == RESUME and talk.live_at is None:
                self._goes_live(talk, None, now)
                self._deliveries.resumed(message.get("s"))
        elif talk.live_at is not None or talk.auth == RESUME:
            talk.progress_at = now
            self.course.busy = True
            self._deliveries.came(message, now, replaying=talk.live_at is None)

    def _goes_live(self, talk: Talk, session: str | None, now: float) -> None:
        talk.live_at = now
        talk.announced = True
        self._presence.comes()
        self.course.goes_live(session, now)
        self._debts.told_configuration = False

    def _heard_end(self, how: str, now: float, code: int | None = None, retry_after: float = 0.0) -> None:
        talk = self.talk
        if talk is None or self.closing or talk.leaving:
            return
        end = self._end(talk, how, now)
        end.code, end.retry_after = code, retry_after
        self._endings.over(end)
        self.talk = None

    def _end(self, talk: Talk, how: str, now: float) -> End:
        stable: bool | None = False
        if talk.announced:
            self._presence.goes(now)
        if talk.live_at is not None:
            lived = now - talk.live_at - self._policy.stable_after
            # At the very moment, or after a stall in which the minute ended, it may be counted either way.
            unsure = abs(lived) <= self._slack or (lived > 0.0 and self._disturbed_at >= now - lived - self._slack)
            stable = None if unsure else lived > 0.0
        live = talk.live_at is not None
        return End(how, op7=talk.op7, op9=talk.op9, auth=talk.auth, token=talk.token, live=live, stable=stable)

    def _judge_leaving(self, talk: Talk, now: float) -> bool:
        """Our side goes by itself: is there a reason? Returns whether it is a slot that is far away."""
        if talk.leaving:
            return False
        if talk.op9 is False and talk.op9_at is not None:
            in_time = now >= talk.op9_at + self._policy.invalid_session_wait - self._slack
            demand(in_time or self._gives_up(talk, now), "G5", "left before the close frame that names op 9's cause")
            return False
        if self._gives_up(talk, now):
            return False
        for_slot = talk.hello_at is not None and talk.auth is None and self._slot_may_be_far(now)
        demand(for_slot, "G4", "a connection was dropped that is not dead")
        return True

    def _gives_up(self, talk: Talk, now: float) -> bool:
        if not self.reading:
            return False
        overdue = talk.live_at is None and talk.overdue(now, self._forgiven, self._policy, self._slack)
        return overdue or talk.pulse.may_give_up(now, self._forgiven)

    def _slot_may_be_far(self, now: float) -> bool:
        return self._count > 1 or self._purse.left(now) == 0

    def _stops(self, event: Stopped) -> None:
        self.stopped = event
        self.talk = None
        demand(bool(event.hint.strip()), "G8", "Stopped without a hint")
        wanted = self._goodbye if self.closing else self._debts.stop_for
        if wanted is None:
            raise Broken("G1", f"the shard stopped ({event.reason.value}) for nothing that should stop it")
        demand(event.reason.value == wanted, "G5", f"the shard stopped for {event.reason.value}, not for {wanted}")
        retryable = wanted in ("token-refused", "host-failure")
        demand(event.retryable is retryable, "G8", f"Stopped for {wanted} is retryable={event.retryable}")

    def _begin_anew(self, now: float) -> None:
        if self.talk is not None:
            self.talk.pulse.begin_anew(now)

    def _open_talk(self, does: str) -> Talk:
        self._still_there(does)
        if self.talk is None:
            raise Broken("contract", f"the shard {does} on a connection that is not there")
        return self.talk

    def _still_there(self, does: str) -> None:
        demand(self.stopped is None and not self.closing, "G8", f"the shard {does} after its end")
