"""The dispatch types: which intent carries each, what its payload is called, and whether ``d.id`` names the event.

The machines need no more than this; the payloads' shapes are in :mod:`qqproto.protocol.dispatches`.
"""

from __future__ import annotations

from dataclasses import dataclass

from qqproto.protocol.intents import INTENT_OF, Intents


@dataclass(frozen=True, slots=True)
class DispatchType:
    """One row: a value of the envelope's ``t``, and who says so.

    ``payload`` is the name of its class in :mod:`qqproto.protocol.dispatches`, None if ``d`` is no object. ``intent``
    is the one to ask for, None if it comes without. ``id_names_event``: ``d.id`` is that of the event itself, so that
    it comes once; everywhere else it names a thing, a guild or a channel, which many events are about.
    """

    type: str
    payload: str | None
    source: str
    intent: Intents | None
    id_names_event: bool = False


_BASE = "event-emit/websocket.html"
_USERS = "server-inter/user/manage/event.html"
_GROUPS = "server-inter/group/manage/event.html"
_GUILD = "channel/manage/event/guild.html"
_CHANNEL = "channel/manage/event/channel.html"
_GUILD_MEMBER = "channel/role/guild_member.html"
_MESSAGE = "message/send-receive/event.html"
_MODEL = "message/template/model.html"
_REACTION = "message/trans/emoji.html, openapi/reaction/model.html"
_AUDIT = "message/message.html"
_AUDIO = "channel/content/audio/model.html"
_VOICE = "channel/role/audio_or_live_channel_member.html"
_FORUM = "channel/content/forum/forum.html"
_OPEN_FORUM = "channel/content/forum/open_forum.html"


def _row(type: str, payload: str | None, source: str, *, id_names_event: bool = False) -> DispatchType:
    return DispatchType(type, payload, source, INTENT_OF.get(type), id_names_event)


_ROWS = (
    _row("READY", "ReadyPayload", _BASE),
    _row("RESUMED", None, f"{_BASE}: d is an empty string"),
    # -- private and group chats --
    _row("C2C_MESSAGE_CREATE", "C2CMessageCreate", "autogen/event/c2c_message_create.html", id_names_event=True),
    _row(
        "GROUP_AT_MESSAGE_CREATE",
        "GroupMessageCreate",
        "autogen/event/group_at_message_create.html",
        id_names_event=True,
    ),
    _row("GROUP_MESSAGE_CREATE", "GroupMessageCreate", "autogen/event/group_message_create.html", id_names_event=True),
    _row("FRIEND_ADD", "FriendAdd", f"autogen/event/friend_add.html, {_USERS}"),
    _row("FRIEND_DEL", "FriendDel", f"autogen/event/friend_del.html, {_USERS}"),
    _row("C2C_MSG_REJECT", "C2CSwitch", f"autogen/event/c2c_msg_reject.html, {_USERS}"),
    _row("C2C_MSG_RECEIVE", "C2CSwitch", f"autogen/event/c2c_msg_receive.html, {_USERS}"),
    _row("GROUP_ADD_ROBOT", "GroupRobotEvent", f"autogen/event/group_add_robot.html, {_GROUPS}"),
    _row("GROUP_DEL_ROBOT", "GroupRobotEvent", f"autogen/event/group_del_robot.html, {_GROUPS}"),
    _row("GROUP_MSG_REJECT", "GroupRobotEvent", f"autogen/event/group_msg_reject.html, {_GROUPS}"),
    _row("GROUP_MSG_RECEIVE", "GroupRobotEvent", f"autogen/event/group_msg_receive.html, {_GROUPS}"),
    _row("GROUP_MEMBER_ADD", "GroupMemberEvent", "autogen/event/group_member_add.html"),
    _row("GROUP_MEMBER_REMOVE", "GroupMemberEvent", "autogen/event/group_member_remove.html"),
    _row("GROUP_JOIN_REQUEST", "GroupJoinRequest", "autogen/event/group_join_request.html"),
    _row("SUBSCRIBE_MESSAGE_STATUS", "SubscribeMessageStatus", "autogen/event/subscribe_message_status.html"),
    _row("ENTER_AIO", "EnterAIO", "botgo dto/enter_aio.go"),
    _row("INTERACTION_CREATE", "InteractionCreate", "autogen/event/interaction_create.html", id_names_event=True),
    # -- guilds --
    _row("GUILD_CREATE", "GuildEvent", _GUILD),
    _row("GUILD_UPDATE", "GuildEvent", _GUILD),
    _row("GUILD_DELETE", "GuildEvent", _GUILD),
    _row("CHANNEL_CREATE", "ChannelEvent", _CHANNEL),
    _row("CHANNEL_UPDATE", "ChannelEvent", _CHANNEL),
    _row("CHANNEL_DELETE", "ChannelEvent", _CHANNEL),
    _row("GUILD_MEMBER_ADD", "GuildMemberEvent", _GUILD_MEMBER),
    _row("GUILD_MEMBER_UPDATE", "GuildMemberEvent", _GUILD_MEMBER),
    _row("GUILD_MEMBER_REMOVE", "GuildMemberEvent", _GUILD_MEMBER),
    _row("AT_MESSAGE_CREATE", "GuildMessageCreate", f"{_MESSAGE}, {_MODEL}", id_names_event=True),
    _row("MESSAGE_CREATE", "GuildMessageCreate", f"{_MESSAGE}, {_MODEL}", id_names_event=True),
    _row("DIRECT_MESSAGE_CREATE", "DirectMessageCreate", f"{_MESSAGE}, {_MODEL}", id_names_event=True),
    _row("MESSAGE_DELETE", "MessageDelete", _MODEL),
    _row("PUBLIC_MESSAGE_DELETE", "MessageDelete", _MODEL),
    _row("DIRECT_MESSAGE_DELETE", "MessageDelete", _MODEL),
    _row("MESSAGE_REACTION_ADD", "MessageReaction", _REACTION),
    _row("MESSAGE_REACTION_REMOVE", "MessageReaction", _REACTION),
    _row("MESSAGE_AUDIT_PASS", "MessageAudit", f"{_AUDIT}, {_MODEL}"),
    _row("MESSAGE_AUDIT_REJECT", "MessageAudit", f"{_AUDIT}, {_MODEL}"),
    _row("AUDIO_START", "AudioAction", _AUDIO),
    _row("AUDIO_FINISH", "AudioAction", _AUDIO),
    _row("AUDIO_ON_MIC", "AudioAction", _AUDIO),
    _row("AUDIO_OFF_MIC", "AudioAction", _AUDIO),
    _row("AUDIO_OR_LIVE_CHANNEL_MEMBER_ENTER", "ChannelVisit", _VOICE),
    _row("AUDIO_OR_LIVE_CHANNEL_MEMBER_EXIT", "ChannelVisit", _VOICE),
    # -- forums --
    _row("FORUM_THREAD_CREATE", "ForumThread", _FORUM),
    _row("FORUM_THREAD_UPDATE", "ForumThread", _FORUM),
    _row("FORUM_THREAD_DELETE", "ForumThread", _FORUM),
    _row("FORUM_POST_CREATE", "ForumPost", _FORUM),
    _row("FORUM_POST_DELETE", "ForumPost", _FORUM),
    _row("FORUM_REPLY_CREATE", "ForumReply", _FORUM),
    _row("FORUM_REPLY_DELETE", "ForumReply", _FORUM),
    _row("FORUM_PUBLISH_AUDIT_RESULT", "ForumPublishAuditResult", _FORUM),
    _row("OPEN_FORUM_THREAD_CREATE", "OpenForumEvent", _OPEN_FORUM),
    _row("OPEN_FORUM_THREAD_UPDATE", "OpenForumEvent", _OPEN_FORUM),
    _row("OPEN_FORUM_THREAD_DELETE", "OpenForumEvent", _OPEN_FORUM),
    _row("OPEN_FORUM_POST_CREATE", "OpenForumEvent", _OPEN_FORUM),
    _row("OPEN_FORUM_POST_DELETE", "OpenForumEvent", _OPEN_FORUM),
    _row("OPEN_FORUM_REPLY_CREATE", "OpenForumEvent", _OPEN_FORUM),
    _row("OPEN_FORUM_REPLY_DELETE", "OpenForumEvent", _OPEN_FORUM),
)

DISPATCH_TYPES: dict[str, DispatchType] = {row.type: row for row in _ROWS}
"""Every dispatch type that the platform is known to send. One that is not here is delivered like any other."""

EVENT_NAMING_TYPES = frozenset(row.type for row in _ROWS if row.id_names_event)
"""The types whose ``d.id`` names the event itself: the ``…MESSAGE_CREATE`` and INTERACTION_CREATE."""
