"""The platform without the network: a virtual clock, a fake platform, and a driver in memory.

A :class:`World` has all three. Bots in it run the real machines; time passes when you say so, and nothing happens by
luck:

>>> from qqproto import Dispatch, Resumed
>>> from qqproto.testing import World, c2c_message
>>> world = World()
>>> bot = world.bot()
>>> world.run_until(lambda: bot.connected)
0.0
>>> world.run(3600)
>>> world.platform.session().dispatch("C2C_MESSAGE_CREATE", c2c_message("hello", id="M-1"), world.now)
2
>>> world.platform.conversations[0].send_reconnect(world.now)
>>> world.run(1)
>>> [event.data["content"] for event in bot.events if isinstance(event, Dispatch)]
['hello']
>>> any(isinstance(event, Resumed) for event in bot.events)
True
>>> world.platform.ops()
[2, 6]
>>> world.platform.violations
[]

The parts can be had alone. :class:`FakePlatform` is the server's side as a machine, for a driver or an SDK of your own:
HTTP requests by ``handle_request``, sockets by ``connect``, ``receive_data`` or ``receive_message``. It is strict:
``violations`` says what a client did wrong, in sentences. What the platform does is data (:class:`Behaviour`,
:class:`Refusal`, :class:`HTTPFault`, the fields of :class:`FakeBot`), what happens is a method of a
:class:`FakeSession` or a :class:`FakeConversation`. :class:`Network` is the wire in between. :class:`FakeCallbacks`
makes what the platform posts to webhooks.
"""

from qqproto.testing.behaviour import Behaviour, HTTPFault, Refusal, reply
from qqproto.testing.bots import FakeBot
from qqproto.testing.callbacks import FakeCallbacks
from qqproto.testing.clock import VirtualClock
from qqproto.testing.conversation import FakeConversation
from qqproto.testing.desk import Asked
from qqproto.testing.driver import Dial, MemoryDriver
from qqproto.testing.messages import at_message, c2c_message, group_at_message
from qqproto.testing.network import Network
from qqproto.testing.platform import FakePlatform
from qqproto.testing.randomness import Randomness
from qqproto.testing.registry import Frame, Request
from qqproto.testing.replies import SentMessage
from qqproto.testing.sessions import FakeSession
from qqproto.testing.world import World

__all__ = [
    "Asked",
    "Behaviour",
    "Dial",
    "FakeBot",
    "FakeCallbacks",
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
