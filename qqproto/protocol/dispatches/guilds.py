"""The payloads of guilds (频道): guilds, channels, members, messages, reactions, audits, audio.

Required fields are in the first half of each class, as in :mod:`qqproto.protocol.dispatches.chats`.
"""

from typing import Annotated, TypedDict

from qqproto.protocol.dispatches.wild import Wild

# -- users, guilds, channels, members ---------------------------------------------------------------------------------


class _GuildUser(TypedDict):
    id: str


class GuildUser(_GuildUser, total=False):
    """A user in guilds; where somebody is only named, little more than ``id`` comes."""

    username: str
    avatar: str
    bot: bool
    union_openid: str
    union_user_account: str


class _ChannelEvent(TypedDict):
    id: str
    guild_id: str
    name: str
    type: int
    sub_type: int
    owner_id: str


class ChannelEvent(_ChannelEvent, total=False):
    """A channel was made, changed or deleted by ``op_user_id``.

    ``type``: 0 text, 2 voice, 4 group, 10005 live, 10006 app, 10007 forum; more may come.
    """

    op_user_id: str
    position: int
    parent_id: str
    private_type: int
    speak_permission: int
    application_id: str
    permissions: int | str  # a string by the docs, an int to nonebot


class _GuildEvent(TypedDict):
    id: str
    name: str
    icon: str
    owner_id: str
    member_count: int
    max_members: int
    description: str
    joined_at: str


class GuildEvent(_GuildEvent, total=False):
    """A guild took the bot in or out, or changed; at GUILD_DELETE it is as it was before."""

    owner: bool
    op_user_id: str
    channels: Annotated[list[ChannelEvent], Wild("botgo dto/guild.go")]
    union_world_id: Annotated[str, Wild("botgo dto/guild.go")]
    union_org_id: Annotated[str, Wild("botgo dto/guild.go")]


class GuildMemberEvent(TypedDict):
    """A member came, changed or left; ``op_user_id`` did it."""

    guild_id: str
    user: GuildUser
    nick: str
    roles: list[str]
    joined_at: str
    op_user_id: str


# -- messages ---------------------------------------------------------------------------------------------------------


class MessageMember(TypedDict, total=False):
    """What the writer of a message is in the guild."""

    nick: str
    roles: list[str]
    joined_at: str


class _ChannelAttachment(TypedDict):
    url: str


class ChannelAttachment(_ChannelAttachment, total=False):
    """A file of a channel's message. ``url`` comes without a scheme: put ``https://`` before it."""

    content_type: Annotated[str, Wild("botgo dto/message.go")]
    filename: Annotated[str, Wild("botgo dto/message.go")]
    size: Annotated[int, Wild("botgo dto/message.go")]
    width: Annotated[int, Wild("botgo dto/message.go")]
    height: Annotated[int, Wild("botgo dto/message.go")]
    id: Annotated[str, Wild("satori types.ts")]


class EmbedThumbnail(TypedDict):
    """The picture of an embed."""

    url: str


class EmbedField(TypedDict, total=False):
    """One line of an embed."""

    name: str
    value: Annotated[str, Wild("botgo dto/message.go")]


class Embed(TypedDict, total=False):
    """An embed; ``prompt`` is shown in lists of messages."""

    title: str
    prompt: str
    thumbnail: EmbedThumbnail
    fields: list[EmbedField]
    description: Annotated[str, Wild("botgo dto/message.go")]


class ArkPair(TypedDict, total=False):
    """A key of a template, with a value or with objects."""

    key: str
    value: str
    obj: "list[ArkObject]"


class ArkObject(TypedDict, total=False):
    """Keys and values that belong together."""

    obj_kv: list[ArkPair]


class Ark(TypedDict, total=False):
    """A card made from a template."""

    template_id: int
    kv: list[ArkPair]


class _MessageReference(TypedDict):
    message_id: str


class MessageReference(_MessageReference, total=False):
    """The message that another one answers."""

    ignore_get_message_error: bool


class _GuildMessageCreate(TypedDict):
    id: str
    channel_id: str
    guild_id: str
    timestamp: str
    author: GuildUser
    member: MessageMember


class GuildMessageCreate(_GuildMessageCreate, total=False):
    """Somebody writes in a channel. Messages may overtake each other; ``seq_in_channel`` orders them."""

    content: str
    edited_timestamp: str
    mention_everyone: bool
    attachments: list[ChannelAttachment]
    embeds: list[Embed]
    mentions: list[GuildUser]
    ark: Ark
    seq: int  # deprecated
    seq_in_channel: str
    message_reference: MessageReference
    tts: Annotated[bool, Wild("satori types.ts")]
    pinned: Annotated[bool, Wild("satori types.ts")]
    type: Annotated[int, Wild("satori types.ts")]
    flags: Annotated[int, Wild("satori types.ts")]


class DirectMessageCreate(GuildMessageCreate, total=False):
    """Somebody of a guild writes to the bot in private; ``src_guild_id`` is that guild, ``guild_id`` the chat."""

    direct_message: bool
    src_guild_id: str


class _DeletedMessage(TypedDict):
    id: str
    channel_id: str
    guild_id: str
    author: GuildUser


class DeletedMessage(_DeletedMessage, total=False):
    """What is told of a message that is gone."""

    direct_message: bool
    src_guild_id: str


class MessageDelete(TypedDict):
    """A message was taken back by ``op_user``."""

    message: DeletedMessage
    op_user: GuildUser


class ReactionTarget(TypedDict):
    """``type``: 0 message, 1 thread, 2 post, 3 reply; in the wild also words such as ``ReactionTargetType_MSG``."""

    id: str
    type: int | str  # int by the docs, a string to nonebot


class ReactionEmoji(TypedDict):
    """``type``: 1 one of the platform's faces, 2 an emoji."""

    id: str
    type: int


class MessageReaction(TypedDict):
    """Somebody put a face on a message, or took it off."""

    user_id: str
    guild_id: str
    channel_id: str
    target: ReactionTarget
    emoji: ReactionEmoji


class _MessageAudit(TypedDict):
    audit_id: str
    guild_id: str
    channel_id: str
    audit_time: str
    create_time: str


class MessageAudit(_MessageAudit, total=False):
    """A message of the bot was let through (then it has its ``message_id``), or not."""

    message_id: str
    seq_in_channel: str
    user_openid: Annotated[str, Wild("nonebot models/common.py")]
    group_openid: Annotated[str, Wild("nonebot models/common.py")]


# -- audio ------------------------------------------------------------------------------------------------------------


class _AudioAction(TypedDict):
    guild_id: str
    channel_id: str


class AudioAction(_AudioAction, total=False):
    """Audio began or ended, or a microphone was taken or left."""

    audio_url: str
    text: str


class ChannelVisit(TypedDict):
    """Somebody entered or left a channel for voice (``channel_type`` 2) or live video (5)."""

    guild_id: str
    channel_id: str
    channel_type: int
    user_id: str
