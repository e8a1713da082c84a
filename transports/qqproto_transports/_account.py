"""A bot's account but for its I/O: whose it is, its way out, and the headers that its token makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from qqproto.credentials import Credentials, Token
from qqproto.credentials import authorization as authorization_value
from qqproto.policy import Policy
from qqproto_transports._account_runner import AccountRunner
from qqproto_transports._egress import Egress

Runner = TypeVar("Runner", bound=AccountRunner)


class AccountCore(Generic[Runner]):
    """What an account of any driver knows and does without waiting. A driver's own class makes the runner."""

    runner: Runner

    def __init__(self, credentials: Credentials, egress: Egress, policy: Policy) -> None:
        self._credentials = credentials
        self.egress = egress
        self.policy = policy

    @property
    def credentials(self) -> Credentials:
        """Whose account it is."""
        return self._credentials

    @property
    def current_token(self) -> Token | None:
        """The token in force, None if there is none yet, or it has expired or was refused; nothing is fetched."""
        return self.runner.account.current_token(self.runner.clock())

    def _headers(self, token: Token) -> dict[str, str]:
        """The headers of a REST call."""
        return {"Authorization": authorization_value(token), "X-Union-Appid": self._credentials.app_id}


def token_in(headers: Mapping[str, str] | None) -> Token | None:
    """The token that headers of a REST call hold, if they do."""
    value = next((value for name, value in (headers or {}).items() if name.lower() == "authorization"), None)
    return Token(value.removeprefix(authorization_value(Token("")))) if value is not None else None


class AsyncAccount(AccountCore[Runner], ABC):
    """What an account of those drivers has in common whose hosts await."""

    @abstractmethod
    async def token(self, *, rejected: Token | None = None, timeout: float = 15.0) -> Token:
        """A token that is good for at least a minute, fetched if need be.

        ``rejected`` is the one that the platform has just refused. Raises :class:`Unavailable` if there is none within
        ``timeout`` seconds.
        """

    async def authorization(
        self, *, rejected: Mapping[str, str] | None = None, timeout: float = 15.0
    ) -> dict[str, str]:
        """The headers that a REST call needs.

        ``rejected``: what this gave before, if the platform has answered that its token is wrong. Raises
        :class:`Unavailable` if there is no token within ``timeout`` seconds.
        """
        return self._headers(await self.token(rejected=token_in(rejected), timeout=timeout))
