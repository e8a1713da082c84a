"""The bits of Identify's ``intents``: which events a connection is asked to carry."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Intents(enum.IntFlag):
    """What a bot subscribes to (websocket.html, intents; bits 18 and 19 from the SDKs, 23 from botgo).

    Group and private chats are ``GROUP_AND_C2C_EVENT``. Unknown bits are kept, so that a new one can be given as a
    number. Refused intents show at Identify: as close code 4013 or 4014, or as op 9 followed by 4903.
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
    def parse(cls, names: str | Iterable[str]) -> Intents:
        """Intents from names or numbers: an iterable, or one string separated by commas, spaces or ``|``.

        Raises ValueError naming the word that is no intent.

        >>> int(Intents.parse("GROUP_AND_C2C_EVENT, interaction"))
        100663296
        """
        words = names.replace(",", " ").replace("|", " ").split() if isinstance(names, str) else list(names)
        if not words:
            raise ValueError(f"no intents given; known are {', '.join(cls.__members__)}")
        result = cls(0)
        for word in words:
            member = cls.__members__.get(word.strip().upper().replace("-", "_"))
            if member is not None:
                result |= member
            elif word.strip().isdecimal():
                result |= cls(int(word))
            else:
                raise ValueError(f"{word!r} is no intent; known are {', '.join(cls.__members__)}")
        return result

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the bits that are set; unknown ones as ``1<<n``."""
        known = {int(member): name for name, member in type(self).__members__.items()}
        bits = (bit for bit in range(int(self).bit_length()) if int(self) >> bit & 1)
        return tuple(known.get(1 << bit, f"1<<{bit}") for bit in bits)
