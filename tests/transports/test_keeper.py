"""When sessions are saved, on a virtual clock, with a store whose calls end when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from qqproto import Dispatch, Event, Policy, SessionRefused, SettleMode, Shard, StoreFailed
from qqproto.session import Session
from qqproto_transports._keeper import Keeper
from qqproto_transports._worker import Worker
from qqproto_transports.stores import MemoryStore, SavedSession
from tests.core.hosts import CONFIG, SESSION, Host, dispatch, hello, message, ready, resumed


class Tried(MemoryStore):
    """A store that fails as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[SavedSession] = []
        self.failure: Exception | None = None

    def save(self, saved: SavedSession, /) -> None:
        if self.failure is not None:
            raise self.failure
        self.saves.append(saved)
        super().save(saved)


class ByHand(Worker):
    """A worker whose thread is moved by hand."""

    def __init__(self) -> None:
        super().__init__("by hand")
        self.threads = True
        self.jobs: list[Callable[[], object]] = []

    def call(self, function: Callable[[], object]) -> None:
        if not self.threads:
            raise RuntimeError("can't start new thread")
        assert not self.jobs, "two calls of the store at a time"
        self.jobs.append(function)


class Bench(Keeper):
    """A keeper whose thread and whose alarm are moved by hand."""

    def __init__(self, *hosts: Host, policy: Policy = Policy()) -> None:
        self.store = Tried()
        self.now = 0.0
        super().__init__(self.store, policy, lambda: self.now)
        self.shards: dict[int, Shard] = {index: host.shard for index, host in enumerate(hosts)}
        self.events: list[Event] = []
        self.alarm: float | None = None
        self.changes = 0
        self.wakes = 0
        self.post: Callable[[Callable[[], object]], object] | None = None
        self._worker = self.hand = ByHand()
        self.serve(self.shards, self.events.append, self._count)

    def _count(self) -> None:
        self.changes += 1

    def _post(self, call: Callable[[], object]) -> None:
        self.wakes += 1
        if self.post is None:
            call()
        else:
            self.post(call)

    def _set_alarm(self, at: float | None) -> None:
        self.alarm = at

    def work(self) -> None:
        """The worker thread does what it was given, and whatever comes of it."""
        while self.hand.jobs:
            self.hand.jobs.pop()()

    @property
    def working(self) -> bool:
        return bool(self.hand.jobs)

    def run(self, seconds: float) -> None:
        """Let time pass, with a driver that is on time and a thread that is quick."""
        end = self.now + seconds
        self.work()
        while self.alarm is not None and self.alarm <= end:
            assert self.alarm >= self.now
            self.now = self.alarm
            self.handle_timer()
            self.work()
        self.now = end

    @property
    def saved(self) -> list[int]:
        """Up to where each save found everything settled."""
        return [saved.session.settled for saved in self.store.saves]


def host_in(mode: SettleMode = "manual") -> Host:
    host = Host(settle=mode)
    host.up()
    return host


def live() -> tuple[Host, Bench]:
    """A session that was saved when it began, two seconds ago."""
    host = host_in()
    bench = Bench(host)
    bench.look()
    bench.run(2.0)
    assert bench.saved == [1]
    return host, bench


def receive(host: Host, *sequences: int) -> list[Dispatch]:
    host.say(*(dispatch(sequence) for sequence in sequences))
    return host.take(Dispatch)


def test_nothing_is_saved_before_there_is_a_session() -> None:
    bench = Bench(Host())
    bench.look()
    bench.run(1000.0)
    assert (bench.store.saves, bench.alarm) == ([], None)


def test_a_session_is_saved_when_it_begins() -> None:
    bench = Bench(host_in())
    bench.look()
    assert bench.working
    bench.work()
    assert bench.saved == [1]
    assert bench.wakes == bench.changes == 0, "nobody waits for it"


def test_what_is_settled_is_saved_at_once_and_then_once_a_second() -> None:
    host, bench = live()
    for event in receive(host, *range(2, 102)):
        host.shard.settle(event)
        bench.look()
        bench.run(0.05)
    assert 6 <= len(bench.saved) <= 7, "the first, at once, and one for each of five seconds"
    assert bench.saved[1] == 2
    bench.run(1.0)
    assert bench.saved[-1] == 101


def test_what_only_came_is_not_saved() -> None:
    host, bench = live()
    receive(host, 2, 3)
    bench.look()
    bench.run(50.0)
    assert bench.saved == [1]


def test_what_another_thread_settles_is_found_within_a_second() -> None:
    host, bench = live()
    events = receive(host, 2, 3)
    bench.look()
    bench.run(10.3)
    host.shard.settle(events[0])
    bench.settled()
    bench.run(0.1)
    assert bench.saved == [1, 2]
    host.shard.settle(events[1])
    bench.settled()
    bench.run(1.0)
    assert bench.saved == [1, 2, 3]


def test_when_all_is_settled_nobody_is_woken_for_minutes() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.look()
    bench.run(Policy().store_timeout + 0.5)
    assert bench.alarm is not None
    assert bench.alarm - bench.now > 300.0


def test_a_quiet_session_is_saved_from_time_to_time_so_that_it_does_not_look_old() -> None:
    host, bench = live()
    bench.run(3600.0)
    assert len(bench.saved) == 1 + 10
    host.server_closes(1006)
    bench.look()
    bench.run(3600.0)
    assert len(bench.saved) <= 1 + 10 + 1, "one that is away grows old"


def test_a_save_that_takes_long_is_alone_and_what_was_settled_meanwhile_is_saved_by_the_next_one() -> None:
    host, bench = live()
    events = receive(host, 2, 3)
    host.shard.settle(events[0])
    bench.look()
    assert bench.working
    host.shard.settle(events[1])
    for _ in range(50):
        bench.now += 0.1
        bench.look()
        bench.handle_timer()
    bench.work()
    assert bench.saved == [1, 2, 3]


def test_a_session_that_has_ended_is_remembered_as_ended() -> None:
    host, bench = live()
    host.say(message(9, d=False))
    host.server_closes(4006)
    assert host.shard.session is None
    bench.look()
    bench.run(1.0)
    assert bench.store.saves[-1].saved_at == 0.0
    found: list[dict[int, tuple[Session, float]]] = []
    bench.load([CONFIG], found.append)
    bench.work()
    assert found == [{}]
    assert bench.events == []


def test_the_one_that_follows_is_saved_like_the_first() -> None:
    host, bench = live()
    host.server_closes(4006)
    bench.look()
    bench.run(5.0)
    host.redial(5.0)
    host.say(hello(), ready("S-2"))
    bench.look()
    bench.run(1.0)
    assert [saved.session.id for saved in bench.store.saves] == ["S-1", "S-1", "S-2"]


def test_a_session_of_another_shard_count_has_no_part_in_it() -> None:
    first, second = host_in(), host_in()
    bench = Bench(first, second)
    bench.look()
    bench.work()
    assert len(bench.store.saves) == 2
    bench.run(5.0)
    second.shard.settle(receive(second, 2)[0])
    bench.look()
    bench.work()
    assert bench.saved == [1, 1, 2], "the first has nothing new"


def test_going_on_with_a_saved_session_is_no_reason_to_save_it() -> None:
    host = Host(SESSION)
    bench = Bench(host)
    bench.going_on_with(0)
    bench.look()
    bench.run(10.0)
    assert bench.saved == []
    host.say(hello(), resumed(43))
    bench.look()
    bench.run(1.0)
    assert bench.saved == [43]


def test_one_that_was_refused_stays_in_the_store_until_there_is_another() -> None:
    host = Host(replace(SESSION, intents=1))
    assert host.take(SessionRefused)
    bench = Bench(host)
    bench.going_on_with(0)
    bench.look()
    bench.hurry()
    bench.run(10.0)
    assert bench.store.saves == []


# -- at the end --------------------------------------------------------------------------------------------------------


def test_in_a_hurry_it_saves_at_once_whatever_the_pace() -> None:
    host, bench = live()
    events = receive(host, 2, 3)
    host.shard.settle(events[0])
    bench.look()
    bench.work()
    host.shard.settle(events[1])
    bench.look()
    assert not bench.working
    bench.hurry()
    assert not bench.at_rest
    bench.work()
    assert bench.at_rest
    assert bench.saved == [1, 2, 3]


def test_in_a_hurry_while_a_save_is_under_way_another_one_follows() -> None:
    host, bench = live()
    events = receive(host, 2, 3)
    host.shard.settle(events[0])
    bench.look()
    host.shard.settle(events[1])
    bench.hurry()
    assert not bench.at_rest
    bench.work()
    assert bench.at_rest
    assert bench.saved == [1, 2, 3]


def test_a_hurry_with_nothing_new_is_over_at_once() -> None:
    _, bench = live()
    bench.hurry()
    assert bench.at_rest
    assert not bench.working


def test_a_hurry_that_fails_is_over_too() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.store.failure = OSError("disk full")
    bench.hurry()
    bench.work()
    assert bench.at_rest
    assert bench.events == [StoreFailed(0, "save", "OSError: disk full")]


def test_after_the_end_nothing_is_saved_and_nothing_told() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.store.failure = OSError("disk full")
    bench.look()
    bench.end()
    bench.work()
    bench.look()
    bench.hurry()
    assert (bench.alarm, bench.working, bench.events, bench.at_rest) == (None, False, [], True)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_once_and_tried_again_every_second() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.store.failure = OSError("disk full")
    bench.look()
    bench.run(100.5)
    assert bench.events == [StoreFailed(0, "save", "OSError: disk full")]
    bench.store.failure = None
    bench.run(1.0)
    assert bench.saved == [1, 2]


def test_another_cause_is_told_and_so_is_the_same_one_when_it_comes_back() -> None:
    host, bench = live()
    causes = ["locked", "locked", "read-only", None, "locked"]
    for sequence, cause in enumerate(causes, 2):
        bench.store.failure = OSError(cause) if cause else None
        host.shard.settle(receive(host, sequence)[0])
        bench.look()
        bench.run(1.0)
    assert [event.reason for event in bench.events if isinstance(event, StoreFailed)] == [
        "OSError: locked", "OSError: read-only", "OSError: locked"
    ]  # fmt: skip


def test_numbers_in_its_sentence_make_no_other_cause() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    for number in range(20):
        bench.store.failure = OSError(f"request {number} failed")
        bench.look()
        bench.run(1.0)
    assert bench.events == [StoreFailed(0, "save", "OSError: request 0 failed")]


def test_a_failure_that_took_long_is_not_tried_again_at_once() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.store.failure = OSError("locked")
    bench.look()
    bench.now += 5.0
    bench.hand.jobs.pop()()
    assert not bench.working
    assert bench.alarm is not None
    assert bench.alarm > bench.now


def test_a_system_without_threads_is_a_store_that_fails() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.hand.threads = False
    bench.look()
    assert bench.events == [StoreFailed(0, "save", "RuntimeError: can't start new thread")]
    bench.hand.threads = True
    bench.run(1.0)
    assert bench.saved == [1, 2]


def test_a_store_that_does_not_answer_when_it_is_to_save_is_told_once_and_the_save_counts_when_it_is_done() -> None:
    host, bench = live()
    host.shard.settle(receive(host, 2)[0])
    bench.look()
    began = bench.now
    while not bench.events:
        assert bench.alarm is not None
        bench.now = bench.alarm
        bench.handle_timer()
    assert bench.now == began + Policy().store_timeout
    assert bench.events == [StoreFailed(0, "save", "TimeoutError: no answer for 10 s")]
    host.shard.settle(receive(host, 3)[0])
    for _ in range(3):
        bench.now += 10.0
        bench.look()
    bench.hurry()
    assert not bench.at_rest
    bench.work()
    assert bench.at_rest
    assert (bench.saved, len(bench.events)) == ([1, 2, 3], 1)


def test_after_a_quiet_time_a_store_that_does_not_answer_is_told_as_soon() -> None:
    host, bench = live()
    bench.run(60.0)
    assert bench.alarm is not None
    assert bench.alarm > bench.now + Policy().store_timeout
    host.shard.settle(receive(host, 2)[0])
    bench.look()
    assert bench.alarm == bench.now + Policy().store_timeout
    bench.now = bench.alarm
    bench.handle_timer()
    assert bench.events == [StoreFailed(0, "save", "TimeoutError: no answer for 10 s")]


def test_a_store_that_does_not_answer_when_it_is_to_load_has_nothing_and_what_it_says_later_is_too_late() -> None:
    bench = Bench()
    bench.store.save(SavedSession(SESSION, 1.0))
    found: list[dict[int, tuple[Session, float]]] = []
    bench.load([CONFIG], found.append)
    assert bench.alarm == Policy().store_timeout
    bench.now = bench.alarm
    bench.handle_timer()
    assert found == [{}]
    assert bench.events == [StoreFailed(0, "load", "TimeoutError: no answer for 10 s")]
    assert bench.changes == 1
    host = host_in()
    bench.shards[0] = host.shard
    bench.look()
    assert bench.saved == [41]
    bench.work()
    assert found == [{}]
    assert bench.saved == [41, 1], "the new session is saved as soon as the store is there"


# -- whom it wakes -----------------------------------------------------------------------------------------------------


def test_nobody_is_woken_for_a_save_that_nobody_waits_for() -> None:
    host, bench = live()
    for sequence in range(2, 12):
        host.shard.settle(receive(host, sequence)[0])
        bench.look()
        bench.work()
        bench.run(1.5)
        bench.look()
    assert bench.saved == list(range(1, 12))
    assert (bench.wakes, bench.changes) == (0, 0)


def test_who_looks_while_a_save_is_under_way_is_told_when_it_is_done() -> None:
    host, bench = live()
    events = receive(host, 2, 3)
    host.shard.settle(events[0])
    bench.look()
    bench.look()
    bench.work()
    assert (bench.wakes, bench.changes) == (1, 1)


def test_what_settles_in_threads_asks_for_a_look_a_few_times_a_second() -> None:
    host, bench = live()
    bench.wakes = 0
    for event in receive(host, *range(2, 202)):
        host.shard.settle(event)
        bench.settled()
        bench.run(0.01)
    bench.run(1.0)
    assert bench.saved[-1] == 201
    assert len(bench.saved) <= 4
    assert bench.wakes <= 9


def test_a_worker_that_is_done_and_says_so_too_late_disturbs_nothing() -> None:
    host, bench = live()
    events = receive(host, 2, 3)
    host.shard.settle(events[0])
    late: list[Callable[[], object]] = []
    bench.look()
    bench.post = late.append
    bench.look()
    bench.work()
    host.shard.settle(events[1])
    bench.now += 1.5
    bench.look()
    assert bench.working, "it was seen to be done, and does the next save"
    late[0]()
    assert bench.working
    bench.post = None
    bench.work()
    late[0]()
    assert bench.saved == [1, 2, 3]


# -- loading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("saved_at", [1.0, 0.5])
def test_what_is_loaded_comes_with_its_age(saved_at: float) -> None:
    bench = Bench()
    bench.store.save(SavedSession(SESSION, saved_at))
    found: list[dict[int, tuple[Session, float]]] = []
    bench.load([CONFIG, replace(CONFIG, shard=(1, 2))], found.append)
    bench.work()
    session, age = found[0][0]
    assert session == SESSION
    assert age > 1_700_000_000
    assert list(found[0]) == [0]
