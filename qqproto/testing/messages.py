"""The ``d`` of the dispatches that tests and demos need most, in the shapes of the platform's documentation."""

from __future__ import annotations

from typing import Any

from qqproto.testing.wording import timestamp

_USER = "A1B2C3D4E5F6A1B2C3D4E5F6A1B2C3D4"
_GROUP = "0F1E2D3C4B5A69788796A5B4C3D2E1F0"
_MEMBER = "11223344556677889900AABBCCDDEEFF"


def c2c_message(content: str, *, id: str, user: str = _USER, now: float = 0.0) -> dict[str, Any]:
    """Of ``C2C_MESSAGE_CREATE``: somebody writes to the bot (c2c_message_create.html).

    >>> c2c_message("hello", id="ROBOT1.0_1")["content"]
    'hello'
    """
    return {
        "id": id,
        "author": {"id": user, "user_openid": user},
        "content": content,
        "timestamp": timestamp(now),
        "message_type": 0,
        "message_scene": {"source": "default", "ext": []},
    }


def group_at_message(
    content: str, *, id: str, group: str = _GROUP, member: str = _MEMBER, now: float = 0.0
) -> dict[str, Any]:
    """Of ``GROUP_AT_MESSAGE_CREATE``: somebody mentions the bot in a group (group_at_message_create.html).

    The mention itself is cut out by the platform and leaves a space at the front.
    """
    return {
        "id": id,
        "group_openid": group,
        "group_id": group,
        "author": {"id": member, "member_openid": member, "username": "nick", "bot": False, "member_role": "member"},
        "content": f" {content}",
        "timestamp": timestamp(now),
        "message_type": 0,
        "message_scene": {"source": "default", "ext": []},
    }


def at_message(content: str, *, id: str, guild: str = "1", channel: str = "10", now: float = 0.0) -> dict[str, Any]:
    """Of ``AT_MESSAGE_CREATE``: somebody mentions the bot in a channel (the guild message object)."""
    return {
        "id": id,
        "guild_id": guild,
        "channel_id": channel,
        "author": {"id": "3", "username": "nick", "avatar": "", "bot": False},
        "member": {"nick": "nick", "roles": ["1"], "joined_at": timestamp(0.0)},
        "content": content,
        "timestamp": timestamp(now),
        "seq_in_channel": "1",
    }
