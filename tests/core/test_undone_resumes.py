"""Resumes that are granted and undone by a close at once give the session up; other ends do not count for them."""

from __future__ import annotations

from qqproto import Disconnected, Failure, FailureKind
from tests.core.hosts import Host, hello, ready, resumed


def identifies(host: Host) -> bool:
    """Whether the next connection begins with an Identify."""
    host.redial(61.0)
    host.say(hello())
    opcodes: list[int] = [frame["op"] for frame in host.sent() if frame["op"] != 1]
    return opcodes[-1] == 2


def undo_three_resumes(host: Host) -> None:
    for _ in range(3):
        assert not identifies(host)
        host.say(resumed(1))
        host.server_closes(1000)


def test_the_third_resume_that_is_undone_gives_the_session_up() -> None:
    host = Host()
    host.up()
    host.server_closes(1000)

    undo_three_resumes(host)

    assert identifies(host)


def test_the_session_after_it_is_judged_by_its_own_resumes() -> None:
    host = Host()
    host.up()
    host.server_closes(1000)
    undo_three_resumes(host)
    assert identifies(host)
    host.say(ready("S-2"))
    host.server_closes(1000)

    undo_three_resumes(host)

    assert identifies(host)


def test_a_connection_that_ends_before_its_resume_undoes_none() -> None:
    host = Host()
    host.up()
    host.server_closes(1000)
    for _ in range(2):
        assert not identifies(host)
        host.say(resumed(1))
        host.server_closes(1000)

    host.redial(61.0)
    host.server_closes(1012)
    host.redial(61.0)
    host.lose(Failure(FailureKind.RESET))

    assert host.take(Disconnected)[-1].phase.value == "hello"
    assert not identifies(host)
