from __future__ import annotations

import threading

import pytest

from qqproto_transports._worker import Errand, Worker

GUARD = 30.0


def test_one_thread_makes_all_the_calls_until_it_is_dismissed_and_then_there_is_another_one() -> None:
    worker, made, threads = Worker("qqproto-test"), threading.Semaphore(0), []

    def call() -> None:
        threads.append(threading.current_thread())
        made.release()

    assert worker.dismiss() is None
    for _ in range(3):
        worker.call(call)
    first = worker.dismiss()
    assert first is not None
    assert (first.name, first.daemon) == ("qqproto-test", True)
    first.join(GUARD)
    assert not first.is_alive()
    assert threads == [first] * 3
    worker.call(call)
    second = worker.dismiss()
    assert second is not None
    second.join(GUARD)
    assert threads == [first] * 3 + [second]


def test_a_system_without_threads_is_told_and_may_have_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, done = Worker("qqproto-test"), threading.Event()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            worker.call(done.set)
    worker.call(done.set)
    assert done.wait(GUARD)
    worker.dismiss()


def failing() -> None:
    raise KeyboardInterrupt("even that")


def test_an_errand_says_nothing_when_nobody_waits() -> None:
    told: list[object] = []
    errand = Errand([lambda: 1, lambda: 2], lambda: told.append(None), awaited=False)
    errand.run()
    assert errand.outcomes() == [1, 2]
    assert told == []


def test_an_errand_says_that_it_is_back_to_who_has_asked_or_waits_or_if_something_was_raised() -> None:
    told: list[str] = []
    asked = Errand([lambda: 1], lambda: told.append("asked"), awaited=False)
    assert asked.outcomes() is None
    asked.run()
    Errand([lambda: 1], lambda: told.append("awaited"), awaited=True).run()
    failed = Errand([lambda: 1, failing, lambda: 3], lambda: told.append("failed"), awaited=False)
    failed.run()
    assert told == ["asked", "awaited", "failed"]
    outcomes = failed.outcomes()
    assert outcomes is not None
    assert (outcomes[0], outcomes[2]) == (1, 3)
    assert isinstance(outcomes[1], KeyboardInterrupt)
