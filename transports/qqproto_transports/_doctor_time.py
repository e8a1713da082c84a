"""What time it is elsewhere: the Date of any HTTP reply, and what this machine's clock is off by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Protocol

import h11

from qqproto.failures import Failure, FailureKind
from qqproto_transports._common import USER_AGENT
from qqproto_transports._failures import Failed

TOLERATED = 60.0
"""Seconds that a clock may be off without a word. Certificates are a matter of days, and webhooks of five minutes."""

REMEDY = (
    "set this machine's clock, and let it be kept right by NTP (timedatectl set-ntp true; on Windows w32tm /resync):"
    " certificates, and the signatures of webhooks, are judged by it"
)


class Talk(Protocol):
    """A connection on which a host hears what is said."""

    async def send(self, data: bytes) -> None: ...
    async def receive(self) -> bytes: ...


async def ask_time(talk: Talk, authority: str) -> float:
    """The time there, as Unix time in whole seconds, by a request that says nothing but who asks.

    Raises :class:`~qqproto_transports._failures.Failed` if the reply does not tell.
    """
    http = h11.Connection(h11.CLIENT)
    headers = [("Host", authority), ("User-Agent", USER_AGENT), ("Connection", "close")]
    asked = http.send(h11.Request(method="HEAD", target="/", headers=headers)) or b""
    await talk.send(asked + (http.send(h11.EndOfMessage()) or b""))
    try:
        while (event := http.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                if not (data := await talk.receive()):
                    raise _unknown("there is no reply")
                http.receive_data(data)
    except h11.RemoteProtocolError:
        raise _unknown("what answers there speaks no HTTP") from None
    assert isinstance(event, h11.Response), "the first thing that h11 makes of a reply"
    date = next((value.decode("ascii", "replace") for name, value in event.headers if name == b"date"), None)
    if date is None:
        raise _unknown("the reply has no Date")
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        raise _unknown("the reply's Date is none") from None


async def measure(asking: Awaitable[float], wall: Callable[[], float]) -> float:
    """By how many seconds this machine's clock, ``wall``, is ahead of the other one."""
    before = wall()
    there = await asking
    # It was cut to whole seconds, and was read somewhere between the question and the reply.
    return (before + wall()) / 2 - (there + 0.5)


def span(seconds: float) -> str:
    """A span of time, for people."""
    seconds = round(abs(seconds))
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds} s"
    if minutes < 120:
        return f"{minutes} min"
    number, unit = (minutes / 60, "h") if minutes < 48 * 60 else (minutes / 1440, "days")
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def describe(ahead: float, host: str) -> str:
    """How this machine's clock stands to a host's, for people."""
    if abs(ahead) <= TOLERATED:
        return f"this machine's clock agrees with {host}'s"
    return f"this machine's clock is {span(ahead)} {'ahead of' if ahead > 0 else 'behind'} {host}'s"


def _unknown(why: str) -> Failed:
    return Failed(Failure(FailureKind.OTHER, why))
