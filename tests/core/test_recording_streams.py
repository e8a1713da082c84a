"""The bytes of a connection in a recording: however they come, and whatever is hidden, the machine is told the same."""

from __future__ import annotations

import base64
import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qqproto import (
    Dispatch,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    LocalProtocolError,
    OpenConnection,
    Policy,
    Token,
)
from tests.core import frames
from tests.core.frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame
from tests.core.hosts import URL, dispatch, message
from tests.core.recorded import SECRET, Recorded
from tests.fuzz.machines import EXAMPLES, TEXTS, campaign
from tests.fuzz.test_bytes import FRAMES

either = pytest.mark.parametrize("hide", [False, True], ids=["kept", "hidden"])
some = settings(campaign, max_examples=EXAMPLES // 10)
SMALL = Policy(max_message=4096, max_fragments=16, max_control_frames=8)

REPEATED = st.sampled_from(
    [
        frames.text(message(0, s=2, t="C2C_MESSAGE_CREATE", d={"id": "m", "content": f"<{SECRET}>"})),
        frames.text(f"no JSON {SECRET}"),
        frame(BINARY, SECRET.encode()),
        frame(PING, SECRET.encode()),
        frames.close(4009, SECRET),
        frame(TEXT, SECRET.encode() + b"\xff"),
    ]
)
"""A server that repeats the token."""


@st.composite
def torn(draw: st.DrawFn) -> list[bytes]:
    """Frames, good and bad, cut anywhere."""
    data = b"".join(draw(st.lists(FRAMES | REPEATED, min_size=1, max_size=6)))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=6))})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


def nothing_secret(bot: Recorded) -> None:
    """Not even in what is packed."""
    assert SECRET not in bot.text
    for fields in bot.inputs("data"):
        for unit in fields.get("units", ()):
            if isinstance(unit, dict) and "frame" in unit:
                assert SECRET not in str(base64.b64decode(unit["frame"]))


@given(torn(), st.booleans(), st.booleans())
@some
def test_any_bytes_on_a_live_connection_replay(reads: list[bytes], hide: bool, ends: bool) -> None:
    bot = Recorded(policy=SMALL, hide=hide).live()
    for read in [*reads, b""] if ends else reads:
        bot.receive(read)
        bot.run(0.5)
    bot.run(60)

    bot.replays()
    nothing_secret(bot)


@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from([b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 103 x\r\n", b"Upgrade: websocket\r\n", b"\r\n", b"\n"])
        | st.sampled_from([b"HTTP/1.1 401 no\r\n", f"Set-Cookie: {SECRET}\r\n".encode(), SECRET.encode()])
    ),
    st.booleans(),
)
@some
def test_any_bytes_for_an_upgrade_replay(reads: list[bytes], hide: bool) -> None:
    bot = Recorded(hide=hide)
    bot.shard.start(bot.now)
    bot.drain()
    for read in filter(None, reads):
        bot.receive(read)
    bot.run(25)

    bot.replays()


@given(st.lists(TEXTS | st.binary(max_size=40), max_size=6), st.booleans())
@some
def test_any_messages_of_a_hosts_websocket_replay(messages: list[str | bytes], hide: bool) -> None:
    bot = Recorded(framing=Framing.TEXT, hide=hide).live()
    bot.say(*messages, f"{SECRET} once more")
    bot.run(60)

    bot.replays()


@either
def test_binary_messages_of_a_hosts_websocket(hide: bool) -> None:
    """Of what is no UTF-8 the bad bytes are kept, where they were."""
    bot = Recorded(framing=Framing.TEXT, hide=hide).live()
    bot.say(b'{"op":11}', b"good, then \xff\xfe", dispatch(2))
    bot.run(60)

    bot.replays()
    kept = [base64.b64decode(fields["base64"]) for fields in bot.inputs("message") if "base64" in fields]
    assert kept == [b"xxxxxxxxxxx\xffx" if hide else b"good, then \xff\xfe"]


@either
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_an_event_in_small_pieces(size: int, hide: bool) -> None:
    """Each read has to bring a piece again, also of a message that is shorter than it was."""
    text = message(0, s=2, t="C2C_MESSAGE_CREATE", d={"id": "m", "content": "long " * 100 + SECRET})
    data = frames.text(text) + frames.text(dispatch(3))
    bot = Recorded(hide=hide).live()
    bot.receive(*(data[at : at + size] for at in range(0, len(data), size)))
    bot.run(41)

    bot.replays()
    assert len(bot.take(Dispatch)) == 2
    assert len([fields for fields in bot.inputs("data") if "rest" in fields]) >= len(data) // size - 3
    assert ("long" in bot.text) is not hide


@either
def test_an_event_that_never_comes_to_its_end(hide: bool) -> None:
    data = frames.text(message(0, s=2, t="C2C_MESSAGE_CREATE", d={"content": "half a letter"}))
    bot = Recorded(hide=hide).live()
    bot.receive(data[:1], data[1:40])
    bot.lose()
    bot.run(5)
    bot.receive(frames.accept(bot.request)[:40])
    bot.run(60)

    bot.replays()
    assert "letter" not in bot.text


@either
def test_an_event_in_fragments_with_a_ping_between_them(hide: bool) -> None:
    text = message(0, s=2, t="C2C_MESSAGE_CREATE", d={"id": "m", "content": "a letter 你好"}).encode()
    parts = [text[:30], text[30:-10], text[-10:]]
    assert b"\xe4" not in parts[0]
    bot = Recorded(hide=hide).live()
    bot.receive(
        frame(TEXT, parts[0], fin=False),
        frame(PING, b"between"),
        frame(CONTINUATION, parts[1], fin=False) + frame(CONTINUATION, parts[2])[:5],
        frame(CONTINUATION, parts[2])[5:],
    )

    bot.replays()
    [event] = bot.take(Dispatch)
    assert event.data["content"] == "a letter 你好"


def test_a_token_that_is_torn_by_fragments() -> None:
    bot = Recorded().live()
    text = f'{{"op":99,"d":"{SECRET}"}}'.encode()
    for middle in range(20, len(text) - 8):
        bot.receive(frame(TEXT, text[:middle], fin=False), frame(CONTINUATION, text[middle:]))

    bot.replays()
    pieces = "".join(str(base64.b64decode(unit["frame"])) for fields in bot.inputs("data")
                     for unit in fields["units"] if "frame" in unit)  # fmt: skip
    assert SECRET[:8] not in pieces
    assert SECRET[-8:] not in pieces


@either
@pytest.mark.parametrize(
    "bad",
    [
        frame(TEXT, b"masked", mask=b"mask"),
        frame(TEXT, b"reserved", rsv=4),
        frame(TEXT, b"a letter", length_bytes=2),
        frame(TEXT, b"a letter", length_bytes=8),
        frame(BINARY, b"a letter \xff and more"),
        frame(TEXT, b"a letter \xff and more"),
        frame(TEXT, "你".encode()[:2]),
        frame(CONTINUATION, b"of nothing"),
        frame(3, b"unknown"),
        frame(PONG, b"unasked"),
        frame(TEXT, b"x" * 300) + frame(TEXT, b"y" * 70_000),
        struct.pack("!BBQ", 0x81, 127, 1 << 40),
        struct.pack("!BBQ", 0x82, 127, 1 << 25) + bytes(100),
        b"\x81\x7f",
        b"",
    ],
)
def test_frames_that_are_not_ordinary(bad: bytes, hide: bool) -> None:
    bot = Recorded(hide=hide).live()
    bot.receive(bad)
    bot.receive(frames.text(dispatch(2)))
    bot.run(60)

    bot.replays()


@either
def test_a_frame_beyond_every_limit_is_not_kept(hide: bool) -> None:
    """Whoever sends it was dropped long before; the recorder does not collect what nobody reads."""
    bot = Recorded(hide=hide).live()
    bot.receive(struct.pack("!BBQ", 0x82, 127, 1 << 40))
    much = bytes(17 << 20)
    for _ in range(2):
        bot.shard.receive_data(bot.connection, much, bot.now)
    bot.shard.receive_data(bot.connection, b"more", bot.now)
    bot.drain()

    bot.replays()
    assert bot.inputs("data")[-1] == {"m": 1, "t": 100.0, "in": "data", "id": 3, "n": 4}


@pytest.mark.parametrize("status", ["401 Unauthorized", "200 OK"])
def test_an_upgrade_that_is_refused_with_a_body(status: str) -> None:
    bot = Recorded()
    bot.shard.start(bot.now)
    bot.drain()
    bot.receive(f"HTTP/1.1 {status}\r\nContent-Length: 60\r\nSet-Cookie: {SECRET}\r\n\r\n{SECRET}".encode(), b"more")
    bot.run(5)

    bot.replays()


def test_an_answer_to_another_key() -> None:
    """It was wrong, and is wrong again, although our key is another one."""
    bot = Recorded()
    bot.shard.start(bot.now)
    bot.drain()
    bot.receive(frames.accept(bot.request, Sec_WebSocket_Accept=b"bm90IHRoZSByaWdodCBvbmUhISE="))

    bot.replays()
    [failed] = bot.said("Disconnected")
    assert failed["phase"] == "hello"


def test_bytes_that_come_before_the_upgrade_is_sent() -> None:
    """A host that feeds before it drains."""
    bot = Recorded()
    bot.shard.start(bot.now)
    bot.drain()
    bot.lose()
    bot.now = bot.shard.next_timer() or 0.0
    bot.shard.handle_timer(bot.now)
    for answer in (Token(SECRET), GatewayInfo(URL)):
        question = bot.shard.next_output()
        assert isinstance(question, (FetchToken, FetchGateway))
        bot.shard.answer(question.id, answer, bot.now)
    opening = bot.shard.next_output()
    assert isinstance(opening, OpenConnection)
    bot.shard.connection_opened(opening.id, bot.now)
    bot.shard.receive_data(opening.id, b"HTTP/1.1 101 Switching Protocols\r\n", bot.now)
    bot.drain()
    bot.run(25)

    bot.replays()


@pytest.mark.parametrize("length", [200, 70_000])
def test_a_token_of_any_length(length: int) -> None:
    bot = Recorded(token="t" * length).live()

    bot.replays()
    assert "t" * 100 not in bot.text


def test_bytes_of_a_connection_that_is_over_and_of_one_that_never_was() -> None:
    bot = Recorded().live()
    old = bot.connection
    bot.lose()
    bot.run(5)
    bot.shard.receive_data(old, b"late", bot.now)
    with pytest.raises(LocalProtocolError):
        bot.shard.receive_data(1000, b"never", bot.now)
    bot.run(5)

    assert len(bot.replays().raised) == 1
