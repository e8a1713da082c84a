from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from qqproto import (
    Abort,
    CloseConnection,
    Conversation,
    Dispatch,
    Failure,
    FailureKind,
    GatewayInfo,
    IdentifySlot,
    LocalProtocolError,
    LoopLag,
    Malformed,
    Phase,
    Policy,
    Ready,
    ReserveIdentify,
    Resumed,
    SendText,
    SettlementLagging,
    ShardConfig,
    User,
    Verdict,
)
from qqproto.conversation import Ending
from tests.core.hosts import (
    ACK,
    CONFIG,
    RECONNECT,
    SESSION,
    TOKEN,
    Talk,
    dispatch,
    half,
    hello,
    message,
    ready,
    resumed,
)

EOF = Failure(FailureKind.EOF)


def test_hello_is_answered_with_an_identify_that_has_its_slot() -> None:
    talk = Talk()
    talk.say(hello())
    assert talk.sent() == []
    [question] = [output for output in talk.outputs if isinstance(output, ReserveIdentify)]
    assert question.deadline == talk.now + 15.0
    talk.allow_identify()
    assert talk.sent() == [{"op": 2, "d": {"token": "QQBot TOKEN-SECRET", "intents": 1 << 25, "shard": [0, 1]}}]


def test_properties_are_sent_when_the_host_has_some() -> None:
    talk = Talk(config=ShardConfig("1", 1, (3, 8), {"$os": "linux"}))
    talk.say(hello())
    talk.allow_identify()
    [identify] = talk.sent()
    assert identify["d"]["properties"] == {"$os": "linux"}
    assert identify["d"]["shard"] == [3, 8]


def test_ready_makes_the_session() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.say(ready())
    event = talk.only(Ready)
    assert (event.session_id, event.user) == ("S-1", User("42", "bot"))
    assert (event.dispatch.type, event.dispatch.sequence) == ("READY", 1)
    assert event.dispatch.envelope["d"]["version"] == 1
    assert talk.machine.phase is Phase.READY
    session = talk.machine.session
    assert session is not None
    assert (session.id, session.received, session.settled) == ("S-1", 1, 1)


@pytest.mark.parametrize(("id", "known_as"), [("READY:e-1", "READY:e-1"), (7, None)])
def test_ready_is_a_dispatch_like_any_other(id: object, known_as: str | None) -> None:
    talk = Talk(config=ShardConfig("1", 1, (3, 8)))
    talk.say(hello())
    talk.allow_identify()
    talk.say(message(0, s=1, t="READY", id=id, d={"session_id": "S-1", "user": {"id": "42"}}))
    event = talk.only(Ready).dispatch
    assert (event.id, event.shard, event.session_id) == (known_as, 3, "S-1")


def test_the_real_ready_has_an_odd_shard_and_may_lack_a_user() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.say(message(0, s=1, t="READY", d={"version": "1", "session_id": "S", "user": {"id": 7}, "shard": [0, 0]}))
    assert talk.only(Ready).user == User("7", "")


def test_a_slot_a_moment_away_is_waited_for_on_the_socket() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify(wait=15.0)
    talk.run(14.9)
    assert [frame["op"] for frame in talk.sent()] == []
    talk.run(0.1)
    assert [frame["op"] for frame in talk.sent()] == [2]


def test_a_slot_far_away_is_not_waited_for_on_the_socket() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify(wait=15.1)
    assert talk.only(CloseConnection).code == 4000
    ending = talk.machine.ending
    assert ending is not None
    assert ending.wait_until == pytest.approx(talk.now + 15.1)
    assert not ending.identify_refused


def test_no_slot_ends_the_talk() -> None:
    talk = Talk()
    talk.say(hello())
    talk.machine.answer(talk.only(ReserveIdentify).id, Failure(FailureKind.OTHER, "no"), talk.now)
    talk.drain()
    assert talk.only(CloseConnection).code == 4000
    assert talk.machine.verdict is Verdict.IDENTIFY


def test_a_question_that_is_never_answered_ends_the_talk() -> None:
    talk = Talk()
    talk.say(hello())
    talk.run(15.0)
    talk.only(Abort)
    assert talk.machine.ending is not None
    assert talk.machine.ending.failure is not None
    assert talk.machine.ending.failure.kind is FailureKind.TIMEOUT


def test_a_session_is_resumed_without_a_slot() -> None:
    talk = Talk(SESSION)
    talk.say(hello())
    assert talk.take(ReserveIdentify) == []
    assert talk.sent() == [{"op": 6, "d": {"token": "QQBot TOKEN-SECRET", "session_id": "S-1", "seq": 41}}]


def test_what_was_not_settled_by_the_last_process_is_asked_for_again() -> None:
    session = Talk(SESSION).machine.session
    assert session is not None
    talk = Talk(type(SESSION)("S-1", "11111111", (0, 1), 1 << 25, received=41, settled=38, user=SESSION.user))
    talk.say(hello())
    assert talk.sent()[0]["d"]["seq"] == 38


def test_replay_comes_before_resumed_and_is_marked() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), dispatch(42), dispatch(43), resumed(44), dispatch(45))
    assert [(event.sequence, event.redelivered) for event in talk.take(Dispatch)] == [
        (42, True),
        (43, True),
        (45, False),
    ]
    event = talk.only(Resumed)
    assert (event.session_id, event.replayed, event.missing, event.restored) == ("S-1", 2, 0, True)
    assert (event.dispatch.type, event.dispatch.data, event.dispatch.redelivered) == ("RESUMED", "", False)
    assert talk.machine.live is not None
    assert not talk.machine.live.restored
    assert event.user == SESSION.user


def test_sequences_that_the_replay_left_out_are_counted() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), dispatch(45), resumed(48))
    assert talk.only(Resumed).missing == 3 + 2


def test_row_21_a_replay_that_repeats_is_handed_out_once() -> None:
    talk = Talk()
    talk.up()
    talk.say(dispatch(2), dispatch(3), dispatch(3), dispatch(2))
    assert [event.sequence for event in talk.take(Dispatch)] == [2, 3]
    assert talk.machine.session is not None
    assert talk.machine.session.received == 3
    talk.say(dispatch(4))
    assert [event.sequence for event in talk.take(Dispatch)] == [4]


def test_row_21_an_old_event_under_a_new_number_is_no_new_event() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), dispatch(42))
    again = json.loads(dispatch(42))
    again["s"] = 43
    talk.say(json.dumps(again), dispatch(44), resumed(45))
    assert [event.sequence for event in talk.take(Dispatch)] == [42, 44]
    assert talk.only(Resumed).replayed == 2


def test_two_updates_of_one_channel_are_two_events() -> None:
    talk = Talk()
    talk.up()
    for number in (5, 9):
        talk.say(message(0, s=number, t="CHANNEL_UPDATE", d={"id": "7"}, id=f"CHANNEL_UPDATE:{number}"))
    assert [event.sequence for event in talk.take(Dispatch)] == [5, 9]


def test_one_that_fills_a_gap_late_is_handed_out() -> None:
    talk = Talk()
    talk.up()
    talk.say(dispatch(2), dispatch(5), dispatch(3))
    assert [event.sequence for event in talk.take(Dispatch)] == [2, 5, 3]


def test_a_gap_that_is_still_open_at_resumed_is_told_also_by_the_next_process() -> None:
    talk = Talk()
    talk.up()
    talk.say(dispatch(5))
    talk = Talk(talk.machine.session)
    talk.say(hello(), dispatch(8), resumed(9))
    assert talk.only(Resumed).missing == len((2, 3, 4)) + len((6, 7))
    talk.say(dispatch(3), dispatch(5))
    assert [event.sequence for event in talk.take(Dispatch)] == [8, 3]


def test_a_dispatch_with_the_number_that_resumed_had_is_not_taken_for_a_repetition() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), resumed(44))
    assert talk.only(Resumed).missing == len((42, 43))
    talk.say(dispatch(44), dispatch(44))
    assert [event.sequence for event in talk.take(Dispatch)] == [44]


def test_what_was_settled_before_the_crash_is_known_although_a_stray_resumed_came_before_the_replay() -> None:
    session = replace(SESSION, received=43, settled=41, ahead=(42,))
    talk = Talk(session)
    updates = [message(0, s=number, t="CHANNEL_UPDATE", d={"id": "7"}) for number in (42, 43)]
    talk.say(hello(), resumed(1), *updates)
    assert [event.sequence for event in talk.take(Dispatch)] == [43]


def test_an_application_that_does_not_settle_is_told_once() -> None:
    talk = Talk(config=ShardConfig("11111111", 1 << 25, (3, 8), settle="manual"))
    talk.up()
    talk.say(dispatch(2), dispatch(3))
    for _ in range(80):
        talk.run(10.0)
        talk.say(ACK)
    event = talk.only(SettlementLagging)
    assert (event.shard, event.unsettled, event.given_up) == (3, 2, 0)
    assert 600.0 < event.oldest < 650.0
    for kept in talk.take(Dispatch):
        talk.machine.settle(kept)
    talk.say(dispatch(4))
    for _ in range(80):
        talk.run(10.0)
        talk.say(ACK)
    assert talk.only(SettlementLagging).unsettled == 1


def test_what_is_given_up_is_told_whenever_it_is_more() -> None:
    talk = Talk(config=ShardConfig("11111111", 1 << 25, settle="manual"), policy=Policy(max_unsettled=3))
    talk.up()
    given_up = []
    for number in range(2, 8):
        talk.say(dispatch(number))
        for _ in range(4):
            talk.run(10.0)
            talk.say(ACK)
        given_up += [event.given_up for event in talk.take(SettlementLagging)]
    assert given_up == [1, 2, 3]


def test_a_server_that_answers_a_resume_with_ready_has_begun_a_new_session() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), ready("S-2", sequence=1))
    assert talk.only(Ready).session_id == "S-2"
    assert talk.machine.session is not None
    assert talk.machine.session.received == 1


def test_ready_and_resumed_without_a_sequence_are_accepted() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.say(message(0, t="READY", d={"session_id": "S"}))
    assert talk.only(Ready).dispatch.sequence is None
    talk = Talk(SESSION)
    talk.say(hello(), message(0, t="RESUMED", d=""))
    assert talk.only(Resumed).missing == 0
    assert talk.machine.session is not None
    assert talk.machine.session.received == 41


def test_a_replay_that_goes_on_after_op_9_does_not_postpone_the_end() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), message(9, d=False))
    talk.run(4.0)
    talk.say(dispatch(42))
    assert talk.only(Dispatch).sequence == 42
    talk.run(1.0)
    assert talk.machine.verdict is Verdict.IDENTIFY


def test_dispatches_of_any_type_are_handed_out_with_their_envelope() -> None:
    talk = Talk()
    talk.up()
    talk.say('{"op":0,"s":2,"t":"SOME_FUTURE_EVENT","id":"SOME_FUTURE_EVENT:1","d":{"a":1},"new_key":true}')
    event = talk.only(Dispatch)
    assert (event.type, event.data, event.id, event.sequence) == (
        "SOME_FUTURE_EVENT",
        {"a": 1},
        "SOME_FUTURE_EVENT:1",
        2,
    )
    assert event.envelope["new_key"] is True


def test_a_binary_message_is_utf8_json() -> None:
    talk = Talk()
    talk.up()
    talk.say('{"op":0,"s":2,"t":"X","d":"你好"}'.encode())
    assert talk.only(Dispatch).data == "你好"


def test_a_dispatch_without_a_sequence_or_an_id_is_handed_out_all_the_same() -> None:
    talk = Talk()
    talk.up()
    talk.say(message(0, t="X", d=None), message(0, s="7", t="Y", d=1, id=5))
    assert [(event.sequence, event.id) for event in talk.take(Dispatch)] == [(None, None), (None, None)]
    assert talk.machine.session is not None
    assert talk.machine.session.received == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("not json", "a message that is not JSON"),
        (b"\xff\xfe\x00", "a message that is not JSON"),
        ("[" * 100_000, "a message that is not JSON"),
        ("[]", "a message without an opcode"),
        ("{}", "a message without an opcode"),
        ('{"op":"0"}', "a message without an opcode"),
        ('{"op":true}', "a message without an opcode"),
        ('{"op":0,"s":2}', "a dispatch without a type"),
        ('{"op":0,"s":2,"t":5}', "a dispatch without a type"),
        (hello(), "a second Hello"),
        (ready(), "READY without an Identify"),
        (resumed(9), "RESUMED without a Resume"),
    ],
)
def test_row_27_what_cannot_be_understood_is_told_and_costs_nothing(text: str | bytes, what: str) -> None:
    talk = Talk()
    talk.up()
    talk.say(text)
    event = talk.only(Malformed)
    assert event.what == what
    assert len(event.sample) <= 200
    talk.say(dispatch(2))
    assert talk.only(Dispatch).sequence == 2


def test_a_dispatch_before_the_session_is_malformed() -> None:
    talk = Talk()
    talk.say(dispatch(1), hello(), dispatch(2))
    assert [event.what for event in talk.take(Malformed)] == ["a dispatch before READY"] * 2


def test_a_dispatch_before_the_resume_is_malformed_and_does_not_move_the_session() -> None:
    talk = Talk(SESSION)
    talk.say(dispatch(50))
    assert talk.only(Malformed).what == "a dispatch before READY"
    talk.say(hello())
    assert talk.sent()[0]["d"]["seq"] == 41


def test_ready_before_the_identify_is_malformed() -> None:
    talk = Talk()
    talk.say(hello(), ready(), resumed(1))
    assert [event.what for event in talk.take(Malformed)] == ["READY without an Identify", "RESUMED without a Resume"]


def test_ready_without_a_session_ends_the_talk() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.say(message(0, s=1, t="READY", d={"version": 1}))
    talk.only(Malformed)
    assert talk.only(CloseConnection).code == 4000
    assert talk.machine.verdict is Verdict.IDENTIFY


def test_a_token_that_the_server_echoes_is_not_told() -> None:
    talk = Talk()
    talk.say("you sent TOKEN-SECRET!")
    assert talk.only(Malformed).sample == "you sent [token]!"
    talk.machine.connection_closed(4004, "no bot has TOKEN-SECRET", talk.now)
    assert talk.machine.ending is not None
    assert talk.machine.ending.reason == "no bot has [token]"


def test_unknown_opcodes_are_counted_and_ignored() -> None:
    talk = Talk()
    talk.up()
    talk.say(message(99, d={}, x=1))
    assert talk.outputs == []
    assert not talk.machine.ended


# -- heartbeats ---------------------------------------------------------------------------------------------------


def test_heartbeats_start_within_the_first_period_and_carry_the_settled_sequence() -> None:
    talk = Talk(random=lambda: 0.999)
    talk.say(hello(41250))
    talk.allow_identify()
    talk.sent()
    talk.run(15.0)
    talk.say(ready(), dispatch(2), dispatch(3))
    talk.run(24.0)
    assert talk.sent() == []
    talk.run(0.2)
    assert talk.sent() == [{"op": 1, "d": 3}]


def test_before_there_is_a_sequence_the_heartbeat_carries_null() -> None:
    talk = Talk(random=lambda: 0.0)
    talk.say(hello(41250))
    talk.run(0.0)
    assert talk.sent() == [{"op": 1, "d": None}]


def test_in_manual_mode_the_heartbeat_carries_what_was_settled() -> None:
    talk = Talk(config=ShardConfig("11111111", 1 << 25, settle="manual"))
    talk.up()
    talk.say(dispatch(2), dispatch(3), dispatch(4))
    first, second, third = talk.take(Dispatch)
    talk.machine.settle(third)
    talk.machine.settle(first)
    talk.run(41.25)
    assert talk.sent()[0] == {"op": 1, "d": 2}
    talk.machine.settle(second)
    assert talk.machine.session is not None
    assert (talk.machine.session.received, talk.machine.session.settled) == (4, 4)


def test_settling_what_is_not_of_this_session_is_nothing() -> None:
    talk = Talk(config=ShardConfig("11111111", 1 << 25, settle="manual"))
    talk.machine.settle(Dispatch("X", {}, sequence=5))
    talk.up()
    talk.say(dispatch(2))
    talk.machine.settle(Dispatch("X", {}, sequence=2, session_id="another"))
    talk.machine.settle(Dispatch("X", {}, sequence=None, session_id="S-1"))
    assert talk.machine.session is not None
    assert talk.machine.session.settled == 1


@pytest.mark.parametrize("text", ['{"op":11}', '{"op": 11}', '{"op":11,"d":null}', b'{"op":11}', ' {"op":11}\n'])
def test_an_ack_is_one_however_it_is_written(text: str | bytes) -> None:
    talk = Talk()
    talk.up()
    talk.run(25.0)
    assert talk.machine.next_timer() == 1000.0 + 0.5 * 39.1875 + 10.0
    talk.say(text)
    assert talk.machine.next_timer() == 1000.0 + 1.5 * 39.1875
    assert talk.machine.heartbeat.latency == 25.0 - 0.5 * 39.1875
    assert talk.machine.heartbeat.received_at == talk.now
    assert talk.take(Malformed) == []


@pytest.mark.parametrize("text", ['{"op":11', '{"op":11}}', '["op",11]'])
def test_what_looks_like_an_ack_is_none(text: str) -> None:
    talk = Talk()
    talk.up()
    talk.run(25.0)
    talk.say(text)
    talk.only(Malformed)
    assert talk.machine.heartbeat.acked_at is None


def test_the_ack_gives_the_latency() -> None:
    talk = Talk()
    talk.up()
    talk.run(25.0)
    assert [frame["op"] for frame in talk.sent()] == [1]
    sent_at = talk.machine.heartbeat.sent_at
    assert sent_at is not None
    talk.say(ACK)
    assert talk.machine.heartbeat.latency == pytest.approx(talk.now - sent_at)
    assert talk.machine.heartbeat.acked_at == talk.now


def test_a_heartbeat_that_the_server_asks_for_is_sent_at_once_but_not_in_a_flood() -> None:
    talk = Talk()
    talk.up()
    talk.say(*[message(1)] * 50)
    assert talk.sent() == [{"op": 1, "d": 1}]
    talk.run(1.0)
    talk.say(message(1))
    assert talk.sent() == [{"op": 1, "d": 1}]


def test_a_heartbeat_asked_for_before_hello_is_not_sent() -> None:
    talk = Talk()
    talk.say(message(1))
    assert talk.outputs == []


@pytest.mark.parametrize("interval", [None, "41250", True, 0, -5, 249, [], {}])
def test_an_absurd_interval_is_the_shortest_allowed_and_told(interval: Any) -> None:
    talk = Talk()
    talk.say(hello(interval))
    assert "heartbeat interval" in talk.only(Malformed).what
    talk.allow_identify()
    talk.sent()
    talk.run(2.0)
    assert 8 <= len(talk.sent()) <= 12


def test_a_hello_with_an_interval_that_is_no_json_is_none() -> None:
    talk = Talk()
    talk.say('{"op":10,"d":{"heartbeat_interval":NaN}}')
    assert talk.only(Malformed).what == "a message that is not JSON"
    assert talk.machine.phase is Phase.HELLO


@pytest.mark.parametrize("interval", ["121000", "1e308", str(10**400), "1e400"])
def test_an_interval_beyond_two_minutes_is_two_minutes(interval: str) -> None:
    talk = Talk(random=lambda: 0.0)
    talk.say('{"op":10,"d":{"heartbeat_interval":' + interval + "}}")
    talk.allow_identify()
    talk.say(ready())
    talk.run(0.0)
    talk.outputs.clear()
    talk.say(ACK)
    talk.run(113.9)
    assert talk.sent() == []
    talk.run(0.2)
    assert [frame["op"] for frame in talk.sent()] == [1]


def test_the_shortest_interval_allowed_is_taken_without_a_word() -> None:
    talk = Talk()
    talk.say(hello(250))
    assert talk.take(Malformed) == []


def test_hello_without_data_is_told() -> None:
    talk = Talk()
    talk.say(message(10))
    talk.only(Malformed)
    talk.only(ReserveIdentify)


# -- dead links ---------------------------------------------------------------------------------------------------


def test_row_5_a_silent_link_is_probed_then_dropped() -> None:
    talk = Talk(random=lambda: 0.0)
    talk.up()
    talk.say(ACK)
    last_byte = talk.now
    talk.run(39.2 + 10.0)
    assert [frame["op"] for frame in talk.sent()] == [1, 1]
    talk.run(10.0)
    assert talk.only(Abort) == Abort(1, 4000)
    assert talk.now - last_byte <= 41.25 + 20.0
    assert talk.machine.verdict is Verdict.RESUME
    assert talk.machine.ending is not None
    assert talk.machine.ending.failure is not None
    assert talk.machine.ending.failure.kind is FailureKind.TIMEOUT


def test_a_server_that_talks_and_never_acknowledges_is_dropped() -> None:
    talk = Talk(random=lambda: 0.0)
    talk.up()
    for sequence in range(2, 200):
        if talk.machine.ended:
            break
        talk.say(dispatch(sequence))
        talk.run(1.0)
    assert 82.0 <= talk.now - 1000.0 <= 84.0
    talk.only(Abort)


def test_pings_for_an_impatient_proxy_cost_a_text_host_nothing() -> None:
    talk = Talk(policy=Policy(keepalive_ping=15.0))
    talk.up()
    for _ in range(20):
        talk.run(15.0)
        talk.say(ACK)
    assert {frame["op"] for frame in talk.sent()} == {1}
    assert not talk.machine.ended


def test_row_6_acks_alone_keep_a_link_alive() -> None:
    talk = Talk()
    talk.up()
    for _ in range(100):
        talk.run(39.2)
        talk.say(ACK)
    assert not talk.machine.ended


def test_hello_that_never_comes_ends_the_talk() -> None:
    talk = Talk()
    talk.run(20.0)
    talk.only(Abort)
    assert talk.machine.verdict is Verdict.RESUME


def test_row_8_ready_that_never_comes_ends_the_talk() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.run(20.0)
    talk.only(Abort)
    assert talk.machine.ending is not None
    assert talk.machine.ending.failure is not None
    assert "READY" in talk.machine.ending.failure.message


def test_a_long_replay_is_waited_for_as_long_as_it_flows() -> None:
    talk = Talk(SESSION)
    talk.say(hello(1_000_000))
    for sequence in range(42, 52):
        talk.run(19.0)
        talk.say(dispatch(sequence), ACK)
    assert not talk.machine.ended
    talk.run(20.0)
    assert talk.machine.ended
    assert talk.machine.ending is not None
    assert talk.machine.ending.failure is not None
    assert "RESUMED" in talk.machine.ending.failure.message


def test_row_26_nothing_is_judged_while_nothing_is_read() -> None:
    talk = Talk()
    talk.up()
    talk.machine.reading_paused(talk.now)
    talk.run(600.0)
    assert not talk.machine.ended
    beats = talk.sent()
    assert len(beats) >= 600 / 41.25
    talk.machine.reading_resumed(talk.now)
    talk.run(19.9)
    assert not talk.machine.ended
    talk.run(0.2)
    assert talk.machine.ended


def test_reading_that_was_never_paused_is_not_resumed() -> None:
    talk = Talk()
    for _ in range(3):
        talk.run(9.0)
        talk.machine.reading_resumed(talk.now)
    assert talk.machine.ended


def test_reading_that_was_resumed_is_judged_like_before() -> None:
    talk = Talk()
    talk.up()
    talk.machine.reading_paused(talk.now)
    talk.machine.reading_resumed(talk.now)
    talk.say(dispatch(2))
    talk.run(41.25 + 20.0)
    assert talk.machine.ended


def test_a_pause_during_the_handshake_stops_its_deadlines() -> None:
    talk = Talk()
    talk.machine.reading_paused(talk.now)
    talk.machine.handle_timer(talk.now + 100.0)
    assert not talk.machine.ended
    talk.now += 100.0
    talk.machine.reading_resumed(talk.now)
    talk.run(19.9)
    assert not talk.machine.ended
    talk.say(hello())
    talk.allow_identify()
    talk.machine.reading_paused(talk.now)
    talk.run(60.0)
    assert not talk.machine.ended
    talk.machine.reading_resumed(talk.now)
    talk.machine.reading_resumed(talk.now)
    talk.run(20.0)
    assert talk.machine.ended


def test_row_24_a_stall_of_ours_costs_no_link() -> None:
    talk = Talk()
    talk.up()
    talk.run(39.3)
    talk.sent()
    due = talk.machine.next_timer()
    assert due is not None
    talk.now = due + 35.0
    talk.say(ACK)
    assert talk.only(LoopLag).seconds == pytest.approx(35.0)
    assert [frame["op"] for frame in talk.sent()] == [1]
    talk.say(ACK)
    talk.run(39.0)
    assert not talk.machine.ended
    assert talk.machine.lag == pytest.approx(35.0)


def test_row_25_a_link_that_died_while_we_slept_is_found_dead_within_twenty_seconds() -> None:
    talk = Talk()
    talk.up()
    talk.now += 4 * 3600.0
    talk.machine.handle_timer(talk.now)
    talk.drain()
    assert talk.only(LoopLag).seconds > 4 * 3600 - 60
    talk.run(20.0)
    assert talk.machine.ended


def test_a_stall_during_the_handshake_gives_it_its_time_again() -> None:
    talk = Talk()
    talk.now += 30.0
    talk.machine.handle_timer(talk.now)
    talk.drain()
    assert talk.only(LoopLag).seconds == pytest.approx(10.0)
    assert not talk.machine.ended
    talk.say(hello())
    talk.allow_identify()
    talk.outputs.clear()
    due = talk.machine.next_timer()
    assert due is not None
    talk.now = due + 30.0
    talk.machine.handle_timer(talk.now)
    talk.drain()
    assert not talk.machine.ended
    talk.say(ready())
    talk.only(Ready)


def test_a_stall_while_reading_is_paused_judges_nothing() -> None:
    talk = Talk()
    talk.up()
    talk.machine.reading_paused(talk.now)
    talk.machine.next_timer()
    talk.now += 100.0
    talk.machine.handle_timer(talk.now)
    talk.drain()
    talk.only(LoopLag)
    assert not talk.machine.ended


# -- the end ------------------------------------------------------------------------------------------------------


def test_op_7_is_a_planned_rotation_that_keeps_the_session() -> None:
    talk = Talk()
    talk.up()
    talk.say(dispatch(2), RECONNECT, dispatch(3))
    assert [event.sequence for event in talk.take(Dispatch)] == [2]
    assert talk.only(CloseConnection) == CloseConnection(1, 4000, "reconnect asked for")
    assert talk.machine.verdict is Verdict.RESUME
    assert talk.machine.ending is not None
    assert talk.machine.ending.planned
    assert talk.machine.session is not None
    assert talk.machine.session.received == 2


def test_without_a_leave_code_we_leave_without_a_word() -> None:
    talk = Talk(policy=Policy(leave_code=None))
    talk.up()
    talk.say(RECONNECT)
    assert talk.take(CloseConnection) == []
    assert talk.only(Abort).code is None


def test_4009_is_a_planned_rotation() -> None:
    talk = Talk()
    talk.up()
    talk.machine.connection_closed(4009, "Session timed out", talk.now)
    ending = talk.machine.ending
    assert ending is not None
    assert (ending.verdict, ending.planned, ending.code, ending.reason) == (
        Verdict.RESUME,
        True,
        4009,
        "Session timed out",
    )
    assert talk.machine.next_timer() is None


def test_row_18_op_9_and_the_close_that_follows_are_one_ending() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.say(message(9, d=False), message(9, d=False))
    assert not talk.machine.ended
    talk.machine.connection_closed(4903, "create session error", talk.now)
    ending = talk.machine.ending
    assert ending is not None
    assert (ending.verdict, ending.code, ending.identify_refused) == (Verdict.IDENTIFY, 4903, True)


def test_op_9_is_given_its_time_beyond_the_deadline_of_ready() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.run(16.0)
    talk.say(message(9, d=False))
    talk.run(4.9)
    assert not talk.machine.ended
    talk.run(0.1)
    ending = talk.machine.ending
    assert ending is not None
    assert (ending.verdict, ending.phase, ending.identify_refused) == (Verdict.IDENTIFY, Phase.AUTH, True)
    assert talk.only(CloseConnection).reason == "invalid session"


def test_op_9_without_a_close_frame_ends_the_talk_after_five_seconds() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), message(9, d=False))
    talk.run(5.0)
    assert talk.only(CloseConnection).code == 4000
    assert talk.machine.verdict is Verdict.IDENTIFY
    assert talk.machine.ending is not None
    assert not talk.machine.ending.identify_refused


@pytest.mark.parametrize("code", [None, 1006, 4009])
def test_op_9_drops_the_session_whatever_benign_close_follows(code: int | None) -> None:
    talk = Talk(SESSION)
    talk.say(hello(), message(9, d={"can_resume": 1}))
    talk.machine.connection_closed(code, "", talk.now)
    assert talk.machine.verdict is Verdict.IDENTIFY


def test_op_9_drops_the_session_when_the_link_dies() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), message(9))
    talk.machine.connection_lost(EOF, talk.now)
    assert talk.machine.verdict is Verdict.IDENTIFY


def test_op_9_with_a_resumable_flag_keeps_the_session() -> None:
    talk = Talk(SESSION)
    talk.say(hello(), message(9, d=True))
    assert talk.only(CloseConnection) == CloseConnection(1, 4000, "invalid session, to be resumed")
    assert talk.machine.ending == Ending(Verdict.RESUME, Phase.AUTH)


@pytest.mark.parametrize(
    ("failure", "refused"), [(EOF, True), (Failure(FailureKind.RESET), False), (Failure(FailureKind.TIMEOUT), False)]
)
def test_an_end_of_stream_after_identify_is_a_refusal(failure: Failure, refused: bool) -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.machine.connection_lost(failure, talk.now)
    assert talk.machine.ending is not None
    assert talk.machine.ending.identify_refused is refused


@pytest.mark.parametrize(
    ("code", "refused"),
    [(None, True), (1005, True), (1006, True), (4903, True), (1000, False), (4900, False), (4904, False)],
)
def test_which_close_codes_after_identify_are_a_refusal(code: int | None, refused: bool) -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.machine.connection_closed(code, "", talk.now)
    assert talk.machine.ending is not None
    assert talk.machine.ending.identify_refused is refused
    assert talk.machine.ending.phase is Phase.AUTH


@pytest.mark.parametrize("code", [4900, 4006])
def test_any_close_code_after_op_9_is_a_refusal_of_the_identify(code: int) -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.say(message(9, d=False))
    talk.machine.connection_closed(code, "", talk.now)
    assert talk.machine.ending is not None
    assert talk.machine.ending.identify_refused


def test_an_end_of_stream_before_identify_refuses_nothing() -> None:
    talk = Talk()
    talk.say(hello())
    talk.machine.connection_lost(EOF, talk.now)
    assert talk.machine.ending is not None
    assert not talk.machine.ending.identify_refused


@pytest.mark.parametrize("keep_session", [False, True])
def test_close_says_goodbye_and_withdraws_what_was_not_handed_out(keep_session: bool) -> None:
    talk = Talk()
    talk.up()
    talk.machine.receive_message(dispatch(2), talk.now)
    talk.machine.receive_message(dispatch(3), talk.now)
    assert isinstance(talk.machine.next_output(), Dispatch)
    talk.machine.close(talk.now, keep_session=keep_session)
    assert talk.machine.next_output() == CloseConnection(1, 4000 if keep_session else 1000, "")
    assert talk.machine.next_output() is None
    assert talk.machine.session is not None
    assert talk.machine.session.settled == 2
    assert talk.machine.verdict is (Verdict.RESUME if keep_session else Verdict.IDENTIFY)


def test_a_talk_that_is_over_hears_nothing_more() -> None:
    talk = Talk()
    talk.up()
    talk.machine.close(talk.now)
    talk.drain()
    talk.outputs.clear()
    talk.say(dispatch(9))
    talk.machine.connection_closed(4009, "", talk.now)
    talk.machine.connection_lost(EOF, talk.now)
    talk.machine.close(talk.now)
    talk.machine.handle_timer(talk.now + 1000)
    talk.machine.reading_paused(talk.now)
    talk.machine.reading_resumed(talk.now)
    talk.drain()
    assert talk.outputs == []


def test_a_close_without_more_words_gives_the_session_up() -> None:
    talk = Talk()
    talk.up()
    talk.machine.close(talk.now)
    assert talk.machine.ending == Ending(Verdict.IDENTIFY, Phase.READY)


def test_a_dead_link_is_told_with_its_phase_and_refuses_nothing() -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify()
    talk.run(20.0)
    ending = talk.machine.ending
    assert ending is not None
    assert (ending.verdict, ending.phase, ending.identify_refused) == (Verdict.RESUME, Phase.AUTH, False)


def test_events_name_their_shard() -> None:
    talk = Talk(config=ShardConfig("1", 1, (3, 8)))
    talk.say("nonsense", "nonsense")
    talk.say(hello())
    talk.allow_identify()
    talk.say(ready(), dispatch(2))
    events = [output for output in talk.outputs if isinstance(output, (Malformed, Ready, Dispatch))]
    assert [event.shard for event in events] == [3, 3, 3, 3]


def test_misuse_raises_at_the_call() -> None:
    talk = Talk()
    with pytest.raises(LocalProtocolError, match="never issued"):
        talk.machine.answer(99, IdentifySlot(0.0), talk.now)
    talk.say(hello())
    question = talk.only(ReserveIdentify)
    with pytest.raises(LocalProtocolError, match=r"asks for an IdentifySlot, not a GatewayInfo$"):
        talk.machine.answer(question.id, GatewayInfo("wss://x"), talk.now)  # type: ignore[arg-type]  # misuse
    talk.machine.answer(question.id, IdentifySlot(talk.now), talk.now)
    talk.machine.answer(question.id, IdentifySlot(talk.now), talk.now)
    talk.drain()
    assert len(talk.sent()) == 1


def test_secrets_are_in_no_repr() -> None:
    machine = Conversation(CONFIG, TOKEN, random=half)
    machine.start(0.0)
    machine.receive_message(hello(), 0.0)
    assert machine.question is not None
    machine.answer(machine.question, IdentifySlot(0.0), 0.0)
    seen = []
    while (output := machine.next_output()) is not None:
        seen.append(repr(output))
        if isinstance(output, SendText):
            assert "TOKEN-SECRET" in output.text
    assert "TOKEN-SECRET" not in "".join(seen) + repr(TOKEN)
