"""What is simulated: a bot as its project would run it, with its intents, its policy and its handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from qqproto.account import Account
from qqproto.config import SettleMode
from qqproto.events import Event
from qqproto.policy import Policy
from qqproto.protocol.intents import Intents
from qqproto.shard import Shard

if TYPE_CHECKING:
    from qqproto.testing.simulation.process import Process

Handler: TypeAlias = Callable[[Event, "Process"], None]


@dataclass(slots=True)
class Bot:
    """A bot. ``on_event`` is its application: called with each event and with the process that it runs in.

    A handler may call the process's ``settle``, ``close``, ``pause_reading`` and ``resume_reading``; an exception that
    leaves it ends the run, like a broken promise. ``settle`` is :data:`~qqproto.SettleMode`, None for the script's;
    with ``"iteration"`` a dispatch is settled when the work on it is done, with ``"manual"`` the handler has to see to
    it. ``shard`` and ``account`` make the machines.
    """

    intents: int = Intents.GROUP_AND_C2C_EVENT
    policy: Policy = Policy()
    settle: SettleMode | None = None
    on_event: Handler | None = None
    shard: Callable[..., Shard] = Shard
    account: Callable[..., Account] = Account
