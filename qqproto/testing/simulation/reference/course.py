"""Promise G5: what each end of a connection leads to, and which session may go on.

How the wording is read:

- A session counts as refused when op 9 came that does not say it may be resumed (nothing but ``true`` does), or a close
  code that the table follows with an Identify, or any code but 4000, 4008, 4009 in answer to its Resume. 4004 is about
  the token, not about the session. What comes after op 9 cannot give the session back.
- After op 9 with ``true`` in answer to a Resume both are right: the page calls every op 9 a refusal, the table resumes.
- A link that dies before RESUMED refuses nothing; after ``policy.resume_attempts`` such Resumes in a row the session is
  given up. Op 7, and the codes that are no refusal, count like a dead link. So is a session whose Resumes were granted
  and undone by a close code before a stable minute, as often since there was one (hermes#22179). Connections that end
  before their Resume is sent count for neither.
- A session without a connection for more than an hour may be given up too.
- Refused Identifies are op 9, 4903, and an end without a code before READY; others neither count nor clear the count.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.deliveries import Deliveries, Known
from qqproto.testing.simulation.reference.table import NO_CODE, NO_REFUSAL, next_after, why_it_ends
from qqproto.testing.simulation.reference.verdict import demand

IDENTIFY, RESUME = 2, 6


@dataclass(slots=True)
class End:
    """How a connection ended, as seen from outside.

    ``how`` is "close" (with ``code``), "eof", "lost" (any other failure of the stream) or "left" (our side went).
    ``op9`` is None, or whether it said that the session may be resumed; ``auth`` the opcode that was sent, ``token``
    what it said, ``live`` whether READY or RESUMED came. ``stable`` is None where it is not clear whether the minute
    was over. ``for_slot``: our side went because the identify slot is far away. ``for_a_person``: it was a dial, and it
    failed for a reason that only a person can mend.
    """

    how: str
    code: int | None = None
    op7: bool = False
    op9: bool | None = None
    auth: int | None = None
    token: str = ""
    live: bool = False
    stable: bool | None = False
    retry_after: float = 0.0
    for_slot: bool = False
    for_a_person: bool = False


@dataclass(slots=True)
class Consequence:
    """What has to follow: the end for the reason ``stop``, or a delay of at least ``least`` seconds, with a
    configuration error or a suspected conflict told."""

    planned: bool = False
    least: float = 0.0
    stop: str | None = None
    configuration: bool = False
    conflict: bool = False
    renew: bool = False


@dataclass(slots=True)
class Course:
    """Which session a shard has, and what it may do next."""

    policy: Policy
    deliveries: Deliveries
    session: str | None = None
    since: float = 0.0
    away_since: float = 0.0
    busy: bool = False
    may: tuple[int, ...] = (IDENTIFY,)
    refused: deque[str] = field(default_factory=lambda: deque(maxlen=64))
    dead_resumes: int = 0
    undone_resumes: int = 0
    unsure: bool = False
    refused_identifies: int = 0
    refused_tokens: list[float] = field(default_factory=list)
    conflicts: list[float] = field(default_factory=list)

    def restore(self, known: Known, age: float, now: float) -> None:
        """The process begins with a saved session, which may be resumed."""
        self.session = known.session
        self.deliveries.restore(known, age, now)
        self.since = self.away_since = now - age
        self.may = (RESUME,)

    def due(self, now: float) -> tuple[int, ...]:
        """The opcodes that are right after Hello."""
        too_long = self.session is not None and now - self.away_since > self.policy.saved_session_life
        return (IDENTIFY, RESUME) if too_long else self.may

    # -- what is seen on a connection -----------------------------------------------------------------------------

    def authenticates(self, opcode: int, data: Any, now: float) -> None:
        """Identify or Resume was sent."""
        may = self.due(now)
        demand(opcode in may, "G5", f"opcode {opcode} was sent, where {' or '.join(map(str, may))} is due")
        if opcode == RESUME:
            session, sequence = data["session_id"], data["seq"]
            demand(session not in self.refused, "G5", f"session {session} is resumed after it was refused")
            demand(session == self.session, "G5", f"session {session} is resumed, not {self.session}")
            received = self.deliveries.received
            demand(sequence == received, "G5", f"the Resume says sequence {sequence}, where {received} is right")
            self.deliveries.resumes()
        else:
            self.session = None

    def goes_live(self, session: str | None, now: float) -> None:
        """READY came with a new session, or RESUMED (None)."""
        if session is not None:
            self.session, self.since = session, now
            self.deliveries.begins(session)
        self.busy = False
        self.dead_resumes = self.refused_identifies = 0
        self.refused_tokens.clear()
        self.may = (RESUME,)

    # -- and after it ---------------------------------------------------------------------------------------------

    def ended(self, end: End, now: float) -> Consequence:
        """A connection is over."""
        if end.live:
            self.away_since = now
        if end.stable:
            self.undone_resumes, self.unsure = 0, False
        self.unsure |= end.stable is None
        verdict = self._verdict(end)
        then = Consequence(planned=end.op7 or (end.how == "close" and end.code == 4009), least=end.retry_after)
        if verdict == "F":
            assert end.code is not None
            then.stop = why_it_ends(end.code)
            return then
        if end.how == "close":
            self._heed_code(end.code, then, now)
        if verdict == "T":
            self._token_refused(then, now)
        self._decide(end, verdict, then, now)
        if end.auth == IDENTIFY and not end.live and self._refuses_identify(end):
            self.refused_identifies += 1
            then.renew = self.refused_identifies == 1
            then.configuration = self.refused_identifies >= self.policy.refused_identifies
        if then.configuration or end.for_a_person:
            then.configuration = True
            then.least = max(then.least, self.policy.configuration_retry)
        return then

    def _verdict(self, end: End) -> str:
        verdict = "R"
        if end.how == "close":
            verdict = next_after(end.code)
            answers = end.auth == RESUME and not end.live and end.code not in NO_CODE + NO_REFUSAL
            if verdict == "R" and answers:
                verdict = "I"
        return "I" if end.op9 is False and verdict == "R" else verdict

    def _decide(self, end: End, verdict: str, then: Consequence, now: float) -> None:
        """Which opcode may come next, and whether there is a session left."""
        resuming = end.auth == RESUME and not end.live
        if self.session is None:
            self.may = (IDENTIFY,)
        elif verdict == "I" or end.op9 is False:
            self.refused.append(self.session)
            self.session = None
            self.may = (IDENTIFY,)
        else:
            if end.auth is not None:
                self.may = (IDENTIFY, RESUME) if resuming and end.op9 is True else (RESUME,)
            too_often = end.auth == RESUME and verdict == "R" and not end.stable and self._resumed_in_vain(end, then)
            rotten = then.planned and not self.busy and now - self.since > self.policy.session_life
            if self.unsure and end.auth == RESUME:
                self.may = (IDENTIFY, RESUME)
            elif too_often or rotten:
                self.session = None
                self.may = (IDENTIFY,)

    def _resumed_in_vain(self, end: End, then: Consequence) -> bool:
        """Whether a Resume has come to nothing so often that the session is given up."""
        if not end.live:
            self.dead_resumes += 1
            return self.dead_resumes >= self.policy.resume_attempts
        self.undone_resumes += end.how == "close" and end.code is not None and not then.planned
        given_up = self.undone_resumes >= self.policy.resume_attempts
        if given_up:
            self.undone_resumes = 0
        return given_up

    def _heed_code(self, code: int | None, then: Consequence, now: float) -> None:
        policy = self.policy
        if code == 4008:
            then.least = max(then.least, policy.sending_too_fast_pause)
        elif code == 4902:
            self.conflicts = [at for at in self.conflicts if now - at <= policy.conflict_window] + [now]
            if len(self.conflicts) >= policy.conflicts:
                self.conflicts.clear()
                then.conflict = True
                then.least = max(then.least, policy.conflict_pause)

    def _token_refused(self, then: Consequence, now: float) -> None:
        refused = self.refused_tokens
        refused.append(now)
        then.renew = True
        if len(refused) >= self.policy.token_refusals and now - refused[0] >= self.policy.token_refusals_within:
            then.stop = "token-refused"

    def _refuses_identify(self, end: End) -> bool:
        no_frame = end.how == "eof" or (end.how == "close" and end.code in NO_CODE)
        return end.op9 is not None or no_frame or (end.how == "close" and end.code == 4903)
