"""Whatever comes in place of the gateway, or from it, costs a connection at most (promises G9 and G10)."""

from __future__ import annotations

import dataclasses
import json

import pytest
from wsproto.frame_protocol import FrameProtocol, Opcode

from qqproto import Disconnected, FailureKind, Malformed, Phase, Policy, Ready, Resumed
from tests.scenarios.bots import QUICK, Bot
from tests.scenarios.stage import Stage

HASTY = dataclasses.replace(QUICK, hello_timeout=0.3)
NARROW = dataclasses.replace(QUICK, max_message=1 << 20)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """One frame of a server's, of at most 64 KiB."""
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    return head + bytes([126]) + len(payload).to_bytes(2, "big") + payload


def text(payload: bytes | str) -> bytes:
    return frame(Opcode.TEXT, payload if isinstance(payload, bytes) else payload.encode())


# -- in place of the gateway -------------------------------------------------------------------------------------------

PAGE = b"<html><body>Please log in to the hotel's network</body></html>"

IMPOSTORS = {
    "a captive portal": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
    % (len(PAGE), PAGE),
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n",
    "a bad gateway": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    "a wrong accept key": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: bm9ib2R5IGFza2VkIGZvcg==\r\n\r\n",
    "a 101 without a word": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "an extension nobody offered": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: bm9ib2R5IGFza2VkIGZvcg==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "an SSH server": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "zeros": bytes(4096),
    "a head without end": b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Padding: no end in sight\r\n" * 4000,
    "half a head": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs",
    "a header that is not ASCII": "HTTP/1.1 101 Switching Protocols\r\nX-Name: 网关\r\n\r\n".encode(),
}


@pytest.mark.parametrize("impostor", IMPOSTORS.values(), ids=IMPOSTORS.keys())
def test_somebody_else_answers_in_place_of_the_gateway(stage: Stage, impostor: bytes) -> None:
    stage.wire.impostor = impostor
    bot = stage.bot(policy=HASTY).start()
    gone = [bot.until(Disconnected) for _ in range(2)]
    stage.wire.impostor = None
    bot.until(Ready)

    assert {each.phase for each in gone} == {Phase.HELLO}
    assert all(each.failure for each in gone)
    stage.until(lambda: stage.wire.clients == 1)


# -- from the gateway --------------------------------------------------------------------------------------------------


def ready(stage: Stage, policy: Policy = HASTY) -> Bot:
    bot = stage.bot(policy=policy).start()
    bot.until(Ready)
    return bot


BROKEN = {
    "no WebSocket at all": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a reserved opcode": frame(0x3, b"?"),
    "reserved bits": bytes([0xF1, 0x00]),
    "a masked frame": b"\x81\x85\x01\x02\x03\x04\x00\x00\x00\x00\x00",
    "a continuation of nothing": frame(Opcode.CONTINUATION, b"and so on"),
    "a ping in fragments": frame(Opcode.PING, b"half", fin=False),
    "a ping that is too long": bytes([0x89, 126, 0, 126]) + bytes(126),
    "text that is no UTF-8": text(b"\xff\xfe\xfd"),
    "a surrogate": text(b"\xed\xa0\x80"),
    "a flood of empty fragments": frame(Opcode.TEXT, b"", fin=False)
    + frame(Opcode.CONTINUATION, b"", fin=False) * 5000,
    "a flood of pings": frame(Opcode.PING) * 5000,
    "a flood of pongs": frame(Opcode.PONG) * 5000,
    "a close code that is none": frame(Opcode.CLOSE, b"\x00\x01"),
    "half a close code": frame(Opcode.CLOSE, b"\x03"),
    "a message without end": frame(Opcode.TEXT, b"[" * 65000, fin=False) + frame(0, b"[" * 65000, fin=False) * 20,
}


def test_what_is_no_websocket_costs_the_connection_and_not_the_session(stage: Stage) -> None:
    bot = ready(stage, NARROW)
    for count, (name, said) in enumerate(BROKEN.items(), 1):
        stage.inject(said)
        gone = bot.until(Disconnected)
        bot.until(Resumed)
        stage.say(name)
        bot.until_hears(name)
        assert gone.phase is Phase.READY, name
        assert stage.ops() == [2] + [6] * count, name
    stage.until(lambda: stage.wire.clients == 1)


def test_a_frame_that_claims_to_be_giant_is_never_held(stage: Stage) -> None:
    """2^62 bytes of it never come, and what does come is not kept beyond the limit."""
    bot = ready(stage, NARROW)
    stage.inject(bytes([0x81, 127]) + (1 << 62).to_bytes(8, "big") + b"[" * (2 << 20))
    gone = bot.until(Disconnected)
    bot.until(Resumed)

    assert gone.failure is not None
    assert gone.failure.kind is FailureKind.OTHER


ODD = {
    "no JSON": "hello?",
    "a list": "[]",
    "no opcode": "{}",
    "an opcode that is a word": '{"op":"dispatch"}',
    "a dispatch without a name": '{"op":0,"s":2}',
    "nested without end": "[" * 60_000,
    "nothing": "",
}


def test_a_message_that_makes_no_sense_is_told_and_the_link_stays(stage: Stage) -> None:
    """Row 27: one odd payload that ended the bot."""
    bot = ready(stage)
    for name, said in ODD.items():
        stage.inject(text(said))
        bot.until(Malformed)
        stage.say(name)
        bot.until_hears(name)

    assert bot.heard(Disconnected) == []
    assert bot.count("connections") == 1


def test_a_flood_of_opcodes_that_nobody_knows(stage: Stage) -> None:
    bot = ready(stage)
    flood = b"".join(text(json.dumps({"op": number % 90 + 20, "d": number})) for number in range(5000))
    stage.inject(flood)
    stage.say("go on")
    bot.until_hears("go on")

    assert bot.count("unknown_opcodes") == 5000
    assert bot.heard(Disconnected) == []


def test_a_flood_of_requests_for_heartbeats_is_not_answered_by_a_flood(stage: Stage) -> None:
    bot = ready(stage)
    before = stage.ops(heartbeats=True).count(1)
    stage.inject(text('{"op":1}') * 5000)
    stage.say("go on")
    bot.until_hears("go on")
    stage.rotate()
    bot.until(Resumed)

    assert stage.ops(heartbeats=True).count(1) - before <= 3


def test_pings_are_answered_while_they_are_few(stage: Stage) -> None:
    bot = ready(stage)
    for number in range(30):
        stage.talk(lambda talk, now: talk.ping())
        stage.say(number)
        bot.until_hears(number)
    stage.until(lambda: stage.platform.conversations[0].pongs == 30)

    assert bot.count("connections") == 1


def test_a_message_of_any_size_arrives(stage: Stage) -> None:
    bot = ready(stage)
    sizes = [1, 125, 126, 65535, 65536, 1 << 20]
    for size in sizes:
        stage.say("x" * size)
        bot.until_hears("x" * size)

    assert [len(content) for content in bot.contents] == sizes


def test_frames_in_fragments_with_pings_between(stage: Stage) -> None:
    bot = ready(stage)
    dispatch = json.dumps(
        {"op": 0, "s": 2, "t": "C2C_MESSAGE_CREATE", "d": {"id": "M-1", "content": "你好"}}, ensure_ascii=False
    ).encode()
    pieces = [dispatch[start : start + 3] for start in range(0, len(dispatch), 3)]
    said = b"".join(
        frame(Opcode.TEXT if index == 0 else Opcode.CONTINUATION, piece, fin=index == len(pieces) - 1)
        + (frame(Opcode.PING, b"?") if index % 8 == 0 else b"")
        for index, piece in enumerate(pieces)
    )
    stage.inject(said)
    bot.until_hears("你好")


def test_these_frames_are_what_they_should_be() -> None:
    """Our own scribe of frames against wsproto's reader."""
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(text("x" * 300) + frame(Opcode.PING, b"?"))
    message, ping = list(reader.received_frames())

    assert (message.opcode, message.payload) == (Opcode.TEXT, "x" * 300)
    assert (ping.opcode, ping.payload) == (Opcode.PING, b"?")
