"""The judge of crashes knows each way in which the promise can be broken."""

from __future__ import annotations

from tests.crash.journal import Entry, entry_of
from tests.crash.judge import ALLOWANCE, Judge, Life


def life(*lines: str, killed_at: float | None = 100.0, save_every: float = 1.0) -> Life:
    return Life([entry_of(line.encode()) for line in lines], save_every, killed_at)


FIRST = life("1 loading", "2 ready", "3 saved 2.5", "97 begin 0 0", "98 end 0", "99 settled 0", "99.5 begin 1 0")


def judged(*lives: Life, sent: int = 2) -> Judge:
    judge = Judge()
    for each in lives:
        judge.add(each)
    judge.end(range(sent))
    return judge


def test_what_is_as_promised_is_no_complaint() -> None:
    judge = judged(
        FIRST,
        life("101 resumed 2 0", "102 begin 0 1", "103 end 0", "104 begin 1 1", "105 end 1", "106 done", killed_at=None),
    )
    assert judge.complaints == []
    figures = judge.figures
    assert (figures.sent, figures.handed_out, figures.lives, figures.kills, figures.saves) == (2, 4, 2, 1, 1)
    assert (figures.in_flight, figures.unsaved, figures.oldest, figures.lost) == (1, 1, 1.0, [])
    assert judge.finished == 2


def test_an_event_that_no_handler_has_finished_with_is_lost() -> None:
    judge = judged(FIRST, life("101 resumed 0 0"))
    assert judge.figures.lost == [1]
    assert judge.complaints == ["life 2: event 1 was sent, and no handler has finished with it"]


def test_a_repetition_without_a_mark() -> None:
    judge = judged(FIRST, life("101 begin 1 0", "102 end 1"))
    assert judge.complaints == ["life 2: event 1 was handed out again without a mark"]


def test_a_repetition_of_what_had_been_saved() -> None:
    saved = life("1 ready", "97 begin 0 0", "98 end 0", "98.5 settled 0", "98.8 saving 98.6", "99 saved 98.6")
    judge = judged(saved, life("101 begin 0 1", "102 end 0"), sent=1)
    assert judge.complaints == ["life 2: event 0 was handed out again, though it had been settled and saved"]


def test_a_save_that_was_begun_before_or_not_completed_says_nothing() -> None:
    for last in ("99 saved 98.4", "99 saving 98.6"):
        first = life("1 ready", "97 begin 0 0", "98 end 0", "98.5 settled 0", last)
        assert judged(first, life("101 begin 0 1", "102 end 0"), sent=1).complaints == []


def test_a_repetition_of_what_should_have_been_saved_long_ago() -> None:
    late = 100.0 - 1.0 - ALLOWANCE - 0.1
    first = life("1 ready", "2 begin 0 0", "3 end 0", f"{late} settled 0")
    judge = judged(first, life("101 begin 0 1", "102 end 0"), sent=1)
    assert judge.complaints == ["life 2: event 0 was handed out again, though settled 3.1 s before the end"]


def test_twice_in_one_process_and_out_of_order() -> None:
    judge = judged(life("1 ready", "2 begin 0 0", "3 end 0", "4 begin 0 0"), sent=1)
    assert judge.complaints == ["life 1: event 0 was handed out after event 0, in one process"]
    judge = judged(life("1 ready", "2 begin 1 0", "3 end 1", "4 begin 0 0", "5 end 0"))
    assert judge.complaints == ["life 1: event 0 was handed out after event 1, in one process"]


def test_a_session_that_is_begun_anew_and_dispatches_that_are_missing() -> None:
    judge = judged(life("1 ready"), life("101 ready"), life("201 resumed 4 2"), sent=0)
    assert judge.complaints == [
        "life 2: a session was begun anew, though there was one to go on with",
        "life 3: 2 dispatches are missing after a Resume",
    ]


def test_trouble_and_an_end_that_nobody_asked_for() -> None:
    judge = judged(life("1 ready", "2 trouble StoreFailed(shard=0)", killed_at=None), sent=0)
    assert judge.complaints == [
        "life 1: StoreFailed(shard=0)",
        "life 1: it ended by itself, and its last line was"
        " [Entry(at=2.0, word='trouble', args=('StoreFailed(shard=0)',))]",
    ]


def test_only_so_many_complaints_are_told() -> None:
    judge = judged(sent=1000)
    assert len(judge.figures.lost) == 1000
    assert len(judge.complaints) == 20


def test_a_line_is_read_as_it_was_written() -> None:
    assert entry_of(b"12.5 begin 7 1") == Entry(12.5, "begin", ("7", "1"))
