"""The one value that survives a socket: which session the platform keeps for us, and how far we are in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qqproto.config import ShardConfig

_VERSION = 1


@dataclass(frozen=True, slots=True)
class User:
    """The bot's own account, from READY: ``id`` and ``username``."""

    id: str
    username: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session on the gateway; small and secret-free, so that it may be saved.

    ``received`` is the highest sequence that came, ``settled`` the highest up to which the application has finished
    with everything, ``ahead`` what it has finished with above that, ``missing`` what did not come below it, and
    ``done`` the names of the last events that it has finished with, oldest first, a sequence that does not change. It
    belongs to one bot, one shard layout and one set of intents, and is refused for another.
    """

    id: str
    app_id: str
    shard: tuple[int, int]
    intents: int
    received: int
    settled: int
    user: User
    ahead: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    done: Sequence[str] = ()

    def unfit_for(self, config: ShardConfig) -> str | None:
        """Why it cannot be resumed with ``config``, None if it can."""
        if self.app_id != config.app_id:
            return f"it is bot {self.app_id}'s, not bot {config.app_id}'s"
        if self.shard != config.shard:
            return f"it is of shard {self.shard}, not of {config.shard}"
        if self.intents != config.intents:
            return f"it was made with intents {self.intents}, not with {config.intents}"
        return None

    def to_bytes(self) -> bytes:
        """The session as UTF-8 JSON, with a version, for :meth:`from_bytes`."""
        # Not `asdict`, which copies every name: a session is saved every second.
        fields = {field: getattr(self, field) for field in self.__slots__}
        fields["user"] = {"id": self.user.id, "username": self.user.username}
        fields["done"] = list(self.done)
        return json.dumps({"version": _VERSION, **fields}, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Session:
        """What :meth:`to_bytes` gave. Raises ValueError that says what is wrong with it otherwise.

        >>> Session.from_bytes(b"{")
        Traceback (most recent call last):
        ValueError: a saved session that is no JSON object
        """
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise ValueError("a saved session that is no JSON object")
        if fields.pop("version", None) != _VERSION:
            raise ValueError(f"a saved session of another version than {_VERSION}")
        return cls(
            id=_text(fields, "id"),
            app_id=_text(fields, "app_id"),
            shard=_pair(fields.get("shard")),
            intents=_number(fields, "intents"),
            received=_number(fields, "received"),
            settled=_number(fields, "settled"),
            user=_user(fields.get("user")),
            ahead=tuple(_items(fields, "ahead", int)),
            missing=tuple(_items(fields, "missing", int)),
            done=tuple(_items(fields, "done", str)),
        )


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"a saved session whose {name} is no text")
    return value


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise ValueError(f"a saved session whose {name} is no number")
    return value


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        return value[0], value[1]
    raise ValueError("a saved session whose shard is no pair of numbers")


def _user(value: Any) -> User:
    if isinstance(value, dict) and isinstance(value.get("id"), str) and isinstance(value.get("username"), str):
        return User(value["id"], value["username"])
    raise ValueError("a saved session without its user")


def _items(fields: dict[str, Any], name: str, kind: type[Any]) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise ValueError(f"a saved session whose {name} is no list of the right things")
    return value
