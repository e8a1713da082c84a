"""The platform's events over HTTP callbacks: requests in, replies and dispatches out; no I/O, no clock.

Needs the package cryptography (extra ``webhook``).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from qqproto.credentials import Credentials
from qqproto.event_names import names_of
from qqproto.events import Dispatch
from qqproto.memory import Memory
from qqproto.policy import Policy
from qqproto.protocol.opcodes import Opcode
from qqproto.protocol.payloads import sequence_of
from qqproto.wire.signatures import SIGNATURE, SigningKey

__all__ = ["Headers", "Webhook", "WebhookReply", "app_id_of"]

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""A request's headers, as a mapping or as pairs; the case of their names does not matter."""

_APP_ID = "x-bot-appid"
_METHOD = "x-signature-method"
_SIGNATURE = "x-signature-ed25519"
_TIMESTAMP = "x-signature-timestamp"
_READ = (_APP_ID, _METHOD, _SIGNATURE, _TIMESTAMP)

_DIGITS = re.compile("[0-9]{1,20}")
_TOKEN = re.compile("[A-Za-z0-9_+/=-]{1,128}")
"""What the platform's validation tokens are made of, and no event can be: those have braces and quotes."""


@dataclass(slots=True)
class WebhookReply:
    """What to answer to one request, and what it brought.

    ``dispatches`` has one event or none. ``refused`` says, for the log, why the request was turned away, None if it was
    not; nothing of the request itself is quoted in it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    dispatches: list[Dispatch] = field(default_factory=list)
    refused: str | None = None


class _Refused(Exception):
    """A request that is turned away, with the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Webhook:
    """One bot's callback address (event-emit/webhook.html, sign.html).

    Give :meth:`handle` each POST and send what it returns; handle the dispatches afterwards. Whatever comes in is
    answered, and nothing raises. One call at a time: a threaded server holds a lock. Each process has a memory of
    repetitions of its own.

    The platform signs events with a key made from the AppSecret, and has the bot sign its validations with the very
    same key. So a validation's answer is a signature that could be put on a forged event, if anybody could choose what
    is signed: only what cannot be an event is. Validations are answered unsigned, as the platform's own documentation
    shows them, unless ``require_signature`` is set; a signature that is there is always checked. Events are taken with
    a signature alone.

    ``max_skew``: by how many seconds a signed request may be older or younger than the clock says. ``policy`` limits
    the body and the memories. Raises ImportError without cryptography.
    """

    __slots__ = ("_app_id", "_count", "_key", "_max_body", "_max_skew", "_require_signature", "_seen")

    def __init__(
        self,
        credentials: Credentials,
        *,
        require_signature: bool = False,
        max_skew: float = 300.0,
        policy: Policy = Policy(),
    ) -> None:
        if not max_skew > 0:
            raise ValueError(f"max_skew must be above zero, not {max_skew}: no request would be taken")
        self._app_id = credentials.app_id
        self._key = SigningKey(credentials.secret)
        self._require_signature = require_signature
        self._max_skew = max_skew
        self._max_body = policy.max_http_body
        self._seen = Memory(size=policy.remember_seen, life=policy.remember_for)
        self._count: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Webhook({self._app_id!r})"

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def counters(self) -> Mapping[str, int]:
        """How often what came: ``dispatches``, ``repetitions``, ``validations``, ``heartbeats``, ``unknown_opcodes``,
        ``refused``.
        """
        return dict(self._count)

    # -- input ----------------------------------------------------------------------------------------------------

    def handle(self, headers: Headers, body: bytes, unix_time: float) -> WebhookReply:
        """Take one POST: its headers, its body as it came, and the time in Unix seconds. Never raises.

        The body has to be the very bytes: a body that was decoded and encoded again has another signature.
        """
        try:
            return self._handle(_pick(headers), body, unix_time)
        except _Refused as refusal:
            self._count["refused"] += 1
            return refuse(refusal.status, refusal.reason)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _handle(self, headers: dict[str, str], body: bytes, unix_time: float) -> WebhookReply:
        if len(body) > self._max_body:
            raise _Refused(413, f"the body has more than {self._max_body} bytes")
        if headers.get(_APP_ID, self._app_id) != self._app_id:
            raise _Refused(403, "the request is for another bot")
        signature = self._check_signature(headers, body, unix_time)
        envelope = _decode(body)
        opcode = envelope["op"]
        if opcode == Opcode.CALLBACK_VALIDATION:
            if self._require_signature and signature is None:
                raise _Refused(401, "the validation is not signed")
            return self._on_validation(envelope.get("d"))
        if signature is None:
            raise _Refused(401, "the request is not signed")
        if opcode == Opcode.DISPATCH:
            return self._on_dispatch(envelope, signature, unix_time)
        if opcode == Opcode.HEARTBEAT:
            self._count["heartbeats"] += 1
            return _answer({"op": int(Opcode.HEARTBEAT_ACK), "d": sequence_of({"s": envelope.get("d")}) or 0})
        self._count["unknown_opcodes"] += 1
        return _acknowledge()

    def _check_signature(self, headers: dict[str, str], body: bytes, unix_time: float) -> str | None:
        """The signature, None if the request has none; one that is signed wrongly is refused."""
        signature, timestamp = headers.get(_SIGNATURE), headers.get(_TIMESTAMP)
        if signature is None and timestamp is None:
            return None
        if signature is None or timestamp is None:
            raise _Refused(401, "a signature and its timestamp come together, and one of them is missing")
        if headers.get(_METHOD, "ed25519").lower() != "ed25519":
            raise _Refused(401, "the signature is of another method than Ed25519")
        if not SIGNATURE.fullmatch(signature):
            raise _Refused(401, "the signature is not 128 hexadecimal digits")
        if not _DIGITS.fullmatch(timestamp):
            raise _Refused(401, "the timestamp of the signature is no number")
        if not self._key.verifies(signature, timestamp, body):
            raise _Refused(401, "the signature does not fit: another secret, or a body that was changed on its way")
        # What is not a number lies in no window.
        if not abs(unix_time - int(timestamp)) <= self._max_skew:
            raise _Refused(401, "the signature is too old or too young: a replay, or a clock that is wrong")
        return signature.lower()

    def _on_validation(self, data: Any) -> WebhookReply:
        """Sign what the platform wants signed, and nothing that could be an event's timestamp and body."""
        data = data if isinstance(data, dict) else {}
        token, time = data.get("plain_token"), data.get("event_ts")
        if type(time) is int and time >= 0:
            time = str(time) if time < 10**20 else ""  # the older documentation shows a number
        if not isinstance(time, str) or not _DIGITS.fullmatch(time):
            raise _Refused(400, "event_ts is not 1 to 20 digits")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise _Refused(400, "plain_token is not 1 to 128 letters, digits and _+/=-; nothing else is signed")
        self._count["validations"] += 1
        return _answer({"plain_token": token, "signature": self._key.sign(time, token.encode())})

    def _on_dispatch(self, envelope: dict[str, Any], signature: str, unix_time: float) -> WebhookReply:
        type_, id = envelope.get("t"), envelope.get("id")
        if not isinstance(type_, str) or not type_:
            raise _Refused(400, "a dispatch without a type")
        dispatch = Dispatch(
            type_,
            envelope.get("d"),
            id if isinstance(id, str) else None,
            sequence_of(envelope),
            envelope=envelope,
        )
        # An event without a name is still known when the very same request comes again.
        names = names_of(dispatch) or (signature,)
        reply = _acknowledge()
        if self._seen.knows(names, unix_time):
            self._count["repetitions"] += 1
        else:
            self._seen.remember(names, unix_time)
            self._count["dispatches"] += 1
            reply.dispatches.append(dispatch)
        return reply


def app_id_of(headers: Headers) -> str | None:
    """Which of several bots behind one address a request is for (``X-Bot-Appid``), None if it does not say.

    >>> app_id_of([("x-bot-appid", "11111111")])
    '11111111'
    """
    return _pick(headers).get(_APP_ID)


def refuse(status: int, reason: str) -> WebhookReply:
    """The reply to a request that is turned away; the reason is for its sender, too."""
    reply = _answer({"message": reason}, status)
    reply.refused = reason
    return reply


def _pick(headers: Headers) -> dict[str, str]:
    """The headers that matter, by their names in lower case; of one that comes twice, both values together, as HTTP
    has it, which is then the value of none of them."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        if name in _READ:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _decode(body: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Refused(400, "the body is no JSON in UTF-8") from None
    if not isinstance(envelope, dict) or type(envelope.get("op")) is not int:
        raise _Refused(400, "the body is no envelope: an object with an opcode")
    return envelope


def _acknowledge() -> WebhookReply:
    return _answer({"op": int(Opcode.HTTP_CALLBACK_ACK), "d": 0})


def _answer(message: dict[str, Any], status: int = 200) -> WebhookReply:
    body = json.dumps(message, separators=(",", ":")).encode()
    return WebhookReply(status, {"Content-Type": "application/json"}, body)
