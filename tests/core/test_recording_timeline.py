"""What happened in a recording: phases, heartbeats and ACKs, outages with their causes and ends, and whatever else."""

from __future__ import annotations

import pytest

from qqproto import Failure, FailureKind, FetchToken, Framing, LocalProtocolError, Phase, Policy
from qqproto.recording import Life, Recorder, lives_of, read
from tests.core import frames
from tests.core.hosts import ACK, RECONNECT, dispatch, half, hello, message, ready, resumed
from tests.core.recorded import CONFIG, Recorded

both = pytest.mark.parametrize("framing", Framing)


def life_of(bot: Recorded) -> Life:
    [life] = lives_of(bot.lines)
    return life


def come_back(bot: Recorded, *messages: str) -> None:
    bot.run(2)
    if bot.framing is Framing.BYTES:
        bot.receive(frames.accept(bot.request))
    bot.say(hello(), *messages)


@both
def test_a_life_in_which_nothing_goes_wrong(framing: Framing) -> None:
    bot = Recorded(framing=framing).live()
    bot.run(21)
    bot.say(ACK, dispatch(2), dispatch(3))
    bot.run(10)
    bot.shard.close(bot.now)
    bot.drain()
    bot.shard.close(bot.now)
    bot.run(10)

    life = life_of(bot)
    assert (life.shard, life.chapter, life.whole) == (0, 1, True)
    assert (life.begin, life.end) == (100.0, 136.0)
    assert [span.phase for span in life.spans] == [
        Phase.HTTP, Phase.DIAL, Phase.HELLO, Phase.AUTH, Phase.READY, Phase.CLOSING
    ]  # fmt: skip
    assert life.live == 31.0
    assert life.beats == [119.59375]
    assert life.acks == [121.0]
    assert life.dispatches == [121.0, 121.0]
    assert life.outages == []
    assert [mark.kind for mark in life.marks] == ["identify", "online", "ready", "close", "stopped"]


@both
def test_an_outage_from_its_cause_to_its_end(framing: Framing) -> None:
    bot = Recorded(framing=framing, policy=Policy(offline_grace=1.0)).live()
    bot.run(10)
    bot.lose()
    bot.now = bot.shard.next_timer() or 0.0
    bot.shard.handle_timer(bot.now)
    question = bot.shard.next_output()
    assert isinstance(question, FetchToken)
    text = "HTTP 500, error 500 (trace 1234)"
    bot.shard.answer(question.id, Failure(FailureKind.HTTP_STATUS, text, 500, 500), bot.now)
    bot.drain()
    come_back(bot, dispatch(4), resumed(4))
    bot.say(RECONNECT)

    outage, rotation = life_of(bot).outages
    assert outage.begin == 110.0
    assert outage.end == bot.now
    assert outage.causes == {"reset: the connection was cut": 1, "http-status: HTTP 500, error 500": 1}
    assert (outage.tries, outage.planned, outage.ending, outage.missing, outage.told) == (1, False, "Resume", 2, True)
    assert (rotation.planned, rotation.end, rotation.ending) == (True, None, "not over")
    assert rotation.causes == {"op 7": 1}
    assert "gap" in [mark.kind for mark in life_of(bot).marks]


def test_endings_by_codes_and_the_end_of_it_all() -> None:
    bot = Recorded(framing=Framing.TEXT).live()
    bot.shard.connection_closed(bot.connection, 4903, "", bot.now)
    bot.drain()
    come_back(bot, ready("S-2"))
    bot.shard.connection_lost(bot.connection, Failure(FailureKind.OTHER), bot.now)
    bot.drain()
    come_back(bot, message(9, d=True))
    bot.run(20)
    bot.shard.connection_closed(bot.connection, 4914, "sandbox", bot.now)
    bot.drain()

    first, second = life_of(bot).outages
    assert (list(first.causes), first.ending) == (["close code 4903"], "Identify")
    assert list(second.causes) == ["other", "invalid session", "close code 4914 (sandbox)"]
    assert (second.ending, second.end) == ("stopped", None)


def test_what_else_is_told() -> None:
    bot = Recorded(framing=Framing.TEXT).live()
    bot.say("no JSON", "[]")
    bot.shard.reading_paused(bot.now)
    bot.drain()
    bot.shard.reading_resumed(bot.now)
    bot.drain()
    bot.now += 100
    bot.shard.handle_timer(bot.now)
    bot.drain()
    with pytest.raises(LocalProtocolError):
        bot.shard.start(bot.now)
    bot.shard.fail("a bug of the host's", bot.now)
    bot.drain()

    marks = {mark.kind: mark.text for mark in life_of(bot).marks}
    assert marks["malformed"] == "the server sent a message without an opcode"
    assert marks["paused"] == "reading paused"
    assert marks["lag"] == "this process was 80.4 s late"
    assert marks["stopped"] == "stopped (host-failure): a bug of the host's"
    assert [mark.text for mark in life_of(bot).marks if mark.kind == "bug"] == [
        "the machine raised LocalProtocolError", "a bug of the host's"
    ]  # fmt: skip


def test_a_recording_whose_beginning_is_gone_shows_what_is_left() -> None:
    bot = Recorded().live()
    bot.lose()
    middle = next(number for number, text in enumerate(bot.written) if '"in":"lost"' in text)
    strange = ['{"m":1,"due":1.0}', '{"m":7,"t":1.0,"in":"timer"}']
    life, *others = lives_of(read([bot.recorder.head(), *strange, *bot.written[middle:]]))

    assert others == []
    assert not life.whole
    assert [span.phase for span in life.spans] == [Phase.WAIT]


def test_of_a_life_that_shows_nothing_there_is_its_span() -> None:
    bot = Recorded().live()
    [life] = lives_of(read([bot.recorder.head(), '{"m":1,"t":5.0,"in":"timer"}', '{"m":1,"t":9.0,"in":"timer"}']))

    assert (life.begin, life.end, life.spans, life.live) == (5.0, 9.0, [], 0.0)


def test_a_recording_may_know_the_time_of_day() -> None:
    written: list[str] = []
    hours = iter([3600.0, 7200.0])
    recorder = Recorder(written.append, unix_time=lambda: next(hours))
    shard = recorder.shard(CONFIG, random=half)
    shard.start(100.0)
    shard.handle_timer(130.0)
    middle = [recorder.head(), '{"m":1,"t":140.0,"in":"timer"}']

    assert [life.unix for life in lives_of(read(written))] == [3600.0]
    assert [life.unix for life in lives_of(read(middle))] == [7210.0]
    assert life_of(Recorded().live()).unix is None


def test_a_life_in_which_nothing_happened_yet_is_left_out() -> None:
    bot = Recorded()

    assert lives_of(bot.lines) == []
