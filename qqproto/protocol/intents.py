"""The bits of Identify's ``intents``: which events a connection is asked to carry, and who may ask for them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass


class Intents(enum.IntFlag):
    """What a bot subscribes to (websocket.html, intents; bits 18 and 19 from the SDKs, 23 from botgo).

    Group and private chats are ``GROUP_AND_C2C_EVENT``. Unknown bits are kept, so that a new one can be given as a
    number. Refused intents show at Identify: as close code 4013 or 4014, or as op 9 followed by 4903. A permission that
    is lost while the bot is connected is not told; it shows at the next Identify.
    """

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGE = 1 << 12
    OPEN_FORUM_EVENT = 1 << 18
    AUDIO_OR_LIVE_CHANNEL_MEMBER = 1 << 19
    ENTER_AIO = 1 << 23
    GROUP_MEMBER_EVENT = 1 << 24
    GROUP_AND_C2C_EVENT = 1 << 25
    INTERACTION = 1 << 26
    MESSAGE_AUDIT = 1 << 27
    FORUMS_EVENT = 1 << 28
    AUDIO_ACTION = 1 << 29
    PUBLIC_GUILD_MESSAGES = 1 << 30

    @classmethod
    def parse(cls, words: str | Iterable[str]) -> Intents:
        """Intents from names and numbers: an iterable, or one string separated by commas, spaces or ``|``.

        A number is decimal, hexadecimal (``0x2000000``) or a bit (``1<<25``). Raises ValueError, in one sentence, for
        what is no intent, naming what may have been meant, and where nothing is given.

        >>> Intents.parse("GROUP_AND_C2C_EVENT, interaction | 1<<30").names
        ('GROUP_AND_C2C_EVENT', 'INTERACTION', 'PUBLIC_GUILD_MESSAGES')
        """
        text = words if isinstance(words, str) else " ".join(words)
        # "1 << 30" is one word.
        found = re.sub(r"\s*<<\s*", "<<", text).replace(",", " ").replace("|", " ").split()
        result = cls(0)
        for word in found:
            result |= cls._of_word(word)
        if not result:
            raise ValueError("no intents given; give at least one, such as GROUP_AND_C2C_EVENT")
        return result

    @classmethod
    def _of_word(cls, word: str) -> Intents:
        name = word.upper().replace("-", "_")
        if name in cls.__members__:
            return cls[name]
        if number := re.fullmatch(r"([0-9]{1,10})|0[xX]([0-9a-fA-F]{1,8})|1<<([0-9]{1,2})", word):
            plain, hexadecimal, bit = number.groups()
            value = int(plain) if plain else int(hexadecimal, 16) if hexadecimal else 1 << int(bit)
            if value >> _BITS:
                raise ValueError(f"{word!r} is no intent: the bits are from 1<<0 to 1<<{_BITS - 1}")
            return cls(value)
        meant = _meant(name, cls.__members__) or f"known are {', '.join(cls.__members__)}, and numbers"
        raise ValueError(f"{word!r} is no intent; {meant}")

    @classmethod
    def for_types(cls, *types: str) -> Intents:
        """The intents that bring dispatches of these types.

        Raises ValueError for a type that no known intent carries; READY and RESUMED come without one.

        >>> Intents.for_types("C2C_MESSAGE_CREATE", "INTERACTION_CREATE").names
        ('GROUP_AND_C2C_EVENT', 'INTERACTION')
        """
        result = cls(0)
        for type in types:
            intent = INTENT_OF.get(type)
            if intent is None:
                meant = _meant(type.upper(), INTENT_OF)
                raise ValueError(f"no intent is known that carries {type!r}{meant and '; '}{meant}")
            result |= intent
        return result

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the bits that are set; unknown ones as ``1<<n``."""
        known = {int(member): name for name, member in type(self).__members__.items()}
        bits = (bit for bit in range(int(self).bit_length()) if int(self) >> bit & 1)
        return tuple(known.get(1 << bit, f"1<<{bit}") for bit in bits)


def _meant(word: str, known: Iterable[str]) -> str:
    """What somebody may have wanted to write, as a question; empty if nothing comes close."""
    import difflib  # Only a slip of the finger needs it.

    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else ""


_BITS = 32
"""The docs go up to bit 30, and SDKs carry them in 32 bits (simbot); anything beyond is a slip of the finger."""


@dataclass(frozen=True, slots=True)
class IntentRow:
    """One row: the dispatch types that a bit carries, who may have it, and who says so."""

    intent: Intents
    types: tuple[str, ...]
    permission: str
    source: str


_OFFICIAL = "event-emit/websocket.html"
_APPLY = "on application"
_PRIVATE = "private-domain bots only"

INTENTS = (
    IntentRow(
        Intents.GUILDS,
        ("GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE", "CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE"),
        "every bot",
        _OFFICIAL,
    ),
    IntentRow(
        Intents.GUILD_MEMBERS,
        ("GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE"),
        "every bot",
        _OFFICIAL,
    ),
    # A page on channels files MESSAGE_CREATE under PUBLIC_GUILD_MESSAGES; the master list has it here.
    IntentRow(Intents.GUILD_MESSAGES, ("MESSAGE_CREATE", "MESSAGE_DELETE"), _PRIVATE, _OFFICIAL),
    IntentRow(Intents.GUILD_MESSAGE_REACTIONS, ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"), _APPLY, _OFFICIAL),
    IntentRow(
        Intents.DIRECT_MESSAGE,
        ("DIRECT_MESSAGE_CREATE", "DIRECT_MESSAGE_DELETE"),
        f"{_APPLY} (the Node SDK's docs: every bot)",
        _OFFICIAL,
    ),
    IntentRow(
        Intents.OPEN_FORUM_EVENT,
        (
            "OPEN_FORUM_THREAD_CREATE",
            "OPEN_FORUM_THREAD_UPDATE",
            "OPEN_FORUM_THREAD_DELETE",
            "OPEN_FORUM_POST_CREATE",
            "OPEN_FORUM_POST_DELETE",
            "OPEN_FORUM_REPLY_CREATE",
            "OPEN_FORUM_REPLY_DELETE",
        ),
        "public-domain bots",
        "content/forum/open_forum.html; the bit from botpy and satori",
    ),
    IntentRow(
        Intents.AUDIO_OR_LIVE_CHANNEL_MEMBER,
        ("AUDIO_OR_LIVE_CHANNEL_MEMBER_ENTER", "AUDIO_OR_LIVE_CHANNEL_MEMBER_EXIT"),
        "not documented",
        "role/audio_or_live_channel_member.html; the bit from botpy and satori",
    ),
    IntentRow(Intents.ENTER_AIO, ("ENTER_AIO",), "not documented", "botgo dto/websocket_intent.go"),
    IntentRow(
        Intents.GROUP_MEMBER_EVENT,
        ("GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE", "GROUP_JOIN_REQUEST"),
        f"{_APPLY}; join requests: where the bot is an administrator of the group",
        "autogen/event/group_member_add.html; simbot and nonebot since the summer of 2026",
    ),
    IntentRow(
        Intents.GROUP_AND_C2C_EVENT,
        (
            "C2C_MESSAGE_CREATE",
            "FRIEND_ADD",
            "FRIEND_DEL",
            "C2C_MSG_REJECT",
            "C2C_MSG_RECEIVE",
            "GROUP_AT_MESSAGE_CREATE",
            "GROUP_MESSAGE_CREATE",
            "GROUP_ADD_ROBOT",
            "GROUP_DEL_ROBOT",
            "GROUP_MSG_REJECT",
            "GROUP_MSG_RECEIVE",
            "SUBSCRIBE_MESSAGE_STATUS",
        ),
        f"{_APPLY} (measured in September 2026: every bot)",
        _OFFICIAL,
    ),
    # A review of another SDK takes bit 26 for one of group messages; it is not.
    IntentRow(Intents.INTERACTION, ("INTERACTION_CREATE",), f"{_APPLY} (in practice: every bot)", _OFFICIAL),
    IntentRow(Intents.MESSAGE_AUDIT, ("MESSAGE_AUDIT_PASS", "MESSAGE_AUDIT_REJECT"), _APPLY, _OFFICIAL),
    IntentRow(
        Intents.FORUMS_EVENT,
        (
            "FORUM_THREAD_CREATE",
            "FORUM_THREAD_UPDATE",
            "FORUM_THREAD_DELETE",
            "FORUM_POST_CREATE",
            "FORUM_POST_DELETE",
            "FORUM_REPLY_CREATE",
            "FORUM_REPLY_DELETE",
            "FORUM_PUBLISH_AUDIT_RESULT",
        ),
        _PRIVATE,
        _OFFICIAL,
    ),
    IntentRow(
        Intents.AUDIO_ACTION,
        ("AUDIO_START", "AUDIO_FINISH", "AUDIO_ON_MIC", "AUDIO_OFF_MIC"),
        "audio bots",
        _OFFICIAL,
    ),
    IntentRow(Intents.PUBLIC_GUILD_MESSAGES, ("AT_MESSAGE_CREATE", "PUBLIC_MESSAGE_DELETE"), "every bot", _OFFICIAL),
)
"""Every bit that the platform is known to have, in order."""

INTENT_OF: dict[str, Intents] = {type: row.intent for row in INTENTS for type in row.types}
"""The intent that carries a dispatch type; READY and RESUMED need none."""
