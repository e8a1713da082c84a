"""The fake gateway is strict: each thing that a client should not do is told, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto.testing import Behaviour, FakeBot, FakePlatform
from tests.testing.clients import TextClient, online


def told(platform: FakePlatform) -> list[str]:
    """What was told, without the time and the place."""
    return [violation.partition(": ")[2] for violation in platform.violations]


# -- what cannot be understood -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["{", "[]", '"op"', "{}", '{"op":"2"}', '{"op":true}', "[" * 100_000, "{\ud800"])
def test_a_message_that_is_no_envelope(message: str) -> None:
    client = TextClient(FakePlatform())
    client.say_raw(message, 1.5)
    assert client.close_code == 4002
    assert client.platform.violations == ["1.500 s, connection 1: a message that is no JSON object with an opcode"]


@pytest.mark.parametrize("op", [0, 7, 9, 10, 11, 99])
def test_an_opcode_that_no_client_sends(op: int) -> None:
    client = TextClient(FakePlatform())
    client.say(op, None, 0.0)
    assert client.close_code == 4001
    assert told(client.platform) == [f"opcode {op}, which no client sends"]


def test_a_binary_message_is_told_and_understood() -> None:
    client = TextClient(FakePlatform())
    assert client.say_raw(b'{"op":1,"d":null}', 0.0) == [{"op": 11}]
    assert told(client.platform) == ["a binary message, where every SDK sends text"]
    client.say_raw(b"\xff", 0.0)
    assert client.close_code == 4002


@pytest.mark.parametrize("data", [None, [], "x"])
@pytest.mark.parametrize(("op", "name"), [(2, "Identify"), (6, "Resume")])
def test_an_identify_or_a_resume_without_data(op: int, name: str, data: Any) -> None:
    client = TextClient(FakePlatform())
    client.say(op, data, 0.0)
    assert client.close_code == 4002
    assert told(client.platform) == [f"{name} without its data"]


@pytest.mark.parametrize("intents", [None, "1", 1.0, True])
def test_an_identify_without_intents(intents: Any) -> None:
    client = TextClient(FakePlatform())
    client.identify(0.0, intents=intents)
    assert client.close_code == 4002
    assert told(client.platform) == ["Identify whose intents are no integer"]


@pytest.mark.parametrize("changes", [{"session_id": None}, {"seq": None}, {"seq": "1"}, {"seq": True}, {"seq": -1}])
def test_a_resume_that_lacks_something(changes: dict[str, Any]) -> None:
    platform = FakePlatform()
    online(platform).leave(None, 1.0)
    client = TextClient(platform, 2.0)
    client.say(6, {"token": client.token, "session_id": platform.session().id, "seq": 1, **changes}, 2.0)
    assert client.close_code == 4002
    assert told(platform) == ["Resume without a session_id and a seq"]


@pytest.mark.parametrize("shard", [[0, 0], [1, 1], [-1, 1], [0], "0,1", [0, "1"], [0, True], None])
def test_a_shard_that_there_cannot_be(shard: Any) -> None:
    client = TextClient(FakePlatform())
    client.identify(0.0, shard=shard)
    assert client.close_code == 4010
    assert told(client.platform) == [f"an Identify for shard {shard!r}"]


# -- the token ---------------------------------------------------------------------------------------------------------


def test_a_token_in_the_wrong_form() -> None:
    for number, prefix in enumerate(("", "Bot 11111111.", "Bearer ", "qqbot ", "QQBot\t")):
        platform = FakePlatform()
        client = TextClient(platform)
        client.identify(0.0, token=prefix + client.token.removeprefix("QQBot "))
        assert client.close_code == 4004, number
        assert told(platform) == ["Identify with a token that is not of the form 'QQBot …'"]


def test_a_resume_with_the_bare_token() -> None:
    platform = FakePlatform()
    online(platform).leave(None, 1.0)
    client = TextClient(platform, 2.0)
    client.resume(platform.session().id, 1, 2.0, token=client.token.removeprefix("QQBot "))
    assert client.close_code == 4004
    assert told(platform) == ["Resume with a token that is not of the form 'QQBot …'"]


# -- out of place ------------------------------------------------------------------------------------------------------


def test_an_identify_before_hello() -> None:
    client = TextClient(FakePlatform(behaviour=Behaviour(hello=False)))
    assert client.identify(0.0)[0]["t"] == "READY", "the platform tolerates it"
    assert told(client.platform) == ["Identify before Hello"]


def test_a_resume_before_hello() -> None:
    platform = FakePlatform()
    online(platform).leave(None, 1.0)
    platform.behaviour.hello = False
    client = TextClient(platform, 2.0)
    assert client.resume(platform.session().id, 1, 2.0)[0]["t"] == "RESUMED"
    assert told(platform) == ["Resume before Hello"]


def test_a_second_identify_on_one_connection() -> None:
    client = online(FakePlatform())
    client.identify(10.0)
    assert client.close_code == 4005
    assert told(client.platform) == ["Identify on a connection that has authenticated already"]


def test_an_identify_while_a_resume_is_under_way() -> None:
    platform = FakePlatform()
    online(platform).leave(None, 1.0)
    platform.behaviour.answers = False
    client = TextClient(platform, 2.0)
    client.resume(platform.session().id, 1, 2.0)
    client.identify(3.0)
    assert client.close_code == 4005
    assert told(platform) == ["Identify on a connection that has authenticated already"]


def test_a_resume_on_a_live_connection() -> None:
    client = online(FakePlatform())
    client.resume(client.platform.session().id, 1, 2.0)
    assert client.close_code == 4005
    assert told(client.platform) == ["Resume on a connection that has authenticated already"]


@pytest.mark.parametrize("how", ["op 7", "4009"])
def test_an_identify_where_a_rotation_wants_a_resume(how: str) -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    if how == "op 7":
        client.talk.send_reconnect(10.0)
    else:
        client.talk.close(4009, "session timed out", 10.0)
    client.leave(4000, 10.0)
    online(platform, 11.0)
    assert told(platform) == [f"Identify, although session {session.id} was to be resumed"]


def test_an_identify_after_a_rotation_is_right_if_the_resume_was_refused() -> None:
    platform = FakePlatform()
    client = online(platform)
    client.talk.close(4009, "", 10.0)
    client.leave(4009, 10.0)
    session = platform.session()
    session.sequence = 20_000
    TextClient(platform, 11.0).resume(session.id, 1, 11.0)
    online(platform, 16.0)
    assert platform.violations == []


def test_an_identify_after_a_rotation_is_right_if_a_connection_died_before_it_could_resume() -> None:
    platform = FakePlatform()
    client = online(platform)
    client.talk.send_reconnect(10.0)
    client.leave(4000, 10.0)
    TextClient(platform, 11.0).leave(None, 12.0)
    online(platform, 16.0)
    assert platform.violations == []


def test_a_session_of_more_than_a_day_may_be_renewed_at_a_rotation() -> None:
    platform = FakePlatform()
    client = online(platform)
    for number in range(2200):
        client.beat(1, number * 41.0)
    client.talk.send_reconnect(90_200.0)
    client.leave(4000, 90_200.0)
    online(platform, 90_201.0)
    assert platform.violations == []


def test_an_identify_after_a_crash_is_nobodys_fault() -> None:
    platform = FakePlatform()
    online(platform).leave(None, 10.0)
    online(platform, 11.0)
    assert platform.violations == []


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_resume_from_a_sequence_that_was_not_sent() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.leave(None, 1.0)
    session.dispatch("A", 1, 2.0)
    back = TextClient(platform, 3.0)
    back.resume(session.id, 2, 3.0)
    assert back.close_code == 4007
    assert told(platform) == ["Resume from sequence 2, where 1 was the last one sent"]


def test_a_resume_of_another_bots_session() -> None:
    platform = FakePlatform(FakeBot("1", "a"), FakeBot("2", "b"))
    online(platform, bot=platform.bots["1"]).leave(None, 1.0)
    session = platform.session()
    thief = TextClient(platform, 2.0, bot=platform.bots["2"])
    assert thief.resume(session.id, 1, 2.0) == [{"op": 9, "d": False}]
    assert thief.close_code == 4006
    assert told(platform) == [f"Resume of session {session.id}, which is another bot's"]
    assert session.id in platform.sessions, "its own bot may go on"


def test_a_second_resume_of_a_session_that_was_refused() -> None:
    platform = FakePlatform()
    for now in (0.0, 1.0):
        client = TextClient(platform, now)
        client.resume("long-gone", 7, now)
        assert client.close_code == 4006
    assert told(platform) == ["Resume of session long-gone once more, after it was said to be over"]


def test_a_resume_after_goodbye() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.leave(1000, 1.0)
    TextClient(platform, 2.0).resume(session.id, 1, 2.0)
    assert told(platform) == [f"Resume of session {session.id} once more, after it was said to be over"]


def test_the_memory_of_sessions_that_are_over_is_bounded() -> None:
    platform = FakePlatform()

    def resume(number: int) -> int:
        client = TextClient(platform, 0.0)
        client.resume(f"S{number}", 1, 0.0)
        client.leave(None, 0.0)
        return len(platform.violations)

    for number in range(10_001):
        assert resume(number) == 0
    assert resume(10_000) == 1
    assert resume(0) == 1, "it was forgotten"


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_an_identify_beyond_the_budget() -> None:
    platform = FakePlatform(FakeBot(total=1))
    online(platform)
    client = TextClient(platform, 100.0)
    assert client.identify(100.0) == [{"op": 9, "d": False}]
    assert client.close_code == 4903
    assert told(platform) == ["an Identify beyond the day's budget of 1"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_more_identifies_in_five_seconds_than_max_concurrency(concurrency: int) -> None:
    platform = FakePlatform(FakeBot(max_concurrency=concurrency))
    for number in range(concurrency):
        online(platform, number * 0.1)
    hasty = TextClient(platform, 4.9)
    assert hasty.identify(4.9) == [{"op": 9, "d": False}]
    assert hasty.close_code == 4903
    assert told(platform) == [f"{concurrency + 1} Identifies within 5 s, where max_concurrency is {concurrency}"]


def test_identifies_five_seconds_apart_are_in_time_however_the_clock_counts() -> None:
    platform = FakePlatform()
    for number in range(20):
        online(platform, 0.1 + number * 5.0)
    assert platform.violations == []


def test_the_network_may_shift_an_identify_by_the_slack() -> None:
    platform = FakePlatform(behaviour=Behaviour(slack=0.25))
    online(platform)
    online(platform, 4.75)
    assert platform.violations == []


# -- heartbeats --------------------------------------------------------------------------------------------------------


def test_a_late_heartbeat_is_told_once_and_the_next_one_is_judged_anew() -> None:
    platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=40.0))
    client = online(platform)
    client.beat(1, 40.0)
    assert platform.violations == []
    platform.handle_timer(80.5)
    platform.handle_timer(81.0)
    client.beat(1, 82.0)
    client.beat(1, 122.0)
    assert told(platform) == ["no heartbeat for 40.500 s, where the interval is 40 s"]
    client.beat(1, 163.0)
    assert told(platform)[1:] == ["no heartbeat for 41.000 s, where the interval is 40 s"]


def test_hello_counts_as_the_first_heartbeat_also_without_a_session() -> None:
    platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=10.0))
    TextClient(platform).beat(None, 10.5)
    assert told(platform) == ["no heartbeat for 10.500 s, where the interval is 10 s"]


def test_a_connection_that_leaves_with_a_heartbeat_overdue_is_late() -> None:
    for code in (None, 4000):
        platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=10.0))
        online(platform).leave(code, 10.5)
        assert told(platform) == ["no heartbeat for 10.500 s, where the interval is 10 s"]


def test_the_network_may_shift_a_heartbeat_by_the_slack() -> None:
    platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=10.0, slack=0.5))
    online(platform).beat(1, 10.5)
    assert platform.violations == []


def test_no_heartbeat_is_late_after_the_platforms_close() -> None:
    platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=10.0))
    client = online(platform)
    client.talk.close(4009, "", 5.0)
    platform.handle_timer(100.0)
    client.beat(1, 101.0)
    assert platform.violations == []


def test_lateness_can_be_excused_and_judged_again() -> None:
    platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=10.0, heartbeat_grace=1000.0))
    client = online(platform)
    client.talk.excuse()
    platform.handle_timer(50.0)
    client.talk.judge_again(50.0)
    platform.handle_timer(60.0)
    assert platform.violations == []
    platform.handle_timer(60.5)
    assert told(platform) == ["no heartbeat for 10.500 s, where the interval is 10 s"]


def test_before_hello_there_is_nothing_to_be_late_for() -> None:
    platform = FakePlatform(behaviour=Behaviour(hello=False))
    client = TextClient(platform)
    client.talk.judge_again(1.0)
    client.beat(None, 1000.0)
    assert platform.violations == []


@pytest.mark.parametrize("sequence", ["1", -1, 1.5, True, {}])
def test_a_sequence_that_is_none(sequence: Any) -> None:
    client = online(FakePlatform())
    assert client.beat(sequence, 1.0) == [{"op": 11}]
    assert told(client.platform) == [f"a heartbeat with {sequence!r} for a sequence"]


def test_a_heartbeat_with_a_sequence_that_was_not_sent() -> None:
    client = online(FakePlatform())
    client.beat(2, 1.0)
    assert told(client.platform) == ["a heartbeat with sequence 2, where 1 was the last one sent"]


def test_a_heartbeat_without_a_sequence_is_right_until_there_is_one() -> None:
    client = online(FakePlatform())
    client.beat(None, 1.0)
    client.beat(1, 2.0)
    assert client.platform.violations == []


def test_a_heartbeat_whose_sequence_falls() -> None:
    client = online(FakePlatform())
    for number in range(3):
        client.platform.session().dispatch("A", number, 1.0)
    client.beat(3, 2.0)
    client.beat(3, 3.0)
    client.beat(2, 4.0)
    assert told(client.platform) == ["a heartbeat with sequence 2 after one with 3"]
    client.beat(None, 5.0)
    assert told(client.platform)[1:] == ["a heartbeat without a sequence after one with 2"]


def test_the_sequence_does_not_fall_over_a_resume_either() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    for number in range(5):
        session.dispatch("A", number, 1.0)
    client.beat(5, 2.0)
    client.leave(None, 3.0)
    back = TextClient(platform, 4.0)
    back.resume(session.id, 6, 4.0)
    back.beat(4, 5.0)
    assert told(platform) == ["a heartbeat with sequence 4 after one with 5"]


def test_a_new_process_may_go_on_from_an_older_sequence() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    for number in range(5):
        session.dispatch("A", number, 1.0)
    client.beat(5, 2.0)
    client.leave(None, 3.0)
    back = TextClient(platform, 4.0)
    back.resume(session.id, 3, 4.0)
    back.beat(3, 5.0)
    assert platform.violations == []


def test_a_heartbeat_between_hello_and_resume_is_judged_by_the_session_that_is_resumed() -> None:
    platform = FakePlatform()
    online(platform).leave(None, 1.0)
    session = platform.session()
    good = TextClient(platform, 2.0)
    good.beat(None, 2.1)
    good.beat(1, 2.2)
    good.resume(session.id, 1, 3.0)
    assert platform.violations == []
    good.leave(None, 4.0)
    bad = TextClient(platform, 5.0)
    bad.beat(9, 5.1)
    bad.resume(session.id, 1, 6.0)
    assert told(platform) == ["a heartbeat with sequence 9, where 1 was the last one sent"]


def test_a_sequence_of_no_session_before_identify() -> None:
    client = TextClient(FakePlatform())
    client.beat(9, 1.0)
    client.beat(8, 2.0)
    client.identify(3.0)
    assert told(client.platform) == [
        "a heartbeat with sequence 8 after one with 9",
        "a heartbeat with sequence 8 before Identify",
    ]


# -- after the end -----------------------------------------------------------------------------------------------------


def test_what_was_on_its_way_when_the_platform_closed_is_no_fault() -> None:
    client = online(FakePlatform())
    client.talk.close(4000, "", 1.0)
    client.say_raw(json.dumps({"op": 99}), 1.1)
    client.say_raw("{", 1.1)
    assert client.platform.violations == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 6, 7]), VALUES), max_size=5))
def test_no_message_makes_it_raise(messages: list[tuple[int, Any]]) -> None:
    client = TextClient(FakePlatform())
    for op, data in messages:
        client.say(op, {"token": client.token, **data} if isinstance(data, dict) else data, 1.0)
    client.leave(None, 2.0)
    assert client.platform.conversations == []
