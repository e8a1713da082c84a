"""Who was asked for an identify slot is told when nobody wants it any more: a host may have a task waiting for it."""

from __future__ import annotations

import pytest

from qqproto import Abort, Cancel, CloseConnection, Failure, FailureKind, ReserveIdentify, Stopped
from tests.core.hosts import Host, Talk, hello


def asked_for_a_slot() -> tuple[Host, int]:
    """A shard on a connection that waits for its slot, and the question's id."""
    host = Host()
    host.slot = None
    host.say(hello())
    return host, host.only(ReserveIdentify).id


def test_a_socket_that_is_lost_calls_its_question_off() -> None:
    host, question = asked_for_a_slot()
    host.lose(Failure(FailureKind.RESET))
    assert host.take(Cancel) == [Cancel(question)]


def test_a_question_that_is_not_answered_in_time_is_called_off() -> None:
    host, question = asked_for_a_slot()
    host.run(host.policy.http_timeout)
    host.only(Abort)
    assert host.take(Cancel) == [Cancel(question)]


@pytest.mark.parametrize("keep_session", [False, True])
def test_a_goodbye_comes_first_and_calls_the_question_off(keep_session: bool) -> None:
    host, question = asked_for_a_slot()
    host.shard.close(host.now, keep_session=keep_session)
    assert isinstance(host.shard.next_output(), CloseConnection)
    assert host.shard.next_output() == Cancel(question)
    assert host.shard.next_output() is None
    host.run(host.policy.close_timeout)
    assert host.take(Cancel) == []


def test_a_bug_of_the_host_calls_everything_off() -> None:
    host, question = asked_for_a_slot()
    host.shard.fail("a bug", host.now)
    host.drain()
    assert host.take(Cancel) == [Cancel(question)]
    host.only(Abort)
    host.only(Stopped)


def test_a_question_that_nobody_was_asked_is_not_called_off() -> None:
    talk = Talk()
    talk.machine.receive_message(hello(), talk.now)
    talk.machine.close(talk.now)
    talk.drain()
    assert not talk.take(ReserveIdentify)
    assert not talk.take(Cancel)
    assert talk.machine.question is None
