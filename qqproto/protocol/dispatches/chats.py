"""The payloads of private and group chats: messages, friends, groups, interactions (autogen/event/<type>.html).

In each class the first half, named with an underscore, has the fields that the documentation shows in every event; the
second one those that may be absent, and, marked :class:`Wild`, those that it does not have.
"""

from typing import Annotated, Any, Literal, TypedDict

from qqproto.protocol.dispatches.wild import Wild

# -- messages ---------------------------------------------------------------------------------------------------------


class _C2CAuthor(TypedDict):
    id: str
    user_openid: str


class C2CAuthor(_C2CAuthor, total=False):
    """Who wrote in private. ``union_openid``: the same user in all bots that are linked with each other."""

    union_openid: str
    username: Annotated[str, Wild("nonebot models/qq.py")]
    nickname: Annotated[str, Wild("field reports")]
    avatar: Annotated[str, Wild("field reports")]
    bot: Annotated[bool, Wild("field reports")]


class _GroupAuthor(TypedDict):
    id: str
    member_openid: str


class GroupAuthor(_GroupAuthor, total=False):
    """Who wrote in a group; ``member_openid`` is the member's in this group and for this bot."""

    union_openid: str
    username: str
    bot: bool
    member_role: Literal["member", "admin", "owner"]


class Mention(TypedDict, total=False):
    """Somebody who is mentioned. A mention of everybody names nobody: it has no ids, and ``scope`` is ``"all"``."""

    id: str
    member_openid: str
    user_openid: str
    username: str
    bot: bool
    member_role: Literal["member", "admin", "owner"]
    is_you: Annotated[bool, Wild("nonebot models/qq.py")]
    scope: Annotated[Literal["single", "all"], Wild("nonebot models/qq.py")]
    nickname: Annotated[str, Wild("field reports")]


class _Attachment(TypedDict):
    content_type: str
    filename: str
    url: str
    size: int


class Attachment(_Attachment, total=False):
    """A picture (``image/…``), a video (``video/mp4``), ``voice`` or ``file``. ``size`` is in bytes.

    ``voice_wav_url`` and ``asr_refer_text``, what was heard, come with voice.
    """

    width: int
    height: int
    voice_wav_url: str
    asr_refer_text: str
    content: Annotated[str, Wild("field reports")]
    id: Annotated[str, Wild("satori types.ts")]


class _MessageScene(TypedDict):
    source: str
    ext: list[str]


class MessageScene(_MessageScene, total=False):
    """Where a message comes from. ``ext`` has items such as ``msg_idx=…``, ``ref_msg_idx=…``, ``auth_token=…``."""

    callback_data: Annotated[str, Wild("botgo dto/message.go")]


class ARKData(TypedDict):
    """A card; its parts are not described further."""

    prompt: str
    ark_type: int | str
    ark_name: str
    fields: dict[str, Any]


class ElementAuthor(TypedDict, total=False):
    """Who wrote a quoted message; which fields come is not documented."""

    id: str
    username: str
    bot: bool


class _MsgElement(TypedDict):
    msg_idx: str
    message_type: int
    content: str


class MsgElement(_MsgElement, total=False):
    """A message inside of a message: what is quoted, or a part of a forwarded chat."""

    author: ElementAuthor
    attachments: list[Attachment]
    ark_data: ARKData
    msg_elements: "list[MsgElement]"


class _Message(TypedDict):
    id: str
    content: str
    timestamp: str


class _OptionalOfMessage(_Message, total=False):
    message_type: int
    message_scene: MessageScene
    attachments: list[Attachment]
    mentions: list[Mention]
    ark_data: ARKData
    msg_elements: list[MsgElement]
    msg_idx: Annotated[str, Wild("nonebot models/qq.py")]
    parallel_message: Annotated[dict[str, Any], Wild("field reports")]


class C2CMessageCreate(_OptionalOfMessage):
    """Somebody writes to the bot in private.

    ``timestamp`` is RFC 3339. ``message_type``: 0 text, 3 card, 101 parallel, 102 chat record, 103 quote, and
    perhaps more.
    """

    author: C2CAuthor


class _GroupMessageCreate(_OptionalOfMessage):
    group_openid: str
    author: GroupAuthor


class GroupMessageCreate(_GroupMessageCreate, total=False):
    """Somebody writes in a group.

    In GROUP_AT_MESSAGE_CREATE the mention of the bot is cut out of ``content``, and a leading space is left. Where a
    group lets the bot read along, what mentions it may come as GROUP_MESSAGE_CREATE too, with the same ``id``.
    """

    group_id: Annotated[str, Wild("nonebot event.py: the same as group_openid")]


# -- friends and switches ---------------------------------------------------------------------------------------------


class UnionAuthor(TypedDict, total=False):
    """Who did it, for bots that are linked with each other."""

    union_openid: str


class _C2CSwitch(TypedDict):
    openid: str
    timestamp: int | str  # int by the docs, a string to sliverp and simbot


class C2CSwitch(_C2CSwitch, total=False):
    """A user turned the bot's messages off or on again. ``timestamp`` is in Unix seconds."""

    author: UnionAuthor


class FriendDel(C2CSwitch, total=False):
    """A user removed the bot."""

    nick: Annotated[str, Wild("botgo dto/friend_add.go")]
    avatar: Annotated[str, Wild("botgo dto/friend_add.go")]


class FriendAdd(FriendDel, total=False):
    """A user added the bot. ``scene`` says where: 1001-1004 and 2001-2004 are documented."""

    scene: int
    scene_param: str
    short_code: str


# -- groups -----------------------------------------------------------------------------------------------------------


class GroupRobotEvent(TypedDict):
    """A group took the bot in or out, or switched its messages off or on. ``timestamp`` is in Unix seconds."""

    group_openid: str
    op_member_openid: str
    timestamp: int | str  # int by the docs, a string to sliverp and simbot


class _GroupMemberEvent(TypedDict):
    group_openid: str
    member_openid: str
    timestamp: int | str


class GroupMemberEvent(_GroupMemberEvent, total=False):
    """A member came or left. ``user_openid`` is documented and has never been seen."""

    user_openid: str


class ReviewAnswer(TypedDict):
    """One of the questions that a group asks who wants in."""

    question: str
    answer: str


class _VerifyInfo(TypedDict):
    method: Literal["verify_message", "admin_review_qa"]


class VerifyInfo(_VerifyInfo, total=False):
    """What somebody says who wants in."""

    verify_message: str
    review_qa_list: list[ReviewAnswer]


class AutoApproved(TypedDict):
    """The rule by which the platform let somebody in."""

    strategy_id: int | str


class _GroupJoinRequest(TypedDict):
    group_openid: str
    join_request_id: str
    member_openid: str
    username: str
    apply_at: int | str  # its type is not confirmed
    apply_source: Literal["self_apply", "invited"]
    verify_info: VerifyInfo


class GroupJoinRequest(_GroupJoinRequest, total=False):
    """Somebody wants into a group whose administrator the bot is. ``apply_at`` is in Unix seconds."""

    invited_by: str
    bot: bool
    union_openid: str
    risk_tips: str
    auto_approved: AutoApproved


class SubscribeResult(TypedDict):
    """One template: ``op`` 1 allows it, 2 does not. The times are in Unix seconds."""

    template_id: int
    custom_template_id: str
    op: int
    subscribe_id: str
    subscribe_ts: int | str
    update_ts: int | str


class _SubscribeMessageStatus(TypedDict):
    result: list[SubscribeResult]


class SubscribeMessageStatus(_SubscribeMessageStatus, total=False):
    """A user (``openid``) or a group (``group_openid``) decided about the messages it subscribes to."""

    openid: str
    group_openid: str


class EnterAIO(TypedDict):
    """A user opened the chat with the bot; known from botgo alone."""

    user_openid: str
    from_source: str


# -- interactions -----------------------------------------------------------------------------------------------------


class ResolvedScene(TypedDict, total=False):
    """The scene of the message that somebody gives feedback on."""

    ext: list[str]


class AuthorizeData(TypedDict, total=False):
    """What was authorised: in ``opt_scene`` ``setting``, and in the wild ``friend_del`` and ``switch``."""

    opt_scene: str
    scope: str


class InteractionResolved(TypedDict, total=False):
    """What the user pressed or chose; which fields come hangs on the kind of interaction."""

    button_id: str
    button_data: str
    user_id: str
    feature_id: str
    message_id: str
    feedback_opt: Literal["LIKE", "UNLIKE"]
    checked: int
    action: Any  # its type is not documented
    message_scene: ResolvedScene
    authorize_data: AuthorizeData
    require_mention: Annotated[Any, Wild("field reports")]
    group_policy: Annotated[Any, Wild("field reports")]
    mention_patterns: Annotated[Any, Wild("field reports")]
    keyword: Annotated[Any, Wild("field reports")]


class _InteractionData(TypedDict):
    resolved: InteractionResolved


class InteractionData(_InteractionData, total=False):
    """``type`` is that of the interaction; in the wild 2001 and 2002 have been seen."""

    type: int
    name: Annotated[str, Wild("botgo dto/interaction.go")]


class _InteractionCreate(TypedDict):
    id: str
    type: int
    scene: Literal["c2c", "group", "guild"]
    timestamp: str
    version: int
    data: InteractionData


class InteractionCreate(_InteractionCreate, total=False):
    """Somebody pressed a button or used a menu; 11 and 12 want an answer within 3 s, once.

    ``type``: 11 a button of a message, 12 a menu in private, 13 to 20 feedback, settings and permissions.
    ``chat_type``: 0 guild, 1 group, 2 private; absent for 18 to 20. Ids come with the scene that they belong to.
    """

    chat_type: int
    guild_id: str
    channel_id: str
    user_openid: str
    group_openid: str
    group_member_openid: str
    application_id: str
    union_openid: Annotated[str, Wild("field reports")]
