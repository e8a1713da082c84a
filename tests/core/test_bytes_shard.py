"""A shard in framing BYTES, through a whole life: what it sends, on which connection, and what it tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from qqproto import (
    Abort,
    CloseConnection,
    Disconnected,
    Dispatch,
    FetchGateway,
    FetchToken,
    GatewayInfo,
    IdentifySlot,
    Online,
    OpenConnection,
    Policy,
    Ready,
    ReserveIdentify,
    Resumed,
    SendData,
    Session,
    Shard,
    ShardConfig,
    Stopped,
    User,
)
from tests.core import frames
from tests.core.frames import CLOSE, PING, PONG, TEXT, accept, frame, said
from tests.core.hosts import ACK, RECONNECT, TOKEN, URL, OfAShard, dispatch, half, hello, message, ready, resumed

CONFIG = ShardConfig("11111111", 1 << 25, (3, 8))
SESSION = Session("S-1", "11111111", (3, 8), 1 << 25, 41, 41, User("42", "bot"))


class Stream(OfAShard):
    """A shard, its clock, a host that answers at once, and the server's end of the present stream."""

    def __init__(
        self,
        session: Session | None = None,
        *,
        policy: Policy = Policy(),
        loads: Callable[[str | bytes], Any] = json.loads,
    ) -> None:
        super().__init__()
        self.now = 100.0
        self.shard = Shard(CONFIG, random=half, session=session, policy=policy, loads=loads)
        self.connection = 0
        self.shard.start(self.now)
        self.drain()
        self.upgrade()

    def drain(self) -> None:
        while (output := self.shard.next_output()) is not None:
            self.outputs.append(output)
            if isinstance(output, FetchToken):
                self.shard.answer(output.id, TOKEN, self.now)
            elif isinstance(output, FetchGateway):
                self.shard.answer(output.id, GatewayInfo(URL), self.now)
            elif isinstance(output, ReserveIdentify):
                self.shard.answer(output.id, IdentifySlot(self.now), self.now)
            elif isinstance(output, OpenConnection):
                self.connection = output.id
                self.shard.connection_opened(output.id, self.now)
            elif isinstance(output, (SendData, CloseConnection, Abort)):
                assert output.id == self.connection, "an action names its connection"

    def upgrade(self) -> None:
        request = self.take(SendData)[-1].data
        self.receive(accept(request))
        self.outputs.clear()

    def receive(self, data: bytes) -> None:
        self.shard.receive_data(self.connection, data, self.now)
        self.drain()

    def say(self, *messages: str) -> None:
        for text in messages:
            self.receive(frames.text(text))

    def frames(self) -> list[tuple[int, bytes]]:
        """The frames that were sent."""
        return said(b"".join(action.data for action in self.take(SendData)))

    def messages(self) -> list[Any]:
        """The messages that were sent, decoded."""
        return [json.loads(payload) for opcode, payload in self.frames() if opcode == TEXT]


def test_the_first_session_from_the_upgrade_to_the_goodbye() -> None:
    stream = Stream()
    stream.say(hello())
    [identify] = stream.messages()
    assert identify == {"op": 2, "d": {"token": "QQBot TOKEN-SECRET", "intents": 1 << 25, "shard": [3, 8]}}
    stream.say(ready(), dispatch(2))
    assert [(type(event), event.shard) for event in stream.outputs if isinstance(event, (Online, Ready, Dispatch))] == [
        (Online, 3),
        (Ready, 3),
        (Dispatch, 3),
    ]
    stream.receive(frame(PING, b"there?"))
    assert stream.frames() == [(PONG, b"there?")]
    stream.run(20.0)
    assert stream.messages() == [{"op": 1, "d": 2}]
    stream.now += 0.5
    stream.say(ACK)
    status = stream.shard.status(stream.now + 2.0)
    assert (status.shard, status.last_receive, status.last_ack) == (3, 2.0, 2.0)
    stream.shard.close(stream.now)
    stream.drain()
    assert stream.frames() == [(CLOSE, (1000).to_bytes(2, "big"))]
    assert stream.only(CloseConnection) == CloseConnection(stream.connection, 1000, "")
    stream.now += 1.0
    stream.receive(b"")
    assert stream.only(Abort) == Abort(stream.connection)
    assert stream.only(Stopped).hint == "closed by the application"
    assert stream.shard.status(stream.now + 4.0).since == 4.0


def test_a_rotation_resumes_on_another_stream_and_the_old_one_is_not_heard_any_more() -> None:
    stream = Stream()
    stream.say(hello(), ready(), RECONNECT)
    old = stream.connection
    assert stream.only(CloseConnection) == CloseConnection(old, 4000, "reconnect asked for")
    stream.run(1.0)
    assert stream.connection != old
    stream.upgrade()
    stream.shard.receive_data(old, frames.text(hello()), stream.now)
    stream.shard.receive_data(old, b"", stream.now)
    stream.drain()
    assert stream.outputs == []
    assert stream.shard.status(stream.now).counters["stale_inputs"] == 2
    stream.say(hello())
    assert stream.messages() == [{"op": 6, "d": {"token": "QQBot TOKEN-SECRET", "session_id": "S-1", "seq": 1}}]
    stream.say(resumed(2))
    stream.only(Resumed)


def test_a_saved_session_is_resumed() -> None:
    stream = Stream(SESSION)
    stream.say(hello())
    assert [message["op"] for message in stream.messages()] == [6]
    stream.say(dispatch(42), resumed(43))
    event = stream.only(Resumed)
    assert (event.shard, event.session_id, event.replayed) == (3, "S-1", 1)


def test_what_a_new_session_repeats_by_name_is_not_handed_out_again() -> None:
    """What was seen outlives connection and session: after a gap names are looked up, and they are the events' own."""
    stream = Stream()
    stream.say(hello(), ready(), dispatch(2), RECONNECT)
    stream.run(1.0)
    stream.upgrade()
    stream.say(hello(), message(9, d=False))
    stream.run(60.0)
    stream.upgrade()
    kind = "GROUP_AT_MESSAGE_CREATE"
    again = message(0, s=5, t=kind, d={"id": "m-2"}, id=f"{kind}:e-2")
    stream.say(hello(), ready(), again, dispatch(6), again)
    assert [event.sequence for event in stream.take(Dispatch)] == [6]
    assert stream.shard.status(stream.now).counters["repetitions"] == 2


def test_a_silent_link_is_probed_and_dropped_on_its_connection() -> None:
    stream = Stream()
    stream.say(hello(), ready())
    stream.outputs.clear()
    stream.run(30.0)
    assert [opcode for opcode, _ in stream.frames()] == [TEXT, PING, TEXT]
    stream.run(10.0)
    assert stream.only(Abort) == Abort(stream.connection, 4000)
    assert stream.only(Disconnected).shard == 3


def test_a_policy_without_a_leave_code_leaves_without_a_word() -> None:
    stream = Stream(policy=Policy(leave_code=None))
    stream.say(hello(), ready(), RECONNECT)
    assert stream.only(Abort) == Abort(stream.connection, None)
    assert stream.take(CloseConnection) == []


def test_the_hosts_own_decoder_reads_the_messages() -> None:
    seen: list[str | bytes] = []

    def watched(text: str | bytes) -> Any:
        seen.append(text)
        return json.loads(text)

    stream = Stream(loads=watched)
    stream.say(hello(), message(11))
    assert seen == [hello(), message(11)]
