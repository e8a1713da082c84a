"""The platform without the network: a virtual clock, a fake platform, and a driver in memory."""

from qqproto.testing.behaviour import Behaviour, HTTPFault, Refusal, reply
from qqproto.testing.bots import FakeBot
from qqproto.testing.clock import VirtualClock
from qqproto.testing.conversation import FakeConversation
from qqproto.testing.desk import Asked
from qqproto.testing.driver import Dial, MemoryDriver
from qqproto.testing.messages import at_message, c2c_message, group_at_message
from qqproto.testing.network import Network
from qqproto.testing.platform import FakePlatform, Frame
from qqproto.testing.randomness import Randomness
from qqproto.testing.replies import SentMessage
from qqproto.testing.rest import Request
from qqproto.testing.sessions import FakeSession
from qqproto.testing.world import World

__all__ = [
    "Asked",
    "Behaviour",
    "Dial",
    "FakeBot",
    "FakeConversation",
    "FakePlatform",
    "FakeSession",
    "Frame",
    "HTTPFault",
    "MemoryDriver",
    "Network",
    "Randomness",
    "Refusal",
    "Request",
    "SentMessage",
    "VirtualClock",
    "World",
    "at_message",
    "c2c_message",
    "group_at_message",
    "reply",
]
