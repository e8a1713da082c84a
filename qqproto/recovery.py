"""What follows the end of a connection, and when: backoff, refusals, conflicts, and the few causes that end a shard."""

from __future__ import annotations

from dataclasses import dataclass

from qqproto.conversation import Ending
from qqproto.failures import Failure, FailureKind
from qqproto.policy import Policy
from qqproto.protocol.close_codes import CLOSE_CODES, Phase, StopReason, Verdict
from qqproto.protocol.rest import RestVerdict, error_row, verdict_of

_SENDING_TOO_FAST = 4008
_TAKEN_OVER = 4902

IDENTIFY_HINT = (
    "the platform refuses to start a session: check that the bot may have these intents, and that this machine's"
    " address is on the bot's IP allowlist in the QQ console"
)
_TOKEN_HINT = "the platform refuses every access token it gives us: restart, and if it stays so, renew the AppSecret"
KIND_HINTS = {
    FailureKind.PROXY_AUTH: (
        "check the user name and the password in the proxy's URL, which the environment names (https_proxy, all_proxy)"
        " or the application gives (proxy=); special characters are percent-encoded in it"
    ),
    FailureKind.TLS_UNTRUSTED: (
        "check this machine's clock and its root certificates; if a proxy inspects TLS, give its root certificate to"
        " ssl_context="
    ),
}
"""Failures that are no business of the platform's, and that only a person can mend."""
CONFLICT_HINT = "another process runs the same bot and shard and takes the session over: stop one of the two"


@dataclass(slots=True)
class Stop:
    """The shard has to end."""

    reason: StopReason
    retryable: bool
    hint: str


@dataclass(slots=True)
class Plan:
    """What to do next: wait ``delay`` seconds, drop the session or not, have another token or not; or stop.

    ``configuration`` is the hint of a configuration error, ``conflict`` that of a second instance.
    """

    verdict: Verdict
    delay: float = 0.0
    drop_session: bool = False
    refuse_token: bool = False
    configuration: str | None = None
    conflict: str | None = None
    stop: Stop | None = None


class Recovery:
    """Counts what went wrong since the connection was last stable, and says what follows.

    Success is a session that has lived for ``policy.stable_after``, not an open socket: otherwise a server that accepts
    and closes would be hammered.
    """

    __slots__ = (
        "_conflicts",
        "_identifies_refused",
        "_policy",
        "_resumes_died",
        "_resumes_undone",
        "_tokens_refused",
        "failures",
        "stable",
    )

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.failures = 0
        self.stable = False
        self._identifies_refused = 0
        self._resumes_died = 0
        self._resumes_undone = 0
        self._tokens_refused: tuple[float, ...] = ()
        self._conflicts: tuple[float, ...] = ()

    def session_is_live(self) -> None:
        """READY or RESUMED came: what it took to get here is no longer counted, but for the backoff."""
        self._identifies_refused = 0
        self._resumes_died = 0
        self._tokens_refused = ()

    def connection_is_stable(self) -> None:
        """The session has lived long enough."""
        self.failures = 0
        self.stable = True
        self._resumes_undone = 0

    def after_failure(self, failure: Failure, now: float, random: float) -> Plan:
        """A question or a dial failed. Without the platform's own error body nothing is a verdict."""
        verdict = verdict_of(failure)
        if verdict is RestVerdict.STOP and failure.code is not None:
            row = error_row(failure.code)
            stop = Stop(row.reason or StopReason.CREDENTIALS, False, f"{row.meaning}: {row.hint}")
            return Plan(Verdict.STOP, stop=stop)
        delay = self._next_step(random)
        plan = Plan(Verdict.RESUME, max(delay, failure.retry_after or 0.0))
        plan.refuse_token = verdict is RestVerdict.REFRESH
        # A refused token comes here when the Account's second one was refused as well.
        mendable = (RestVerdict.CONFIGURATION, RestVerdict.REFRESH)
        if verdict in mendable and failure.code is not None and (row := error_row(failure.code)).hint:
            plan.configuration = f"{row.meaning}: {row.hint}"
        elif failure.kind in KIND_HINTS:
            plan.configuration = f"{failure.message}: {KIND_HINTS[failure.kind]}"
        if plan.configuration is not None:
            plan.delay = max(plan.delay, self._policy.configuration_retry)
        return plan

    def after_connection(self, ending: Ending, resuming: bool, now: float, random: float) -> Plan:
        """A connection ended after it was opened; ``resuming``: it was to go on with a session."""
        stable, self.stable = self.stable, False
        plan = Plan(ending.verdict, drop_session=ending.verdict is Verdict.IDENTIFY or ending.session_refused)
        if ending.wait_until is not None:
            floor = self._policy.delay(self.failures, random) if self.failures else 0.0
            plan.delay = max(ending.wait_until - now - self._policy.identify_slot_lead, floor)
            return plan
        if ending.verdict is Verdict.STOP:
            row = CLOSE_CODES[ending.code or 0]
            plan.stop = Stop(row.reason or StopReason.PROTOCOL, False, f"{row.meaning} ({row.code}): {row.hint}")
            return plan
        if ending.planned and stable:
            plan.delay = self._policy.rotation_jitter * random
            return plan
        plan.delay = self._next_step(random)
        if ending.failure is not None and ending.failure.retry_after is not None:
            plan.delay = max(plan.delay, ending.failure.retry_after)
        if ending.code == _SENDING_TOO_FAST:
            plan.delay = max(plan.delay, self._policy.sending_too_fast_pause)
        self._judge_token(plan, now)
        if resuming and not stable and ending.verdict is Verdict.RESUME:
            self._judge_resume(plan, ending)
        if ending.identify_refused:
            self._judge_identify(plan)
        if ending.code == _TAKEN_OVER:
            self._judge_conflict(plan, now)
        return plan

    def _next_step(self, random: float) -> float:
        self.failures += 1
        return self._policy.delay(self.failures, random)

    def _judge_token(self, plan: Plan, now: float) -> None:
        if plan.verdict is not Verdict.REFRESH_TOKEN:
            return
        plan.refuse_token = True
        refused = self._tokens_refused = (*self._tokens_refused, now)
        policy = self._policy
        if len(refused) >= policy.token_refusals and now - refused[0] >= policy.token_refusals_within:
            plan.stop = Stop(StopReason.TOKEN_REFUSED, True, _TOKEN_HINT)

    def _judge_resume(self, plan: Plan, ending: Ending) -> None:
        """No refusal, but not for ever: links that die before RESUMED, and servers that grant it only to close with a
        code at once (hermes#22179)."""
        attempts = self._policy.resume_attempts
        if ending.phase is Phase.AUTH:
            self._resumes_died += 1
            plan.drop_session |= self._resumes_died >= attempts
        elif ending.phase is Phase.READY and ending.code is not None and not ending.planned:
            self._resumes_undone += 1
            if self._resumes_undone >= attempts:
                # The next session has done nothing yet.
                self._resumes_undone = 0
                plan.drop_session = True

    def _judge_identify(self, plan: Plan) -> None:
        self._identifies_refused += 1
        plan.refuse_token = plan.refuse_token or self._identifies_refused == 1
        if self._identifies_refused >= self._policy.refused_identifies:
            plan.configuration = IDENTIFY_HINT
            plan.delay = max(plan.delay, self._policy.configuration_retry)

    def _judge_conflict(self, plan: Plan, now: float) -> None:
        window = self._policy.conflict_window
        self._conflicts = (*(at for at in self._conflicts if now - at <= window), now)
        if len(self._conflicts) >= self._policy.conflicts:
            self._conflicts = ()
            plan.conflict = CONFLICT_HINT
            plan.delay = max(plan.delay, self._policy.conflict_pause)
