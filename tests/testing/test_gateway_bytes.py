"""The fake gateway in bytes: a WebSocket server's end, driven by a client written by hand on wsproto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws

from qqproto import Abort, CloseConnection, SendData
from qqproto.testing import Behaviour, FakePlatform, c2c_message, reply
from tests.testing.clients import INTENTS, drain, fetch_token

BYE = CloseConnection(1, 1006, "")


def told(platform: FakePlatform) -> list[str]:
    return [violation.partition(": ")[2] for violation in platform.violations]


class ByteClient:
    """One WebSocket in framing BYTES; what it is told by the server is in ``heard``, by wsproto."""

    def __init__(self, platform: FakePlatform, *, target: str = "/websocket", chunk: int | None = None) -> None:
        self.platform = platform
        self.token = f"QQBot {fetch_token(platform)}"
        self.chunk = chunk
        self.wire = WSConnection(ConnectionType.CLIENT)
        self.id = platform.connect(0.0)
        self.heard: list[ws.Event] = []
        self.raw = b""
        self.ended: CloseConnection | Abort | None = None
        self.send(self.wire.send(ws.Request(host="gateway.test", target=target)))

    @property
    def messages(self) -> list[Any]:
        """The envelopes among what was heard."""
        return [json.loads(event.data) for event in self.heard if isinstance(event, ws.TextMessage)]

    def send(self, data: bytes, now: float = 0.0) -> None:
        """Send bytes, and hear what they lead to."""
        for piece in pieces(data, self.chunk or len(data) or 1):
            self.platform.receive_data(self.id, piece, now)
        self.listen()

    def say(self, event: ws.Event, now: float = 0.0) -> None:
        """Send a frame."""
        self.send(self.wire.send(event), now)

    def say_json(self, message: Any, now: float = 0.0) -> None:
        """Send an envelope."""
        self.say(ws.TextMessage(json.dumps(message)), now)

    def identify(self, now: float = 0.0) -> None:
        self.say_json({"op": 2, "d": {"token": self.token, "intents": INTENTS, "shard": [0, 1]}}, now)

    def listen(self) -> None:
        """Take what the server has to say."""
        for output in drain(self.platform):
            if isinstance(output, SendData):
                self.raw += output.data
                self.wire.receive_data(output.data)
                self.heard += self.wire.events()
            elif isinstance(output, (CloseConnection, Abort)):
                self.ended = output


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def talk(client: ByteClient) -> None:
    """One whole conversation."""
    client.identify()
    client.platform.session().dispatch("C2C_MESSAGE_CREATE", c2c_message("héllo 你好", id="M"), 1.0)
    client.say_json({"op": 1, "d": 2}, 1.0)
    client.say(ws.Ping(b"are you there?"), 2.0)
    client.say_json({"op": 1, "d": "x" * 200}, 2.0)
    client.say(ws.TextMessage('{"op":1,', message_finished=False), 2.5)
    client.say(ws.TextMessage('"d":2}', message_finished=True), 2.5)
    client.say(ws.CloseConnection(4000, "back soon"), 3.0)
    client.platform.receive_data(client.id, b"", 3.0)


def outcome(client: ByteClient) -> tuple[Any, ...]:
    platform = client.platform
    return client.messages, client.heard[-1], client.ended, platform.violations, platform.frames, platform.conversations


# -- one conversation --------------------------------------------------------------------------------------------------


def test_a_conversation_over_a_websocket() -> None:
    client = ByteClient(FakePlatform())
    talk(client)
    assert [message.get("t") or message["op"] for message in client.messages] == [
        10,
        "READY",
        "C2C_MESSAGE_CREATE",
        11,
        11,
        11,
    ]
    assert isinstance(client.heard[0], ws.AcceptConnection)
    assert ws.Pong(b"are you there?") in client.heard
    assert client.heard[-1] == ws.CloseConnection(4000, "back soon")
    assert client.ended == BYE
    assert [frame.op for frame in client.platform.frames] == [2, 1, 1, 1]
    assert len(client.platform.violations) == 1, "the sequence that is none"
    assert client.platform.session().live is None
    assert client.platform.conversations == []


@pytest.mark.parametrize("chunk", range(1, 260))
def test_the_conversation_is_the_same_in_pieces_of_any_size(chunk: int) -> None:
    whole, cut = ByteClient(FakePlatform()), ByteClient(FakePlatform(), chunk=chunk)
    talk(whole)
    talk(cut)
    assert outcome(cut) == outcome(whole)


def test_frames_that_come_together_are_heard_one_by_one() -> None:
    client = ByteClient(FakePlatform())
    beats = b"".join(client.wire.send(ws.TextMessage(json.dumps({"op": 1, "d": None}))) for _ in range(5))
    client.send(beats, 1.0)
    assert [message["op"] for message in client.messages] == [10, 11, 11, 11, 11, 11]


def test_binary_messages_go_both_ways() -> None:
    client = ByteClient(FakePlatform())
    client.identify()
    client.platform.conversations[0].send_raw(b"\x00\xff")
    client.listen()
    assert client.heard[-1] == ws.BytesMessage(bytearray(b"\x00\xff"))
    client.say(ws.BytesMessage(b'{"op":1,"d":1}'), 1.0)
    assert client.messages[-1] == {"op": 11}
    assert told(client.platform) == ["a binary message, where every SDK sends text"]


def test_the_platform_pings_and_counts_the_pong() -> None:
    client = ByteClient(FakePlatform())
    client.platform.conversations[0].ping()
    client.listen()
    ping = client.heard[-1]
    assert isinstance(ping, ws.Ping)
    client.say(ping.response())
    client.say(ws.Ping())
    talk = client.platform.conversations[0]
    assert (talk.pings, talk.pongs) == (1, 1)


def test_a_ping_that_meets_the_platforms_close_is_not_answered() -> None:
    client = ByteClient(FakePlatform())
    client.platform.conversations[0].close(4000, "", 1.0)
    client.send(b"\x89\x80\x00\x00\x00\x00", 1.0)
    assert not any(isinstance(event, ws.Pong) for event in client.heard)
    assert client.platform.conversations[0].pings == 1


def test_nothing_is_said_before_the_upgrade() -> None:
    platform = FakePlatform()
    platform.connect(0.0)
    talk = platform.conversations[0]
    talk.send_raw("early")
    talk.ping()
    assert drain(platform) == []
    talk.close(4000, "", 1.0)
    assert drain(platform) == []


# -- the upgrade -------------------------------------------------------------------------------------------------------


def test_the_upgrade_offers_no_extension_and_no_subprotocol() -> None:
    platform = FakePlatform()
    wire = WSConnection(ConnectionType.CLIENT)
    id = platform.connect(0.0)
    request = ws.Request(host="g", target="/websocket/?x=1", subprotocols=["chat"])
    platform.receive_data(id, wire.send(request), 0.0)
    for output in drain(platform):
        assert isinstance(output, SendData)
        wire.receive_data(output.data)
    accepted = next(wire.events())
    assert isinstance(accepted, ws.AcceptConnection)
    assert (accepted.extensions, accepted.subprotocol) == ([], None)


GOOD = {
    "Host": "gateway.test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def upgrade(platform: FakePlatform, method: str = "GET", **changes: str) -> bytes:
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{method} /websocket HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value)]
    platform.receive_data(platform.connect(0.0), "\r\n".join([*lines, "", ""]).encode("latin-1"), 0.0)
    outputs = drain(platform)
    assert isinstance(outputs[-1], CloseConnection)
    return b"".join(output.data for output in outputs if isinstance(output, SendData))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Upgrade": ""}, 400),
        ({"Upgrade": "h2c"}, 400),
        ({"Connection": ""}, 400),
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Version": ""}, 400),
        ({"Host": "\xe9"}, 400),
    ],
)
def test_an_upgrade_that_lacks_something_is_refused_and_told(changes: dict[str, str], status: int) -> None:
    platform = FakePlatform()
    answer = upgrade(platform, **changes)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"no WebSocket upgrade" in answer
    assert len(platform.violations) == 1
    assert "no WebSocket upgrade" in platform.violations[0]


def test_only_a_get_is_an_upgrade() -> None:
    assert upgrade(FakePlatform(), "POST").startswith(b"HTTP/1.1 400 ")
    assert upgrade(FakePlatform(), "HEAD") == b""


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"\r\n\r\n\r\n", b"x" * 70_000]
)
def test_junk_is_no_upgrade(junk: bytes) -> None:
    platform = FakePlatform()
    id = platform.connect(0.0)
    platform.receive_data(id, junk, 0.0)
    platform.receive_data(id, b"more", 0.0)
    platform.receive_data(id, b"", 0.0)
    assert len(platform.violations) == 1
    assert platform.conversations == []


def test_another_path_is_not_the_gateway() -> None:
    client = ByteClient(FakePlatform(), target="/gateway")
    rejected = client.heard[0]
    assert isinstance(rejected, ws.RejectConnection)
    assert rejected.status_code == 404
    assert client.ended == BYE
    assert told(client.platform) == ["a WebSocket upgrade for /gateway"]


def test_upgrades_can_be_refused() -> None:
    platform = FakePlatform()
    platform.behaviour.upgrade = reply(502, {"message": "bad gateway"}, Retry_After="1")
    client = ByteClient(platform)
    rejected = client.heard[0]
    assert isinstance(rejected, ws.RejectConnection)
    assert rejected.status_code == 502
    assert (b"retry-after", b"1") in rejected.headers
    assert client.ended == BYE
    assert platform.violations == []


# -- endings -----------------------------------------------------------------------------------------------------------


def test_the_platform_closes_waits_for_the_answer_and_ends_the_stream() -> None:
    client = ByteClient(FakePlatform())
    client.identify()
    client.platform.conversations[0].close(4009, "session timed out", 1.0)
    client.listen()
    closed = client.heard[-1]
    assert closed == ws.CloseConnection(4009, "session timed out")
    assert isinstance(closed, ws.CloseConnection)
    assert client.ended is None
    client.say(closed.response(), 1.1)
    assert client.ended == BYE
    assert client.platform.next_timer() is None
    assert client.platform.violations == []


def test_the_answer_to_a_close_is_not_waited_for_for_ever() -> None:
    client = ByteClient(FakePlatform(behaviour=Behaviour(close_wait=5.0)))
    client.identify()
    client.platform.conversations[0].close(4009, "", 1.0)
    client.listen()
    assert client.platform.next_timer() == 6.0
    client.platform.handle_timer(5.9)
    client.listen()
    assert client.ended is None
    client.platform.handle_timer(6.0)
    client.listen()
    assert client.ended == BYE
    assert client.platform.next_timer() is None


def test_a_stream_that_ends_without_a_close_frame_keeps_the_session() -> None:
    client = ByteClient(FakePlatform())
    client.identify()
    client.platform.receive_data(client.id, b"", 1.0)
    client.listen()
    assert client.ended == BYE
    assert client.platform.session().away_since == 1.0


def test_a_close_frame_without_a_code_keeps_the_session() -> None:
    client = ByteClient(FakePlatform())
    client.identify()
    client.send(b"\x88\x80\x00\x00\x00\x00", 1.0)
    assert client.ended == BYE
    assert client.platform.session().live is None


def test_the_platform_hangs_up_or_breaks_off() -> None:
    client, other = ByteClient(FakePlatform()), ByteClient(FakePlatform())
    client.platform.conversations[0].hang_up(1.0)
    client.listen()
    assert client.ended == BYE
    other.platform.conversations[0].reset(1.0)
    other.listen()
    assert other.ended == Abort(1)
    for one in (client, other):
        one.say(ws.Ping(), 2.0)
        one.platform.conversations[0].ping()
        one.platform.receive_data(1, b"", 2.0)
        assert drain(one.platform) == []


# -- what a client should not do ---------------------------------------------------------------------------------------


def test_data_after_the_clients_own_close_frame() -> None:
    client = ByteClient(FakePlatform())
    ping = client.wire.send(ws.Ping())
    client.send(client.wire.send(ws.CloseConnection(4000, "")))
    client.send(ping)
    assert told(client.platform) == ["data after the client's own close frame"]


@pytest.mark.parametrize("frame", [b"\x81\x02hi", b"\xf1\x80\x00\x00\x00\x00", b"\x83\x80\x00\x00\x00\x00"])
def test_frames_that_are_none_are_closed(frame: bytes) -> None:
    client = ByteClient(FakePlatform())
    client.send(frame)
    closed = client.heard[-1]
    assert isinstance(closed, ws.CloseConnection)
    assert closed.code == 1002
    assert client.ended == BYE
    assert "no WebSocket frame" in told(client.platform)[0]


def test_a_broken_frame_while_the_platform_closes_ends_it() -> None:
    client = ByteClient(FakePlatform())
    client.platform.conversations[0].close(4000, "", 1.0)
    client.send(b"\x81\x02hi", 1.0)
    assert client.ended == BYE


def test_a_message_that_is_too_big_or_in_too_many_pieces_is_closed() -> None:
    big = ByteClient(FakePlatform())
    big.say(ws.TextMessage("x" * ((1 << 20) + 1)))
    many = ByteClient(FakePlatform())
    many.send(b"\x01\x80\x00\x00\x00\x00" + b"\x00\x80\x00\x00\x00\x00" * 1100)
    endless = ByteClient(FakePlatform())
    endless.send(b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"\x00" * 4 + b"x" * ((1 << 20) + 1))
    for client in (big, many, endless):
        closed = client.heard[-1]
        assert isinstance(closed, ws.CloseConnection)
        assert closed.code == 1009
        assert client.ended == BYE
        assert len(told(client.platform)) == 1


# -- anything ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_no_bytes_make_it_raise(junk: list[bytes], upgraded: bool) -> None:
    platform = FakePlatform()
    id = ByteClient(platform).id if upgraded else platform.connect(0.0)
    for piece in junk:
        platform.receive_data(id, piece, 1.0)
        drain(platform)
    platform.handle_timer(1000.0)
    platform.receive_data(id, b"", 1000.0)
    drain(platform)
    assert platform.conversations == []
    assert platform.next_timer() is None
