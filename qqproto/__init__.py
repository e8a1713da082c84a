"""qqproto: the QQ bot gateway as pure state machines; bytes and ticks in, events and frames out."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qqproto.account import Account
    from qqproto.actions import (
        Abort,
        AccountAction,
        Answer,
        Cancel,
        CloseConnection,
        FetchGateway,
        FetchToken,
        OpenConnection,
        Question,
        ReserveIdentify,
        SendData,
        SendRequest,
        SendText,
        ShardAction,
    )
    from qqproto.config import Framing, SettleMode, ShardConfig
    from qqproto.connection import QQGatewayConnection
    from qqproto.conversation import Conversation
    from qqproto.credentials import Credentials, Endpoints, Token, authorization
    from qqproto.errors import LocalProtocolError
    from qqproto.events import (
        ConfigurationError,
        ConflictSuspected,
        Disconnected,
        Dispatch,
        Event,
        IdentifyBudgetLow,
        LoopLag,
        Malformed,
        Offline,
        Online,
        ReadingPaused,
        Ready,
        Resumed,
        SessionRefused,
        SettlementLagging,
        Stopped,
        StoreFailed,
    )
    from qqproto.failures import Failure, FailureKind
    from qqproto.narrator import Narrator
    from qqproto.pacing import IdentifySlot
    from qqproto.policy import Policy
    from qqproto.protocol.close_codes import Phase, StopReason, Verdict, classify
    from qqproto.protocol.intents import Intents
    from qqproto.protocol.rest import GatewayInfo, HTTPRequest, HTTPResponse
    from qqproto.session import Session, User
    from qqproto.shard import Shard
    from qqproto.status import Status

__version__ = "0.1.0.dev0"

__all__ = [
    "Abort",
    "Account",
    "AccountAction",
    "Answer",
    "Cancel",
    "CloseConnection",
    "ConfigurationError",
    "ConflictSuspected",
    "Conversation",
    "Credentials",
    "Disconnected",
    "Dispatch",
    "Endpoints",
    "Event",
    "Failure",
    "FailureKind",
    "FetchGateway",
    "FetchToken",
    "Framing",
    "GatewayInfo",
    "HTTPRequest",
    "HTTPResponse",
    "IdentifyBudgetLow",
    "IdentifySlot",
    "Intents",
    "LocalProtocolError",
    "LoopLag",
    "Malformed",
    "Narrator",
    "Offline",
    "Online",
    "OpenConnection",
    "Phase",
    "Policy",
    "QQGatewayConnection",
    "Question",
    "ReadingPaused",
    "Ready",
    "ReserveIdentify",
    "Resumed",
    "SendData",
    "SendRequest",
    "SendText",
    "Session",
    "SessionRefused",
    "SettleMode",
    "SettlementLagging",
    "Shard",
    "ShardAction",
    "ShardConfig",
    "Status",
    "StopReason",
    "Stopped",
    "StoreFailed",
    "Token",
    "User",
    "Verdict",
    "authorization",
    "classify",
]

_HOMES = {
    "account": ("Account",),
    "actions": (
        "Abort",
        "AccountAction",
        "Answer",
        "Cancel",
        "CloseConnection",
        "FetchGateway",
        "FetchToken",
        "OpenConnection",
        "Question",
        "ReserveIdentify",
        "SendData",
        "SendRequest",
        "SendText",
        "ShardAction",
    ),
    "config": ("Framing", "SettleMode", "ShardConfig"),
    "connection": ("QQGatewayConnection",),
    "conversation": ("Conversation",),
    "credentials": ("Credentials", "Endpoints", "Token", "authorization"),
    "errors": ("LocalProtocolError",),
    "events": (
        "ConfigurationError",
        "ConflictSuspected",
        "Disconnected",
        "Dispatch",
        "Event",
        "IdentifyBudgetLow",
        "LoopLag",
        "Malformed",
        "Offline",
        "Online",
        "ReadingPaused",
        "Ready",
        "Resumed",
        "SessionRefused",
        "SettlementLagging",
        "Stopped",
        "StoreFailed",
    ),
    "failures": ("Failure", "FailureKind"),
    "narrator": ("Narrator",),
    "pacing": ("IdentifySlot",),
    "policy": ("Policy",),
    "protocol.close_codes": ("Phase", "StopReason", "Verdict", "classify"),
    "protocol.intents": ("Intents",),
    "protocol.rest": ("GatewayInfo", "HTTPRequest", "HTTPResponse"),
    "session": ("Session", "User"),
    "shard": ("Shard",),
    "status": ("Status",),
}
"""Where each name lives. A module is imported when one of its names is asked for: all of them take three times as long
as wsproto, and who wants an intent or a token need not wait for a shard."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"qqproto.{home}"), name)
                return value
        raise AttributeError(f"module 'qqproto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
