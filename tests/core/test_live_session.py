from __future__ import annotations

from dataclasses import replace

from qqproto import Dispatch, Policy, Session, ShardConfig, User
from qqproto.live_session import LiveSession, Recall

CONFIG = ShardConfig("11111111", 1 << 25)
SESSION = Session("S-1", "11111111", (0, 1), 1 << 25, 41, 38, User("42", "bot"), ahead=(40,), done=("e-old",))
POLICY = Policy()


def event(sequence: int | None, id: str | None = None, *, session: str = "S-1") -> Dispatch:
    return Dispatch("GUILD_UPDATE", {"id": "g"}, id, sequence, session_id=session)


def new() -> LiveSession:
    return LiveSession("S-1", User("42", "bot"), since=100.0, policy=POLICY, recall=Recall(POLICY))


def restored() -> LiveSession:
    return LiveSession.restore(SESSION, since=100.0, policy=POLICY, recall=Recall(POLICY))


def test_a_new_session_has_everything_before_it() -> None:
    live = new()
    assert (live.restored, live.busy, live.since) == (False, False, 100.0)
    assert live.value(CONFIG) == Session("S-1", "11111111", (0, 1), 1 << 25, 0, 0, User("42", "bot"))


def test_a_restored_session_goes_on_from_what_was_settled() -> None:
    live = restored()
    assert (live.restored, live.busy, live.since) == (True, False, 100.0)
    assert live.value(CONFIG) == replace(SESSION, received=38), "39 and 41 were never finished: they are to come again"


def test_the_replay_of_a_restored_session_leaves_out_what_was_finished() -> None:
    live = restored()
    admitted = [number for number in (39, 40, 41, 42) if live.admit(event(number), 101.0, replaying=True)]
    assert admitted == [39, 41, 42]
    assert not live.admit(event(43, "e-old"), 101.0, replaying=True), "finished under another number"
    assert live.settlement.received == 43


def test_in_the_common_case_nothing_is_looked_up() -> None:
    live = new()
    assert live.admit(event(1, "e-1"), 0.0, replaying=False)
    assert live.admit(event(2, "e-1"), 0.0, replaying=False)


def test_after_a_jump_or_without_a_number_names_are_looked_up() -> None:
    live = new()
    assert live.admit(event(1, "e-1"), 0.0, replaying=False)
    assert not live.admit(event(5, "e-1"), 0.0, replaying=False)
    assert live.admit(event(9, "e-2"), 0.0, replaying=False)
    assert not live.admit(event(None, "e-2"), 0.0, replaying=False)
    assert live.admit(event(None, "e-3"), 0.0, replaying=False)
    assert live.admit(event(None), 0.0, replaying=False)


def test_what_came_and_was_not_finished_is_not_handed_out_twice_in_one_process() -> None:
    live = new()
    assert live.admit(event(1, "e-1"), 0.0, replaying=False)
    assert not live.admit(event(1, "e-1"), 0.0, replaying=True)
    assert not live.admit(event(2, "e-1"), 0.0, replaying=True)
    assert live.busy


def test_settling_another_sessions_event_is_nothing() -> None:
    live = new()
    live.admit(event(1, "e-1"), 0.0, replaying=False)
    live.settle(event(1, "e-1", session="S-0"))
    assert live.settlement.unsettled == 1
    live.settle(event(None, "e-2"))
    assert live.value(CONFIG).done == ("e-2",)


def test_what_is_saved_follows_what_came_and_what_was_settled() -> None:
    live = new()
    for number in (1, 2, 3):
        live.admit(event(number, f"e-{number}"), 0.0, replaying=False)
    live.settle(event(1, "e-1"))
    live.settle(event(3, "e-3"))
    saved = live.value(CONFIG)
    assert (saved.received, saved.settled, saved.ahead, saved.done) == (3, 1, (3,), ("e-1", "e-3"))


def test_a_restored_session_remembers_both_names_of_every_dispatch_that_was_saved() -> None:
    """A dispatch has two names, and the memory of a thousand dispatches was filled by five hundred."""
    names = tuple(f"name-{number}" for number in range(2 * POLICY.remember_done))
    live = LiveSession.restore(replace(SESSION, done=names), since=100.0, policy=POLICY, recall=Recall(POLICY))
    assert live.value(CONFIG).done == names
    assert not live.admit(event(50, "name-0"), 101.0, replaying=True)
