from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from qqproto import Conversation, Dispatch, Policy, Session, ShardConfig, Token, User
from qqproto.live_session import LiveSession, Recall

CONFIG = ShardConfig("11111111", 1 << 25)
SESSION = Session("S-1", "11111111", (0, 1), 1 << 25, 41, 38, User("42", "bot"), ahead=(40,), done=("e-old",))
POLICY = Policy()


def event(sequence: int | None, id: str | None = None, *, session: str = "S-1") -> Dispatch:
    return Dispatch("GUILD_UPDATE", {"id": "g"}, id, sequence, session_id=session)


def come(
    live: LiveSession, sequence: int | None, id: str | None = None, now: float = 0.0, *,
    type: str = "GUILD_UPDATE", named: str = "g",
) -> Dispatch | None:  # fmt: skip
    """A dispatch comes over a connection; None if it is a repetition."""
    talk = Conversation(replace(CONFIG, settle="manual"), Token("token"), random=lambda: 0.5)
    talk._flowing = live
    talk.receive_value({"op": 0, "t": type, "s": sequence, "id": id, "d": {"id": named}}, "", now)
    dispatch = talk.next_output()
    assert dispatch is None or isinstance(dispatch, Dispatch)
    return dispatch


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
    live.resuming()
    admitted = [number for number in (39, 40, 41, 42) if come(live, number)]
    assert admitted == [39, 41, 42]
    assert not come(live, 43, "e-old"), "finished under another number"
    assert live.settlement.received == 43


def test_in_the_common_case_nothing_is_looked_up() -> None:
    live = new()
    assert come(live, 1, "e-1")
    assert come(live, 2, "e-1")


def test_after_a_jump_or_without_a_number_names_are_looked_up() -> None:
    live = new()
    assert come(live, 1, "e-1")
    assert not come(live, 5, "e-1")
    assert come(live, 9, "e-2")
    assert not come(live, None, "e-2")
    assert come(live, None, "e-3")
    assert come(live, None)


def test_what_came_and_was_not_finished_is_not_handed_out_twice_in_one_process() -> None:
    live = new()
    assert come(live, 1, "e-1")
    live.resuming()
    assert not come(live, 1, "e-1")
    assert not come(live, 2, "e-1")
    assert live.busy


def test_what_comes_in_order_and_is_never_looked_at_fills_no_journal() -> None:
    live = new()
    for number in range(1, 1001):
        assert come(live, number, f"e-{number}")
    assert len(live.journal) < 300
    assert not come(live, None, "e-1"), "it is remembered all the same"
    assert live.settlement.received == 1000


def test_settling_another_sessions_event_is_nothing() -> None:
    live = new()
    come(live, 1, "e-1")
    live.settle(event(1, "e-1", session="S-0"))
    assert live.settlement.unsettled == 1
    live.settle(event(None, "e-2"))
    assert live.value(CONFIG).done == ("e-2",)


def test_what_is_saved_follows_what_came_and_what_was_settled() -> None:
    live = new()
    for number in (1, 2, 3):
        come(live, number, f"e-{number}")
    live.settle(event(1, "e-1"))
    live.settle(event(3, "e-3"))
    saved = live.value(CONFIG)
    assert (saved.received, saved.settled, saved.ahead, saved.done) == (3, 1, (3,), ("e-1", "e-3"))


def test_a_restored_session_remembers_both_names_of_every_dispatch_that_was_saved() -> None:
    """A dispatch has two names, and the memory of a thousand dispatches was filled by five hundred."""
    names = tuple(f"name-{number}" for number in range(2 * POLICY.remember_done))
    live = LiveSession.restore(replace(SESSION, done=names), since=100.0, policy=POLICY, recall=Recall(POLICY))
    assert live.value(CONFIG).done == names
    live.resuming()
    assert not come(live, 50, "name-0")


def test_what_is_settled_again_is_saved_once_however_it_is_settled() -> None:
    live = new()
    for number in (1, 2, 3):
        come(live, number, f"e-{number}")
    one, two, three = (event(number, f"e-{number}") for number in (1, 2, 3))
    for settled in (one, one, three, two, three):
        live.settle(settled)
    assert live.value(CONFIG).done == ("e-1", "e-3", "e-2")
    for settled in (two, one):
        live.settle(settled)
    come(live, 4, "e-4")
    live.settle(event(4, "e-4"))
    live.settle(three)
    assert live.value(CONFIG).done == ("e-1", "e-3", "e-2", "e-4")


def test_what_was_settled_in_order_and_is_settled_again_is_saved_once() -> None:
    live = new()
    came: dict[int, Dispatch] = {}

    def comes(number: int) -> None:
        dispatch = come(live, number, f"e-{number}")
        assert dispatch is not None
        came[number] = dispatch

    def settles(*numbers: int) -> Sequence[str]:
        for number in numbers:
            live.settle(came[number])
        return live.value(CONFIG).done

    comes(1)
    comes(2)
    assert settles(1, 2) == ("e-1", "e-2")
    assert settles(1) == ("e-1", "e-2")
    comes(3)
    assert settles() == ("e-1", "e-2")
    comes(4)
    assert settles(3, 4) == ("e-1", "e-2", "e-3", "e-4")
    assert settles(4, 3) == ("e-1", "e-2", "e-3", "e-4")
    comes(5)
    assert settles(5) == ("e-1", "e-2", "e-3", "e-4", "e-5")
    assert settles(5) == ("e-1", "e-2", "e-3", "e-4", "e-5")


def test_what_is_settled_by_hand_is_as_old_as_the_last_that_came() -> None:
    live = new()
    for number, now in ((1, 0.0), (2, 0.0), (3, POLICY.remember_for + 1.0)):
        come(live, number, f"e-{number}", now)
    live.settle(event(3, "e-3"))
    assert live.value(CONFIG).done == ("e-3",)


def test_what_has_no_number_is_saved_by_its_names() -> None:
    live = new()
    for name in ("a", "b"):
        assert live.take((100.0, name, "CHANNEL_UPDATE", None, 0))
    for name in ("a", "b", "a"):
        live.settle(event(None, name))
        assert live.unsettled == 0
    assert live.value(CONFIG).done == ("a", "b")


# -- the journal -----------------------------------------------------------------------------------------------------

NUMBERS = st.integers(1, 30)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["next", "next", "next"]), st.integers(1, 4)),
    st.tuples(st.just("many"), st.sampled_from([20, 255, 256, 300])),
    st.tuples(st.sampled_from(["jump", "late", "again", "unnumbered"]), NUMBERS),
    st.tuples(st.sampled_from(["settle", "settle", "settle last", "settle by hand"]), NUMBERS),
    st.tuples(st.sampled_from(["resuming", "resumed", "save", "wait"]), NUMBERS),
)


class Course:
    """What happens to a session; ``asked`` after every step how far it is, or only when it is saved."""

    def __init__(self, *, asked: bool, policy: Policy) -> None:
        self.recall = Recall(policy)
        self.live = LiveSession("S-1", User("42", "bot"), since=0.0, policy=policy, recall=self.recall)
        self.asked = asked
        self.now = 0.0
        self.number = 0
        self.held: list[Dispatch] = []
        self.heard: list[object] = []

    def come(self, sequence: int | None, id: str) -> None:
        dispatch = come(self.live, sequence, id, self.now, type="C2C_MESSAGE_CREATE", named=id)
        self.heard.append(None if dispatch is None else (dispatch.sequence, dispatch.id, dispatch.redelivered))
        if dispatch is not None:
            self.held.append(dispatch)

    def take(self, step: str, value: int) -> None:
        self.now += 0.25
        if step in ("next", "many"):
            for _ in range(value):
                self.number += 1
                self.come(self.number, f"e-{self.number}")
                if step == "many" and self.held and self.held[-1].sequence == self.number:
                    self.live.settle(self.held.pop())
        elif step == "jump":
            self.number += 1 + value
            self.come(self.number, f"e-{self.number}")
        elif step in ("late", "again"):
            self.come(max(1, self.number - value), f"e-{self.number - value}" if step == "again" else f"late-{value}")
        elif step == "unnumbered":
            self.come(None, f"u-{value}")
        elif step == "settle" and self.held:
            for dispatch in self.held[:value]:
                self.live.settle(dispatch)
            del self.held[:value]
        elif step == "settle last" and self.held:
            self.live.settle(self.held.pop())
        elif step == "settle by hand" and self.held:
            other = self.held.pop(value % len(self.held))
            self.live.settle(Dispatch(other.type, other.data, other.id, other.sequence, session_id=other.session_id))
        elif step == "resuming":
            self.live.resuming()
        elif step == "resumed":
            self.heard.append(self.live.resumed(None))
        elif step == "save":
            given_up, progress = self.live.settlement.given_up if self.asked else 0, self.live.progress
            assert self.live.unsettled == self.live.settlement.unsettled
            assert progress == self.live.settlement.progress or given_up != self.live.settlement.given_up
            self.heard.append(self.live.value(CONFIG))
            self.heard.append((self.live.settlement.unsettled, self.live.settlement.oldest(self.now)))
        elif step == "wait":
            self.now += 400.0 * value
        if self.asked:
            assert self.live.settlement.received >= 0

    def end(self) -> list[object]:
        self.take("save", 0)
        names = self.recall.done.names(self.now)
        return [*self.heard, names, self.live.busy, self.live.settlement.progress, self.live.settlement.given_up]


@given(st.lists(STEPS, max_size=30))
@settings(max_examples=200)
@example([("many", 20), ("wait", 9), ("next", 1), ("settle by hand", 1)])
def test_a_journal_that_is_seldom_looked_at_says_what_one_says_that_always_is(steps: list[tuple[str, int]]) -> None:
    seldom, always = (Course(asked=asked, policy=POLICY) for asked in (False, True))
    for step in steps:
        seldom.take(*step)
        always.take(*step)
    assert seldom.end() == always.end()
