"""What each close code and each error of the HTTP endpoints leads to, written down from the platform's pages once more.

The close codes are the column "ours" of the platform's table (openapi/error/error.html and eleven clients' readings of
it): R, the session goes on; I, a new one; T, another token, then on with the session if there is one; F, the end.
"""

from __future__ import annotations

from qqproto.failures import FailureKind

_RESUME = (1000, 1001, 4000, 4008, 4009)
_IDENTIFY = (4003, 4005, 4006, 4007, *range(4900, 4914), 9001, 9005)
_END = {
    4001: "protocol", 4002: "protocol", 4010: "sharding", 4011: "sharding", 4012: "protocol", 4013: "intents",
    4014: "intents", 4914: "sandbox-only", 4915: "banned",
}  # fmt: skip

NO_CODE = (None, 1005, 1006)
"""A close without a code is the end of a link and says nothing about the session."""

NO_REFUSAL = (4000, 4008, 4009)
"""Codes that are no answer to a Resume, although they come in its place."""

REST_END = {100016: "credentials", 100007: "credentials", 10004: "credentials", 11245: "credentials", 11265: "banned"}
"""Errors in an HTTP body after which a bot ends, and why."""

REST_RETRY = frozenset((100001, 100017, 20028, 22009, 11242, 11252, 11263, 11281, 500, 504, 1100100, 1100308, 40034100,
                        50055001))  # fmt: skip
REST_EXPIRED = 11244
"""The token has expired: another one is asked for at once, and then it is an error like any other."""


NAMING = frozenset(("C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE",
                    "MESSAGE_CREATE", "DIRECT_MESSAGE_CREATE", "INTERACTION_CREATE"))  # fmt: skip
"""The types whose ``d.id`` names the event; those of all others name a guild, a channel, a person."""


def next_after(code: int | None) -> str:
    """R, I, T or F, for a code that is no answer to a Resume."""
    if code in NO_CODE or code in _RESUME:
        return "R"
    assert code is not None
    if code in _END:
        return "F"
    if code == 4004:
        return "T"
    # Unknown codes: the platform's own identify, the transport's resume.
    return "I" if code in _IDENTIFY or code >= 4000 else "R"


def why_it_ends(code: int) -> str:
    """The reason for the end that a code of kind F is."""
    return _END[code]


def slow_retry(code: int) -> bool:
    """Whether an HTTP error is tried again every few minutes only: a person has to do something, or it is unknown.

    Tokens that are wrong in another way than expired are among them, once another one was refused as well.
    """
    return code not in REST_END and code not in REST_RETRY and code != REST_EXPIRED


def needs_a_person(kind: FailureKind) -> bool:
    """Whether the network says what only a person can mend: credentials for a proxy, whom to trust."""
    return kind.value in ("proxy-auth", "tls-untrusted")
