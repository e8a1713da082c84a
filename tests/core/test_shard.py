from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from qqproto import (
    Abort,
    Cancel,
    CloseConnection,
    ConfigurationError,
    ConflictSuspected,
    Disconnected,
    Dispatch,
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifyBudgetLow,
    IdentifySlot,
    LocalProtocolError,
    LoopLag,
    Offline,
    Online,
    OpenConnection,
    Phase,
    Policy,
    Ready,
    ReserveIdentify,
    Resumed,
    SendData,
    Session,
    SessionRefused,
    Shard,
    ShardConfig,
    Stopped,
    StopReason,
    Token,
    User,
    Verdict,
)
from qqproto.protocol.close_codes import CLOSE_CODES
from tests.core.hosts import (
    CONFIG,
    RECONNECT,
    SESSION,
    TOKEN,
    URL,
    Host,
    dispatch,
    half,
    hello,
    message,
    ready,
    resumed,
)

EOF = Failure(FailureKind.EOF)
DNS = Failure(FailureKind.DNS, "no such name")


def dialled(shard: Shard) -> OpenConnection:
    """Start a shard and answer its questions, until it wants a connection."""
    shard.start(0.0)
    token = shard.next_output()
    assert isinstance(token, FetchToken)
    shard.answer(token.id, TOKEN, 0.0)
    gateway = shard.next_output()
    assert isinstance(gateway, FetchGateway)
    shard.answer(gateway.id, GatewayInfo(URL), 0.0)
    opening = shard.next_output()
    assert isinstance(opening, OpenConnection)
    return opening


# -- the way to a session -----------------------------------------------------------------------------------------


def test_starting_asks_for_a_token_then_the_gateway_then_a_connection() -> None:
    host = Host(start=False)
    host.token = host.gateway = None
    host.dials_hang = True
    host.shard.start(host.now)
    host.drain()
    question = host.only(FetchToken)
    assert (question.deadline, question.rejected) == (host.now + 15.0, None)
    host.shard.answer(question.id, TOKEN, host.now)
    host.drain()
    assert host.gateways_asked == [True]
    host.shard.answer(question.id + 1, GatewayInfo(URL), host.now)
    host.drain()
    opening = host.only(OpenConnection)
    assert (opening.url, opening.deadline) == (URL, host.now + 20.0)
    assert host.shard.phase is Phase.DIAL


def test_the_first_session_is_online_and_ready() -> None:
    host = Host()
    host.say(hello(), ready())
    online, event = [output for output in host.outputs if isinstance(output, (Online, Ready))]
    assert online == Online(0, None)
    assert isinstance(event, Ready)
    assert host.shard.phase is Phase.READY
    status = host.shard.status(host.now)
    assert status.connected
    assert status.online
    assert (status.session_id, status.user) == ("S-1", User("42", "bot"))


def test_the_handshake_headers_are_in_the_action_for_a_text_host() -> None:
    config = ShardConfig("1", 1, headers={"User-Agent": "my bot"})
    shard = Shard(config, random=half, framing=Framing.TEXT)
    assert dialled(shard).headers == {"User-Agent": "my bot"}


# -- rotations ----------------------------------------------------------------------------------------------------


def test_row_12_op_7_is_one_resume_within_a_moment_and_shows_nothing_to_the_application() -> None:
    host = Host()
    host.up()
    host.say(dispatch(2), RECONNECT)
    event = host.only(Disconnected)
    assert (event.planned, event.verdict, event.attempt) == (True, Verdict.RESUME, 0)
    assert event.retry_in is not None
    assert event.retry_in <= 0.25
    left = host.now
    host.run(1.0)
    assert host.dials[-1] - left <= 0.25
    host.say(hello())
    assert host.sent() == [{"op": 6, "d": {"token": "QQBot TOKEN-SECRET", "session_id": "S-1", "seq": 2}}]
    assert host.gateways_asked == [True, False]
    host.say(dispatch(3), resumed(4))
    assert host.only(Resumed).replayed == 1
    assert host.take(Online) == []
    assert host.take(Offline) == []


def test_row_12_4009_is_one_resume_too() -> None:
    host = Host()
    host.up()
    host.server_closes(4009)
    host.run(0.25)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6]
    host.say(resumed(2))
    assert host.take(Offline) == []


def test_a_rotation_of_an_unstable_connection_is_a_failure() -> None:
    host = Host()
    gaps = []
    for _ in range(4):
        host.up(stable=False)
        host.say(RECONNECT)
        retry_in = host.only(Disconnected).retry_in
        assert retry_in is not None
        gaps.append(retry_in)
        host.run(retry_in)
        host.say(hello(), resumed(5))
    assert gaps == [0.75, 1.5, 3.75, 7.5]


@pytest.mark.untraced
def test_row_2_a_thousand_rotations_leave_no_trace() -> None:
    host = Host()
    host.up()
    sequence = itertools.count(2)
    for _ in range(1000):
        host.say(RECONNECT)
        host.run(0.25)
        host.say(hello(), resumed(next(sequence)))
        host.live(61.0)
        host.outputs.clear()
    status = host.shard.status(host.now)
    assert (status.attempt, status.counters["identifies"], status.counters["resumes"]) == (0, 1, 1000)
    assert status.connected


# -- failures on the way ------------------------------------------------------------------------------------------


@pytest.mark.untraced
def test_row_30_and_1_a_name_that_does_not_resolve_is_an_outage_that_ends() -> None:
    host = Host(start=False)
    host.dial = DNS
    host.shard.start(host.now)
    host.drain()
    host.run(7 * 86_400.0)
    assert host.shard.status(host.now).online is False
    host.only(Offline)
    host.dial = None
    host.redial(61.0)
    host.say(hello(), ready())
    host.only(Ready)
    assert host.only(Online).away is None


def test_row_11_the_gaps_grow_to_a_minute_and_never_shrink_below_half() -> None:
    host = Host(start=False, random=lambda: 0.0)
    host.dial = Failure(FailureKind.REFUSED)
    host.shard.start(host.now)
    host.drain()
    host.run(600.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(host.dials)]
    assert gaps[:7] == pytest.approx([0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 30.0])


def test_row_11_an_open_socket_is_no_success() -> None:
    host = Host()
    for _ in range(6):
        host.server_closes(1006)
        host.redial(60.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(host.dials)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 30.0


def test_row_7_a_question_without_an_answer_is_cancelled_and_asked_again() -> None:
    host = Host(start=False)
    host.token = None
    host.shard.start(host.now)
    host.drain()
    question = host.only(FetchToken)
    host.run(15.0)
    assert host.only(Cancel).id == question.id
    event = host.only(Disconnected)
    assert (event.phase, event.verdict) == (Phase.HTTP, Verdict.IDENTIFY)
    assert event.failure is not None
    assert event.failure.kind is FailureKind.TIMEOUT
    host.shard.answer(question.id, TOKEN, host.now)
    host.drain()
    assert host.shard.phase is Phase.WAIT
    host.token = TOKEN
    host.run(1.0)
    host.say(hello(), ready())
    host.only(Ready)


def test_row_7_a_gateway_question_without_an_answer_is_cancelled() -> None:
    host = Host(start=False)
    host.gateway = None
    host.shard.start(host.now)
    host.drain()
    host.run(15.0)
    host.only(Cancel)
    failure = host.only(Disconnected).failure
    assert failure is not None
    assert "gateway" in failure.message


def test_row_7_a_dial_that_hangs_is_aborted() -> None:
    host = Host(start=False)
    host.dials_hang = True
    host.shard.start(host.now)
    host.drain()
    first = host.only(OpenConnection)
    host.run(20.0)
    assert host.only(Abort).id == first.id
    assert host.only(Disconnected).phase is Phase.DIAL
    host.shard.connection_opened(first.id, host.now)
    host.drain()
    assert host.shard.status(host.now).counters["stale_inputs"] == 1


def test_a_failure_that_names_a_time_is_waited_for() -> None:
    host = Host(start=False)
    host.token = Failure(FailureKind.RATE_LIMITED, http_status=429, retry_after=33.0)
    host.shard.start(host.now)
    host.drain()
    assert host.only(Disconnected).retry_in == 33.0


def test_a_gateway_address_that_cannot_be_dialled_is_a_failure() -> None:
    host = Host(start=False)
    host.gateway = GatewayInfo("https://example/")
    host.shard.start(host.now)
    host.drain()
    failure = host.only(Disconnected).failure
    assert failure is not None
    assert "ws://" in failure.message


@pytest.mark.parametrize("code", [100016, 100007, 10004, 11245])
def test_wrong_credentials_stop_with_a_hint(code: int) -> None:
    host = Host(start=False)
    host.token = Failure(FailureKind.HTTP_STATUS, http_status=200, code=code)
    host.shard.start(host.now)
    host.drain()
    assert host.only(Disconnected).verdict is Verdict.STOP
    stopped = host.only(Stopped)
    assert (stopped.reason, stopped.retryable) == (StopReason.CREDENTIALS, False)
    assert (stopped.shard, stopped.failure) == (0, host.token)
    assert "AppSecret" in stopped.hint
    assert host.shard.stopped == stopped
    assert host.shard.next_timer() is None


def test_a_banned_bot_stops() -> None:
    host = Host(start=False)
    host.gateway = Failure(FailureKind.HTTP_STATUS, http_status=401, code=11265)
    host.shard.start(host.now)
    host.drain()
    assert host.only(Stopped).reason is StopReason.BANNED


def test_row_39_an_address_that_is_not_allowed_is_told_once_and_tried_every_five_minutes() -> None:
    host = Host(start=False)
    host.gateway = Failure(FailureKind.HTTP_STATUS, http_status=401, code=11298)
    host.shard.start(host.now)
    host.drain()
    host.run(3600.0)
    assert "allowlist" in host.only(ConfigurationError).hint
    assert 11 <= len(host.gateways_asked) <= 13
    assert host.shard.status(host.now).configuration_error is not None
    host.gateway = GatewayInfo(URL)
    host.redial(300.0)
    host.say(hello(), ready())
    assert host.shard.status(host.now).configuration_error is None


MENDABLE = [
    (FailureKind.PROXY_AUTH, "the user name and the password in the proxy's URL"),
    (FailureKind.TLS_UNTRUSTED, "this machine's clock and its root certificates"),
]


@pytest.mark.parametrize("asked", ["token", "gateway", "dial"])
@pytest.mark.parametrize(("kind", "hint"), MENDABLE)
def test_rows_29_and_32_what_only_a_person_can_mend_is_told_once_and_tried_every_five_minutes(
    kind: FailureKind, hint: str, asked: str
) -> None:
    host = Host(start=False)
    good = getattr(host, asked)
    setattr(host, asked, Failure(kind, "it refuses"))
    host.shard.start(host.now)
    host.drain()
    host.run(3600.0)

    error = host.only(ConfigurationError)
    assert error.hint.startswith("it refuses: check ")
    assert hint in error.hint
    assert error.failure == Failure(kind, "it refuses")
    assert 11 <= len(host.tokens_asked) <= 13
    assert set(host.tokens_asked) == {None}, "the token has nothing to do with it"
    assert host.take(Stopped) == []
    setattr(host, asked, good)
    host.redial(300.0)
    host.say(hello(), ready())
    assert host.shard.status(host.now).configuration_error is None


def test_row_29_a_proxy_that_does_not_let_us_through_is_an_outage_like_any_other() -> None:
    host = Host(start=False)
    host.dial = Failure(FailureKind.PROXY, "the proxy could not reach the host (HTTP 502)", 502)
    host.shard.start(host.now)
    host.drain()
    host.run(3600.0)

    assert host.take(ConfigurationError) == []
    assert host.take(Stopped) == []
    assert set(host.tokens_asked) == {None}
    assert len(host.dials) > 55
    host.dial = None
    host.redial(61.0)
    host.say(hello(), ready())
    host.only(Ready)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500, 502])
def test_a_status_without_the_platforms_body_is_never_a_verdict(status: int) -> None:
    host = Host(start=False)
    host.token = Failure(FailureKind.HTTP_STATUS, http_status=status)
    host.shard.start(host.now)
    host.drain()
    host.run(3600.0)
    assert host.take(Stopped) == []
    assert host.take(ConfigurationError) == []
    host.token = TOKEN
    host.redial(61.0)
    host.say(hello(), ready())
    host.only(Ready)


def test_a_token_that_the_gateway_endpoint_refused_twice_is_named_in_the_next_question() -> None:
    host = Host(start=False)
    host.gateway = Failure(FailureKind.HTTP_STATUS, http_status=401, code=11244)
    host.shard.start(host.now)
    host.drain()
    host.gateway = GatewayInfo(URL)
    host.run(1.0)
    assert host.tokens_asked == [None, "TOKEN-SECRET"]


@pytest.mark.parametrize("code", [11241, 11243, 11251, 11261, 11275])
def test_a_token_that_is_refused_as_wrong_twice_is_a_configuration_error(code: int) -> None:
    host = Host(start=False)
    host.gateway = Failure(FailureKind.HTTP_STATUS, http_status=401, code=code)
    host.shard.start(host.now)
    host.drain()
    assert "AppSecret" in host.only(ConfigurationError).hint
    assert host.only(Disconnected).retry_in == 300.0
    host.run(300.0)
    assert host.tokens_asked == [None, "TOKEN-SECRET"]


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(CLOSE_CODES))
def test_row_13_each_code_of_a_live_session_leads_where_the_table_says(code: int) -> None:
    row = CLOSE_CODES[code]
    host = Host()
    host.up()
    host.server_closes(code, row.meaning)
    event = host.only(Disconnected)
    assert (event.code, event.phase, event.verdict) == (code, Phase.READY, row.verdict)
    if row.verdict is Verdict.STOP:
        stopped = host.only(Stopped)
        assert (stopped.reason, stopped.retryable, stopped.code) == (row.reason, False, code)
        assert row.hint in stopped.hint
        assert host.shard.ended
        return
    host.redial(60.0)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [2 if row.verdict is Verdict.IDENTIFY else 6]


@pytest.mark.parametrize("code", [1000, 1001, 4006, 4007, 4900, 4902, 4903, 4999])
def test_row_10_a_refused_resume_is_not_tried_again(code: int) -> None:
    host = Host(SESSION)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6]
    host.server_closes(code)
    assert host.only(Disconnected).verdict is Verdict.IDENTIFY
    host.redial(60.0)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [2]


@pytest.mark.parametrize("code", [None, 1006, 4000, 4008, 4009])
def test_row_10_a_resume_whose_link_dies_is_tried_three_times(code: int | None) -> None:
    host = Host(SESSION)
    opcodes = []
    for _ in range(5):
        host.say(hello())
        opcodes += [frame["op"] for frame in host.sent()]
        host.server_closes(code)
        host.redial(60.0)
    assert opcodes == [6, 6, 6, 2, 2]


def test_row_10_a_resume_that_is_granted_and_undone_at_once_is_tried_three_times() -> None:
    host = Host(SESSION)
    opcodes = []
    for _ in range(4):
        host.say(hello())
        [frame] = [frame for frame in host.sent() if frame["op"] != 1]
        opcodes.append(frame["op"])
        host.say(resumed(42) if frame["op"] == 6 else ready("S-2"))
        host.server_closes(4000)
        host.redial(60.0)
    assert opcodes == [6, 6, 6, 2]
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6], "the new session is resumed like any other"


@pytest.mark.parametrize("ending", ["rotation", "network"])
def test_row_10_a_network_or_a_server_that_rotates_in_haste_costs_no_session(ending: str) -> None:
    host = Host(SESSION)
    for _ in range(8):
        host.say(hello())
        assert [frame["op"] for frame in host.sent() if frame["op"] != 1] == [6]
        host.say(resumed(42))
        if ending == "rotation":
            host.say(RECONNECT)
        else:
            host.lose(Failure(FailureKind.RESET))
        host.redial(60.0)


def test_a_link_that_dies_while_live_is_resumed() -> None:
    host = Host()
    host.up()
    host.lose(Failure(FailureKind.RESET))
    assert host.only(Disconnected).verdict is Verdict.RESUME
    host.run(1.0)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6]


def test_4008_is_a_minutes_silence() -> None:
    host = Host()
    host.up()
    host.server_closes(4008)
    assert host.only(Disconnected).retry_in == 60.0


def test_what_came_before_the_end_of_its_session_is_handed_out_after_it() -> None:
    host = Host()
    host.up()
    host.shard.receive_message(host.connection, dispatch(2), host.now)
    host.shard.connection_closed(host.connection, 4006, "session no longer valid", host.now)
    assert host.shard.session is None
    host.drain()
    assert host.dispatches() == [2]


def test_row_16_4004_names_the_refused_token_and_keeps_the_session() -> None:
    host = Host()
    host.up()
    host.say(RECONNECT)
    host.run(0.25)
    host.say(hello())
    host.server_closes(4004)
    host.token = Token("ANOTHER")
    host.run(1.0)
    assert host.tokens_asked == [None, None, "TOKEN-SECRET"]
    host.sent()
    host.say(hello())
    assert host.sent()[0] == {"op": 6, "d": {"token": "QQBot ANOTHER", "session_id": "S-1", "seq": 1}}
    host.say(resumed(2))
    host.only(Resumed)


def test_4004_three_times_over_half_a_minute_stops_and_a_restart_may_help() -> None:
    host = Host()
    for _ in range(10):
        if host.shard.ended:
            break
        host.say(hello())
        host.server_closes(4004)
        if not host.shard.ended:
            host.run(20.0)
    stopped = host.only(Stopped)
    assert (stopped.reason, stopped.retryable) == (StopReason.TOKEN_REFUSED, True)
    assert len(host.dials) == 3


def test_4004_three_times_in_a_moment_does_not_stop() -> None:
    host = Host(random=lambda: 0.0)
    for _ in range(3):
        host.say(hello())
        host.server_closes(4004)
        host.run(2.5)
    assert not host.shard.ended


def test_refused_identifies_are_a_configuration_error_that_ends_without_a_person() -> None:
    host = Host()
    while host.now < 5000.0 + 3600.0:
        host.say(hello())
        host.say(message(9, d=False))
        host.server_closes(4903, "create session error")
        host.run(host.take(Disconnected)[-1].retry_in or 0.0)
    error = host.only(ConfigurationError)
    assert error.code == 4903
    assert "intents" in error.hint
    assert "allowlist" in error.hint
    assert host.tokens_asked[:3] == [None, "TOKEN-SECRET", None]
    gaps = [later - earlier for earlier, later in itertools.pairwise(host.dials)]
    assert gaps[5:] == [300.0] * len(gaps[5:])
    assert len(gaps) > 10
    host.say(hello(), ready())
    host.only(Ready)


def test_row_36_a_session_taken_over_three_times_is_a_second_instance() -> None:
    host = Host()
    waits, conflicts = [], []
    for _ in range(3):
        host.up()
        host.server_closes(4902, "reset by resume")
        waits.append(host.only(Disconnected).retry_in)
        conflicts.append(len(host.take(ConflictSuspected)))
        host.redial(600.0)
    assert conflicts == [0, 0, 1]
    assert waits == [0.75, 0.75, 600.0]
    host.up()
    host.server_closes(4902)
    assert host.take(ConflictSuspected) == []


def test_sessions_taken_over_long_ago_are_forgotten() -> None:
    host = Host()
    for _ in range(4):
        host.up()
        host.live(1000.0)
        host.server_closes(4902)
        assert host.take(ConflictSuspected) == []
        host.redial(60.0)


# -- the identify budget and slots --------------------------------------------------------------------------------


def test_row_15_an_empty_budget_is_waited_for_without_a_socket() -> None:
    host = Host(start=False)
    host.gateway = GatewayInfo(URL, total=1000, remaining=0, reset_after=7200.0)
    host.shard.start(host.now)
    host.drain()
    event = host.only(IdentifyBudgetLow)
    assert (event.remaining, event.total, event.reset_after) == (0, 1000, 7200.0)
    host.run(7199.0)
    assert host.dials == []
    host.gateway = GatewayInfo(URL, total=1000, remaining=1000, reset_after=86_400.0)
    host.run(1.0)
    assert len(host.dials) == 1


def test_an_empty_budget_that_names_no_time_is_asked_about_every_five_minutes() -> None:
    host = Host(start=False)
    host.gateway = GatewayInfo(URL, total=1000, remaining=0)
    host.dial = DNS
    host.shard.start(host.now)
    host.drain()
    host.run(3000.0)
    assert len(host.gateways_asked) == 11


def test_an_empty_budget_does_not_keep_a_session_from_being_resumed() -> None:
    host = Host(SESSION, start=False)
    host.gateway = GatewayInfo(URL, total=1000, remaining=0, reset_after=7200.0)
    host.shard.start(host.now)
    host.drain()
    assert len(host.dials) == 1


def test_a_low_budget_is_told_and_used() -> None:
    host = Host(start=False)
    host.gateway = GatewayInfo(URL, total=1000, remaining=50, reset_after=7200.0)
    host.shard.start(host.now)
    host.drain()
    assert host.only(IdentifyBudgetLow).remaining == 50
    assert len(host.dials) == 1


def test_a_slot_far_away_is_waited_for_without_a_socket_and_is_no_failure() -> None:
    host = Host()
    host.slot = 40.0
    host.say(hello())
    event = host.only(Disconnected)
    assert (event.retry_in, event.attempt) == (30.0, 0)
    host.slot = 10.0
    host.run(30.0)
    host.say(hello())
    host.run(10.0)
    host.say(ready())
    host.only(Ready)


def test_a_slot_far_away_does_not_shorten_the_backoff() -> None:
    host = Host()
    for _ in range(7):
        host.server_closes(1006)
        host.redial(60.0)
    host.slot = 16.0
    host.say(hello())
    assert host.take(Disconnected)[-1].retry_in == 45.0


# -- sessions -----------------------------------------------------------------------------------------------------


def test_a_saved_session_is_resumed_by_the_next_process() -> None:
    host = Host(SESSION, session_age=3599.0)
    assert host.gateways_asked == [False]
    host.say(hello(), dispatch(42), resumed(43))
    assert host.only(Dispatch).redelivered
    event = host.only(Resumed)
    assert (event.restored, event.user) == (True, SESSION.user)
    online_first = [type(output) for output in host.outputs if isinstance(output, (Online, Resumed))]
    assert online_first == [Online]


def test_online_comes_before_the_first_replayed_dispatch() -> None:
    host = Host(SESSION)
    host.say(hello(), dispatch(42), resumed(43))
    kinds = [type(output) for output in host.outputs if isinstance(output, (Online, Dispatch, Resumed))]
    assert kinds == [Online, Dispatch, Resumed]


@pytest.mark.parametrize(
    ("session", "age", "why"),
    [
        (replace(SESSION, app_id="2"), 0.0, "bot 2's"),
        (replace(SESSION, shard=(1, 2)), 0.0, "of shard (1, 2)"),
        (replace(SESSION, intents=1), 0.0, "with intents 1,"),
        (SESSION, 3601.0, "3601 s old"),
        (SESSION, -5.0, "saved 5 s in the future"),
    ],
)
def test_a_session_that_is_foreign_or_old_or_of_tomorrow_is_refused_with_a_reason(
    session: Session, age: float, why: str
) -> None:
    host = Host(session, session_age=age)
    refused = host.only(SessionRefused)
    assert why in refused.reason
    assert refused.shard == 0
    assert host.shard.session is None
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [2]


def test_before_the_start_the_saved_session_is_as_it_was_saved() -> None:
    assert Host(SESSION, start=False).shard.session == SESSION


def test_what_was_handed_out_is_not_handed_out_again_by_a_new_session_of_this_process() -> None:
    host = Host()
    host.up()
    host.say(dispatch(2))
    assert host.dispatches() == [2]
    host.server_closes(4006)
    host.redial(1.0)
    host.say(hello(), ready("S-2"))
    again = json.loads(dispatch(2))
    again["s"] = 7
    host.say(json.dumps(again), dispatch(8))
    assert host.dispatches() == [8]


def test_row_23_a_silent_session_of_a_day_is_renewed_at_a_rotation() -> None:
    host = Host()
    host.up()
    host.live(25 * 3600.0)
    host.outputs.clear()
    host.say(RECONNECT)
    host.run(0.25)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [2]


def test_row_23_a_busy_session_of_a_day_is_resumed() -> None:
    host = Host()
    host.up()
    host.live(25 * 3600.0)
    host.say(dispatch(2))
    host.outputs.clear()
    host.say(RECONNECT)
    host.run(0.25)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6]


def test_settling_by_hand_moves_the_saved_session() -> None:
    host = Host(settle="manual")
    host.up()
    host.say(dispatch(2), dispatch(3))
    first, second = host.take(Dispatch)
    session = host.shard.session
    assert session is not None
    assert (session.received, session.settled) == (3, 1)
    status = host.shard.status(host.now + 3.0)
    assert (status.unsettled, status.oldest_unsettled) == (2, 3.0)
    host.shard.settle(second)
    host.shard.settle(first)
    host.shard.settle(Dispatch("X", {}, sequence=99, session_id="foreign"))
    host.say(RECONNECT)
    session = host.shard.session
    assert session is not None
    assert session.settled == 3


def test_delivery_settles_by_itself() -> None:
    host = Host()
    host.up()
    host.say(dispatch(2))
    assert host.shard.session is not None
    assert host.shard.session.settled == 2


def test_settling_needs_the_session_and_a_sequence() -> None:
    host = Host(settle="manual")
    host.shard.settle(Dispatch("X", {}, sequence=1, session_id="S-1"))
    host.up()
    host.say(dispatch(2))
    host.shard.settle(Dispatch("X", {}, sequence=None, session_id="S-1"))
    host.shard.settle(Dispatch("X", {}, sequence=2, session_id="S-0"))
    assert host.shard.status(host.now).unsettled == 1


def test_row_23_only_a_rotation_renews_a_silent_session() -> None:
    host = Host()
    host.up()
    host.live(25 * 3600.0)
    host.outputs.clear()
    host.lose(EOF)
    assert host.shard.status(host.now).last_rotation is None
    host.redial(1.0)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6]


def test_row_23_a_session_that_was_busy_before_its_last_resume_only_is_silent() -> None:
    host = Host()
    host.up()
    host.say(dispatch(2), RECONNECT)
    host.redial(0.25)
    host.say(hello(), dispatch(3), resumed(4))
    host.live(25 * 3600.0)
    host.outputs.clear()
    host.say(RECONNECT)
    host.redial(0.25)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [2]


def test_row_23_a_session_of_almost_a_day_is_resumed() -> None:
    host = Host(SESSION, session_age=3000.0)
    host.say(hello(), resumed(42))
    host.live(86_400.0 - 3000.0 - 10.0)
    host.outputs.clear()
    host.say(RECONNECT)
    host.redial(0.25)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [6]
    host.say(resumed(43))
    host.live(70.0)
    host.outputs.clear()
    host.say(RECONNECT)
    host.redial(0.25)
    host.say(hello())
    assert [frame["op"] for frame in host.sent()] == [2]


# -- online and offline -------------------------------------------------------------------------------------------


def test_row_42_an_absence_below_the_grace_is_not_told() -> None:
    host = Host()
    host.up()
    host.lose(EOF)
    host.run(1.0)
    host.say(hello(), resumed(2))
    assert host.take(Offline) == []
    assert host.take(Online) == []


def test_an_absence_beyond_the_grace_is_told_with_its_cause() -> None:
    host = Host()
    host.up()
    host.dial = DNS
    host.lose(EOF)
    host.run(59.0)
    assert host.take(Offline) == []
    assert host.shard.status(host.now).online
    host.run(1.0)
    cause = host.only(Offline).cause
    assert cause is not None
    assert cause.failure == DNS
    host.run(120.0)
    host.dial = None
    host.redial(61.0)
    host.say(hello(), resumed(2))
    away = host.only(Online).away
    assert away is not None
    assert 180.0 <= away <= 241.0


def test_a_shard_that_never_came_online_says_so_after_the_grace() -> None:
    host = Host(start=False)
    host.dials_hang = True
    host.shard.start(host.now)
    host.drain()
    host.run(60.0)
    host.only(Offline)
    host.run(600.0)
    assert host.take(Offline) == []


def test_a_shard_that_waits_for_its_first_answer_beyond_the_grace_has_no_cause_yet() -> None:
    host = Host(policy=Policy(offline_grace=10.0), start=False)
    host.token = None
    host.shard.start(host.now)
    host.drain()
    host.run(10.0)
    assert host.only(Offline).cause is None


# -- the end ------------------------------------------------------------------------------------------------------


def test_close_when_idle_waiting_fetching_dialling_and_live() -> None:
    """Row 28: it ends from every state, at most five seconds later."""
    idle = Host(start=False)
    waiting = Host(start=False)
    waiting.dial = DNS
    fetching = Host(start=False)
    fetching.token = None
    dialling = Host(start=False)
    dialling.dials_hang = True
    for host in (waiting, fetching, dialling):
        host.shard.start(host.now)
        host.drain()
    greeting, live = Host(), Host()
    live.up()
    for host, ending in (
        (idle, []),
        (waiting, []),
        (fetching, [Cancel]),
        (dialling, [Abort]),
        (greeting, [CloseConnection]),
        (live, [CloseConnection]),
    ):
        host.outputs.clear()
        host.shard.close(host.now)
        host.shard.close(host.now)
        host.drain()
        kinds = [type(output) for output in host.outputs]
        if ending == [CloseConnection]:
            assert kinds == ending
            host.outputs.clear()
            host.run(4.9)
            assert host.outputs == []
            host.run(0.1)
            assert host.only(Abort) == Abort(host.connection, 4000)
            assert [type(output) for output in host.outputs] == [Stopped]
        else:
            assert kinds == [*ending, Stopped]
        assert host.only(Stopped).reason is StopReason.CLOSED
        assert host.shard.ended
        assert host.shard.session is None
        assert host.shard.next_timer() is None


def test_the_end_of_the_stream_completes_a_close() -> None:
    for finish in ("lost", "closed"):
        host = Host()
        host.up()
        host.shard.close(host.now)
        host.drain()
        assert host.only(CloseConnection).code == 1000
        status = host.shard.status(host.now + 2.0)
        assert (status.phase, status.since, status.connected, status.online) == (Phase.CLOSING, 2.0, False, False)
        host.say(dispatch(7))
        assert host.take(Dispatch) == []
        if finish == "lost":
            host.lose(EOF)
        else:
            host.server_closes(1000)
        stopped = host.only(Stopped)
        assert (stopped.reason, stopped.retryable) == (StopReason.CLOSED, False)
        status = host.shard.status(host.now + 3.0)
        assert (status.phase, status.since, status.stopped) == (Phase.ENDED, 3.0, stopped)


def test_close_from_a_handler_withdraws_what_was_not_handed_out() -> None:
    host = Host()
    host.up()
    host.shard.receive_message(host.connection, dispatch(2), host.now)
    host.shard.receive_message(host.connection, dispatch(3), host.now)
    first = host.shard.next_output()
    assert isinstance(first, Dispatch)
    host.shard.close(host.now, keep_session=True)
    assert host.shard.next_output() == CloseConnection(host.connection, 4000, "")
    assert host.shard.next_output() is None
    session = host.shard.session
    assert session is not None
    assert (session.received, session.settled) == (3, 2)


def test_close_before_the_dial_was_handed_out_asks_for_nothing() -> None:
    host = Host(start=False)
    host.shard.start(host.now)
    host.shard.close(host.now)
    host.drain()
    assert [type(output) for output in host.outputs] == [Stopped]
    assert host.tokens_asked == []


def test_a_close_that_keeps_the_session_without_a_leave_code_is_a_drop() -> None:
    host = Host(policy=Policy(leave_code=None))
    host.up()
    host.shard.close(host.now, keep_session=True)
    host.drain()
    assert [type(output) for output in host.outputs] == [Abort, Stopped]
    assert host.shard.session is not None


def test_a_host_that_cannot_go_on_says_so() -> None:
    live, fetching, dialling = Host(), Host(start=False), Host(start=False)
    live.up()
    fetching.token = None
    dialling.dials_hang = True
    for host in (fetching, dialling):
        host.shard.start(host.now)
        host.drain()
    for host, ending in ((live, Abort), (fetching, Cancel), (dialling, Abort)):
        host.outputs.clear()
        host.shard.fail("a bug", host.now)
        host.shard.fail("a bug", host.now)
        host.drain()
        assert [type(output) for output in host.outputs] == [ending, Stopped]
        stopped = host.only(Stopped)
        assert (stopped.reason, stopped.retryable, stopped.hint) == (StopReason.HOST_FAILURE, True, "a bug")


def test_a_host_that_fails_during_the_goodbye_drops_the_stream() -> None:
    host = Host()
    host.up()
    host.shard.close(host.now)
    host.drain()
    host.outputs.clear()
    host.shard.fail("a bug", host.now)
    host.drain()
    assert [type(output) for output in host.outputs] == [Abort, Stopped]


def test_after_the_end_nothing_is_heard() -> None:
    host = Host()
    host.up()
    connection = host.connection
    host.server_closes(4915)
    host.outputs.clear()
    host.shard.connection_lost(connection, EOF, host.now)
    host.shard.receive_message(connection, dispatch(2), host.now)
    host.shard.connection_closed(connection, 1000, "", host.now)
    host.shard.connection_opened(connection, host.now)
    host.shard.answer(1, TOKEN, host.now)
    host.shard.handle_timer(host.now + 1e6)
    host.shard.close(host.now)
    host.shard.fail("x", host.now)
    host.shard.reading_paused(host.now)
    host.shard.reading_resumed(host.now)
    host.drain()
    assert host.outputs == []
    with pytest.raises(LocalProtocolError, match="before"):
        host.shard.start(host.now)


# -- stalls, pauses, misuse ---------------------------------------------------------------------------------------


def test_reading_that_is_resumed_is_read_on_the_next_connection() -> None:
    host = Host()
    host.up()
    host.shard.reading_paused(host.now)
    host.shard.reading_resumed(host.now)
    host.lose(EOF)
    host.redial(1.0)
    host.run(20.0)
    assert len(host.take(Disconnected)) == 2


def test_a_pause_on_a_live_link_stops_its_deadlines() -> None:
    host = Host()
    host.up()
    host.shard.reading_paused(host.now)
    host.run(600.0)
    assert host.take(Disconnected) == []
    host.shard.reading_resumed(host.now)
    host.redial(62.25)
    assert len(host.take(Disconnected)) == 1


def test_a_stall_between_connections_is_told() -> None:
    host = Host(start=False)
    host.dial = DNS
    host.shard.start(host.now)
    host.drain()
    due = host.shard.next_timer()
    assert due is not None
    host.now = due + 100.0
    host.shard.handle_timer(host.now)
    host.drain()
    assert host.only(LoopLag).seconds == pytest.approx(100.0)


def test_a_stall_on_a_link_is_told_once() -> None:
    host = Host()
    host.up()
    due = host.shard.next_timer()
    assert due is not None
    host.now = due + 35.0
    host.say(message(11))
    assert host.only(LoopLag).seconds == pytest.approx(35.0)
    assert host.take(Disconnected) == []


def test_reading_that_is_paused_stays_paused_on_the_next_connection() -> None:
    host = Host()
    host.up()
    host.shard.reading_paused(host.now)
    host.lose(EOF)
    host.run(300.0)
    assert host.take(Disconnected)[1:] == []
    host.shard.reading_resumed(host.now)
    host.say(hello(), resumed(2))
    host.only(Resumed)


def test_inputs_in_the_wrong_framing_are_misuse() -> None:
    text = Host()
    with pytest.raises(LocalProtocolError, match="BYTES"):
        text.shard.receive_data(text.connection, b"x", text.now)
    shard = Shard(CONFIG, random=half)
    with pytest.raises(LocalProtocolError, match="TEXT"):
        shard.receive_message(1, "x", 0.0)
    with pytest.raises(LocalProtocolError, match="TEXT"):
        shard.connection_closed(1, 1000, "", 0.0)


def test_ids_that_were_never_issued_are_misuse() -> None:
    host = Host()
    calls: tuple[Callable[[], None], ...] = (
        lambda: host.shard.answer(99, TOKEN, host.now),
        lambda: host.shard.connection_opened(99, host.now),
        lambda: host.shard.receive_message(99, "x", host.now),
        lambda: host.shard.connection_closed(0, 1000, "", host.now),
        lambda: host.shard.connection_lost(-1, EOF, host.now),
    )
    for call in calls:
        with pytest.raises(LocalProtocolError, match="never issued"):
            call()


def test_answers_of_the_wrong_kind_are_misuse() -> None:
    host = Host(start=False)
    host.token = host.gateway = None
    host.shard.start(host.now)
    host.drain()
    question = host.only(FetchToken)
    with pytest.raises(LocalProtocolError, match="asks for a Token, not a GatewayInfo"):
        host.shard.answer(question.id, GatewayInfo(URL), host.now)
    host.shard.answer(question.id, TOKEN, host.now)
    with pytest.raises(LocalProtocolError, match="asks for a GatewayInfo, not a Token"):
        host.shard.answer(question.id + 1, TOKEN, host.now)
    host.shard.answer(question.id + 1, GatewayInfo(URL), host.now)
    host.slot = None
    host.drain()
    host.say(hello())
    with pytest.raises(LocalProtocolError, match="asks for an IdentifySlot, not a Token"):
        host.shard.answer(host.only(ReserveIdentify).id, TOKEN, host.now)


def test_a_bytes_shard_speaks_websocket_and_ends_with_its_stream() -> None:
    shard = Shard(CONFIG, random=half)
    opening = dialled(shard)
    shard.connection_opened(opening.id, 0.0)
    upgrade = shard.next_output()
    assert isinstance(upgrade, SendData)
    assert b"GET /websocket HTTP/1.1" in upgrade.data
    refusal = b"HTTP/1.1 503 Later\r\nRetry-After: 77\r\ncontent-length: 0\r\n\r\n"
    shard.receive_data(opening.id, refusal, 0.0)
    assert isinstance(shard.next_output(), Abort)
    event = shard.next_output()
    assert isinstance(event, Disconnected)
    assert event.failure is not None
    assert event.failure.http_status == 503
    assert event.retry_in == 77.0
    shard.receive_data(opening.id, b"more", 0.0)
    assert shard.next_output() is None


def test_the_goodbye_of_a_bytes_shard_ends_with_the_end_of_the_stream() -> None:
    shard = Shard(CONFIG, random=half)
    opening = dialled(shard)
    shard.connection_opened(opening.id, 0.0)
    shard.close(0.0)
    assert shard.next_output() == CloseConnection(opening.id, 1000, "")
    shard.receive_data(opening.id, b"HTTP/1.1 101", 1.0)
    assert not shard.ended
    shard.receive_data(opening.id, b"", 1.0)
    assert isinstance(shard.next_output(), Abort)
    assert isinstance(shard.next_output(), Stopped)


def test_an_answer_for_the_slot_of_a_socket_that_is_gone_is_ignored() -> None:
    host = Host()
    host.slot = None
    host.say(hello())
    question = host.only(ReserveIdentify)
    host.lose(EOF)
    host.shard.answer(question.id, IdentifySlot(host.now), host.now)
    host.drain()
    assert host.sent() == []
    assert host.shard.status(host.now).counters["stale_inputs"] == 1


def test_a_disconnect_carries_its_diagnosis() -> None:
    host = Host()
    host.up()
    host.run(2.0)
    due = host.shard.next_timer()
    assert due is not None
    host.now = due + 7.0
    host.say(message(11))
    host.run(3.0)
    host.lose(Failure(FailureKind.RESET, "reset"))
    event = host.only(Disconnected)
    assert (event.code, event.reason, event.failure) == (None, "", Failure(FailureKind.RESET, "reset"))
    assert (event.last_receive, event.last_ack) == (3.0, 3.0)
    assert event.lag == pytest.approx(7.0)
    assert event.last_send is not None
    assert event.last_send <= 3.0
    assert (event.shard, event.attempt, event.planned) == (0, 1, False)


def test_a_failed_dial_while_there_is_a_session_is_followed_by_a_resume() -> None:
    host = Host()
    host.up()
    host.dial = DNS
    host.lose(EOF)
    host.run(1.0)
    assert [event.verdict for event in host.take(Disconnected)] == [Verdict.RESUME, Verdict.RESUME]


def test_the_status_tells_how_it_is() -> None:
    host = Host(start=False)
    assert host.shard.status(host.now).phase is Phase.IDLE
    host.dial = DNS
    host.shard.start(host.now)
    host.drain()
    status = host.shard.status(host.now + 0.5)
    assert (status.phase, status.since, status.connected, status.online) == (Phase.WAIT, 0.5, False, False)
    assert (status.attempt, status.retry_in) == (1, 0.25)
    assert status.last_disconnect is not None
    assert status.last_disconnect.failure == DNS
    assert status.budget == host.gateway
    host.dial = None
    host.run(1.0)
    host.up()
    host.live(100.0)
    status = host.shard.status(host.now)
    assert status.latency is not None
    assert status.last_send is not None
    assert status.last_receive is not None
    assert status.last_ack is not None
    assert status.counters["connections"] == 1
    assert status.last_rotation is None
    host.say(RECONNECT)
    assert host.shard.status(host.now + 3.0).last_rotation == 3.0
    assert host.shard.session is not None
    assert host.shard.status(host.now).session_id == "S-1"


def test_what_is_new_in_a_session_and_what_is_open_of_it_is_told_without_making_its_value() -> None:
    host = Host()
    assert (host.shard.progress, host.shard.unsettled) == (None, 0)
    host.up()
    begun = host.shard.progress
    assert begun == ("S-1", 1, 0)
    host.say(dispatch(2), dispatch(3))
    first, second = host.take(Dispatch)
    assert (host.shard.progress, host.shard.unsettled) == (("S-1", 3, 2), 0), "this shard settles on delivery"
    assert not host.shard.is_unsettled(first)

    host = Host(settle="manual")
    host.up()
    host.say(dispatch(2), dispatch(3))
    first, second = host.take(Dispatch)
    assert (host.shard.progress, host.shard.unsettled) == (begun, 2)
    host.shard.settle(second)
    assert host.shard.progress == ("S-1", 1, 1)
    assert (host.shard.is_unsettled(first), host.shard.is_unsettled(second)) == (True, False)
    assert not host.shard.is_unsettled(replace(first, session_id="S-0")), "of another session"
    host.shard.settle(first)
    assert (host.shard.progress, host.shard.unsettled) == (("S-1", 3, 2), 0)
