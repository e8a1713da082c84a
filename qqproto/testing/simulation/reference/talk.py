"""One connection as the observer knows it: what was said on it, and the deadlines of its handshake."""

from __future__ import annotations

from typing import Any

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.pulse import Pulse
from qqproto.testing.simulation.reference.verdict import demand


class Talk:
    """From the open stream to its end. ``progress_at`` is when READY or RESUMED last came something nearer;
    ``announced``: it is live, or the application was told so because the replay has begun."""

    __slots__ = ("announced", "auth", "broken", "hello_at", "live_at", "no_session", "op7", "op9", "op9_at",
                 "progress_at", "pulse", "token")  # fmt: skip

    def __init__(self, pulse: Pulse, now: float) -> None:
        self.pulse = pulse
        self.hello_at: float | None = None
        self.auth: int | None = None
        self.token = ""
        self.live_at: float | None = None
        self.progress_at = now
        self.op7 = False
        self.op9: bool | None = None
        self.op9_at: float | None = None
        self.no_session = False
        self.announced = False
        self.broken = False

    def greeted(self, data: Any, now: float) -> None:
        """Hello came."""
        self.hello_at = self.progress_at = now
        self.pulse.hello(data, now)

    def authenticated(self, opcode: int, token: str, now: float) -> None:
        """Identify or Resume went out."""
        self.auth, self.token = opcode, token
        self.progress_at = now

    @property
    def leaving(self) -> bool:
        """Whether something came after which our side goes at once; what follows in the same read is not heeded."""
        return self.op7 or self.op9 is True or self.no_session or self.broken

    def overdue(self, now: float, forgiven: float, policy: Policy, slack: float) -> bool:
        """Whether our side may give up waiting; what was before ``forgiven`` does not count."""
        return now >= self._deadline(forgiven, policy)[0] - slack

    def check(self, now: float, policy: Policy, slack: float) -> None:
        """Raise if our side should have given up."""
        due, what = self._deadline(self.pulse.base, policy)
        demand(now <= due + slack, "G4", f"{what} is waited for {now - due:.3f} s beyond the deadline")

    def _deadline(self, base: float, policy: Policy) -> tuple[float, str]:
        """When the phase of the handshake that it is in has taken too long, and which one that is."""
        if self.op9_at is not None:
            # Op 9 puts an end to the waiting for READY; the close frame may come in these seconds.
            return max(self.op9_at, base) + policy.invalid_session_wait, "the close frame after op 9"
        base = max(base, self.progress_at)
        if self.hello_at is None:
            return base + policy.hello_timeout, "the upgrade and Hello"
        if self.auth is None:
            return base + policy.identify_slot_wait, "the identify slot"
        return base + policy.ready_timeout, "READY or RESUMED"
