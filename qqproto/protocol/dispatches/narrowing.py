"""From a dispatch and its type to its payload, in a way that type checkers follow."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, overload

from qqproto.protocol.dispatches.chats import (
    C2CMessageCreate,
    C2CSwitch,
    EnterAIO,
    FriendAdd,
    FriendDel,
    GroupJoinRequest,
    GroupMemberEvent,
    GroupMessageCreate,
    GroupRobotEvent,
    InteractionCreate,
    SubscribeMessageStatus,
)
from qqproto.protocol.dispatches.forums import (
    ForumPost,
    ForumPublishAuditResult,
    ForumReply,
    ForumThread,
    OpenForumEvent,
)
from qqproto.protocol.dispatches.guilds import (
    AudioAction,
    ChannelEvent,
    ChannelVisit,
    DirectMessageCreate,
    GuildEvent,
    GuildMemberEvent,
    GuildMessageCreate,
    MessageAudit,
    MessageDelete,
    MessageReaction,
)
from qqproto.protocol.dispatches.session import ReadyPayload


class TypedEvent(Protocol):
    """What :func:`payload` reads: a :class:`~qqproto.Dispatch`, or anything with its ``type`` and ``data``."""

    @property
    def type(self) -> str: ...
    @property
    def data(self) -> Any: ...


@overload
def payload(event: TypedEvent, type: Literal["READY"]) -> ReadyPayload | None: ...
@overload
def payload(event: TypedEvent, type: Literal["C2C_MESSAGE_CREATE"]) -> C2CMessageCreate | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"]
) -> GroupMessageCreate | None: ...
@overload
def payload(event: TypedEvent, type: Literal["FRIEND_ADD"]) -> FriendAdd | None: ...
@overload
def payload(event: TypedEvent, type: Literal["FRIEND_DEL"]) -> FriendDel | None: ...
@overload
def payload(event: TypedEvent, type: Literal["C2C_MSG_REJECT", "C2C_MSG_RECEIVE"]) -> C2CSwitch | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["GROUP_ADD_ROBOT", "GROUP_DEL_ROBOT", "GROUP_MSG_REJECT", "GROUP_MSG_RECEIVE"]
) -> GroupRobotEvent | None: ...
@overload
def payload(event: TypedEvent, type: Literal["GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE"]) -> GroupMemberEvent | None: ...
@overload
def payload(event: TypedEvent, type: Literal["GROUP_JOIN_REQUEST"]) -> GroupJoinRequest | None: ...
@overload
def payload(event: TypedEvent, type: Literal["SUBSCRIBE_MESSAGE_STATUS"]) -> SubscribeMessageStatus | None: ...
@overload
def payload(event: TypedEvent, type: Literal["ENTER_AIO"]) -> EnterAIO | None: ...
@overload
def payload(event: TypedEvent, type: Literal["INTERACTION_CREATE"]) -> InteractionCreate | None: ...
@overload
def payload(event: TypedEvent, type: Literal["GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"]) -> GuildEvent | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE"]
) -> ChannelEvent | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE"]
) -> GuildMemberEvent | None: ...
@overload
def payload(event: TypedEvent, type: Literal["AT_MESSAGE_CREATE", "MESSAGE_CREATE"]) -> GuildMessageCreate | None: ...
@overload
def payload(event: TypedEvent, type: Literal["DIRECT_MESSAGE_CREATE"]) -> DirectMessageCreate | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["MESSAGE_DELETE", "PUBLIC_MESSAGE_DELETE", "DIRECT_MESSAGE_DELETE"]
) -> MessageDelete | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"]
) -> MessageReaction | None: ...
@overload
def payload(event: TypedEvent, type: Literal["MESSAGE_AUDIT_PASS", "MESSAGE_AUDIT_REJECT"]) -> MessageAudit | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["AUDIO_START", "AUDIO_FINISH", "AUDIO_ON_MIC", "AUDIO_OFF_MIC"]
) -> AudioAction | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["AUDIO_OR_LIVE_CHANNEL_MEMBER_ENTER", "AUDIO_OR_LIVE_CHANNEL_MEMBER_EXIT"]
) -> ChannelVisit | None: ...
@overload
def payload(
    event: TypedEvent, type: Literal["FORUM_THREAD_CREATE", "FORUM_THREAD_UPDATE", "FORUM_THREAD_DELETE"]
) -> ForumThread | None: ...
@overload
def payload(event: TypedEvent, type: Literal["FORUM_POST_CREATE", "FORUM_POST_DELETE"]) -> ForumPost | None: ...
@overload
def payload(event: TypedEvent, type: Literal["FORUM_REPLY_CREATE", "FORUM_REPLY_DELETE"]) -> ForumReply | None: ...
@overload
def payload(event: TypedEvent, type: Literal["FORUM_PUBLISH_AUDIT_RESULT"]) -> ForumPublishAuditResult | None: ...
@overload
def payload(
    event: TypedEvent,
    type: Literal[
        "OPEN_FORUM_THREAD_CREATE",
        "OPEN_FORUM_THREAD_UPDATE",
        "OPEN_FORUM_THREAD_DELETE",
        "OPEN_FORUM_POST_CREATE",
        "OPEN_FORUM_POST_DELETE",
        "OPEN_FORUM_REPLY_CREATE",
        "OPEN_FORUM_REPLY_DELETE",
    ],
) -> OpenForumEvent | None: ...
@overload
def payload(event: TypedEvent, type: str) -> Mapping[str, Any] | None: ...
def payload(event: TypedEvent, type: str) -> Mapping[str, Any] | None:
    """The ``d`` of ``event`` if it is of this type, as the type's :class:`TypedDict`; None otherwise.

    It is the very ``event.data``, unknown fields included, and it is not checked: what the platform leaves out is
    missing here too. None also if ``d`` is no object. A type that is not known gives a plain mapping.

    >>> from qqproto import Dispatch
    >>> event = Dispatch("C2C_MESSAGE_CREATE", {"id": "ROBOT1.0_x", "content": "hello"})
    >>> if message := payload(event, "C2C_MESSAGE_CREATE"):
    ...     print(message["content"])
    hello
    """
    data = event.data
    return data if event.type == type and isinstance(data, dict) else None
