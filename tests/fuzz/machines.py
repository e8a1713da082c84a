"""What the campaigns share: machines in a state, what they are fed, how their work and size are measured."""

from __future__ import annotations

import gc
import json
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from qqproto import IdentifySlot, Policy, QQGatewayConnection, ReserveIdentify, ShardConfig, Token
from qqproto.outbox import Output
from tests.core import frames
from tests.core.hosts import half

EXAMPLES = int(os.environ.get("QQPROTO_FUZZ_EXAMPLES", "150"))
"""Examples a test; ``make fuzz EXAMPLES=…`` sets it for a campaign, which is then not the same one every time."""

campaign = settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES == 150)

SECRET = "TOKEN-THAT-NOBODY-MAY-SEE"
CONFIG = ShardConfig("11111111", 1 << 25)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {"op": st.sampled_from([0, 0, 0, 1, 7, 9, 10, 11, 99]) | JSON},
    optional={
        "s": st.integers(-2, 60) | JSON,
        "t": st.sampled_from(["READY", "RESUMED", "C2C_MESSAGE_CREATE", "CHANNEL_UPDATE"]) | JSON,
        "d": st.sampled_from([{"heartbeat_interval": 41250}, {"session_id": "S"}, {"id": "m"}, False, True, ""]) | JSON,
        "id": st.text(max_size=12) | JSON,
    },
)
TEXTS: st.SearchStrategy[str] = ENVELOPES.map(json.dumps) | st.text(max_size=40)


def drain(machine: QQGatewayConnection) -> Iterator[Output]:
    """Everything that comes out; no repr of it may show the token."""
    while (output := machine.next_output()) is not None:
        assert SECRET not in repr(output)
        yield output


def live_connection(policy: Policy = Policy()) -> QQGatewayConnection:
    """A connection whose session is live, everything drained."""
    machine = QQGatewayConnection(CONFIG, "ws://gateway.example/", Token(SECRET), random=half, policy=policy)
    machine.connection_opened(0.0)
    upgrade = machine.next_output()
    assert upgrade is not None
    machine.receive_data(frames.accept(upgrade.data), 0.0)  # type: ignore[union-attr]  # SendData
    machine.receive_data(frames.text('{"op":10,"d":{"heartbeat_interval":41250}}'), 0.0)
    question = next(output for output in drain(machine) if isinstance(output, ReserveIdentify))
    machine.answer(question.id, IdentifySlot(0.0), 0.0)
    machine.receive_data(frames.text('{"op":0,"s":1,"t":"READY","d":{"session_id":"S"}}'), 0.0)
    assert machine.session is not None
    list(drain(machine))
    return machine


def work(action: Callable[[], object]) -> int:
    """How many calls, Python's and C's, ``action`` makes: time, without a clock."""
    count = 0

    def count_call(frame: types.FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count


def size(root: object) -> int:
    """Bytes held by ``root`` and all that it alone leads to, modules, classes and functions aside."""
    seen: set[int] = set()
    queue, total = [root], 0
    while queue:
        item = queue.pop()
        if id(item) in seen or isinstance(item, (type, types.ModuleType, types.FunctionType, types.CodeType)):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        queue.extend(gc.get_referents(item))
    return total
