"""Who may start or resume a session: the platform's answer to an Identify and to a Resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from qqproto.testing.behaviour import Refusal, next_refusal
from qqproto.testing.bots import FakeBot
from qqproto.testing.registry import Registry
from qqproto.testing.sessions import FakeSession

_DAY = 86_400.0
_TOKEN_PREFIX = "QQBot "

Blame: TypeAlias = Callable[[str], None]


@dataclass(slots=True)
class Admitted:
    """The session that the client is let into; ``resumed_from`` is None for one that begins."""

    session: FakeSession
    bot: FakeBot
    resumed_from: int | None = None


def identify(registry: Registry, data: Any, blame: Blame, now: float) -> Admitted | Refusal | None:
    """What an Identify with this ``d`` leads to, None: no answer. ``blame`` is told what a client should not do."""
    bot = _bot(registry, data, "Identify", blame, now)
    if isinstance(bot, Refusal):
        return bot
    intents, shard = data.get("intents"), _shard(data.get("shard", [0, 1]))
    if type(intents) is not int:
        return _malformed("Identify whose intents are no integer", blame)
    wrong = bot.start_session(now, registry.behaviour.slack)
    if wrong is not None:
        blame(wrong)
        return Refusal()
    refusal = next_refusal(registry.behaviour.identify)
    if refusal is not None:
        return refusal
    if shard is None:
        blame(f"an Identify for shard {data.get('shard')!r}")
        return Refusal(4010, op9=None)
    if shard[1] < bot.min_shards:
        return Refusal(4011, op9=None)
    if intents < 0 or (bot.intents is not None and intents & ~bot.intents):
        return Refusal()
    if not registry.behaviour.answers:
        return None
    for other in registry.due_sessions(bot.app_id, shard, now):
        if now - other.created_at < _DAY:
            blame(f"Identify, although session {other.id} was to be resumed")
        other.resume_due = False
    return Admitted(registry.new_session(bot.app_id, shard, intents, now), bot)


def resume(registry: Registry, data: Any, blame: Blame, now: float) -> Admitted | Refusal | None:
    """What a Resume with this ``d`` leads to, None: no answer. A refused session that is not kept is gone after it."""
    bot = _bot(registry, data, "Resume", blame, now)
    if isinstance(bot, Refusal):
        return bot
    session_id, sequence = data.get("session_id"), data.get("seq")
    if not isinstance(session_id, str) or type(sequence) is not int or sequence < 0:
        return _malformed("Resume without a session_id and a seq", blame)
    session = registry.session_to_resume(session_id, now)
    if session is None or session.app_id != bot.app_id:
        if session is not None:
            blame(f"Resume of session {session_id}, which is another bot's")
        elif registry.was_refused(session_id):
            blame(f"Resume of session {session_id} once more, after it was said to be over")
        registry.refuse_session(session_id)
        return Refusal(4006)
    session.resume_due = False
    refusal = next_refusal(registry.behaviour.resume)
    if sequence > session.sent:
        blame(f"Resume from sequence {sequence}, where {session.sent} was the last one sent")
        refusal = Refusal(4007, op9=None)
    elif not session.reaches(sequence):
        refusal = refusal or Refusal(4006)
    if refusal is not None:
        if not refusal.keeps_session:
            registry.end_session(session)
        return refusal
    return Admitted(session, bot, sequence) if registry.behaviour.answers else None


def _bot(registry: Registry, data: Any, name: str, blame: Blame, now: float) -> FakeBot | Refusal:
    """The bot whose token it is."""
    if not isinstance(data, dict):
        return _malformed(f"{name} without its data", blame)
    token = data.get("token")
    if not isinstance(token, str) or not token.startswith(_TOKEN_PREFIX):
        blame(f"{name} with a token that is not of the form 'QQBot …'")
        return Refusal(4004, op9=None)
    return registry.bot_of(token.removeprefix(_TOKEN_PREFIX), now) or Refusal(4004, op9=None)


def _malformed(what: str, blame: Blame) -> Refusal:
    blame(what)
    return Refusal(4002, op9=None)


def _shard(value: Any) -> tuple[int, int] | None:
    """The shard of an Identify, None if it is not ``[index, count]`` with the index below the count."""
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        index, count = value
        if 0 <= index < count:
            return index, count
    return None
