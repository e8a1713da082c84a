"""The payload of READY (event-emit/websocket.html). RESUMED has none: its ``d`` is an empty string."""

from typing import Annotated, TypedDict

from qqproto.protocol.dispatches.wild import Wild


class _ReadyUser(TypedDict):
    id: str
    username: str
    bot: bool


class ReadyUser(_ReadyUser, total=False):
    """The bot itself."""

    status: Annotated[int, Wild("field measurement")]


class ReadyPayload(TypedDict):
    """A session begins. ``shard`` is its index and count, or ``[0, 0]`` without shards."""

    version: int | str  # a string to simbot
    session_id: str
    user: ReadyUser
    shard: list[int]
