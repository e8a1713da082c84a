"""How what a machine is given and what it says look in a recording: JSON that people can read."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any

from qqproto.config import Framing, ShardConfig
from qqproto.events import Dispatch, Malformed
from qqproto.failures import Failure, FailureKind
from qqproto.outbox import Output
from qqproto.policy import Policy
from qqproto.protocol.rest import GatewayInfo
from qqproto.recording.redaction import Redactor
from qqproto.session import Session

_LEFT_OUT = ("data", "dispatch", "envelope", "trace")
"""Of events: it is what the server said, and stands in the recording already."""


_READABLE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ASCII = json.JSONEncoder(separators=(",", ":"))


def dump(value: Any) -> str:
    """One line of JSON."""
    text = _READABLE.encode(value)
    return text if _is_unicode(text) else _ASCII.encode(value)


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: half a surrogate pair cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def plain(value: Any) -> Any:
    """Values of the library's as JSON's."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value) if field.name not in _LEFT_OUT)
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def clean(value: Any, redactor: Redactor) -> Any:
    """JSON without secrets."""
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, list):
        return [clean(item, redactor) for item in value]
    return {key: clean(item, redactor) for key, item in value.items()} if isinstance(value, dict) else value


# -- what a shard is made of ------------------------------------------------------------------------------------------


def made_of(
    config: ShardConfig, session: Session | None, age: float, policy: Policy, framing: Framing, redactor: Redactor
) -> dict[str, Any]:
    """Everything that a shard is made of, but for its randomness and its decoder."""
    return {
        "made": config_to_json(config, redactor),
        "framing": framing.value,
        "policy": plain(policy),
        "session": session_to_json(session, redactor),
        "age": age,
    }


def config_to_json(config: ShardConfig, redactor: Redactor) -> dict[str, Any]:
    return {
        **plain(config),
        "intents": int(config.intents),
        "properties": dict(config.properties),
        "headers": redactor.headers(config.headers),
    }


def config_of(fields: dict[str, Any]) -> ShardConfig:
    index, count = fields["shard"]
    return ShardConfig(**{**fields, "shard": (index, count)})


def policy_of(fields: dict[str, Any]) -> Policy:
    """A policy of this release: numbers that it does not know are left aside, others have their defaults."""
    known = {field.name for field in dataclasses.fields(Policy)}
    numbers = {name: value for name, value in fields.items() if name in known}
    return Policy(**{**numbers, "backoff": tuple(numbers["backoff"])})


def session_to_json(session: Session | None, redactor: Redactor) -> Any:
    if session is None:
        return None
    done = tuple(redactor.event_name(name) for name in session.done)
    return json.loads(dataclasses.replace(session, done=done).to_bytes())


def session_of(fields: dict[str, Any] | None) -> Session | None:
    return None if fields is None else Session.from_bytes(json.dumps(fields).encode())


def framing_of(value: str) -> Framing:
    return Framing(value)


# -- what it is told --------------------------------------------------------------------------------------------------


def failure_of(fields: dict[str, Any]) -> Failure:
    return Failure(**{**fields, "kind": FailureKind(fields["kind"])})


def gateway_of(fields: dict[str, Any]) -> GatewayInfo:
    return GatewayInfo(**fields)


def gateway_to_json(info: GatewayInfo, redactor: Redactor) -> dict[str, Any]:
    return {**plain(info), "url": redactor.url(info.url)}


# -- what it says -----------------------------------------------------------------------------------------------------


def output_to_json(output: Output, redactor: Redactor) -> dict[str, Any]:
    """An action or an event; what was sent as bytes is for :mod:`qqproto.recording.sent`."""
    fields: dict[str, Any] = plain(output)
    for name, hide in _HIDDEN.items():
        if name in fields and fields[name] is not None:
            fields[name] = hide(redactor, fields[name])
    if isinstance(output, Dispatch):
        fields["id"] = None if output.id is None else redactor.word(output.id)
    elif isinstance(output, Malformed) and redactor.hides_contents:
        del fields["sample"]
    return {"out": type(output).__name__, **clean(fields, redactor)}


_HIDDEN: dict[str, Any] = {
    "rejected": lambda redactor, token: redactor.secret(token, "token"),
    "url": Redactor.url,
    "headers": Redactor.headers,
    "text": Redactor.own_text,
}
