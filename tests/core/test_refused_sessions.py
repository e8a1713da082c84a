"""A session that the server refused stays refused, whatever comes after op 9; and a stall is told, however it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qqproto import ConfigurationError, Disconnected, Failure, FailureKind, LoopLag, Verdict
from tests.core.hosts import RECONNECT, Host, dispatch, hello, message

REFUSED = message(9, d=False)

AFTERWARDS: dict[str, Callable[[Host], None]] = {
    "op 9, resumable": lambda host: host.say(message(9, d=True)),
    "op 7": lambda host: host.say(RECONNECT),
    "4004": lambda host: host.server_closes(4004),
    "4009": lambda host: host.server_closes(4009),
    "1000": lambda host: host.server_closes(1000),
    "a reset": lambda host: host.lose(Failure(FailureKind.RESET)),
    "nothing": lambda host: host.run(5.0),
}


@pytest.mark.parametrize("afterwards", AFTERWARDS.values(), ids=AFTERWARDS.keys())
def test_what_follows_op_9_does_not_give_the_session_back(afterwards: Callable[[Host], None]) -> None:
    host = Host()
    host.up()
    host.say(REFUSED)

    afterwards(host)
    host.redial(10.0)
    host.say(hello())

    assert [frame["op"] for frame in host.sent() if frame["op"] != 1] == [2]
    assert host.only(Disconnected).verdict in (Verdict.IDENTIFY, Verdict.REFRESH_TOKEN)


@pytest.mark.parametrize("afterwards", AFTERWARDS.values(), ids=AFTERWARDS.keys())
def test_what_follows_op_9_does_not_excuse_a_refused_identify(afterwards: Callable[[Host], None]) -> None:
    host = Host()
    host.say(hello(), REFUSED)

    afterwards(host)
    host.redial(10.0)

    assert host.tokens_asked == [None, host.token.value]  # type: ignore[union-attr]
    assert host.gateways_asked == [True, True]


def test_the_cause_of_op_9_is_awaited_although_hello_did_not_come() -> None:
    host = Host()
    host.run(19.0)
    host.say(REFUSED)

    host.run(3.0)
    assert host.take(Disconnected) == []
    host.server_closes(4004)

    assert host.only(Disconnected).verdict is Verdict.REFRESH_TOKEN


def test_4004_after_op_9_has_another_token_asked_for_as_well() -> None:
    host = Host()
    host.up()

    host.say(REFUSED)
    host.server_closes(4004)
    host.redial(10.0)

    assert host.tokens_asked[-1] == host.token.value  # type: ignore[union-attr]


def test_a_link_that_dies_while_the_cause_of_op_9_is_awaited_has_no_session() -> None:
    host = Host()
    host.up()
    while not host.sent():
        host.run(0.5)
    # Dispatches come, but no ACK: dead after two intervals, and op 9 comes less than two seconds before.
    for sequence in range(2, 83):
        host.run(1.0)
        host.say(dispatch(sequence))
    host.say(REFUSED)

    host.run(3.0)
    disconnected = host.only(Disconnected)
    host.say(hello())

    assert disconnected.failure is not None
    assert disconnected.failure.kind is FailureKind.TIMEOUT
    assert host.sent()[-1]["op"] == 2


def test_op_9_of_any_kind_is_a_refused_identify() -> None:
    host = Host()
    for _ in range(5):
        host.say(hello(), message(9, d=True))
        host.redial(400.0)

    assert "intents" in host.only(ConfigurationError).hint


@pytest.mark.parametrize(
    "end", [lambda host: host.server_closes(4009), lambda host: host.lose(Failure(FailureKind.RESET))]
)
def test_a_stall_is_part_of_the_diagnosis_of_the_end_that_it_led_to(end: Callable[[Host], None]) -> None:
    host = Host()
    host.up()
    due = host.shard.next_timer()
    assert due is not None

    host.now = due + 70.0
    end(host)

    assert host.only(LoopLag).seconds == 70.0
    assert host.only(Disconnected).lag == 70.0
    assert host.sent() == []
