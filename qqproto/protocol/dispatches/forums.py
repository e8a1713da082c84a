"""The payloads of forums (channel/content/forum/forum.html, open_forum.html, model.html).

The docs show the ids of guild, channel and author as numbers in some samples and as strings in others, and rich text
as arrays of nodes, where nonebot gets strings that hold JSON: :func:`rich_text` reads either.
"""

import json
from typing import Annotated, Any, TypedDict

from qqproto.protocol.dispatches.wild import Wild


class OpenForumEvent(TypedDict):
    """Something was written in a forum of a guild whose texts the bot may not read."""

    guild_id: int | str
    channel_id: int | str
    author_id: int | str


class ThreadInfo(TypedDict):
    """A thread; ``title`` and ``content`` are rich text. ``date_time`` is RFC 3339."""

    thread_id: str
    title: Any
    content: Any
    date_time: str


class ForumThread(OpenForumEvent):
    """A thread was begun, changed or deleted."""

    thread_info: ThreadInfo


class PostInfo(TypedDict):
    """A comment on a thread."""

    thread_id: str
    post_id: str
    content: Any
    date_time: str


class ForumPost(OpenForumEvent):
    """A thread was commented on, or a comment deleted."""

    post_info: PostInfo


class ReplyInfo(TypedDict):
    """A reply to a comment."""

    thread_id: str
    post_id: str
    reply_id: str
    content: Any
    date_time: str


class ForumReply(OpenForumEvent):
    """A comment was replied to, or a reply deleted."""

    reply_info: ReplyInfo


class _ForumPublishAuditResult(OpenForumEvent):
    thread_id: str
    post_id: str
    reply_id: str
    type: int
    result: int


class ForumPublishAuditResult(_ForumPublishAuditResult, total=False):
    """What the bot wrote was let through (``result`` 0), or not. ``type``: 1 thread, 2 post, 3 reply."""

    err_msg: str
    task_id: Annotated[str, Wild("botgo dto/forum.go")]
    date_time: Annotated[str, Wild("botgo dto/forum.go")]


def rich_text(value: Any) -> Any:
    """The ``title`` or ``content`` of a forum's payload as decoded JSON, in whichever form it came.

    A string that holds no JSON is returned as it is.

    >>> rich_text('{"paragraphs": []}'), rich_text([{"type": 1}]), rich_text("plain")
    ({'paragraphs': []}, [{'type': 1}], 'plain')
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
