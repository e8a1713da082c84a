"""Row 27: whatever the server sends, the link stays and nothing is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qqproto import (
    Conversation,
    Dispatch,
    Framing,
    Malformed,
    Phase,
)
from qqproto.testing import Randomness
from tests.core.hosts import Host
from tests.outages.bugs import around, without
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import Scene

ODD: tuple[str | bytes, ...] = (
    *("", " ", "null", "[]", "1", '"x"', "{", "{}", "NaN", "\ufeff{}", "[" * 100_000, "1" * 5000),
    *('{"op": null}', '{"op": "0"}', '{"op": 0.0}', '{"op": true}', '{"op": 99}', '{"op": -1}', '{"op": 12}'),
    *('{"op": 0}', '{"op": 0, "t": null}', '{"op": 0, "t": 5, "d": {}}', '{"op": 0, "t": "NEW"}'),
    *('{"op": 0, "t": "NEW", "s": "5", "d": null}', '{"op": 0, "t": "NEW", "s": -1}'),
    *('{"op": 0, "t": "NEW", "s": 1.5}', '{"op": 0, "t": "NEW", "s": true, "id": []}'),
    '{"op": 0, "t": "NEW", "d": "\\ud800"}',
    *('{"op": 0, "t": "READY"}', '{"op": 0, "t": "READY", "d": []}', '{"op": 0, "t": "RESUMED", "d": {}}'),
    *('{"op": 10}', '{"op": 10, "d": {"heartbeat_interval": "soon"}}', '{"op": 11, "d": []}', '{"op": 11, "d": NaN}'),
    *('{"op": 1, "d": {}}', b"\xff\xfe", b"", b'{"op": 11}', b"\x00" * 100),
)


def _leaves(original: Callable[..., None], self: Conversation, what: str, message: str | bytes) -> None:
    original(self, what, message)
    self.say_goodbye(set(), keep_session=True)


def _subscript(original: Callable[..., None], self: Conversation, envelope: Any, *rest: Any) -> None:
    if isinstance(envelope, dict) and envelope.get("op") == 0:
        envelope["s"]
    original(self, envelope, *rest)


@outage(
    27,
    Bug("a missing s is a KeyError", around(Conversation.receive_value, _subscript), noticed_as=KeyError),
    Bug("what is odd ends the connection", around(Conversation._malformed, _leaves)),
    Bug("what is odd is swallowed", without(Conversation._malformed)),
)
def test_row_27_odd_payloads_leave_the_link_alone(framing: Framing) -> None:
    scene = Scene.online(framing)
    for message in ODD:
        scene.talk.send_raw(message)
        scene.run(0.1)
        assert scene.ready, message
    assert len(scene.told(Malformed)) > 20
    assert [event.data for event in scene.told(Dispatch)] == [*5 * [None], "\ud800"]
    scene.message(1)
    scene.run(1.0)
    assert scene.told(Dispatch)[-1].sequence == 2
    assert len(scene.dials) == 1
    assert scene.platform.violations == []


PIECES = (
    *('{"op":', "0", "7", "9", "10", "11", ',"s":', "1", "2", "41", "-1", "null", "true", "false", "1e400", "{}", "[]"),
    *(',"t":', '"READY"', '"RESUMED"', '"C2C_MESSAGE_CREATE"', ',"d":', '{"session_id":', '"S-2"', ',"id":', "}", '"'),
    *('{"heartbeat_interval":', "41250", "0", '{"op":11}', '{"op":0,"s":2,"t":"C2C_MESSAGE_CREATE","d":{},"id":"e"}'),
    *('{"op":10,"d":{"heartbeat_interval":1000}}', '{"op":0,"s":1,"t":"READY","d":{"session_id":"S"}}', '{"op":7}'),
    '{"op":0,"t":"NEW","d":[]}',
)


@outage(27, Bug("a missing s is a KeyError", around(Conversation.receive_value, _subscript), noticed_as=KeyError))
def test_row_27_twenty_thousand_random_frames() -> None:
    host, random = Host(), Randomness(27)
    for _ in range(20_000):
        text = "".join(PIECES[int(random() * len(PIECES))] for _ in range(1 + int(random() * 8)))
        host.say(text)
        if host.shard.phase is Phase.WAIT:
            host.redial(301.0)
        host.outputs.clear()
    assert not host.shard.ended
