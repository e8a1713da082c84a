"""What people read when something goes wrong: each cause has its words, its code, its shard and its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qqproto import (
    Abort,
    CloseConnection,
    ConfigurationError,
    ConflictSuspected,
    Conversation,
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
    Malformed,
    Offline,
    Online,
    OpenConnection,
    Phase,
    Policy,
    ReserveIdentify,
    Session,
    Shard,
    ShardConfig,
    Stopped,
    Verdict,
)
from tests.core.hosts import (
    ACK,
    CONFIG,
    RECONNECT,
    SESSION,
    TOKEN,
    URL,
    Host,
    Talk,
    dispatch,
    half,
    hello,
    message,
    ready,
    resumed,
)

EOF = Failure(FailureKind.EOF)
DNS = Failure(FailureKind.DNS, "no such name")
INFO = GatewayInfo(URL, remaining=900, total=1000, reset_after=3600.0)


class Third(Host):
    """Shard 3 of 8, as events name it."""

    def __init__(self) -> None:
        super().__init__(start=False)
        self.shard = Shard(ShardConfig("11111111", 1 << 25, (3, 8)), random=half, framing=Framing.TEXT)

    def begin(self) -> None:
        self.shard.start(self.now)
        self.drain()


def failure_of(talk: Talk) -> Failure:
    ending = talk.machine.ending
    assert ending is not None
    assert ending.failure is not None
    return ending.failure


# -- deadlines -----------------------------------------------------------------------------------------------------


def opened(talk: Talk) -> None:
    pass


def greeted(talk: Talk) -> None:
    talk.say(hello())


def identified(talk: Talk) -> None:
    talk.say(hello())
    talk.allow_identify()


@pytest.mark.parametrize(
    ("session", "until", "what"),
    [
        (None, opened, "the WebSocket's upgrade and Hello did not come in time"),
        (None, greeted, "the answer to ReserveIdentify did not come in time"),
        (None, identified, "READY did not come in time"),
        (SESSION, greeted, "RESUMED did not come in time"),
    ],
)
def test_a_deadline_says_what_was_waited_for(session: Session | None, until: Callable[[Talk], None], what: str) -> None:
    talk = Talk(session)
    until(talk)
    talk.run(20.0)
    assert failure_of(talk) == Failure(FailureKind.TIMEOUT, what)


def test_a_deadline_on_the_way_says_what_was_waited_for() -> None:
    token, gateway, dial = Host(start=False), Host(start=False), Host(start=False)
    token.token = gateway.gateway = None
    dial.dials_hang = True
    for host, what in (
        (token, "no answer to the request for an access token"),
        (gateway, "no answer to the request for the gateway's address"),
        (dial, "the connection could not be opened in time"),
    ):
        host.shard.start(host.now)
        host.drain()
        host.run(20.0)
        event = host.take(Disconnected)[0]
        assert event.failure == Failure(FailureKind.TIMEOUT, what)
        assert event.lag == 0.0


def test_a_dead_link_says_how_it_was_found_dead() -> None:
    silent, deaf = Talk(), Talk()
    silent.up()
    silent.run(70.0)
    deaf.up()
    while not deaf.machine.ended:
        deaf.say(dispatch(2))
        deaf.run(1.0)
    assert failure_of(silent).message == "the link is dead: a heartbeat was sent and not one byte came back"
    assert failure_of(deaf).message == "the link is dead: the server acknowledges no heartbeat"


# -- why we leave --------------------------------------------------------------------------------------------------


def test_the_close_frame_says_why_we_leave() -> None:
    reasons = []
    for answer in (Failure(FailureKind.OTHER, "no"), IdentifySlot(1e6)):
        talk = Talk()
        talk.say(hello())
        talk.machine.answer(talk.only(ReserveIdentify).id, answer, talk.now)
        talk.drain()
        reasons.append(talk.only(CloseConnection).reason)
        assert talk.machine.ending is not None
        assert talk.machine.ending.failure == (answer if isinstance(answer, Failure) else None)
        assert talk.machine.ending.phase is Phase.AUTH
    assert reasons == ["no identify slot", "waiting for an identify slot"]


def test_ready_without_a_session_is_told_and_refuses_no_identify() -> None:
    talk = Talk()
    identified(talk)
    talk.say(message(0, s=1, t="READY", d={"version": 1}))
    assert talk.only(Malformed).what == "READY without a session"
    assert talk.only(CloseConnection).reason == "READY named no session"
    ending = talk.machine.ending
    assert ending is not None
    assert (ending.phase, ending.identify_refused) == (Phase.AUTH, False)
    assert ending.failure == Failure(FailureKind.OTHER, "READY named no session")


def test_to_be_sent_away_after_the_identify_or_to_go_is_no_refusal() -> None:
    rotated, closed = Talk(), Talk()
    for talk in (rotated, closed):
        identified(talk)
    rotated.say(RECONNECT)
    closed.machine.close(closed.now)
    for talk in (rotated, closed):
        assert talk.machine.ending is not None
        assert not talk.machine.ending.identify_refused


def test_resumed_where_nothing_was_resumed_is_malformed() -> None:
    talk = Talk()
    identified(talk)
    talk.say(resumed(5), "again no JSON")
    assert [event.what for event in talk.take(Malformed)] == ["RESUMED without a Resume", "a message that is not JSON"]
    assert not talk.machine.ended


def test_a_handshake_that_stands_still_after_a_pause_has_an_end() -> None:
    talk = Talk()
    talk.machine.reading_paused(talk.now)
    talk.run(60.0)
    talk.machine.reading_resumed(talk.now)
    talk.run(20.0)
    assert failure_of(talk).message == "the WebSocket's upgrade and Hello did not come in time"


# -- which shard, and how many -------------------------------------------------------------------------------------


def test_events_of_a_shard_name_it() -> None:
    host = Third()
    host.gateway = GatewayInfo(URL, total=1000, remaining=50, reset_after=7200.0)
    host.begin()
    assert host.only(IdentifyBudgetLow) == IdentifyBudgetLow(3, 50, 1000, 7200.0)
    host.gateway = INFO
    host.up()
    host.dial = DNS
    host.server_closes(4006)
    assert host.take(Disconnected)[0].shard == 3
    host.run(120.0)
    assert host.only(Offline).shard == 3
    host.dial = None
    host.redial(60.0)
    host.say(hello(), ready())
    assert host.only(Online).shard == 3
    assert host.shard.status(host.now).shard == 3


def test_a_second_instance_is_told_by_the_shard_that_suffers_from_it() -> None:
    host = Third()
    host.begin()
    for _ in range(3):
        host.say(hello(), ready())
        host.server_closes(4902)
        host.run(host.take(Disconnected)[-1].retry_in or 0.0)
    conflict = host.only(ConflictSuspected)
    assert conflict.shard == 3
    assert conflict.hint.startswith("another process runs the same bot and shard")


def test_a_configuration_error_has_its_shard_and_its_cause() -> None:
    host = Third()
    host.gateway = Failure(FailureKind.HTTP_STATUS, http_status=401, code=11298)
    host.begin()
    error = host.only(ConfigurationError)
    assert (error.shard, error.failure, error.code) == (3, host.gateway, None)
    assert host.only(Disconnected).failure == host.gateway


def test_a_stall_names_its_shard() -> None:
    host = Third()
    host.dial = DNS
    host.begin()
    due = host.shard.next_timer()
    assert due is not None
    host.now = due + 100.0
    host.shard.handle_timer(host.now)
    host.drain()
    assert host.only(LoopLag).shard == 3
    host.dial = None
    host.redial(60.0)
    host.up()
    host.now += 1000.0
    host.say(ACK)
    assert host.only(LoopLag).shard == 3


def test_what_was_counted_is_in_the_status() -> None:
    host = Host()
    host.say("no JSON", hello(), ready(), "no JSON", message(99), message(99), dispatch(2), dispatch(3), ACK, ACK)
    host.say(RECONNECT)
    host.redial(60.0)
    host.say(hello(), resumed(4))
    host.server_closes(4006)
    host.redial(60.0)
    host.say(hello(), ready())
    counters = host.shard.status(host.now).counters
    assert {name: counters[name] for name in ("connections", "identifies", "resumes", "malformed")} == {
        "connections": 3, "identifies": 2, "resumes": 1, "malformed": 2,
    }  # fmt: skip
    assert (counters["unknown_opcodes"], counters["dispatches"], counters["acks"]) == (2, 2, 2)
    beats = counters.get("heartbeats", 0)
    host.live(60.0)
    host.live(60.0)
    assert host.shard.status(host.now).counters["heartbeats"] - beats in (3, 4)


def test_a_shard_that_never_had_a_session_has_nothing_unsettled() -> None:
    status = Host().shard.status(5000.0)
    assert (status.unsettled, status.session_id, status.user, status.shard) == (0, None, None, 0)


# -- when ----------------------------------------------------------------------------------------------------------


def test_the_status_says_since_when() -> None:
    host = Host(start=False)
    host.token = host.gateway = None
    host.dials_hang = True

    def since() -> tuple[Phase, float]:
        host.drain()
        status = host.shard.status(host.now + 1.5)
        return status.phase, status.since

    host.shard.start(host.now)
    assert since() == (Phase.HTTP, 1.5)
    host.now += 1.0
    token = host.only(FetchToken)
    host.shard.answer(token.id, TOKEN, host.now)
    assert since() == (Phase.HTTP, 2.5)
    question = host.only(FetchGateway)
    assert question.deadline == host.now + 15.0
    host.now += 1.0
    host.shard.answer(question.id, INFO, host.now)
    assert since() == (Phase.DIAL, 1.5)
    host.now += 1.0
    host.shard.connection_opened(host.connection, host.now)
    assert since() == (Phase.HELLO, 1.5)
    host.say(hello(), ready())
    assert since() == (Phase.READY, 1.5)
    host.token = TOKEN
    host.gateway = GatewayInfo(URL, total=10, remaining=0, reset_after=100.0)
    host.server_closes(4006)
    host.run(1.0)
    host.drain()
    status = host.shard.status(host.now + 1.5)
    assert status.phase is Phase.WAIT
    assert status.since == pytest.approx(1.75)


@pytest.mark.parametrize("how", ["goodbye", "fail", "idle", "no leave code", "too long"])
def test_after_the_end_the_status_says_since_when_and_that_nobody_is_there(how: str) -> None:
    host = Host(policy=Policy(leave_code=None) if how == "no leave code" else Policy(), start=how != "idle")
    if how != "idle":
        host.up()
    late = 0.0
    if how == "fail":
        host.shard.fail("a bug", host.now)
    else:
        host.shard.close(host.now, keep_session=how == "no leave code")
        if how == "goodbye":
            host.drain()
            host.lose(EOF)
        elif how == "too long":
            host.drain()
            host.run(7.0)
            late = 2.0
    host.drain()
    stopped = host.only(Stopped)
    assert stopped.hint == ("a bug" if how == "fail" else "closed by the application")
    status = host.shard.status(host.now + 1.0)
    assert (status.phase, status.since) == (Phase.ENDED, 1.0 + late)
    assert (status.connected, status.online, status.retry_in) == (False, False, None)
    host.shard.settle(Dispatch("X", {}, sequence=1, session_id="S-1"))
    assert host.shard.next_timer() is None


def test_a_fatal_code_ends_it_now() -> None:
    host = Host()
    host.up()
    host.server_closes(4914, "offline")
    stopped = host.only(Stopped)
    assert (stopped.code, stopped.failure, stopped.retryable) == (4914, None, False)
    status = host.shard.status(host.now + 3.0)
    assert (status.phase, status.since, status.connected, status.online) == (Phase.ENDED, 3.0, False, False)


# -- what follows --------------------------------------------------------------------------------------------------


def test_a_session_that_is_given_up_is_told_so() -> None:
    host = Host(SESSION)
    verdicts = []
    for _ in range(3):
        host.say(hello())
        host.server_closes(4000)
        verdicts.append(host.only(Disconnected).verdict)
        host.redial(60.0)
    assert verdicts == [Verdict.RESUME, Verdict.RESUME, Verdict.IDENTIFY]


def test_a_connection_that_was_lost_too_soon_does_not_become_stable_later() -> None:
    host = Host()
    host.up(stable=False)
    host.live(30.0)
    host.dial = DNS
    host.lose(EOF)
    host.run(120.0)
    attempts = [event.attempt for event in host.take(Disconnected)]
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(attempts) > 5


def test_a_long_replay_to_a_new_process_is_no_absence() -> None:
    host = Host(SESSION)
    host.say(hello())
    for sequence in range(42, 52):
        host.say(dispatch(sequence), ACK)
        host.run(10.0)
    assert host.take(Offline) == []
    host.only(Online)


@pytest.mark.parametrize(
    "info", [GatewayInfo(URL, remaining=0), GatewayInfo(URL, total=1000), GatewayInfo(URL, remaining=1, total=1000)]
)
def test_a_budget_that_is_half_known_or_not_yet_empty_keeps_nobody_waiting(info: GatewayInfo) -> None:
    host = Host(start=False)
    host.gateway = info
    host.shard.start(host.now)
    host.drain()
    assert len(host.dials) == 1


def test_an_empty_budget_is_asked_about_no_faster_than_the_backoff_allows() -> None:
    host = Host(start=False)
    host.gateway = GatewayInfo(URL, total=1000, remaining=0, reset_after=0.0)
    host.shard.start(host.now)
    host.drain()
    assert host.shard.status(host.now).retry_in == 1.0
    host.gateway = DNS
    host.run(1.0)
    host.run(0.75)
    host.run(1.5)
    host.run(3.75)
    host.gateway = GatewayInfo(URL, total=1000, remaining=0, reset_after=0.0)
    host.run(7.5)
    assert host.shard.status(host.now).attempt == 4
    host.outputs.clear()
    due = host.shard.next_timer()
    assert due is not None
    host.run(due - host.now)
    status = host.shard.status(host.now)
    assert status.attempt == 4
    assert status.retry_in == pytest.approx(7.5)


def test_an_address_that_cannot_be_dialled_is_told() -> None:
    host = Host(start=False)
    host.gateway = GatewayInfo("https://example/")
    host.shard.start(host.now)
    host.drain()
    assert host.only(Disconnected).failure == Failure(
        FailureKind.OTHER, "the gateway's address is no ws:// or wss:// URL"
    )


def test_a_dead_link_is_left_with_the_leave_code() -> None:
    host = Host()
    host.up(stable=False)
    host.run(62.0)
    assert host.take(Abort)[0] == Abort(1 + 2, 4000)


def test_a_text_hosts_own_decoder_reads_the_messages() -> None:
    seen: list[Any] = []

    def watched(text: str | bytes) -> Any:
        seen.append(text)
        return {"op": 99}

    talk = Conversation(CONFIG, TOKEN, random=half, loads=watched)
    talk.start(0.0)
    talk.receive_message("in our own words", 0.0)
    shard = Shard(CONFIG, random=half, framing=Framing.TEXT, loads=watched)
    shard.start(0.0)
    while not isinstance(question := shard.next_output(), OpenConnection):
        assert isinstance(question, (FetchToken, FetchGateway))
        shard.answer(question.id, TOKEN if isinstance(question, FetchToken) else INFO, 0.0)
    shard.connection_opened(question.id, 0.0)
    shard.receive_message(question.id, "and here", 0.0)
    assert seen == ["in our own words", "and here"]


def test_a_token_endpoint_that_refuses_before_there_is_a_token_has_no_token_refused() -> None:
    host = Host(start=False)
    host.token = Failure(FailureKind.HTTP_STATUS, http_status=401, code=11244)
    host.shard.start(host.now)
    host.drain()
    host.token = TOKEN
    host.redial(300.0)
    assert host.tokens_asked == [None, None]


def test_a_session_may_be_as_old_as_the_policy_says_and_without_an_age_is_new() -> None:
    for shard in (
        Shard(CONFIG, random=half, session=SESSION, session_age=3600.0),
        Shard(CONFIG, random=half, session=SESSION, policy=Policy(saved_session_life=0.0)),
    ):
        shard.start(100.0)
        assert shard.session == SESSION


# -- misuse --------------------------------------------------------------------------------------------------------


def test_misuse_of_the_framing_names_the_method() -> None:
    text, binary = Host().shard, Shard(CONFIG, random=half)
    calls: list[tuple[Callable[[], None], str]] = [
        (lambda: text.receive_data(1, b"x", 0.0), "receive_data is for framing BYTES; this shard has TEXT"),
        (lambda: binary.receive_message(1, "x", 0.0), "receive_message is for framing TEXT; this shard has BYTES"),
        (
            lambda: binary.connection_closed(1, 1000, "", 0.0),
            "connection_closed is for framing TEXT; this shard has BYTES",
        ),
    ]
    for call, words in calls:
        with pytest.raises(LocalProtocolError, match=f"^{words}$"):
            call()


def test_a_second_start_is_misuse() -> None:
    with pytest.raises(LocalProtocolError, match=r"^start\(\) was called before, or the shard has ended$"):
        Host().shard.start(0.0)


def test_a_stream_that_is_told_to_be_open_twice_is_open_once() -> None:
    host = Host()
    host.say(hello())
    host.shard.connection_opened(host.connection, host.now)
    host.drain()
    status = host.shard.status(host.now)
    assert (status.counters["stale_inputs"], status.counters["connections"], status.phase) == (1, 1, Phase.AUTH)
