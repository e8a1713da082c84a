"""How attempts end, and whether ``Disconnected`` says the same, with the delay that then holds."""

from __future__ import annotations

from qqproto.events import Disconnected
from qqproto.policy import Policy
from qqproto.testing.simulation.reference.course import IDENTIFY, Consequence, Course, End
from qqproto.testing.simulation.reference.debts import Debts, Renewal
from qqproto.testing.simulation.reference.pace import Pace
from qqproto.testing.simulation.reference.purse import Purse
from qqproto.testing.simulation.reference.table import REST_END, needs_a_person, slow_retry
from qqproto.testing.simulation.reference.verdict import Broken, demand


class Endings:
    """The ends of one shard's attempts; ``count`` is how many shards share the Account."""

    __slots__ = ("_count", "_course", "_debts", "_pace", "_policy", "_purse", "_renewal", "untold")

    def __init__(
        self, policy: Policy, course: Course, pace: Pace, debts: Debts, renewal: Renewal, purse: Purse, count: int
    ) -> None:
        self._policy = policy
        self._course = course
        self._pace = pace
        self._debts = debts
        self._renewal = renewal
        self._purse = purse
        self._count = count
        self.untold: End | None = None

    def over(self, end: End) -> None:
        """A dial or a connection is over."""
        demand(self.untold is None, "contract", "one attempt ended twice")
        self.untold = end

    def _judge(self, end: End, now: float) -> Consequence:
        then = self._course.ended(end, now)
        self._debts.stop_for = then.stop
        if then.renew:
            self._renewal.refused(end.token, now, with_gateway=end.auth == IDENTIFY and end.code != 4004)
        return then

    def told(self, event: Disconnected, now: float, *, connected: bool) -> None:
        """The application was told of an end; ``connected``: a dial or a connection is still there."""
        end, self.untold = self.untold, None
        if end is None:
            demand(not connected, "G5", "Disconnected was told, and the connection is there")
            self._request_failed(event, now)
            return
        then = self._judge(end, now)
        demand(event.code == end.code or end.how != "close", "G5", f"the code was {end.code}, not {event.code}")
        if then.stop is not None:
            return
        retry_in = self._next_attempt(event)
        self._debts.conflict = then.conflict
        self._debts.owe_configuration(then.configuration)
        # Where it is not clear whether the minute was over, the machine's own count tells.
        stable = end.stable if end.stable is not None else event.attempt <= (0 if then.planned else 1)
        if stable:
            self._pace.stable()
        if then.planned and stable:
            self._pace.rotated(now, retry_in)
        elif end.for_slot:
            self._pace.left_for_slot(now, retry_in, self._longest_slot(now))
        else:
            self._pace.attempt_ended(now, retry_in, least=then.least)
        right = event.attempt == self._pace.failures
        demand(right, "G2", f"Disconnected counts {event.attempt} failures, not {self._pace.failures}")

    def _request_failed(self, event: Disconnected, now: float) -> None:
        """It ended before the dial: at a request to one of the endpoints."""
        failure = event.failure
        if failure is None:
            raise Broken("G5", "Disconnected was told, and nothing has failed")
        if failure.code in REST_END:
            self._debts.stop_for = REST_END[failure.code]
            return
        retry_in = self._next_attempt(event)
        slow = needs_a_person(failure.kind) if failure.code is None else slow_retry(failure.code)
        code = self._purse.last_code
        if self._count == 1 and code is not None:
            demand(slow or not slow_retry(code), "G5", f"error {code} is not tried slowly")
        least = max(failure.retry_after or 0.0, self._policy.configuration_retry if slow else 0.0)
        self._pace.attempt_ended(now, retry_in, least=least)
        self._debts.owe_configuration(slow)

    def _next_attempt(self, event: Disconnected) -> float:
        if event.retry_in is None:
            raise Broken("G1", "Disconnected names no next attempt, and the shard does not stop")
        return event.retry_in

    def _longest_slot(self, now: float) -> float:
        window = self._policy.identify_window * (self._count + 3)
        return 86_400.0 if self._purse.left(now) is not None else window
