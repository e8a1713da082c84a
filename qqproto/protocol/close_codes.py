"""What the end of a connection means: close code × phase → verdict, each row with its source."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Phase(enum.Enum):
    """Where a shard is in the life of a connection."""

    IDLE = "idle"
    """Not started."""
    HTTP = "http"
    """Token or gateway information is being fetched."""
    DIAL = "dial"
    """Name, proxy, TCP, TLS."""
    HELLO = "hello"
    """The stream is up; the WebSocket's upgrade and Hello are awaited."""
    AUTH = "auth"
    """Hello came; Identify or Resume is on its way and READY or RESUMED awaited."""
    READY = "ready"
    """The session is live."""
    WAIT = "wait"
    """Between two connections."""
    CLOSING = "closing"
    """The application said goodbye."""
    ENDED = "ended"
    """Over, after ``Stopped``."""


class Verdict(enum.Enum):
    """What may be done after the end of a connection."""

    RESUME = "resume"
    """The session still holds, if there is one."""
    IDENTIFY = "identify"
    """The session is gone; start a new one."""
    REFRESH_TOKEN = "refresh-token"
    """The token was refused; fetch another, then resume, or identify without a session."""
    STOP = "stop"
    """Nothing will help but a person."""


class StopReason(enum.Enum):
    """Why a shard has ended. The values are stable: hosts put them into error codes of their own."""

    CLOSED = "closed"
    HOST_FAILURE = "host-failure"
    CREDENTIALS = "credentials"
    BANNED = "banned"
    SANDBOX_ONLY = "sandbox-only"
    INTENTS = "intents"
    SHARDING = "sharding"
    PROTOCOL = "protocol"
    TOKEN_REFUSED = "token-refused"


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One row: what the platform means by a code, what follows, and who says so.

    ``keeps_resume``: the code is no refusal when it answers a Resume. ``planned``: a rotation, not a fault.
    ``reason`` and ``hint`` are set where the verdict is STOP.
    """

    code: int
    meaning: str
    verdict: Verdict
    source: str
    keeps_resume: bool = False
    planned: bool = False
    reason: StopReason | None = None
    hint: str = ""


_OFFICIAL = "openapi/error/error.html"
_BOTGO = "botgo errs/err.go"
_BUG = "this is a bug in qqproto or in a host that sends for itself; please report it with the log"

_ROWS = (
    CloseCode(1000, "closed normally", Verdict.RESUME, "RFC 6455 §7.4.1; every SDK reconnects"),
    CloseCode(1001, "going away", Verdict.RESUME, "RFC 6455 §7.4.1"),
    CloseCode(4000, "unknown error", Verdict.RESUME, _BOTGO, keeps_resume=True),
    CloseCode(4001, "unknown opcode", Verdict.STOP, _OFFICIAL, reason=StopReason.PROTOCOL, hint=_BUG),
    CloseCode(4002, "payload decode error", Verdict.STOP, _OFFICIAL, reason=StopReason.PROTOCOL, hint=_BUG),
    CloseCode(4003, "not authenticated", Verdict.IDENTIFY, _BOTGO),
    CloseCode(4004, "authentication failed", Verdict.REFRESH_TOKEN, f"{_BOTGO}; botpy, node SDK, hermes refresh"),
    CloseCode(4005, "already authenticated", Verdict.IDENTIFY, _BOTGO),
    CloseCode(4006, "session no longer valid", Verdict.IDENTIFY, _OFFICIAL),
    CloseCode(4007, "wrong sequence", Verdict.IDENTIFY, _OFFICIAL),
    CloseCode(4008, "sending too fast", Verdict.RESUME, _OFFICIAL, keeps_resume=True),
    CloseCode(4009, "session timed out", Verdict.RESUME, _OFFICIAL, keeps_resume=True, planned=True),
    CloseCode(
        4010,
        "invalid shard",
        Verdict.STOP,
        _OFFICIAL,
        reason=StopReason.SHARDING,
        hint="the shard index or count is wrong: let every process use the same count, and indexes below it",
    ),
    CloseCode(
        4011,
        "sharding required",
        Verdict.STOP,
        _OFFICIAL,
        reason=StopReason.SHARDING,
        hint="the bot is in too many guilds for this many shards: reshard with the count that /gateway/bot recommends",
    ),
    CloseCode(4012, "invalid version", Verdict.STOP, _OFFICIAL, reason=StopReason.PROTOCOL, hint=_BUG),
    CloseCode(
        4013,
        "invalid intents",
        Verdict.STOP,
        _OFFICIAL,
        reason=StopReason.INTENTS,
        hint="the intents have bits that the platform does not know: check the number against qqproto.Intents",
    ),
    CloseCode(
        4014,
        "intents not permitted",
        Verdict.STOP,
        _OFFICIAL,
        reason=StopReason.INTENTS,
        hint="the bot may not have some of these intents: apply for them in the QQ console, or ask for fewer",
    ),
    *(
        CloseCode(code, "internal error of the platform", Verdict.IDENTIFY, _OFFICIAL)
        for code in (4900, 4901, *range(4904, 4914))
    ),
    CloseCode(4902, "session taken over by another Resume", Verdict.IDENTIFY, "bot-node-sdk#94"),
    CloseCode(4903, "the session could not be created", Verdict.IDENTIFY, "openclaw-qqbot#18; adapter-qq#108"),
    CloseCode(
        4914,
        "bot taken offline; only the sandbox is allowed",
        Verdict.STOP,
        _OFFICIAL,
        reason=StopReason.SANDBOX_ONLY,
        hint="the platform allows this bot in the sandbox only: use https://sandbox.api.sgroup.qq.com as api_base,"
        " or have the bot published",
    ),
    CloseCode(
        4915,
        "bot banned",
        Verdict.STOP,
        _OFFICIAL,
        reason=StopReason.BANNED,
        hint="the platform has banned this bot: see its page in the QQ console",
    ),
)

CLOSE_CODES: dict[int, CloseCode] = {row.code: row for row in _ROWS}
"""Every code the platform is known to send, by number."""

_NO_CLOSE_FRAME = (None, 1005, 1006)


def row_of(code: int) -> CloseCode:
    """The table's row for ``code``, or what an unknown one is taken for.

    "Others: identify" (error.html) for unknown codes of the platform's range, and for numbers above it, such as the
    9001 and 9005 that botgo uses inside and other SDKs copied; anything else is the transport's.
    """
    known = CLOSE_CODES.get(code)
    if known is not None:
        return known
    if code >= 4000:
        return CloseCode(code, "unknown code of the platform", Verdict.IDENTIFY, f"{_OFFICIAL}: others identify")
    return CloseCode(code, "closed by the transport", Verdict.RESUME, "RFC 6455 §7.4")


def classify(code: int | None, phase: Phase) -> Verdict:
    """What the end of a connection with ``code`` in ``phase`` allows.

    ``None``, 1005 and 1006 mean that no close frame came: a dead link, which refuses nothing. In phase ``AUTH`` any
    other code than 4000, 4008 and 4009 is the answer to a Resume (or to an Identify, where there is nothing to resume),
    and the session is not tried again.
    """
    if code is None or code in _NO_CLOSE_FRAME:
        return Verdict.RESUME
    row = row_of(code)
    if phase is Phase.AUTH and row.verdict is Verdict.RESUME and not row.keeps_resume:
        return Verdict.IDENTIFY
    return row.verdict
