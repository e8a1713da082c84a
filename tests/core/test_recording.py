"""Recordings of shards: every input is in them, they replay to the same outputs, and what differs is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qqproto import (
    Dispatch,
    Failure,
    FailureKind,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    LocalProtocolError,
    Malformed,
    Policy,
    Session,
    ShardConfig,
    Token,
    User,
)
from qqproto.recording import Recorder, Replay, read, replay
from tests.core import frames
from tests.core.hosts import ACK, RECONNECT, dispatch, half, hello, message, resumed
from tests.core.recorded import KEY, LOST, SECRET, Recorded

both = pytest.mark.parametrize("framing", Framing)
either = pytest.mark.parametrize("hide", [False, True], ids=["kept", "hidden"])


# -- what is recorded replays -----------------------------------------------------------------------------------------


@both
@either
def test_a_whole_life_is_lived_again(framing: Framing, hide: bool) -> None:
    bot = Recorded(framing=framing, hide=hide).live()
    bot.say(dispatch(2), dispatch(4), "no JSON", '{"op":99}', ACK)
    bot.run(100)
    bot.say(RECONNECT)
    bot.run(5)
    if framing is Framing.BYTES:
        bot.receive(frames.accept(bot.request))
    bot.say(hello(), dispatch(3), resumed(5))
    bot.shard.reading_paused(bot.now)
    bot.drain()
    bot.run(30)
    bot.shard.reading_resumed(bot.now)
    bot.drain()
    bot.lose()
    bot.run(30)
    bot.shard.close(bot.now)
    bot.drain()
    bot.run(10)

    report = bot.replays()
    assert bot.shard.ended
    assert report.shards == 1
    assert report.inputs == sum('"in":' in text for text in bot.written)
    assert report.outputs == len(bot.outputs)
    assert report.raised == []


def test_a_close_frame_that_a_host_received_a_failed_question_and_a_bug_of_the_hosts() -> None:
    bot = Recorded(framing=Framing.TEXT).live()
    bot.shard.connection_closed(bot.connection, 4009, "session timed out", bot.now)
    bot.drain()
    bot.now = bot.shard.next_timer() or 0.0
    bot.shard.handle_timer(bot.now)
    question = bot.shard.next_output()
    assert isinstance(question, FetchToken)
    bot.shard.answer(question.id, LOST, bot.now)
    bot.drain()
    bot.shard.fail("a bug", bot.now)
    bot.drain()

    bot.replays()
    assert bot.inputs("closed")[0]["code"] == 4009
    assert bot.inputs("answer")[-1]["failure"]["kind"] == "reset"
    assert bot.inputs("fail")[0]["message"] == "a bug"


def test_a_saved_session_a_policy_and_a_configuration_are_part_of_it() -> None:
    session = Session("S-1", "11111111", (3, 8), 1 << 25, 41, 41, User("42", "bot"), done=("E-1", "C2C m-1"))
    config = ShardConfig("11111111", 1 << 25, (3, 8), properties={"$os": "linux"}, settle="manual")
    bot = Recorded(config=config, session=session, policy=Policy(backoff=(3.0, 7.0)), hide=True)
    bot.start()
    bot.say(hello(), resumed(41))
    bot.lose()

    report = bot.replays()
    [moment, *_] = [moment for moment in Replay(bot.lines) if moment.said is not None]
    assert report.difference is None
    assert moment.shard == 3
    assert '"C2C m-1"' not in bot.text


def test_what_a_handler_settles_is_settled_again_at_the_same_place() -> None:
    """The heartbeat says how far the application is, so a replay has to know."""
    bot = Recorded(config=ShardConfig("11111111", 1 << 25, settle="manual")).live()
    bot.say(dispatch(2), dispatch(3), dispatch(None))
    second, third, unnumbered = bot.take(Dispatch)
    bot.shard.settle(third)
    assert bot.shard.unsettled == 1, "the machine is told before it is asked"
    bot.run(21)
    bot.say(ACK)
    bot.shard.settle(second)
    assert not bot.shard.is_unsettled(second)
    bot.shard.settle(second)
    assert bot.shard.progress is not None
    bot.shard.settle(unnumbered)
    assert bot.shard.session is not None
    bot.shard.settle(Dispatch("OTHER", None, sequence=9, session_id="another"))
    assert bot.shard.status(bot.now).unsettled == 0
    bot.run(41)
    bot.say(ACK)

    bot.replays()
    beats = [sent for output in bot.said("SendData") for sent in output["sent"] if '"op":1,' in str(sent)]
    assert [json.loads(beat)["d"] for beat in beats] == [1, 3]
    assert [fields["s"] for fields in bot.inputs("settle")] == [3, 2, 2, None, 9]


def test_what_is_settled_while_the_machine_works_waits_its_turn() -> None:
    """A handler in another thread settles while bytes are being read."""
    bot = Recorded(config=ShardConfig("11111111", 1 << 25, settle="manual"), framing=Framing.TEXT).live()
    bot.say(dispatch(2))
    [event] = bot.take(Dispatch)

    def settle_meanwhile() -> float:
        bot.shard.settle(event)
        assert bot.shard.unsettled == 1
        return 0.5

    bot.shard._random = settle_meanwhile  # what runs within an input
    bot.lose()
    assert bot.shard.unsettled == 0


def test_chance_is_recorded() -> None:
    numbers = iter([0.25, 0.75, 0.125])
    bot = Recorded(random=lambda: next(numbers)).live()
    bot.lose()

    bot.replays()
    assert [line.fields["random"] for line in bot.lines if "random" in line.fields] == [0.25, 0.75]


def test_misuse_is_recorded_and_raised_again() -> None:
    bot = Recorded().live()
    with pytest.raises(LocalProtocolError):
        bot.shard.connection_opened(99, bot.now)
    bot.run(41)

    assert bot.replays().raised == ["LocalProtocolError: id 99 was never issued by this machine"]


def test_a_failure_that_was_the_last_thing_before_a_crash_is_seen_again() -> None:
    bot = Recorded().live()
    with pytest.raises(LocalProtocolError):
        bot.shard.start(bot.now)
    bot.written.pop()

    assert bot.replays().raised == ["LocalProtocolError: start() was called before, or the shard has ended"]


def test_answers_of_every_kind_and_to_questions_that_are_over() -> None:
    bot = Recorded(framing=Framing.TEXT)
    bot.shard.start(bot.now)
    bot.drain()
    bot.shard.answer(1, Token(SECRET), bot.now)
    bot.shard.answer(2, GatewayInfo("wss://user:password@gateway.example/?a=SECRET-QUERY&b"), bot.now)
    bot.shard.answer(2, IdentifySlot(5.0), bot.now)
    bot.shard.answer(2, Failure(FailureKind.OTHER, f"it said {SECRET}"), bot.now)
    bot.drain()

    bot.replays()
    assert bot.shard.status(bot.now).counters["stale_inputs"] == 4
    assert "password" not in bot.text
    assert "SECRET-QUERY" not in bot.text


def test_several_shards_and_several_processes_in_one_recording() -> None:
    first = Recorded().live()
    second = Recorded(config=ShardConfig("11111111", 1 << 25, (1, 2)), framing=Framing.TEXT).live()
    written = [*first.written, *second.written, "", *first.written]

    report = replay(read(written))

    assert report.difference is None
    assert report.shards == 3
    assert {line.chapter for line in read(written)} == {1, 2, 3}


def test_one_recorder_records_many_shards() -> None:
    written: list[str] = []
    recorder = Recorder(written.append, unix_time=lambda: 1795660400.1234)
    shards = [recorder.shard(ShardConfig("1", 0, (index, 2)), random=half) for index in range(2)]
    for shard in shards:
        shard.start(1.0)
        shard.next_output()

    assert [line.fields["unix"] for line in read(written) if line.fields.get("in") == "start"] == [1795660400.123] * 2
    assert [line.machine for line in read(written) if "made" in line.fields] == [1, 2]
    assert replay(read(written)).shards == 2


def test_a_moment_is_an_input_or_what_came_of_it() -> None:
    bot = Recorded(framing=Framing.TEXT).live()
    moments = list(Replay(bot.lines))

    assert moments[0].line.fields["in"] == "start"
    assert moments[0].said is None
    assert isinstance(moments[1].said, FetchToken)
    assert {moment.at for moment in moments} == {100.0}


# -- what is not as recorded ------------------------------------------------------------------------------------------


def test_another_output_is_named_with_its_line() -> None:
    bot = Recorded().live()

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "away": 5.0} if fields.get("out") == "Online" else fields

    difference = bot.changed(change).difference
    assert difference is not None
    assert '"away":5.0' in str(difference)
    assert '"away":null' in str(difference)
    assert str(difference).startswith(f"line {difference.number}, shard 0: recorded was ")
    assert difference.at == 100.0


def test_an_output_that_does_not_come_is_named() -> None:
    bot = Recorded().live()
    last = bot.written[-1]
    bot.written[-1:] = ['{"m":1,"out":"Offline","shard":0,"cause":null}', last]

    difference = replay(bot.lines).difference
    assert difference is not None
    assert difference.replayed is None
    assert "now it is nothing" in str(difference)


@pytest.mark.parametrize("left_out", ["Online", "SendData"])
def test_an_output_too_many_is_named(left_out: str) -> None:
    bot = Recorded(framing=Framing.BYTES)
    bot.shard.start(bot.now)
    bot.drain()

    difference = bot.changed(lambda fields: None if fields.get("out") in ("SendData", "Online") else fields).difference
    assert difference is not None
    assert difference.recorded is None
    assert '"out":"SendData"' in (difference.replayed or "")


def test_another_time_is_named() -> None:
    bot = Recorded().live()

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "due": 1.0} if "due" in fields else fields

    assert "recorded was a timer at 1.0; now it is a timer at" in str(bot.changed(change).difference)


def test_a_bug_that_is_mended_is_named() -> None:
    def broken() -> float:
        raise ZeroDivisionError

    bot = Recorded(random=broken, framing=Framing.TEXT)
    bot.start()
    with pytest.raises(ZeroDivisionError):
        bot.say(hello())

    difference = replay(bot.lines).difference
    assert difference is not None
    assert (difference.recorded, difference.replayed) == ("ZeroDivisionError", None)


def test_a_bug_that_is_new_is_named() -> None:
    bot = Recorded().live()
    with pytest.raises(LocalProtocolError):
        bot.shard.start(bot.now)
    bot.run(41)

    kept = bot.changed(lambda fields: None if "raised" in fields else fields).difference
    other = bot.changed(lambda fields: {**fields, "raised": "KeyError"} if "raised" in fields else fields).difference
    assert kept is not None
    assert other is not None
    assert (kept.recorded, kept.replayed) == (
        None, "LocalProtocolError: start() was called before, or the shard has ended",
    )  # fmt: skip
    assert other.recorded == "KeyError"


def test_a_machine_that_leaves_more_to_chance_than_then_differs_and_does_not_fail() -> None:
    bot = Recorded(random=lambda: 0.9).live()
    bot.lose()

    difference = bot.changed(lambda fields: None if "random" in fields else fields).difference
    assert difference is not None
    assert "a timer at" in str(difference)


def test_a_policy_of_another_release() -> None:
    """A number that is not known any more is left aside; one that is new has its default."""
    bot = Recorded().live()

    def change(fields: dict[str, Any]) -> dict[str, Any]:
        if "policy" not in fields:
            return fields
        policy = {**fields["policy"], "from_the_future": 1.0}
        del policy["offline_grace"]
        return {**fields, "policy": policy}

    assert bot.changed(change).difference is None


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 20])
def test_a_last_line_that_a_crash_has_torn_is_left_aside(length: int) -> None:
    bot = Recorded().live()
    whole = len(bot.lines)
    bot.written.append('{"m":1,"t":123.0,"in":"timer"}'[:length])

    assert len(bot.lines) == whole
    assert replay(bot.lines).difference is None


def test_a_process_goes_on_with_a_recording_whose_last_line_is_torn() -> None:
    bot = Recorded().live()
    bot.written += ['{"m":1,"t":12', *bot.written]

    assert replay(bot.lines).shards == 2


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (['{"event": "ready"}'], "this is no recording: its first line does not say so"),
        (["hello"], "this is no recording"),
        (["[]"], "this is no recording"),
        (["[" * 100_000], "this is no recording"),
        (['{"recording":2}'], "line 1 begins a recording of another format"),
        (['{"recording":1}', '{"m":', '{"m":1,"due":1.0}'], "line 2 is no line of a recording"),
        (['{"recording":1}', '{"no":1}', '{"m":1,"due":1.0}'], "line 2 is no line of a recording"),
    ],
)
def test_what_is_no_recording_is_said_to_be_none(texts: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(texts)


def test_a_file_that_goes_on_with_another_one_is_read_after_it_or_alone() -> None:
    bot = Recorded().live()
    bot.say(dispatch(2))
    middle = len(bot.written) // 2
    first, second = bot.written[:middle], [bot.recorder.head(), *bot.written[middle:]]

    assert replay(read([*first, *second])).difference is None
    alone = replay(read(second))
    assert alone.shards == 0
    assert alone.skipped == len(second)


# -- secrets ----------------------------------------------------------------------------------------------------------


@both
def test_a_server_that_repeats_the_token_is_recorded_without_it(framing: Framing) -> None:
    bot = Recorded(framing=framing).live()
    bot.say(f"no JSON: {SECRET}", message(99, d=f"QQBot {SECRET}"), f"binary {SECRET}".encode())
    bot.say(message(0, s=2, t="C2C_MESSAGE_CREATE", d={"id": SECRET, "content": f"{SECRET}{SECRET}"}))

    bot.replays()
    assert len(bot.take(Malformed)) == 2


@both
def test_a_token_that_json_writes_otherwise_is_not_in_it_either(framing: Framing) -> None:
    token = 'half"of\\a-secret'
    bot = Recorded(framing=framing, token=token).live()
    bot.say(message(99, d=token), token)

    bot.replays()
    assert token not in bot.text
    assert json.dumps(token)[1:-1] not in bot.text
    assert all(token not in str(fields) for fields in map(json.loads, bot.written))


def test_a_short_token_is_not_in_it_where_a_token_stands() -> None:
    bot = Recorded(token="T-1").live()
    bot.lose()

    bot.replays()
    assert "T-1" not in bot.text


def test_other_secrets_and_the_headers_of_the_upgrade() -> None:
    config = ShardConfig("1", 1, headers={"User-Agent": "mine/1.0", "X-Key": "my-own-key", "Cookie": "c=1"})
    bot = Recorded(config=config, url="wss://me:pass@gateway.example/path?key=QUERY-KEY", secrets=["APP-SECRET"]).live()
    bot.recorder.conceal("ANOTHER-SECRET")
    bot.say("APP-SECRET", "ANOTHER-SECRET")

    bot.replays()
    for secret in ("my-own-key", "c=1", "me:pass", "QUERY-KEY", "APP-SECRET", "ANOTHER-SECRET"):
        assert secret not in bot.text
    assert "mine/1.0" in bot.text


def test_an_address_that_cannot_be_dialled_is_not_recorded() -> None:
    bot = Recorded(url="no url with a password")
    bot.shard.start(bot.now)
    bot.drain()

    bot.replays()
    assert "with a password" not in bot.text


@both
def test_what_people_wrote_is_replaced_one_to_one(framing: Framing) -> None:
    def group(sequence: int, id: str, content: str) -> str:
        data = {"id": id, "content": content, "author": {"name": "somebody"}, "t": "inner", "n": 7, "list": ["deep"]}
        return message(0, s=sequence, t="GROUP_AT_MESSAGE_CREATE", id=f"E-{id}", d=data)

    bot = Recorded(framing=framing, hide=True).live()
    bot.say(group(2, "m-2", "a letter 你好"), group(5, "m-5", "a letter 你好"), group(4, "m-4", "another"))
    bot.say(group(3, "m-5", "once more"), "no JSON 你好 letter 4711", b"paper letter", message(12, d="kept"))
    bot.run(41)

    bot.replays()
    for word in ("letter", "你", "another", "somebody", "m-2", "E-m", "inner", "deep", "once", "4711", "paper"):
        assert word not in bot.text
    assert "GROUP_AT_MESSAGE_CREATE" in bot.text
    assert '\\"n\\": 7' in bot.text
    assert "kept" in bot.text
    key = "units" if framing is Framing.BYTES else "text"
    messages = [fields.get(key) for fields in bot.inputs("data" if framing is Framing.BYTES else "message")]
    said = [json.loads(text[0] if isinstance(text, list) else str(text)) for text in messages if "GROUP" in str(text)]
    contents = [envelope["d"]["content"] for envelope in said]
    assert contents[0] == contents[1] != contents[2]
    assert len(bot.take(Dispatch)) == 3, "m-5 is a repetition, in the replay too"


def test_half_a_surrogate_pair_is_written_as_an_escape() -> None:
    bot = Recorded(framing=Framing.TEXT).live()
    bot.say('{"op":99,"d":"\ud83d"}')

    bot.replays()
    "\n".join(bot.written).encode()


def test_the_key_decides_what_stands_for_a_text() -> None:
    recorders = [Recorder(lambda line: None, contents_key=key).redactor for key in (KEY, KEY, b"f" * 16)]
    words = [redactor.word("hello") for redactor in recorders]

    assert words[0] == words[1] != words[2]
    assert recorders[0].word("") == ""
