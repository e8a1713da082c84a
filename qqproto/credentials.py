"""Who the bot is, where the platform lives, and how long an access token is good for."""

from __future__ import annotations

from dataclasses import dataclass, field

from qqproto.protocol.rest import usable_gateway_url, usable_url


@dataclass(frozen=True, slots=True)
class Credentials:
    """The AppID and AppSecret from the platform's console. The secret appears in no repr."""

    app_id: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.app_id, str) or not self.app_id.strip():
            raise ValueError("app_id must be a non-empty string: the AppID from the bot's page in the QQ console")
        if not isinstance(self.secret, str) or not self.secret.strip():
            raise ValueError("secret must be a non-empty string: the AppSecret from the bot's page in the QQ console")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the platform's HTTP endpoints live; the defaults are production.

    The sandbox's ``api_base`` is ``https://sandbox.api.sgroup.qq.com``. The unified host of August 2026,
    ``https://api.bot.qq.com``, serves both ``api_base`` and ``token_url`` (with the path ``/app/getAppAccessToken``).
    ``gateway_url`` is dialled in place of the address that ``/gateway/bot`` names.
    """

    api_base: str = "https://api.sgroup.qq.com"
    token_url: str = "https://bots.qq.com/app/getAppAccessToken"
    gateway_url: str | None = None

    def __post_init__(self) -> None:
        for name in ("api_base", "token_url"):
            url = getattr(self, name)
            if not usable_url(url, ("http", "https")):
                raise ValueError(f"{name} must be an http:// or https:// URL with a host, not {url!r}")
        if self.gateway_url is not None and not usable_gateway_url(self.gateway_url):
            raise ValueError(f"gateway_url must be a ws:// or wss:// URL with a host, not {self.gateway_url!r}")


@dataclass(slots=True)
class Token:
    """An access token as the platform gave it, without the ``QQBot`` prefix.

    It carries no expiry: a Shard asks anew before each Identify and Resume, and whoever answers knows its age.
    """

    value: str = field(repr=False)


def authorization(token: Token) -> str:
    """The value of the ``Authorization`` header and of the gateway's ``token`` field.

    ``QQBot {access_token}`` is the one form in force (access-token.html; fixed ``Bot`` tokens answer 11245).
    """
    return f"QQBot {token.value}"


class TokenLife:
    """One access token and its age: what may be given out, what has to be fetched.

    The platform returns the same token to every request until its last minute, and a new one inside it, while the old
    one stays valid (access-token.html). So the moment to refresh is inside that minute, and a refused token may well be
    what the next fetch returns; it is then given out again only after ``refused_pause`` seconds.
    """

    __slots__ = ("_expires_at", "_refresh_before", "_refused_at", "_refused_pause", "_refused_value", "_value")

    def __init__(self, *, refresh_before: float, refused_pause: float) -> None:
        self._refresh_before = refresh_before
        self._refused_pause = refused_pause
        self._value: str | None = None
        self._expires_at = 0.0
        self._refused_value: str | None = None
        self._refused_at = 0.0

    def store(self, value: str, expires_in: float, now: float) -> None:
        """Remember a fetched token and its remaining life in seconds."""
        self._value = value
        self._expires_at = now + expires_in

    def refuse(self, value: str, now: float) -> bool:
        """The platform refused ``value``. Returns True if that is the token in force, which is then not fresh any
        more.
        """
        if value != self._value:
            return False
        self._refused_value, self._refused_at = value, now
        self._value = None
        return True

    def fresh(self, now: float) -> Token | None:
        """The token, if it is outside its last minute."""
        if self._value is None or self._expires_at - now <= self._refresh_before:
            return None
        return Token(self._value)

    def usable(self, now: float) -> Token | None:
        """The token, if it has not expired: what is given out when a refresh inside the last minute fails."""
        if self._value is None or self._expires_at <= now:
            return None
        return Token(self._value)

    def held_until(self, now: float) -> float | None:
        """When the token in force may be given out, if it was refused a moment ago; None if it may be now."""
        if self._value is None or self._value != self._refused_value:
            return None
        until = self._refused_at + self._refused_pause
        return until if until > now else None
