"""What has to be told before a machine falls silent again: an end, an error, a conflict, a lag."""

from __future__ import annotations

from qqproto.policy import Policy
from qqproto.testing.simulation.reference.purse import Purse
from qqproto.testing.simulation.reference.verdict import demand


class Debts:
    """The things that one shard owes."""

    __slots__ = ("configuration", "conflict", "lag_since", "stop_for", "told_configuration")

    def __init__(self) -> None:
        self.stop_for: str | None = None
        self.configuration = False
        self.told_configuration = False
        self.conflict = False
        self.lag_since: float | None = None

    def owe_configuration(self, owed: bool) -> None:
        """A configuration error is told once, until a session is live."""
        self.configuration = owed and not self.told_configuration

    def pay_configuration(self, hint: str) -> None:
        demand(not self.told_configuration, "G5", "ConfigurationError was told twice")
        demand(bool(hint.strip()), "G8", "a ConfigurationError without a hint")
        self.told_configuration, self.configuration = True, False

    def pay_conflict(self) -> None:
        demand(self.conflict, "G5", "ConflictSuspected without so many takeovers")
        self.conflict = False

    def settle(self) -> None:
        """The machine has nothing more to say: is all paid?"""
        demand(self.stop_for is None, "G5", f"the shard goes on, where it has to stop: {self.stop_for}")
        demand(not self.configuration, "G5", "no ConfigurationError, although a person has to do something")
        demand(not self.conflict, "G5", "no ConflictSuspected after so many takeovers")


class Renewal:
    """A refused token has to be replaced, and after a refused Identify the gateway information as well."""

    __slots__ = ("_policy", "_purse", "_refused", "_slack")

    def __init__(self, policy: Policy, purse: Purse, slack: float) -> None:
        self._policy = policy
        self._purse = purse
        self._slack = slack
        self._refused: tuple[str, float, bool] | None = None

    def refused(self, token: str, now: float, *, with_gateway: bool) -> None:
        """The platform refused what was said with this token."""
        self._refused = token, now, with_gateway

    def sends(self, token: str, now: float, *, alone: bool) -> None:
        """Identify or Resume says this; ``alone``: no other shard may have had the token renewed."""
        demand(token.startswith("QQBot "), "G5", "the token is not sent as 'QQBot …'")
        refused, self._refused = self._refused, None
        if refused is None or not alone:
            return
        before, since, with_gateway = refused
        if token == before:
            demand(self._purse.token_asked_at >= since, "G5", "the token was refused, and no other one asked for")
            soon = now - since < self._policy.token_refused_pause - self._slack
            demand(not soon, "G5", f"a token is used again {now - since:.3f} s after it was refused")
        fetched = not with_gateway or self._purse.gateway_asked_at >= since
        demand(fetched, "G5", "Identify was refused, and the gateway information not asked for again")
