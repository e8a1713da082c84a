"""qqproto: the QQ bot gateway as pure state machines; bytes and ticks in, events and frames out."""

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
