"""The driver in memory with the real machines: whole bots on a virtual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qqproto import (
    Abort,
    Account,
    AccountAction,
    Credentials,
    Disconnected,
    Dispatch,
    Event,
    Failure,
    FailureKind,
    Framing,
    Intents,
    LoopLag,
    Offline,
    Online,
    OpenConnection,
    Policy,
    Ready,
    Resumed,
    SendData,
    SendRequest,
    Shard,
    ShardConfig,
    Stopped,
    StopReason,
)
from qqproto.testing import (
    Behaviour,
    FakeBot,
    FakePlatform,
    HTTPFault,
    MemoryDriver,
    Refusal,
    VirtualClock,
    World,
    c2c_message,
    reply,
)

both = pytest.mark.parametrize("framing", list(Framing))


def world(framing: Framing = Framing.BYTES, **options: Any) -> tuple[World, MemoryDriver]:
    """A world with one bot that is online."""
    one = World()
    bot = one.bot(framing=framing, **options)
    one.run_until(lambda: bot.connected, 10.0)
    return one, bot


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def say(one: World, *contents: str) -> None:
    """Somebody writes to the bot."""
    for content in contents:
        message = c2c_message(content, id=f"M-{content}", now=one.now)
        one.platform.session().dispatch("C2C_MESSAGE_CREATE", message, one.now)


def contents(bot: MemoryDriver) -> list[str]:
    return [dispatch.data["content"] for dispatch in bot.dispatches]


# -- the life of a bot -------------------------------------------------------------------------------------------------


@both
def test_a_bot_connects_without_any_time_passing_on_a_network_without_delay(framing: Framing) -> None:
    one, bot = world(framing)
    assert one.now == 0.0
    assert set(kinds(bot.events)) == {Online, Ready}
    assert [(dial.at, dial.shard, dial.url) for dial in bot.connections] == [(0.0, 0, one.platform.gateway_url)]
    assert [asked.request.url.rpartition("/")[2] for asked in bot.requests] == ["getAppAccessToken", "bot"]
    assert [frame.op for frame in bot.frames] == [2]
    assert bot.frames[0].payload["d"]["intents"] == Intents.GROUP_AND_C2C_EVENT
    assert one.platform.violations == []


@both
def test_an_idle_hour_costs_heartbeats_and_nothing_else(framing: Framing) -> None:
    one, bot = world(framing)
    one.run(3600.0)
    assert one.now == 3600.0
    assert len(bot.connections) == 1
    assert 87 <= one.platform.ops(heartbeats=True).count(1) <= 95
    assert one.platform.violations == []


@both
def test_dispatches_arrive_in_order(framing: Framing) -> None:
    one, bot = world(framing)
    say(one, "a", "b", "c")
    one.run()
    assert contents(bot) == ["a", "b", "c"]
    assert [dispatch.sequence for dispatch in bot.dispatches] == [2, 3, 4]


@both
@pytest.mark.parametrize("how", ["op 7", "4009"])
def test_a_rotation_costs_one_resume_and_loses_nothing(framing: Framing, how: str) -> None:
    one, bot = world(framing)
    one.run(120.0)
    talk = one.platform.conversations[0]
    if how == "op 7":
        talk.send_reconnect(one.now)
    else:
        talk.close(4009, "session timed out", one.now)
    one.run()
    say(one, "while away")
    assert one.run_until(lambda: any(isinstance(event, Resumed) for event in bot.events)) < 1.0
    assert contents(bot) == ["while away"]
    assert one.platform.ops() == [2, 6]
    assert len(bot.connections) == 2
    assert Offline not in kinds(bot.events)
    assert one.platform.violations == []
    assert len(one.platform.conversations) == 1, "the old connection is gone on both sides"


@both
def test_a_bot_that_is_closed_says_goodbye_and_is_gone(framing: Framing) -> None:
    one, bot = world(framing)
    bot.close()
    assert not bot.ended
    one.run()
    assert bot.ended
    stopped = bot.events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason is StopReason.CLOSED
    assert one.platform.conversations == []
    assert one.platform.sessions == {}
    one.run(1000.0)
    assert len(bot.connections) == 1
    assert one.platform.violations == []


@both
def test_a_bot_that_keeps_its_session_is_resumed_by_the_next_process(framing: Framing) -> None:
    one, bot = world(framing)
    say(one, "before")
    one.run()
    session = bot.shard.session
    bot.close(keep_session=True)
    one.run()
    say(one, "between")
    successor = one.bot(framing=framing, session=session)
    one.run()
    assert contents(successor) == ["between"]
    resumed = next(event for event in successor.events if isinstance(event, Resumed))
    assert (resumed.restored, resumed.missing) == (True, 0)
    assert one.platform.violations == []


@both
def test_several_shards_share_an_account_and_pace_their_identifies(framing: Framing) -> None:
    one = World()
    bot = one.bot(framing=framing, shards=3)
    one.run_until(lambda: bot.connected, 60.0)
    assert [frame.payload["d"]["shard"] for frame in bot.frames if frame.op == 2] == [[0, 3], [1, 3], [2, 3]]
    assert len([asked for asked in bot.requests if asked.request.method == "POST"]) == 1
    assert {one.platform.session(shard).shard for shard in range(3)} == {(0, 3), (1, 3), (2, 3)}
    one.platform.session(2).dispatch("A", {}, one.now)
    one.run()
    assert [dispatch.shard for dispatch in bot.dispatches] == [2]
    assert one.platform.violations == []


def test_a_bot_takes_its_randomness_from_where_it_is_told_to() -> None:
    one = World()
    for random in (0.0, 0.5):
        bot = one.bot(random=lambda random=random: random)  # type: ignore[misc]
        one.run(5.0)
        assert bot.connected
    one.run(20.0)
    first, second = (frame.at for frame in one.platform.frames if frame.op == 1)
    assert first == 0.0
    assert second == pytest.approx(5.0 + (41.25 - 2.0625) / 2)


def test_a_process_may_run_some_of_the_shards() -> None:
    one = World()
    bot = one.bot(shards=[(2, 8)])
    one.run_until(lambda: bot.connected, 60.0)
    assert one.platform.session(2).shard == (2, 8)


def test_two_processes_of_one_bot_and_bots_of_their_own_live_in_one_world() -> None:
    one = World(FakePlatform(FakeBot("1", "a"), FakeBot("2", "b")))
    bots = [one.bot(credentials=Credentials("1", "a")), one.bot(credentials=Credentials("2", "b"))]
    one.run_until(lambda: all(bot.connected for bot in bots), 60.0)
    one.platform.session(app_id="2").dispatch("A", {}, one.now)
    one.run()
    assert [len(bot.dispatches) for bot in bots] == [0, 1]
    assert [len(bot.frames) for bot in bots] == [1, 1]


# -- the network -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("lever", ["cut", "reset"])
def test_a_connection_that_ends_is_resumed(framing: Framing, lever: str) -> None:
    one, bot = world(framing)
    one.run(100.0)
    getattr(bot, lever)()
    one.run()
    assert not bot.connected
    say(one, "while away")
    one.run_until(lambda: bot.connected, 5.0)
    lost = next(event for event in bot.events if isinstance(event, Disconnected))
    assert lost.failure is not None
    assert lost.failure.kind is (FailureKind.EOF if lever == "cut" else FailureKind.RESET)
    assert contents(bot) == ["while away"]
    assert one.platform.ops() == [2, 6]
    assert one.platform.violations == []


@both
def test_a_black_hole_is_noticed_by_the_client_and_by_the_platform_each_for_itself(framing: Framing) -> None:
    one, bot = world(framing)
    one.run(100.0)
    bot.black_hole()
    say(one, "into the hole")
    assert one.run_until(lambda: not bot.connected, 62.0) > 10.0
    assert len(one.platform.conversations) == 1, "the platform knows nothing yet"
    one.run_until(lambda: bot.connected, 5.0)
    assert contents(bot) == ["into the hole"], "it came again"
    one.run(100.0)
    assert len(one.platform.conversations) == 1
    assert one.platform.violations == []


@both
def test_dials_fail_or_hang_as_the_network_says(framing: Framing) -> None:
    one = World()
    one.network.dial = Failure(FailureKind.DNS, "no such host")
    bot = one.bot(framing=framing)
    one.run(20.0)
    assert not bot.connected
    assert len(bot.connections) > 2
    failures = [event.failure for event in bot.events if isinstance(event, Disconnected)]
    assert {failure.kind for failure in failures if failure} == {FailureKind.DNS}
    one.network.dial, one.network.hang_dials = None, True
    dials = len(bot.connections)
    one.run_until(lambda: len(bot.connections) > dials, 60.0)
    one.network.hang_dials = False
    assert one.run_until(lambda: bot.connected, 120.0) > 19.0
    assert one.platform.violations == []


def test_http_fails_or_hangs_as_the_network_says() -> None:
    one = World()
    one.network.http = Failure(FailureKind.REFUSED, "connection refused")
    bot = one.bot()
    one.run(10.0)
    assert bot.connections == []
    assert one.platform.requests == []
    assert len(bot.requests) > 1
    one.network.http, one.network.hang_http = None, True
    one.run(30.0)
    assert bot.connections == []
    one.network.hang_http = False
    one.run_until(lambda: bot.connected, 120.0)


def test_the_platforms_http_faults_reach_the_bot() -> None:
    one = World()
    one.platform.behaviour.http.append(HTTPFault(reply(500, {}), "/gateway/bot", times=2))
    bot = one.bot()
    one.run_until(lambda: bot.connected, 60.0)
    assert [request.status for request in one.platform.requests if request.path == "/gateway/bot"] == [500, 500, 200]


@both
def test_a_refused_upgrade_is_a_failure_of_the_dial_for_a_host_with_its_own_websocket(framing: Framing) -> None:
    one = World()
    one.platform.behaviour.upgrade = reply(502, {})
    bot = one.bot(framing=framing)
    one.run(0.5)
    lost = bot.events[0]
    assert isinstance(lost, Disconnected)
    assert lost.failure is not None
    assert (lost.failure.kind, lost.failure.http_status) == (FailureKind.HTTP_STATUS, 502)
    one.platform.behaviour.upgrade = None
    one.run_until(lambda: bot.connected, 10.0)


@both
def test_latency_delays_everything_and_makes_nobody_late(framing: Framing) -> None:
    one = World()
    one.network.latency = 0.4
    bot = one.bot(framing=framing)
    took = one.run_until(lambda: bot.connected, 60.0)
    round_trips = 5 if framing is Framing.BYTES else 4.5
    assert took == pytest.approx(round_trips * 0.8), "token, gateway, dial, upgrade and Hello, Identify and READY"
    one.run(600.0)
    say(one, "a")
    one.run(0.3)
    assert contents(bot) == []
    one.run(0.2)
    assert contents(bot) == ["a"]
    assert one.platform.violations == []


@both
@pytest.mark.parametrize("lever", ["cut", "reset", "black_hole"])
def test_a_dial_under_way_meets_the_same_network(framing: Framing, lever: str) -> None:
    one = World()
    one.network.latency = 0.4
    bot = one.bot(framing=framing)
    one.run_until(lambda: bool(bot.connections), 60.0)
    getattr(bot, lever)()
    one.run(1.0)
    assert one.platform.conversations == []
    assert [event.failure is not None for event in bot.events if isinstance(event, Disconnected)] == (
        [] if lever == "black_hole" else [True]
    )
    one.run_until(lambda: bot.connected, 60.0)
    assert one.platform.violations == []


def test_a_process_that_stalls_while_it_dials_finds_the_connection_open() -> None:
    one = World()
    one.network.latency = 0.4
    bot = one.bot()
    one.run_until(lambda: bool(bot.connections), 60.0)
    bot.stall(5.0)
    one.run(4.9)
    assert one.platform.conversations == []
    one.run_until(lambda: bot.connected, 60.0)
    assert len(bot.connections) == 1


def test_a_dial_that_fails_after_its_bot_was_closed_comes_to_nothing() -> None:
    one = World()
    one.network.latency, one.network.dial = 0.4, Failure(FailureKind.REFUSED)
    bot = one.bot()
    one.run_until(lambda: bool(bot.connections), 60.0)
    bot.close()
    assert bot.ended
    one.run(10.0)
    assert kinds(bot.events)[-1] is Stopped


@both
def test_a_rotation_on_a_slow_network_overlaps_with_the_end_of_the_old_connection(framing: Framing) -> None:
    one = World()
    one.network.latency = 0.4
    bot = one.bot(framing=framing)
    one.run(200.0)
    one.platform.conversations[0].send_reconnect(one.now)
    one.run(60.0)
    assert bot.connected
    assert one.platform.ops() == [2, 6]
    assert len(one.platform.conversations) == 1
    assert one.platform.violations == []


def test_a_reply_that_comes_after_its_deadline_comes_to_nothing() -> None:
    one = World()
    one.network.latency = 10.0
    bot = one.bot()
    one.run(1.0)
    one.network.latency = 0.0
    one.run_until(lambda: bot.connected, 60.0)
    one.run(60.0)
    assert [asked.request.method for asked in bot.requests] == ["POST", "POST", "GET"]


def test_an_abort_reaches_the_platform_after_the_latency() -> None:
    one = World()
    one.network.latency = 0.4
    bot = one.bot()
    one.run_until(lambda: bot.connected, 60.0)
    bot.shard.fail("a bug of the host", one.now)
    bot.resume_reading()
    assert bot.ended
    assert len(one.platform.conversations) == 1
    one.run(0.5)
    assert one.platform.conversations == []


@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_bytes_in_pieces_make_no_difference(chunk: int) -> None:
    stories = []
    for size in (None, chunk):
        one = World()
        one.network.chunk = size
        bot = one.bot()
        one.run(50.0)
        say(one, "a", "b")
        one.run(1.0)
        one.platform.conversations[0].close(4009, "", one.now)
        one.run(10.0)
        bot.close()
        one.run(1.0)
        stories.append((kinds(bot.events), contents(bot), one.platform.ops(), one.now, one.platform.violations))
    assert stories[0] == stories[1]


@both
def test_the_two_framings_tell_the_same_story(framing: Framing) -> None:
    one, bot = world(framing)
    one.run(100.0)
    for code in (4009, 4000, 4006):
        one.platform.conversations[0].close(code, "", one.now)
        one.run(100.0)
    one.platform.conversations[0].hang_up(one.now)
    one.run(100.0)
    one.platform.conversations[0].reset(one.now)
    one.run(100.0)
    assert one.platform.ops() == [2, 6, 6, 2, 6, 6]
    assert one.platform.violations == []
    codes = [event.code for event in bot.events if isinstance(event, Disconnected)]
    assert codes == [4009, 4000, 4006, None, None]


def test_the_same_world_runs_the_same_way_every_time() -> None:
    def story() -> list[Any]:
        one, bot = world(shards=2)
        for _ in range(5):
            bot.cut()
            one.run(30.0)
        return [(dial.at, dial.shard) for dial in bot.connections]

    assert story() == story()


# -- the process -------------------------------------------------------------------------------------------------------


@both
def test_what_came_while_reading_was_paused_is_read_afterwards(framing: Framing) -> None:
    one, bot = world(framing)
    bot.pause_reading()
    say(one, "a", "b")
    one.run(100.0)
    assert contents(bot) == []
    assert one.platform.ops(heartbeats=True).count(1) > 1, "heartbeats go on"
    assert bot.connected
    bot.resume_reading()
    say(one, "c")
    one.run()
    assert contents(bot) == ["a", "b", "c"]
    assert one.platform.violations == []


@both
def test_a_pause_within_a_backlog_holds_the_rest_of_it(framing: Framing) -> None:
    one = World()

    def pause_at_b(event: Event) -> None:
        if type(event) is Dispatch and event.data["content"] == "b":
            bot.pause_reading()

    bot = one.bot(framing=framing, on_event=pause_at_b)
    one.run()
    bot.pause_reading()
    for content in "abc":
        say(one, content)
        one.run()
    bot.resume_reading()
    one.run()
    assert contents(bot) == ["a", "b"]
    bot.resume_reading()
    one.run()
    assert contents(bot) == ["a", "b", "c"]


@both
def test_a_stalled_process_finds_what_came_meanwhile_and_nobody_blames_it(framing: Framing) -> None:
    one, bot = world(framing)
    one.run(20.0)
    bot.stall(35.0)
    one.run(1.0)
    say(one, "meanwhile")
    one.run(33.0)
    assert contents(bot) == []
    one.run(2.0)
    assert contents(bot) == ["meanwhile"]
    assert LoopLag in kinds(bot.events)
    assert bot.connected
    one.run(300.0)
    assert len(bot.connections) == 1
    assert one.platform.violations == []


def test_a_stall_during_the_fetches_and_the_dial_is_survived() -> None:
    one = World()
    one.network.latency = 0.5
    bot = one.bot()
    for _ in range(4):
        one.run(0.6)
        bot.stall(1.0)
    one.run_until(lambda: bot.connected, 60.0)
    assert one.platform.violations == []


def test_the_application_is_called_with_each_event_and_may_close_the_bot() -> None:
    one = World()
    seen: list[Event] = []

    def application(event: Event) -> None:
        seen.append(event)
        if type(event) is Dispatch:
            bot.close()

    bot = one.bot(on_event=application)
    one.run()
    say(one, "a", "b")
    one.run()
    assert seen == bot.events
    assert contents(bot) == ["a"]
    assert bot.ended


def test_in_iteration_mode_a_dispatch_is_settled_when_the_application_is_done_with_it() -> None:
    one = World()
    unsettled = []
    bot = one.bot(settle="iteration", on_event=lambda _: unsettled.append(bot.shard.status(one.now).unsettled))
    one.run()
    say(one, "a")
    one.run()
    assert unsettled[-1] == 1
    assert bot.shard.status(one.now).unsettled == 0


def test_in_manual_mode_nothing_is_settled_by_itself() -> None:
    one, bot = world(settle="manual")
    say(one, "a")
    one.run()
    assert bot.shard.status(one.now).unsettled == 1


# -- the world itself --------------------------------------------------------------------------------------------------


def test_things_can_be_planned() -> None:
    one = World()
    seen: list[tuple[str, float]] = []
    one.at(5.0, lambda: seen.append(("at", one.now)))
    one.after(2.0, lambda: seen.append(("after", one.now)))
    one.after(2.0, lambda: seen.append(("second", one.now)))
    one.run(4.0)
    one.at(1.0, lambda: seen.append(("too late", one.now)))
    one.run(4.0)
    assert seen == [("after", 2.0), ("second", 2.0), ("too late", 4.0), ("at", 5.0)]
    assert isinstance(one.clock, VirtualClock)
    assert one.now == 8.0


def test_waiting_for_what_does_not_come_fails() -> None:
    one, _ = world()
    with pytest.raises(AssertionError, match="not within 100 s"):
        one.run_until(lambda: False, 100.0)
    assert one.now == 100.0
    assert one.run_until(lambda: one.now >= 100.0, 0.0) == 0.0


def test_a_late_heartbeat_is_noticed_at_the_end_of_a_run() -> None:
    one = World(FakePlatform(behaviour=Behaviour(heartbeat_interval=10.0, heartbeat_grace=1000.0)))
    id = one.platform.connect(0.0, Framing.TEXT)
    one.run(11.0)
    assert len(one.platform.violations) == 1
    assert f"connection {id}" in one.platform.violations[0]


# -- a machine that breaks the contract --------------------------------------------------------------------------------


class Broken(Shard):
    """A shard with a fault that is switched on."""

    fault = ""

    def next_timer(self) -> float | None:
        if self.fault == "silent":
            return None
        return 5.0 if self.fault == "spinning" else super().next_timer()

    def next_output(self) -> Any:
        output = super().next_output()
        if output is None and self.fault in ("writing", "dialling", "talking", "aborting"):
            fault, self.fault = self.fault, ""
            if fault == "aborting":
                return Abort(10_000)
            if fault == "writing":
                return SendData(10_000, b"x")
            return OpenConnection(10_000, 60.0, "wss://x") if fault == "dialling" else LoopLag(0, 9.0)
        return output


class Hasty(Account):
    """An account that asks for everything twice."""

    again: SendRequest | None = None

    def next_output(self) -> AccountAction | None:
        if self.again is not None:
            again, self.again = self.again, None
            return again
        output = super().next_output()
        if isinstance(output, SendRequest):
            self.again = replace(output, id=output.id + 1000)
        return output


def broken() -> tuple[World, MemoryDriver, Broken]:
    one = World()
    credentials = Credentials(one.platform.bot.app_id, one.platform.bot.secret)
    shard = Broken(ShardConfig(credentials.app_id, 1), random=lambda: 0.5)
    driver = MemoryDriver(one, Account(credentials), [shard])
    one.add(driver)
    one.run()
    assert driver.connected
    return one, driver, shard


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("silent", "shard 0 waits for nothing and has not ended"),
        ("spinning", "5.000 s: the timer of shard 0 is due again at once"),
        ("writing", "shard 0 writes to connection 10000, which is over"),
        ("dialling", "shard 0 dials while connection 3 is open"),
    ],
)
def test_a_shard_that_breaks_its_contract_is_found_out(fault: str, complaint: str) -> None:
    one, _, shard = broken()
    shard.fault = fault
    say(one, "a")
    with pytest.raises(AssertionError, match=complaint):
        one.run(100.0)


def test_an_abort_of_what_is_over_does_no_harm() -> None:
    one, driver, shard = broken()
    shard.fault = "aborting"
    say(one, "a")
    one.run(100.0)
    assert driver.connected
    assert contents(driver) == ["a"]


def test_a_shard_that_goes_on_after_stopped_is_found_out() -> None:
    one, driver, shard = broken()
    driver.close()
    one.run()
    assert driver.ended
    shard.fault = "talking"
    with pytest.raises(AssertionError, match="after Stopped"):
        driver.resume_reading()


def test_an_account_that_asks_for_two_tokens_at_once_is_found_out() -> None:
    one = World()
    shard = Shard(ShardConfig("1", 1), random=lambda: 0.5)
    driver = MemoryDriver(one, Hasty(Credentials("1", "a")), [shard])
    with pytest.raises(AssertionError, match="two token requests at once"):
        one.add(driver)


class Restless(Account):
    """An account whose timer does not pass."""

    def next_timer(self) -> float | None:
        return 1.0


def test_an_account_that_spins_is_found_out() -> None:
    one = World()
    driver = MemoryDriver(one, Restless(Credentials("1", "a")), [Shard(ShardConfig("1", 1), random=lambda: 0.5)])
    one.add(driver)
    with pytest.raises(AssertionError, match="the account's timer is due again at once"):
        one.run(2.0)


def test_a_world_in_which_no_time_passes_is_found_out() -> None:
    one = World()

    def again() -> None:
        one.after(0.0, again)

    again()
    with pytest.raises(AssertionError, match="no time has passed"):
        one.run(1.0)


# -- refusals ----------------------------------------------------------------------------------------------------------


@both
def test_refused_identifies_are_tried_again(framing: Framing) -> None:
    one = World()
    one.platform.behaviour.identify.append(Refusal(times=2))
    bot = one.bot(framing=framing, policy=Policy())
    one.run_until(lambda: bot.connected, 60.0)
    assert one.platform.ops() == [2, 2, 2]
    assert one.platform.violations == []


@both
def test_a_refused_resume_leads_to_an_identify(framing: Framing) -> None:
    one, bot = world(framing)
    one.run(100.0)
    one.platform.behaviour.resume.append(Refusal(4902, op9=None))
    bot.cut()
    one.run(100.0)
    assert one.platform.ops() == [2, 6, 2]
    assert one.platform.violations == []
