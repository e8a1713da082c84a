from __future__ import annotations

import base64
import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Policy
from qqproto.protocol.rest import usable_gateway_url
from qqproto.wire.websocket import Broken, CloseReceived, Pinged, Received, Rejected, WebSocket
from tests.core import frames
from tests.core.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept, closing, frame, said

URL = "wss://gateway.example/websocket"


def opened(policy: Policy = Policy()) -> WebSocket:
    websocket = WebSocket(URL, {}, policy)
    assert list(websocket.receive(accept(websocket.handshake()))) == []
    assert websocket.open
    return websocket


def hear(websocket: WebSocket, *reads: bytes) -> list[Received]:
    """All that these reads brought, with texts that nobody had looked at as texts."""
    return [_looked_at(websocket, item) for read in reads for item in websocket.receive(read)]


def _looked_at(websocket: WebSocket, item: Received) -> Received:
    if item is not websocket.given or not isinstance(item, bytes):
        return item
    try:
        text = item.decode()
        websocket.given = None  # there is only one b"", which may be a binary message next time
        return text
    except UnicodeDecodeError:
        broken = websocket.not_text(item)
        assert broken is not None
        return broken


def broken(websocket: WebSocket, *reads: bytes) -> Broken:
    """The one thing heard is that the server broke the protocol; nothing is heard after it."""
    [item] = hear(websocket, *reads)
    assert isinstance(item, Broken)
    assert not websocket.open
    assert hear(websocket, frames.text("more")) == []
    assert websocket.close(4000, "") == b"", "there is nothing left to say it on"
    return item


# -- the upgrade request -------------------------------------------------------------------------------------------


def test_the_upgrade_request_is_that_of_rfc_6455_and_offers_nothing_more() -> None:
    line, headers = frames.request_of(WebSocket(URL, {}, Policy()).handshake())
    assert line == "GET /websocket HTTP/1.1"
    fields = {name.lower(): value for name, value in headers}
    assert len(fields) == len(headers)
    key = fields.pop("sec-websocket-key")
    assert len(base64.b64decode(key, validate=True)) == 16
    assert fields.pop("upgrade").lower() == "websocket"
    assert fields == {
        "host": "gateway.example",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
    }, "no compression, no subprotocol: no SDK of the platform negotiates either"


def test_no_two_requests_have_the_same_key() -> None:
    assert len({frames.key_of(WebSocket(URL, {}, Policy()).handshake()) for _ in range(20)}) == 20


def test_the_hosts_headers_are_sent() -> None:
    _, headers = frames.request_of(WebSocket(URL, {"User-Agent": "bot/1.0"}, Policy()).handshake())
    assert ("User-Agent", "bot/1.0") in headers


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("wss://gateway.example", "gateway.example", "/"),
        ("wss://gateway.example:8443/websocket/", "gateway.example:8443", "/websocket/"),
        ("ws://127.0.0.1:80/a?b=c&d=%20#e", "127.0.0.1:80", "/a?b=c&d=%20"),
        ("wss://gateway.example?x", "gateway.example", "/?x"),
        ("ws://[::1]:8080/websocket", "[::1]:8080", "/websocket"),
        ("wss://[2001:db8::1]/", "[2001:db8::1]", "/"),
        ("wss://user:password@gateway.example:1/", "gateway.example:1", "/"),
    ],
)
def test_host_and_target_are_those_of_the_url(url: str, host: str, target: str) -> None:
    line, headers = frames.request_of(WebSocket(url, {}, Policy()).handshake())
    assert line == f"GET {target} HTTP/1.1"
    assert [value for name, value in headers if name.lower() == "host"] == [host]


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=80))
def test_every_url_that_is_let_through_can_be_asked_for(rest: str) -> None:
    url = f"wss://{rest}"
    if usable_gateway_url(url):
        frames.request_of(WebSocket(url, {}, Policy()).handshake())


def test_nothing_can_be_said_before_the_upgrade_is_through() -> None:
    websocket = WebSocket(URL, {}, Policy())
    assert not websocket.open
    websocket.handshake()
    assert not websocket.open
    assert websocket.close(4000, "going") == b""


# -- the answer to it ----------------------------------------------------------------------------------------------


def test_frames_in_the_same_segment_as_the_101_are_heard() -> None:
    websocket = WebSocket(URL, {}, Policy())
    answer = accept(websocket.handshake())
    assert hear(websocket, answer + frames.text("hello") + frames.text("again")) == ["hello", "again"]


def test_everything_may_come_one_byte_at_a_time() -> None:
    websocket = WebSocket(URL, {}, Policy())
    stream = accept(websocket.handshake()) + frames.text("häh") + frame(BINARY, b"\x00\xff" * 70) + frames.close(4009)
    items = hear(websocket, *(stream[at : at + 1] for at in range(len(stream))))
    assert items[:2] == ["häh", b"\x00\xff" * 70]
    assert isinstance(items[2], CloseReceived)
    assert len(items) == 3


def test_headers_of_the_servers_own_are_of_no_concern() -> None:
    websocket = WebSocket(URL, {}, Policy())
    answer = accept(websocket.handshake(), b"Server: \xe6\x9f\x90", b"X-Tps-trace-ID: abc", b"Set-Cookie: a=b")
    assert hear(websocket, answer) == []
    assert websocket.open


@pytest.mark.parametrize("status", [200, 204, 301, 302, 400, 401, 403, 404, 426, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "rest",
    [b"\r\n", b"Content-Length: 0\r\n\r\n", b"Content-Length: 5\r\n\r\nsorry", b"Content-Length: 5\r\n\r\nso",
     b"Transfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n"],
    ids=["no length", "empty", "whole body", "half a body", "chunks"],
)  # fmt: skip
def test_any_other_answer_is_a_rejection_and_the_last_thing_heard(status: int, rest: bytes) -> None:
    websocket = WebSocket(URL, {}, Policy())
    websocket.handshake()
    [item] = hear(websocket, b"HTTP/1.1 %d Because\r\nRetry-After: 7\r\n" % status + rest, b"more", b"and more")
    assert isinstance(item, Rejected)
    assert item.status == status
    assert (b"retry-after", b"7") in item.headers
    assert not websocket.open
    assert "retry" not in repr(item).lower(), "headers may hold secrets"


@pytest.mark.parametrize("status", [100, 102, 103])
def test_an_interim_answer_is_a_rejection_too(status: int) -> None:
    websocket = WebSocket(URL, {}, Policy())
    request = websocket.handshake()
    [item] = hear(websocket, b"HTTP/1.1 %d Wait\r\n\r\n" % status + accept(request) + frames.text("more"))
    assert isinstance(item, Rejected)
    assert item.status == status
    assert not websocket.open


def test_an_endless_body_is_not_kept() -> None:
    websocket = WebSocket(URL, {}, Policy())
    websocket.handshake()
    [item] = hear(websocket, b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000)
    assert isinstance(item, Rejected)
    piece = b"x" * 65_536
    tracemalloc.start()
    assert hear(websocket, *[piece] * 1000) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"Sec_WebSocket_Accept": b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "Bad accept token"),
        ({"Sec_WebSocket_Accept": None}, "Bad accept token"),
        ({"Upgrade": None}, "Missing header, 'Upgrade: "),
        ({"Upgrade": b"h2c"}, "Missing header, 'Upgrade: "),
        ({"Connection": None}, "Missing header, 'Connection: Upgrade'"),
        ({"Connection": b"keep-alive"}, "Missing header, 'Connection: Upgrade'"),
        ({"Sec_WebSocket_Extensions": b"permessage-deflate"}, "unrecognized extension permessage-deflate"),
        ({"Sec_WebSocket_Protocol": b"qq"}, "unrecognized subprotocol qq"),
        ({"Sec_WebSocket_Protocol": b"\xe6\x9f\x90"}, "a header that cannot be read"),
        ({"Sec_WebSocket_Extensions": b"\xe6\x9f\x90"}, "a header that cannot be read"),
        ({"Connection": b"Upgrade, \xff"}, "a header that cannot be read"),
        ({"Bad_Header": b"a\x00b"}, "Bad HTTP message"),
    ],
)
def test_an_upgrade_that_is_not_the_one_asked_for_is_broken(changed: dict[str, bytes | None], what: str) -> None:
    websocket = WebSocket(URL, {}, Policy())
    answer = accept(websocket.handshake(), **changed)
    item = broken(websocket, answer)
    assert item.what.startswith(f"the WebSocket upgrade failed: {what}")
    assert (item.code, item.reply) == (1002, b""), "there is no WebSocket yet to say anything on"


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n", b"<html>\r\n\r\n", b"HTTP/1.1 \r\n\r\n"],
)
def test_a_server_that_speaks_no_http_is_broken(answer: bytes) -> None:
    websocket = WebSocket(URL, {}, Policy())
    websocket.handshake()
    assert broken(websocket, answer) == Broken("the WebSocket upgrade failed: Bad HTTP message", 1002, b"")


@pytest.mark.parametrize("piece", [b"X-Padding: " + b"x" * 1000 + b"\r\n", b"x" * 1000])
def test_a_handshake_of_more_than_16_kib_is_broken(piece: bytes) -> None:
    websocket = WebSocket(URL, {}, Policy())
    websocket.handshake()
    assert hear(websocket, b"HTTP/1.1 101 Switching Protocols\r\nX: ", *[piece] * 15) == []
    item = broken(websocket, *[piece] * 3)
    assert item == Broken("the WebSocket upgrade failed: Bad HTTP message", 1002, b"")


# -- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_messages_of_every_length_are_heard_as_text_and_as_binary(size: int) -> None:
    payload = b"x" * size
    assert hear(opened(), frame(TEXT, payload) + frame(BINARY, payload)) == ["x" * size, payload]


def test_a_fragmented_message_is_one_with_control_frames_between() -> None:
    websocket = opened()
    face = "😀".encode()
    items = hear(
        websocket,
        frame(TEXT, b'{"a":"' + face[:1], fin=False),
        frame(PING, b"1") + frame(CONTINUATION, face[1:3], fin=False) + frame(PONG, b"2"),
        frame(CONTINUATION, face[3:] + b'"}') + frame(BINARY, b"\xff", fin=False),
        frame(CONTINUATION, b"\xfe"),
    )
    ping, *messages = items
    assert isinstance(ping, Pinged)
    assert said(ping.reply) == [(PONG, b"1")]
    assert messages == ['{"a":"😀"}', b"\xff\xfe"]


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"],
    ids=["never", "cut by another", "surrogate", "too high", "too long"],
)
def test_text_that_is_no_utf_8_is_broken(payload: bytes) -> None:
    item = broken(opened(), frame(TEXT, b"ok" + payload))
    assert (item.code, closing(item.reply)) == (1007, 1007)


def test_text_that_ends_in_the_middle_of_a_character_is_broken() -> None:
    item = broken(opened(), frame(TEXT, b"\xe6", fin=False), frame(CONTINUATION, b"\x9f"))
    assert (item.code, closing(item.reply)) == (1007, 1007)


@pytest.mark.parametrize(
    "bad",
    [
        frame(TEXT, b"masked", mask=b"\x01\x02\x03\x04"),
        frame(TEXT, b"x", rsv=4),
        frame(TEXT, b"x", rsv=2),
        frame(TEXT, b"x", rsv=1),
        *(frame(opcode) for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)),
        frame(PING, b"x", fin=False),
        frame(CLOSE, fin=False),
        frame(PING, b"x" * 126),
        frame(CLOSE, b"\x03\xe8" + b"x" * 124),
        frame(CONTINUATION, b"x"),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"),
        frame(TEXT, b"x", fin=False) + frame(BINARY, b"x"),
        frame(TEXT, b"x" * 125, length_bytes=2),
        frame(TEXT, b"x" * 65_535, length_bytes=8),
        frame(TEXT, b"x", announced=1 << 63),
    ],
)
def test_a_frame_that_rfc_6455_forbids_is_broken_and_answered(bad: bytes) -> None:
    item = broken(opened(), bad)
    assert item.what.startswith("not WebSocket: ")
    assert (item.code, closing(item.reply)) == (1002, 1002)


def test_what_was_good_before_a_bad_frame_is_heard_and_what_comes_after_it_is_not() -> None:
    # wsproto tells its parse error like a close frame and stays open.
    good, bad = hear(opened(), frames.text("good") + frame(0x3) + frames.text("bad"))
    assert good == "good"
    assert isinstance(bad, Broken)


# -- limits --------------------------------------------------------------------------------------------------------


def test_a_message_may_have_as_many_bytes_as_the_limit_says() -> None:
    websocket = opened(Policy(max_message=100))
    assert hear(websocket, frame(TEXT, b"x" * 100), frame(BINARY, b"x" * 100)) == [
        "x" * 100,
        b"x" * 100,
    ]


@pytest.mark.parametrize(
    "reads",
    [
        [frame(TEXT, b"x" * 101)],
        [frame(BINARY, b"x" * 101)],
        [frame(TEXT, b"x" * 60, fin=False), frame(CONTINUATION, b"x" * 41, fin=False)],
        [frame(BINARY, b"x" * 60, fin=False) + frame(CONTINUATION, b"x" * 41)],
        [frame(TEXT, "某".encode() * 34)],
    ],
    ids=["text", "binary", "fragments", "binary fragments", "in bytes, not characters"],
)
def test_a_byte_more_is_too_much(reads: list[bytes]) -> None:
    item = broken(opened(Policy(max_message=100)), *reads)
    assert item.what == "a message of more than 100 bytes"
    assert (item.code, closing(item.reply)) == (1009, 1009)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_frame_that_announces_2_62_bytes_is_refused_from_its_header(opcode: int) -> None:
    item = broken(opened(Policy(max_message=1 << 20)), frame(opcode, announced=1 << 62))
    assert item.what == "a message of more than 1048576 bytes"
    assert (item.code, closing(item.reply)) == (1009, 1009)


@pytest.mark.parametrize("fin", [True, False])
def test_the_limit_is_16_mib_unless_the_policy_says_otherwise(fin: bool) -> None:
    assert hear(opened(), frame(TEXT, announced=16 << 20, fin=fin)) == []
    assert broken(opened(), frame(TEXT, announced=(16 << 20) + 1, fin=fin)).code == 1009


@pytest.mark.parametrize(("size", "piece"), [(1 << 13, 1), (1 << 18, 1000), (1 << 24, 1 << 16)])
def test_what_is_kept_of_a_message_is_no_more_than_it_has(size: int, piece: int) -> None:
    websocket = opened()
    chunk = b"x" * piece
    hear(websocket, frame(TEXT, announced=size))
    tracemalloc.start()
    for _ in range(size // piece - 1):
        assert hear(websocket, chunk) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 10, "its whole room was made when its header came"


def test_each_message_has_the_limit_to_itself() -> None:
    websocket = opened(Policy(max_message=100, max_fragments=2))
    message = frame(TEXT, b"x" * 50, fin=False) + frame(CONTINUATION, b"x" * 50)
    assert len(hear(websocket, message * 50)) == 50


def test_a_message_may_have_as_many_fragments_as_the_limit_says() -> None:
    flood = frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 1022
    assert hear(opened(), flood + frame(CONTINUATION, b"end")) == ["end"]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_flood_of_empty_fragments_ends_where_the_limit_is(opcode: int) -> None:
    item = broken(opened(), frame(opcode, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 100_000)
    assert item.what == "a message in more than 1024 fragments"
    assert (item.code, closing(item.reply)) == (1008, 1008)


def test_pieces_of_one_frame_are_no_fragments() -> None:
    websocket = opened(Policy(max_fragments=1))
    stream = frames.text("x" * 500)
    assert hear(websocket, *(stream[at : at + 1] for at in range(len(stream)))) == ["x" * 500]


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_a_flood_of_control_frames_in_one_read_ends_where_the_limit_is(opcode: int) -> None:
    assert len(hear(opened(), *[frame(opcode, b"x") * 64] * 5)) == (320 if opcode == PING else 0), "64 a read are fine"
    *pongs, last = hear(opened(), frame(opcode, b"x") * 30_000)
    assert len(pongs) == (64 if opcode == PING else 0)
    assert isinstance(last, Broken)
    assert last.what == "more than 64 control frames in one read"
    assert (last.code, closing(last.reply)) == (1008, 1008)


def test_who_stops_listening_stops_the_parsing_too() -> None:
    websocket = opened()
    read = frames.text("first") + frames.text("second") * 10_000
    first = next(iter(websocket.receive(read)))
    assert first == b"first"
    websocket.close(4000, "enough")
    piece = frames.text("x" * 60_000)
    tracemalloc.start()
    assert hear(websocket, *[piece] * 1000) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000, "frames are collected that nobody will read"


def test_after_our_goodbye_nothing_is_heard() -> None:
    websocket = opened()
    websocket.close(4000, "going")
    assert hear(websocket, frames.text("{}"), frame(PING), frames.close(1000)) == []


# -- control frames ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"beat", bytes(range(125))])
def test_a_ping_is_answered_with_its_payload(payload: bytes) -> None:
    [item] = hear(opened(), frame(PING, payload))
    assert isinstance(item, Pinged)
    assert said(item.reply) == [(PONG, payload)]


def test_a_pong_is_of_no_concern() -> None:
    assert hear(opened(), frame(PONG), frame(PONG, b"unasked")) == []


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4000, 4009, 4999])
def test_a_close_frame_is_told_and_answered_and_the_last_thing_heard(code: int) -> None:
    websocket = opened()
    [item] = hear(websocket, frames.close(code, "auf Wiederhören") + frames.text("more"), frames.text("more"))
    assert isinstance(item, CloseReceived)
    assert (item.code, item.reason) == (code, "auf Wiederhören")
    assert type(item.code) is int
    assert closing(item.reply) == code
    assert not websocket.open
    assert websocket.close(1000, "") == b""


def test_a_close_frame_may_have_no_code() -> None:
    [item] = hear(opened(), frames.close())
    assert isinstance(item, CloseReceived)
    assert (item.code, item.reason) == (None, "")
    assert closing(item.reply) is None


def test_the_longest_reason_is_told_whole() -> None:
    [item] = hear(opened(), frames.close(4009, "x" * 123))
    assert isinstance(item, CloseReceived)
    assert item.reason == "x" * 123
    assert said(item.reply) == [(CLOSE, struct.pack("!H", 4009) + b"x" * 123)]


def test_a_close_frame_in_the_middle_of_a_message_ends_both() -> None:
    [item] = hear(opened(), frame(TEXT, b"half", fin=False) + frames.close(4009))
    assert isinstance(item, CloseReceived)
    assert item.code == 4009


# 1014 is registered since RFC 6455, but not known to wsproto; what follows from it is the same as from a lost link.
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1014, 1015, 1016, 2999, 5000, 65_535])
def test_a_code_that_no_close_frame_may_have_is_broken(code: int) -> None:
    item = broken(opened(), frames.close(code))
    assert (item.code, closing(item.reply)) == (1002, 1002)


@pytest.mark.parametrize(("payload", "code"), [(b"\x03", 1002), (b"\x0f\xa9\xff", 1007)])
def test_a_close_frame_that_cannot_be_read_is_broken(payload: bytes, code: int) -> None:
    item = broken(opened(), frame(CLOSE, payload))
    assert (item.code, closing(item.reply)) == (code, code)


# -- what we say ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["", "x" * 125, "某" * 100, "x" * 70_000])
def test_a_message_is_sent_as_one_masked_text_frame(message: str) -> None:
    assert said(opened().send_text(message)) == [(TEXT, message.encode())]


def test_a_ping_is_sent() -> None:
    assert said(opened().ping()) == [(PING, b"")]


def test_after_our_goodbye_nothing_is_heard_or_said() -> None:
    websocket = opened()
    assert said(websocket.close(4000, "back soon")) == [(CLOSE, struct.pack("!H", 4000) + b"back soon")]
    assert not websocket.open
    assert hear(websocket, frames.text("more"), frame(PING), frames.close(4000)) == []
    assert websocket.close(4000, "again") == b""


def test_a_reason_too_long_for_a_close_frame_is_cut_between_characters() -> None:
    [(_, payload)] = said(opened().close(4000, "某" * 100))
    assert payload[2:].decode() == "某" * 41


# -- any chunking --------------------------------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Received | bytes]]:
    """A stream of good frames, and what is to be heard; of a ping the payload of its pong."""
    stream, heard = b"", list[Received | bytes]()
    controls = st.lists(st.binary(max_size=125), max_size=2)
    for message in draw(st.lists(st.text(max_size=200) | st.binary(max_size=200), max_size=6)):
        payload = message.encode() if isinstance(message, str) else message
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        edges = [0, *cuts, len(payload)]
        for part, (start, end) in enumerate(pairwise(edges)):
            opcode = CONTINUATION if part else TEXT if isinstance(message, str) else BINARY
            for ping in draw(controls):
                stream += frame(PING, ping) + frame(PONG, ping)
                heard.append(ping)
            stream += frame(opcode, payload[start:end], fin=part == len(cuts))
        heard.append(message)
    code = draw(st.none() | st.just(0) | st.integers(3000, 4999))
    if code is not None:
        reason = draw(st.text(max_size=30)) if code else ""
        stream += frames.close(code or None, reason)
        heard.append(CloseReceived(code or None, reason, b""))
    return stream, heard


def plain(item: Received) -> Received | bytes:
    """Without the masks, which are random."""
    if isinstance(item, Pinged):
        [(opcode, payload)] = said(item.reply)
        assert opcode == PONG
        return payload
    if isinstance(item, CloseReceived):
        assert closing(item.reply) == item.code
        return CloseReceived(item.code, item.reason, b"")
    return item


@given(streams(), st.data())
def test_any_chunking_of_the_stream_brings_the_same(
    drawn: tuple[bytes, list[Received | bytes]], data: st.DataObject
) -> None:
    stream, heard = drawn
    websocket = WebSocket(URL, {}, Policy())
    stream = accept(websocket.handshake()) + stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    items = hear(websocket, *(stream[start:end] for start, end in pairwise(edges) if end > start))
    assert [plain(item) for item in items] == heard


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8), st.booleans())
def test_no_bytes_make_it_raise(reads: list[bytes], upgraded: bool) -> None:
    websocket = WebSocket(URL, {}, Policy(max_message=64, max_fragments=3, max_control_frames=2))
    request = websocket.handshake()
    items = hear(websocket, *([accept(request)] if upgraded else []), *reads)
    endings = [item for item in items if not isinstance(item, (str, bytes, Pinged))]
    assert endings in ([], items[-1:])


@pytest.mark.parametrize("cut", [0, 500])
def test_what_was_handed_out_is_not_kept(cut: int) -> None:
    websocket, data = opened(), frame(TEXT, b"[" * 100_000)
    for part in (data[: len(data) - cut], data[len(data) - cut :]):
        for item in websocket.receive(part) if part else ():
            assert item is websocket.given
    assert websocket.given is None
