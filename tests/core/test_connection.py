from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from qqproto import (
    Abort,
    CloseConnection,
    Dispatch,
    Failure,
    FailureKind,
    IdentifySlot,
    LocalProtocolError,
    LoopLag,
    Malformed,
    Phase,
    Policy,
    QQGatewayConnection,
    Ready,
    ReserveIdentify,
    Resumed,
    SendData,
    Session,
    ShardConfig,
    Verdict,
    lazy,
)
from qqproto.decoding import Loads
from tests.core import frames
from tests.core.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept, closing, frame, said
from tests.core.hosts import ACK, CONFIG, RECONNECT, SESSION, TOKEN, URL, Drained, dispatch, half, hello, ready, resumed


class Socket(Drained):
    """A connection, its clock, and the server's end of its stream."""

    def __init__(
        self,
        session: Session | None = None,
        *,
        config: ShardConfig = CONFIG,
        policy: Policy = Policy(),
        url: str = URL,
        loads: Loads = json.loads,
    ) -> None:
        super().__init__()
        self.now = 1000.0
        self.machine = QQGatewayConnection(config, url, TOKEN, random=half, session=session, policy=policy, loads=loads)
        self.machine.connection_opened(self.now)
        self.drain()
        self.request = self.only(SendData).data

    def drain(self) -> None:
        while (output := self.machine.next_output()) is not None:
            assert TOKEN.value not in repr(output)
            if isinstance(output, (SendData, CloseConnection, Abort)):
                assert output.id == 1, "an action names its connection"
            self.outputs.append(output)
        assert self.machine.ended or self.machine.next_timer() is not None

    def receive(self, *reads: bytes) -> None:
        for data in reads:
            self.machine.receive_data(data, self.now)
            self.drain()

    def say(self, *messages: str) -> None:
        """The server says these, all in one segment."""
        self.receive(b"".join(frames.text(message) for message in messages))

    def run(self, seconds: float) -> None:
        """Let time pass, with a driver that is on time."""
        end = self.now + seconds
        while (due := self.machine.next_timer()) is not None and due <= end:
            self.now = due
            self.machine.handle_timer(self.now)
            self.drain()
        self.now = end

    def said(self) -> list[tuple[int, bytes]]:
        """The frames that were sent."""
        return said(b"".join(action.data for action in self.take(SendData)))

    def messages(self) -> list[Any]:
        """The messages that were sent, decoded; nothing else was."""
        found = self.said()
        assert {opcode for opcode, _ in found} <= {TEXT}
        return [json.loads(payload) for _, payload in found]

    def up(self) -> None:
        """Until READY; nothing of it stays in ``outputs``."""
        self.receive(accept(self.request))
        self.say(hello())
        self.allow_identify()
        self.say(ready())
        self.outputs.clear()

    def allow_identify(self) -> None:
        question = self.only(ReserveIdentify)
        self.machine.answer(question.id, IdentifySlot(self.now), self.now)
        self.drain()


# -- the beginning -------------------------------------------------------------------------------------------------


def test_the_first_thing_said_is_the_upgrade() -> None:
    socket = Socket(config=ShardConfig("1", 1, headers={"User-Agent": "bot/1.0"}))
    line, headers = frames.request_of(socket.request)
    assert line == "GET /websocket HTTP/1.1"
    assert ("User-Agent", "bot/1.0") in headers
    assert not any("token" in name.lower() or "authorization" in name.lower() for name, _ in headers)
    assert socket.machine.phase is Phase.HELLO
    assert socket.machine.next_timer() == socket.now + 20.0
    assert (socket.outputs, socket.machine.session, socket.machine.verdict) == ([], None, None)


def test_it_is_told_when_the_websocket_is_open_and_when_it_is_not_any_more() -> None:
    socket = Socket()
    assert not socket.machine.upgraded
    answer = accept(socket.request)
    socket.receive(answer[:-2])
    assert not socket.machine.upgraded
    socket.receive(answer[-2:])
    assert socket.machine.upgraded
    assert socket.machine.phase is Phase.HELLO, "Hello is another thing"
    socket.machine.close(socket.now)
    assert not socket.machine.upgraded


def test_hello_in_the_segment_of_the_101_is_heard() -> None:
    socket = Socket()
    socket.receive(accept(socket.request) + frames.text(hello()))
    socket.allow_identify()
    [identify] = socket.messages()
    assert identify["op"] == 2
    assert identify["d"]["token"] == f"QQBot {TOKEN.value}"
    socket.say(ready(), dispatch(2))
    assert socket.only(Ready).session_id == "S-1"
    assert socket.only(Dispatch).sequence == 2
    assert socket.machine.phase is Phase.READY
    session = socket.machine.session
    assert session is not None
    assert (session.id, session.received, session.settled) == ("S-1", 2, 2)


def test_the_hosts_own_decoder_reads_the_messages() -> None:
    seen: list[str | bytes] = []

    def watched(text: str | bytes) -> Any:
        seen.append(text)
        return json.loads(text)

    machine = QQGatewayConnection(CONFIG, URL, TOKEN, random=half, loads=watched)
    machine.connection_opened(0.0)
    upgrade = machine.next_output()
    assert isinstance(upgrade, SendData)
    machine.receive_data(accept(upgrade.data) + frames.text(hello()), 0.0)
    assert seen == [hello()]


def test_a_session_is_resumed_and_its_replay_handed_out_first() -> None:
    socket = Socket(SESSION)
    socket.receive(accept(socket.request) + frames.text(hello()))
    [message] = socket.messages()
    assert (message["op"], message["d"]["session_id"], message["d"]["seq"]) == (6, "S-1", 41)
    socket.say(dispatch(42), dispatch(43), resumed(44))
    assert [type(output) for output in socket.outputs] == [Dispatch, Dispatch, Resumed]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_reads_of_any_size_bring_the_same(size: int) -> None:
    def talk(size: int) -> list[object]:
        socket = Socket(SESSION)
        stream = accept(socket.request) + b"".join(
            [
                frames.text(hello()),
                frame(PING, b"1"),
                frame(BINARY, dispatch(42).encode()),
                frame(TEXT, dispatch(43).encode()[:9], fin=False),
                frame(CONTINUATION, dispatch(43).encode()[9:]),
                frames.text(resumed(44)),
                frames.text("no JSON"),
                frames.text(RECONNECT),
                frames.text(dispatch(45)),
            ]
        )
        socket.receive(*(stream[at : at + size] for at in range(0, len(stream), size)))
        sent = [opcode for opcode, _ in socket.said()]
        assert socket.machine.ending is not None
        return [*socket.outputs, sent, socket.machine.ending, socket.machine.session]

    assert talk(size) == talk(10_000)


# -- while it lives ------------------------------------------------------------------------------------------------


def test_heartbeats_go_out_as_frames_and_their_acks_are_heard() -> None:
    socket = Socket()
    socket.up()
    socket.run(20.0)
    assert socket.messages() == [{"op": 1, "d": 1}]
    socket.now += 0.25
    socket.say(ACK)
    heartbeat = socket.machine.conversation.heartbeat
    assert heartbeat.acked_at == socket.now
    assert heartbeat.latency is not None


def test_pings_are_answered_in_their_place() -> None:
    socket = Socket()
    socket.up()
    socket.receive(frame(PING, b"1") + frames.text(dispatch(2)) + frame(PING, b"2") + frame(PONG, b"3"))
    first, middle, last = socket.outputs
    assert isinstance(middle, Dispatch)
    for output, payload in ((first, b"1"), (last, b"2")):
        assert isinstance(output, SendData)
        assert said(output.data) == [(PONG, payload)]


def test_silence_is_probed_by_a_ping_and_a_heartbeat_and_then_dropped() -> None:
    socket = Socket()
    socket.up()
    socket.run(20.0)
    assert [opcode for opcode, _ in socket.said()] == [TEXT]
    sent_at = socket.machine.conversation.heartbeat.sent_at
    assert sent_at is not None
    socket.run(sent_at + 10.0 - socket.now)
    assert [opcode for opcode, _ in socket.said()] == [PING, TEXT]
    socket.run(10.0)
    assert socket.outputs == [Abort(1, 4000)]
    assert socket.machine.verdict is Verdict.RESUME


def test_half_a_frame_is_a_sign_of_life() -> None:
    socket = Socket()
    socket.up()
    big = frames.text(dispatch(2))
    socket.run(25.0)
    for at in range(5):
        socket.receive(big[at : at + 1])
        socket.run(9.0)
    assert not socket.machine.ended
    assert PING not in [opcode for opcode, _ in socket.said()]


def test_reading_that_is_paused_is_not_silence() -> None:
    socket = Socket()
    socket.up()
    socket.machine.reading_paused(socket.now)
    socket.run(600.0)
    assert not socket.machine.ended
    assert {message["op"] for message in socket.messages()} == {1}
    socket.machine.reading_resumed(socket.now)
    socket.run(50.0)
    assert socket.machine.ended, "now it is"


def test_a_stall_of_our_own_is_told_and_probed_when_the_first_bytes_come() -> None:
    socket = Socket()
    socket.up()
    due = socket.machine.next_timer()
    assert due is not None
    socket.now = due + 60.0
    socket.receive(frames.text(dispatch(2))[:3])
    assert socket.only(LoopLag).seconds == pytest.approx(60.0)
    assert [opcode for opcode, _ in socket.said()] == [PING, TEXT]


def test_what_is_no_json_is_told_and_the_link_stays() -> None:
    socket = Socket()
    socket.up()
    socket.receive(frame(BINARY, b"\xff\xfe\x00") + frames.text("[]") + frames.text(dispatch(2)))
    assert len(socket.take(Malformed)) == 2
    socket.only(Dispatch)


def test_what_is_no_json_is_not_kept() -> None:
    """It may be long, and the next message may be hours away."""
    socket = Socket()
    socket.up()
    socket.receive(frame(TEXT, b"no JSON " * 10))
    assert socket.machine._websocket.given is None
    assert socket.only(Malformed).what == "a message that is not JSON"


@pytest.mark.parametrize(("settle", "settled"), [("delivery", 2), ("manual", 1)])
def test_handing_out_settles_or_the_application_does(settle: Any, settled: int) -> None:
    socket = Socket(config=ShardConfig("11111111", 1 << 25, settle=settle))
    socket.up()
    socket.say(dispatch(2))
    session = socket.machine.session
    assert session is not None
    assert session.settled == settled
    socket.machine.settle(socket.only(Dispatch))
    session = socket.machine.session
    assert session is not None
    assert session.settled == 2


# -- the end -------------------------------------------------------------------------------------------------------


def test_the_end_of_the_stream_is_an_end_without_a_close_frame() -> None:
    socket = Socket()
    socket.up()
    socket.receive(b"")
    assert socket.outputs == [Abort(1, 4000)]
    ending = socket.machine.ending
    assert ending is not None
    assert (ending.verdict, ending.phase, ending.code) == (Verdict.RESUME, Phase.READY, None)
    assert ending.failure == Failure(FailureKind.EOF, "the stream ended without a close frame")
    assert socket.machine.next_timer() is None


def test_a_lost_stream_is_told_by_the_host() -> None:
    socket = Socket()
    socket.up()
    socket.machine.connection_lost(Failure(FailureKind.RESET, "reset by peer"), socket.now)
    socket.drain()
    assert socket.outputs == []
    ending = socket.machine.ending
    assert ending is not None
    assert ending.failure == Failure(FailureKind.RESET, "reset by peer")


@pytest.mark.parametrize(
    ("code", "reason", "verdict", "planned"),
    [
        (4009, "session timed out", Verdict.RESUME, True),
        (4006, "", Verdict.IDENTIFY, False),
        (4004, "", Verdict.REFRESH_TOKEN, False),
        (4914, "offline", Verdict.STOP, False),
        (None, "", Verdict.RESUME, False),
    ],
)
def test_a_close_frame_is_answered_and_its_code_is_the_verdict(
    code: int | None, reason: str, verdict: Verdict, planned: bool
) -> None:
    socket = Socket()
    socket.up()
    socket.receive(frames.close(code, reason) + frames.text(dispatch(2)))
    reply = socket.only(SendData)
    assert closing(reply.data) == code
    assert socket.outputs == [CloseConnection(reply.id, code or 1000, "")]
    ending = socket.machine.ending
    assert ending is not None
    assert (ending.verdict, ending.code, ending.reason, ending.planned) == (verdict, code, reason, planned)
    assert ending.failure is None


@pytest.mark.parametrize(
    ("bad", "code", "what"),
    [
        (frame(0x3), 1002, "not WebSocket: "),
        (frame(TEXT, b"\xff"), 1007, "not WebSocket: "),
        (frame(TEXT, b"x" * 201), 1009, "a message of more than 200 bytes"),
        (frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 5, 1008, "a message in more than 5 fragments"),
        (frame(PONG) * 6, 1008, "more than 5 control frames in one read"),
    ],
)
def test_a_server_that_breaks_the_rules_or_a_limit_is_left(bad: bytes, code: int, what: str) -> None:
    socket = Socket(policy=Policy(max_message=200, max_fragments=5, max_control_frames=5))
    socket.up()
    socket.receive(bad + frames.text(dispatch(2)))
    reply = socket.only(SendData)
    assert closing(reply.data) == code
    assert socket.outputs == [CloseConnection(reply.id, code, "")]
    ending = socket.machine.ending
    assert ending is not None
    assert ending.failure is not None
    assert ending.failure.kind is FailureKind.OTHER
    assert ending.failure.message.startswith(what)
    assert ending.verdict is Verdict.RESUME


def test_a_server_that_breaks_the_upgrade_is_left_without_a_word() -> None:
    socket = Socket()
    socket.receive(accept(socket.request, Sec_WebSocket_Accept=b"wrong"))
    [left] = socket.outputs
    assert isinstance(left, CloseConnection)
    ending = socket.machine.ending
    assert ending is not None
    assert ending.failure == Failure(FailureKind.OTHER, "the WebSocket upgrade failed: Bad accept token")
    assert ending.phase is Phase.HELLO


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (100, FailureKind.HTTP_STATUS),
        (200, FailureKind.HTTP_STATUS),
        (302, FailureKind.HTTP_STATUS),
        (401, FailureKind.HTTP_STATUS),
        (429, FailureKind.RATE_LIMITED),
        (503, FailureKind.HTTP_STATUS),
    ],
)
@pytest.mark.parametrize(
    ("header", "span"), [("", None), ("retry-AFTER: 30\r\n", 30.0), ("Retry-After: \xe9\r\n", None)]
)
def test_a_refused_upgrade_is_told_with_its_status_and_its_wish(
    status: int, kind: FailureKind, header: str, span: float | None
) -> None:
    socket = Socket()
    socket.receive(f"HTTP/1.1 {status} Because\r\n{header}\r\n".encode("latin-1"), b"an endless body", b"goes on")
    assert socket.outputs == [Abort(1, 4000)]
    ending = socket.machine.ending
    assert ending is not None
    message = f"the server refused the WebSocket upgrade with HTTP {status}"
    assert ending.failure == Failure(kind, message, status, retry_after=span)
    assert ending.verdict is Verdict.RESUME, "a bare status is no verdict"


def test_a_reconnect_is_followed_with_a_close_frame_of_our_own_and_nothing_after_it_is_heard() -> None:
    socket = Socket()
    socket.up()
    socket.say(RECONNECT, dispatch(2))
    [(opcode, payload)] = socket.said()
    assert (opcode, payload) == (CLOSE, (4000).to_bytes(2, "big") + b"reconnect asked for")
    assert socket.only(CloseConnection).code == 4000
    socket.receive(frames.text(dispatch(3)), frames.close(4009), b"")
    assert socket.outputs == []
    ending = socket.machine.ending
    assert ending is not None
    assert (ending.planned, ending.verdict) == (True, Verdict.RESUME)


def test_without_a_leave_code_the_stream_is_dropped_without_a_word() -> None:
    socket = Socket(policy=Policy(leave_code=None))
    socket.up()
    socket.say(RECONNECT)
    [left] = socket.outputs
    assert left == Abort(1, None)


def test_a_hello_that_never_comes_is_waited_for_until_its_deadline() -> None:
    socket = Socket()
    socket.receive(accept(socket.request))
    socket.run(19.9)
    assert socket.outputs == []
    socket.run(0.2)
    assert socket.outputs == [Abort(1, 4000)]
    ending = socket.machine.ending
    assert ending is not None
    assert ending.failure is not None
    assert ending.failure.kind is FailureKind.TIMEOUT


# -- our goodbye ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep_session", "code"), [(False, 1000), (True, 4000)])
def test_goodbye_is_a_close_frame_and_withdraws_what_was_not_handed_out(keep_session: bool, code: int) -> None:
    socket = Socket()
    socket.up()
    socket.machine.receive_data(frames.text(dispatch(2)), socket.now)
    socket.machine.close(socket.now, keep_session=keep_session)
    socket.machine.close(socket.now)
    socket.drain()
    assert closing(socket.only(SendData).data) == code
    assert socket.outputs == [CloseConnection(1, code, "")]
    assert socket.machine.ended
    session = socket.machine.session
    assert session is not None
    assert (session.received, session.settled) == (2, 1), "it was not handed out"


def test_goodbye_during_the_upgrade_has_nothing_to_be_said_on() -> None:
    socket = Socket()
    socket.machine.close(socket.now)
    socket.drain()
    assert socket.outputs == [CloseConnection(1, 1000, "")]


# -- misuse --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "https://gateway.example/", "wss://", "wss://gateway..example/"])
def test_a_url_that_cannot_be_asked_for_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no ws:// or wss:// URL"):
        Socket(url=url)


def test_a_stream_is_opened_once() -> None:
    socket = Socket()
    with pytest.raises(LocalProtocolError, match=r"^connection_opened\(\) was called before$"):
        socket.machine.connection_opened(socket.now)
    socket.up()
    assert not socket.machine.ended


def test_nothing_can_come_before_the_stream_is_open() -> None:
    machine = QQGatewayConnection(CONFIG, URL, TOKEN, random=half)
    with pytest.raises(LocalProtocolError, match=r"^connection_opened\(\) comes before receive_data\(\)$"):
        machine.receive_data(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 0.0)
    machine.connection_opened(0.0)
    assert isinstance(machine.next_output(), SendData)


def test_an_answer_to_what_was_never_asked_is_misuse() -> None:
    socket = Socket()
    with pytest.raises(LocalProtocolError, match="id 7 was never issued"):
        socket.machine.answer(7, IdentifySlot(0.0), socket.now)


# -- what is no UTF-8 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loads", [json.loads, msgspec.json.decode, lazy.loads])
def test_a_binary_message_that_is_no_utf_8_is_told_and_the_link_stays(loads: Loads) -> None:
    socket = Socket(loads=loads)
    socket.up()
    socket.receive(frame(BINARY, b'{"op":0,"t":"\xff"}'))
    assert socket.only(Malformed).what == "a message that is not JSON"
    assert not socket.machine.ended


@pytest.mark.parametrize("size", [10, 1000, 70_000])
@pytest.mark.parametrize("loads", [json.loads, msgspec.json.decode, lazy.loads])
def test_a_text_that_is_no_utf_8_ends_the_connection(loads: Loads, size: int) -> None:
    """Whoever decodes, and however its frame writes its length."""
    socket = Socket(loads=loads)
    socket.up()
    socket.receive(frame(TEXT, b'"' + b"\xff" * size + b'"'))
    assert closing(b"".join(action.data for action in socket.take(SendData))) == 1007
    assert socket.only(CloseConnection).code == 1007
    assert socket.machine.verdict is Verdict.RESUME
