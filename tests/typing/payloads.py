"""What type checkers infer of payloads. Nobody runs this module; test_checkers.py has mypy and pyright read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from qqproto import Dispatch, Event
from qqproto.protocol.dispatches import (
    AudioAction,
    C2CMessageCreate,
    C2CSwitch,
    ChannelEvent,
    ChannelVisit,
    DirectMessageCreate,
    EnterAIO,
    ForumPost,
    ForumPublishAuditResult,
    ForumReply,
    ForumThread,
    FriendAdd,
    FriendDel,
    GroupJoinRequest,
    GroupMemberEvent,
    GroupMessageCreate,
    GroupRobotEvent,
    GuildEvent,
    GuildMemberEvent,
    GuildMessageCreate,
    InteractionCreate,
    MessageAudit,
    MessageDelete,
    MessageReaction,
    OpenForumEvent,
    ReadyPayload,
    SubscribeMessageStatus,
    payload,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type


def every_type_has_its_own_payload(event: Dispatch) -> None:
    assert_type(payload(event, "READY"), ReadyPayload | None)
    assert_type(payload(event, "C2C_MESSAGE_CREATE"), C2CMessageCreate | None)
    assert_type(payload(event, "GROUP_AT_MESSAGE_CREATE"), GroupMessageCreate | None)
    assert_type(payload(event, "GROUP_MESSAGE_CREATE"), GroupMessageCreate | None)
    assert_type(payload(event, "FRIEND_ADD"), FriendAdd | None)
    assert_type(payload(event, "FRIEND_DEL"), FriendDel | None)
    assert_type(payload(event, "C2C_MSG_REJECT"), C2CSwitch | None)
    assert_type(payload(event, "C2C_MSG_RECEIVE"), C2CSwitch | None)
    assert_type(payload(event, "GROUP_ADD_ROBOT"), GroupRobotEvent | None)
    assert_type(payload(event, "GROUP_DEL_ROBOT"), GroupRobotEvent | None)
    assert_type(payload(event, "GROUP_MSG_REJECT"), GroupRobotEvent | None)
    assert_type(payload(event, "GROUP_MSG_RECEIVE"), GroupRobotEvent | None)
    assert_type(payload(event, "GROUP_MEMBER_ADD"), GroupMemberEvent | None)
    assert_type(payload(event, "GROUP_MEMBER_REMOVE"), GroupMemberEvent | None)
    assert_type(payload(event, "GROUP_JOIN_REQUEST"), GroupJoinRequest | None)
    assert_type(payload(event, "SUBSCRIBE_MESSAGE_STATUS"), SubscribeMessageStatus | None)
    assert_type(payload(event, "ENTER_AIO"), EnterAIO | None)
    assert_type(payload(event, "INTERACTION_CREATE"), InteractionCreate | None)
    assert_type(payload(event, "GUILD_CREATE"), GuildEvent | None)
    assert_type(payload(event, "GUILD_UPDATE"), GuildEvent | None)
    assert_type(payload(event, "GUILD_DELETE"), GuildEvent | None)
    assert_type(payload(event, "CHANNEL_CREATE"), ChannelEvent | None)
    assert_type(payload(event, "CHANNEL_UPDATE"), ChannelEvent | None)
    assert_type(payload(event, "CHANNEL_DELETE"), ChannelEvent | None)
    assert_type(payload(event, "GUILD_MEMBER_ADD"), GuildMemberEvent | None)
    assert_type(payload(event, "GUILD_MEMBER_UPDATE"), GuildMemberEvent | None)
    assert_type(payload(event, "GUILD_MEMBER_REMOVE"), GuildMemberEvent | None)
    assert_type(payload(event, "AT_MESSAGE_CREATE"), GuildMessageCreate | None)
    assert_type(payload(event, "MESSAGE_CREATE"), GuildMessageCreate | None)
    assert_type(payload(event, "DIRECT_MESSAGE_CREATE"), DirectMessageCreate | None)
    assert_type(payload(event, "MESSAGE_DELETE"), MessageDelete | None)
    assert_type(payload(event, "PUBLIC_MESSAGE_DELETE"), MessageDelete | None)
    assert_type(payload(event, "DIRECT_MESSAGE_DELETE"), MessageDelete | None)
    assert_type(payload(event, "MESSAGE_REACTION_ADD"), MessageReaction | None)
    assert_type(payload(event, "MESSAGE_REACTION_REMOVE"), MessageReaction | None)
    assert_type(payload(event, "MESSAGE_AUDIT_PASS"), MessageAudit | None)
    assert_type(payload(event, "MESSAGE_AUDIT_REJECT"), MessageAudit | None)
    assert_type(payload(event, "AUDIO_START"), AudioAction | None)
    assert_type(payload(event, "AUDIO_FINISH"), AudioAction | None)
    assert_type(payload(event, "AUDIO_ON_MIC"), AudioAction | None)
    assert_type(payload(event, "AUDIO_OFF_MIC"), AudioAction | None)
    assert_type(payload(event, "AUDIO_OR_LIVE_CHANNEL_MEMBER_ENTER"), ChannelVisit | None)
    assert_type(payload(event, "AUDIO_OR_LIVE_CHANNEL_MEMBER_EXIT"), ChannelVisit | None)
    assert_type(payload(event, "FORUM_THREAD_CREATE"), ForumThread | None)
    assert_type(payload(event, "FORUM_THREAD_UPDATE"), ForumThread | None)
    assert_type(payload(event, "FORUM_THREAD_DELETE"), ForumThread | None)
    assert_type(payload(event, "FORUM_POST_CREATE"), ForumPost | None)
    assert_type(payload(event, "FORUM_POST_DELETE"), ForumPost | None)
    assert_type(payload(event, "FORUM_REPLY_CREATE"), ForumReply | None)
    assert_type(payload(event, "FORUM_REPLY_DELETE"), ForumReply | None)
    assert_type(payload(event, "FORUM_PUBLISH_AUDIT_RESULT"), ForumPublishAuditResult | None)
    assert_type(payload(event, "OPEN_FORUM_THREAD_CREATE"), OpenForumEvent | None)
    assert_type(payload(event, "OPEN_FORUM_THREAD_UPDATE"), OpenForumEvent | None)
    assert_type(payload(event, "OPEN_FORUM_THREAD_DELETE"), OpenForumEvent | None)
    assert_type(payload(event, "OPEN_FORUM_POST_CREATE"), OpenForumEvent | None)
    assert_type(payload(event, "OPEN_FORUM_POST_DELETE"), OpenForumEvent | None)
    assert_type(payload(event, "OPEN_FORUM_REPLY_CREATE"), OpenForumEvent | None)
    assert_type(payload(event, "OPEN_FORUM_REPLY_DELETE"), OpenForumEvent | None)


def a_type_that_is_not_known_is_a_plain_mapping(event: Dispatch, type: str) -> None:
    assert_type(payload(event, "SOME_FUTURE_EVENT"), Mapping[str, Any] | None)
    assert_type(payload(event, type), Mapping[str, Any] | None)


def a_handler(event: Event) -> str | None:
    match event:
        case Dispatch():
            if message := payload(event, "C2C_MESSAGE_CREATE"):
                assert_type(message, C2CMessageCreate)
                assert_type(message["content"], str)
                assert_type(message["author"]["user_openid"], str)
                assert_type(message.get("message_type"), int | None)
                return message["content"]
            if said := payload(event, "GROUP_AT_MESSAGE_CREATE"):
                assert_type(said["group_openid"], str)
                assert_type([mention.get("is_you") for mention in said.get("mentions", [])], list[bool | None])
            if change := payload(event, "GROUP_ADD_ROBOT"):
                assert_type(change["timestamp"], int | str)
            if press := payload(event, "INTERACTION_CREATE"):
                assert_type(press["scene"], Literal["c2c", "group", "guild"])
                assert_type(press["data"]["resolved"].get("button_data"), str | None)
        case _:
            pass
    return None


def mistakes_are_found(event: Dispatch, other: Event) -> None:
    message = payload(event, "C2C_MESSAGE_CREATE")
    print(message["content"])  # type: ignore[index]  # it may be None
    if message:
        print(message["contents"])  # type: ignore[typeddict-item]  # no such field
        print(message["group_openid"])  # type: ignore[typeddict-item]  # not in private
        print(message["content"] + 1)  # type: ignore[operator]  # a string
    print(payload(other, "C2C_MESSAGE_CREATE"))  # type: ignore[arg-type]  # not every event is a dispatch
