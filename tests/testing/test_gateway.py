"""The fake gateway in text: what it says to a client that behaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qqproto import CloseConnection, Framing, LocalProtocolError
from qqproto.testing import Behaviour, FakeBot, FakePlatform, Refusal, c2c_message
from tests.core import samples
from tests.testing.clients import INTENTS, TextClient, drain, online


def shape(value: Any) -> Any:
    """The keys and types of a message."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value)


def ops(client: TextClient) -> list[Any]:
    return [message.get("t") or message["op"] for message in client.heard]


# -- the way in --------------------------------------------------------------------------------------------------------


def test_hello_comes_first_with_the_interval_of_the_wire() -> None:
    client = TextClient(FakePlatform())
    assert client.heard == [samples.body("hello_field")]


def test_the_interval_can_be_changed() -> None:
    client = TextClient(FakePlatform(behaviour=Behaviour(heartbeat_interval=0.25)))
    assert client.heard[0]["d"] == {"heartbeat_interval": 250}


def test_hello_can_be_held_back() -> None:
    platform = FakePlatform(behaviour=Behaviour(hello=False))
    client = TextClient(platform)
    assert client.heard == []
    client.talk.greet(3.0)
    assert [message["op"] for message in client.listen()] == [10]
    client.identify(3.1)
    assert ops(client) == [10, "READY"]
    assert platform.violations == []


def test_an_identify_like_the_samples_is_answered_with_ready() -> None:
    for name in ("identify", "identify_minimal"):
        platform = FakePlatform()
        client = TextClient(platform)
        (ready,) = client.identify(0.5, **{**samples.body(name)["d"], "token": client.token})
        assert shape(ready) == shape(samples.body("ready"))
        assert (ready["s"], ready["d"]["session_id"]) == (1, platform.session().id)
        assert ready["d"]["user"] == platform.bot.user
        assert platform.session().intents == samples.body(name)["d"]["intents"]
        assert platform.violations == []


def test_the_shard_may_be_left_out() -> None:
    platform = FakePlatform()
    client = TextClient(platform)
    client.say(2, {"token": client.token, "intents": INTENTS}, 0.0)
    assert platform.session().shard == (0, 1)


def test_heartbeats_are_acknowledged_before_and_after_ready() -> None:
    client = TextClient(FakePlatform())
    assert client.say_raw('{"op":1,"d":null}', 1.0) == [samples.body("heartbeat_ack")]
    client.identify(2.0)
    assert client.beat(1, 3.0) == [{"op": 11}]
    assert client.platform.violations == []


def test_a_token_that_nobody_has_given_out_is_closed_with_4004() -> None:
    platform = FakePlatform()
    client = TextClient(platform)
    assert client.identify(0.0, token="QQBot nonsense") == []
    assert client.close_code == 4004
    assert platform.violations == [], "a client cannot know that a token was revoked"


def test_a_revoked_token_is_closed_with_4004() -> None:
    platform = FakePlatform()
    client = TextClient(platform)
    platform.bot.revoke_tokens()
    client.identify(0.0)
    assert client.close_code == 4004


def test_each_bot_has_tokens_and_sessions_of_its_own() -> None:
    platform = FakePlatform(FakeBot("1", "a"), FakeBot("2", "b"))
    online(platform, bot=platform.bots["1"])
    online(platform, bot=platform.bots["2"])
    assert platform.session(app_id="1") is not platform.session(app_id="2")
    assert platform.session(app_id="1") is platform.session()
    with pytest.raises(LookupError, match="shard 1 of bot 2"):
        platform.session(1, app_id="2")


def test_forbidden_intents_get_op_9_and_then_4903() -> None:
    platform = FakePlatform()
    platform.bot.intents = INTENTS
    client = TextClient(platform)
    assert client.identify(0.0, intents=INTENTS | 1) == [samples.body("invalid_session")]
    assert client.close_code == 4903
    assert TextClient(platform, 10.0).identify(10.0)[0]["t"] == "READY"


def test_too_few_shards_are_closed_with_4011() -> None:
    platform = FakePlatform()
    platform.bot.min_shards = 2
    client = TextClient(platform)
    client.identify(0.0)
    assert client.close_code == 4011
    other = TextClient(platform, 10.0)
    assert other.identify(10.0, shard=[1, 2])[0]["d"]["shard"] == [1, 2]


# -- dispatches --------------------------------------------------------------------------------------------------------


def test_dispatches_are_numbered_and_have_event_ids() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    assert session.dispatch("C2C_MESSAGE_CREATE", c2c_message("a", id="M"), 1.0) == 2
    assert session.dispatch("NEW_THING", None, 1.0, id="NEW_THING:mine") == 3
    first, second = client.listen()
    assert shape(first) == shape({**samples.body("ev_c2c_message_create"), "d": c2c_message("a", id="M")})
    assert first["id"].startswith("C2C_MESSAGE_CREATE:")
    assert second == {"op": 0, "s": 3, "t": "NEW_THING", "d": None, "id": "NEW_THING:mine"}
    assert (session.sequence, session.sent) == (3, 3)


def test_what_happens_while_the_bot_is_away_is_replayed_before_resumed() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    session.dispatch("A", 1, 1.0)
    client.leave(None, 2.0)
    session.dispatch("B", 2, 3.0)
    session.dispatch("C", 3, 4.0)
    assert (session.sent, session.sequence, session.live) == (2, 4, None)
    back = TextClient(platform, 5.0)
    replay = back.resume(session.id, 2, 5.0)
    assert [(message["t"], message["s"]) for message in replay] == [("B", 3), ("C", 4), ("RESUMED", 4)]
    assert shape(replay[-1]) == shape(samples.body("resumed"))
    assert replay[-1]["d"] == ""
    session.dispatch("D", 4, 6.0)
    assert [message["s"] for message in back.listen()] == [5]
    assert platform.violations == []


def test_a_resume_from_further_back_brings_everything_again() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    for number in range(3):
        session.dispatch("A", number, 1.0)
    client.leave(4000, 2.0)
    replay = TextClient(platform, 3.0).resume(session.id, 1, 3.0)
    assert [message["s"] for message in replay] == [2, 3, 4, 4]


def test_only_so_much_is_kept_for_a_replay() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.leave(None, 1.0)
    for number in range(10_001):
        session.dispatch("A", number, 2.0)
    back = TextClient(platform, 3.0)
    assert back.resume(session.id, 1, 3.0) == [{"op": 9, "d": False}]
    assert back.close_code == 4006
    assert platform.sessions == {}
    assert platform.violations == []


def test_a_session_is_kept_for_so_long_and_no_longer() -> None:
    for away, code in ((600.0, None), (601.0, 4006)):
        platform = FakePlatform(behaviour=Behaviour(resume_window=600.0))
        online(platform).leave(None, 1.0)
        back = TextClient(platform, 1.0 + away)
        back.resume(platform.session().id, 1, 1.0 + away)
        assert back.close_code == code
        assert platform.violations == [], "nobody had told the client"


def test_sessions_that_are_over_do_not_pile_up() -> None:
    platform = FakePlatform(behaviour=Behaviour(resume_window=600.0))
    for day in range(5):
        online(platform, day * 10_000.0).leave(None, day * 10_000.0 + 1.0)
    assert len(platform.sessions) == 1


def test_resuming_a_session_that_is_live_elsewhere_closes_the_other_with_4902() -> None:
    platform = FakePlatform()
    first = online(platform)
    second = TextClient(platform, 1.0)
    resume = {"op": 6, "d": {"token": second.token, "session_id": platform.session().id, "seq": 1}}
    platform.receive_message(second.id, json.dumps(resume), 1.0)
    assert CloseConnection(first.id, 4902, "reset by resume") in drain(platform)
    assert platform.session().live is second.talk
    first.leave(None, 1.1)
    assert platform.session().live is second.talk


@pytest.mark.parametrize(("code", "kept"), [(None, True), (4000, True), (1006, True), (1000, False), (1001, False)])
def test_a_goodbye_of_the_clients_ends_the_session_and_anything_else_keeps_it(code: int | None, kept: bool) -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.leave(code, 1.0)
    assert (session.id in platform.sessions) is kept


# -- levers ------------------------------------------------------------------------------------------------------------


def test_op_7_and_then_4009_if_the_client_stays() -> None:
    platform = FakePlatform()
    client = online(platform)
    client.talk.send_reconnect(5.0)
    assert client.listen() == [samples.body("reconnect")]
    assert platform.next_timer() == 15.0
    platform.handle_timer(14.9)
    client.listen()
    assert client.close_code is None
    platform.handle_timer(15.0)
    client.listen()
    assert client.close_code == 4009
    assert platform.violations == ["15.000 s, connection 1: still there 10 s after op 7"]


def test_op_7_and_op_9_can_come_before_there_is_a_session() -> None:
    client = TextClient(FakePlatform())
    client.talk.send_reconnect(1.0)
    client.talk.invalidate(1.0)
    client.talk.close(4009, "", 1.0)
    assert [message["op"] for message in client.listen()] == [7, 9]
    assert client.close_code == 4009


@pytest.mark.parametrize("resumable", [False, True])
def test_op_9_ends_the_session_unless_it_is_resumable(resumable: bool) -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.talk.invalidate(1.0, resumable=resumable)
    sample = "invalid_session_resumable" if resumable else "invalid_session"
    assert client.listen() == [samples.body(sample)]
    client.leave(None, 2.0)
    back = TextClient(platform, 3.0)
    back.resume(session.id, 1, 3.0)
    assert back.close_code == (None if resumable else 4006)


@pytest.mark.parametrize(
    ("code", "kept"),
    [(4009, True), (4008, True), (4000, True), (1000, True), (1011, True), (4006, False), (4903, False), (4914, False)],
)
def test_a_close_of_the_platforms_takes_the_session_where_the_table_says(code: int, kept: bool) -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.talk.close(code, "because", 1.0)
    client.listen()
    assert client.ended == CloseConnection(client.id, code, "because")
    assert (session.id in platform.sessions) is kept
    assert session.live is None


def test_a_heartbeat_can_be_asked_for() -> None:
    client = online(FakePlatform())
    client.talk.request_heartbeat()
    assert client.listen() == [samples.body("server_heartbeat_request")]


def test_acks_can_be_muted_for_one_connection_or_for_all() -> None:
    platform = FakePlatform()
    client, other = online(platform), TextClient(platform, 10.0)
    client.talk.mute_acks()
    assert client.beat(1, 11.0) == []
    assert other.beat(None, 11.0) == [{"op": 11}]
    platform.behaviour.acks = False
    assert other.beat(None, 12.0) == []
    client.talk.say({"op": 99})
    assert client.listen() == [{"op": 99}], "it goes on talking"


def test_a_client_that_is_ignored_hears_nothing_any_more() -> None:
    platform = FakePlatform()
    client = online(platform)
    client.talk.ignore()
    platform.session().dispatch("A", 1, 1.0)
    client.talk.request_heartbeat()
    client.beat(1, 2.0)
    client.say(99, None, 3.0)
    client.identify(4.0)
    platform.handle_timer(1000.0)
    assert client.listen() == []
    assert client.ended is None
    assert platform.session().sent == 1, "what was not sent is replayed later"


def test_the_stream_can_end_without_a_close_frame_or_break_off() -> None:
    platform = FakePlatform()
    hung_up, reset = online(platform), online(platform, 10.0)
    hung_up.talk.hang_up(11.0)
    hung_up.talk.hang_up(11.0)
    assert drain(platform) == [CloseConnection(hung_up.id, 1006, "")]
    reset.talk.reset(12.0)
    reset.talk.reset(12.0)
    outputs = drain(platform)
    assert [(type(output).__name__, output.id) for output in outputs] == [("Abort", reset.id)]
    assert all(session.live is None for session in platform.sessions.values())


def test_anything_at_all_can_be_sent() -> None:
    client = online(FakePlatform())
    client.talk.send_raw('{"op":0}')
    client.talk.send_raw(b'{"op":11}')
    assert client.listen() == [{"op": 0}, {"op": 11}]


def test_nothing_is_said_after_a_close() -> None:
    client = online(FakePlatform())
    client.talk.close(4009, "", 1.0)
    client.talk.close(4000, "", 1.0)
    client.talk.request_heartbeat()
    client.talk.ping()
    client.say(99, None, 1.0)
    client.platform.session().dispatch("A", 1, 1.0)
    assert client.listen() == []
    assert client.close_code == 4009


def test_identifies_are_refused_as_often_as_it_is_said() -> None:
    platform = FakePlatform()
    platform.bot.max_concurrency = 10
    platform.behaviour.identify += [Refusal(times=2), Refusal(None, op9=None), Refusal(op9=True, hangs=True)]
    outcomes = []
    for number in range(5):
        client = TextClient(platform, float(number))
        said = client.identify(float(number))
        outcomes.append(([message["op"] for message in said], client.close_code))
    assert outcomes == [([9], 4903), ([9], 4903), ([], 1006), ([9], None), ([0], None)]
    assert platform.behaviour.identify == []


@pytest.mark.parametrize(
    ("refusal", "kept"),
    [
        (Refusal(4902, op9=None), False),
        (Refusal(4009, op9=None), True),
        (Refusal(4004, op9=None), True),
        (Refusal(4009, op9=False), False),
        (Refusal(4009, op9=True), True),
        (Refusal(None, op9=None), True),
        (Refusal(op9=None, hangs=True), True),
    ],
)
def test_a_refused_resume_ends_the_session_or_not(refusal: Refusal, kept: bool) -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.leave(None, 1.0)
    platform.behaviour.resume.append(refusal)
    TextClient(platform, 2.0).resume(session.id, 1, 2.0)
    back = TextClient(platform, 3.0)
    back.resume(session.id, 1, 3.0)
    assert (ops(back)[-1] == "RESUMED") is kept
    assert (platform.violations == []) is kept


def test_identify_and_resume_can_go_unanswered() -> None:
    platform = FakePlatform()
    client = online(platform)
    session = platform.session()
    client.leave(None, 1.0)
    platform.behaviour.answers = False
    assert TextClient(platform, 10.0).identify(10.0) == []
    assert TextClient(platform, 11.0).resume(session.id, 1, 11.0) == []
    platform.behaviour.answers = True
    assert ops_of(TextClient(platform, 12.0).resume(session.id, 1, 12.0)) == ["RESUMED"]


def ops_of(messages: list[dict[str, Any]]) -> list[Any]:
    return [message.get("t") for message in messages]


# -- the machine -------------------------------------------------------------------------------------------------------


def test_a_late_heartbeat_is_closed_with_4009_after_the_grace() -> None:
    platform = FakePlatform(behaviour=Behaviour(heartbeat_interval=40.0, heartbeat_grace=20.0))
    client = online(platform)
    client.beat(1, 30.0)
    assert platform.next_timer() == 90.0
    platform.handle_timer(90.0)
    client.listen()
    assert client.close_code == 4009
    assert platform.next_timer() is None
    assert platform.session().resume_due


def test_the_frames_of_clients_are_kept_decoded() -> None:
    platform = FakePlatform()
    client = online(platform)
    client.beat(1, 2.0)
    client.leave(None, 3.0)
    TextClient(platform, 4.0).resume(platform.session().id, 1, 4.0)
    assert platform.ops() == [2, 6]
    assert platform.ops(heartbeats=True) == [2, 1, 6]
    beat = platform.frames[1]
    assert (beat.at, beat.connection, beat.payload) == (2.0, client.id, {"op": 1, "d": 1})


def test_an_input_about_a_connection_that_is_over_is_ignored_and_one_that_never_was_is_misuse() -> None:
    platform = FakePlatform()
    client = online(platform)
    client.leave(None, 1.0)
    platform.receive_message(client.id, '{"op":1}', 2.0)
    platform.connection_lost(client.id, 2.0)
    platform.connection_closed(client.id, 1000, 2.0)
    platform.receive_data(client.id, b"x", 2.0)
    assert drain(platform) == []
    for id in (0, 2):
        with pytest.raises(LocalProtocolError, match="never made"):
            platform.connection_lost(id, 2.0)


def test_each_framing_has_its_own_input() -> None:
    platform = FakePlatform()
    text, data = platform.connect(0.0, Framing.TEXT), platform.connect(0.0)
    with pytest.raises(LocalProtocolError, match="framing TEXT"):
        platform.receive_data(text, b"x", 0.0)
    with pytest.raises(LocalProtocolError, match="framing BYTES"):
        platform.receive_message(data, "x", 0.0)


def test_a_driver_is_woken_when_a_lever_gives_it_something_to_do() -> None:
    woken = []
    platform = FakePlatform(wake=lambda: woken.append(True))
    client = online(platform)
    woken.clear()
    client.talk.request_heartbeat()
    client.talk.request_heartbeat()
    assert woken == [True]
    client.listen()
    client.talk.request_heartbeat()
    assert woken == [True, True]


def test_reprs_say_how_things_stand() -> None:
    platform = FakePlatform()
    client = TextClient(platform)
    assert "open" in repr(client.talk)
    client.identify(0.0)
    assert "live" in repr(client.talk)
    assert "live" in repr(platform.session())
    talk = client.talk
    talk.close(4009, "", 1.0)
    assert "closing" in repr(talk)
    client.leave(4009, 1.0)
    assert "over" in repr(talk)
    assert "away" in repr(platform.session())
