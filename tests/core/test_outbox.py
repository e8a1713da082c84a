from __future__ import annotations

import pytest

from qqproto import (
    Abort,
    Cancel,
    CloseConnection,
    Dispatch,
    FetchGateway,
    FetchToken,
    LocalProtocolError,
    LoopLag,
    OpenConnection,
    ReserveIdentify,
    SendData,
    SendText,
)
from qqproto.outbox import Outbox, Output

OPEN = OpenConnection(1, 20.0, "wss://gateway.example/")


def drain(outbox: Outbox) -> list[Output]:
    outputs = []
    while (output := outbox.next()) is not None:
        outputs.append(output)
    return outputs


def test_what_is_put_in_comes_out_in_its_order_actions_and_events_alike() -> None:
    outbox = Outbox(None)
    outputs: list[Output] = [LoopLag(0, 9.0), SendData(1, b"x"), Dispatch("A", {}), CloseConnection(1, 4000, "")]
    outbox.queue.extend(outputs)
    assert drain(outbox) == outputs
    assert outbox.next() is None


def test_a_dispatch_is_settled_when_it_is_handed_out_and_nothing_else_is() -> None:
    settled: list[Dispatch] = []
    outbox = Outbox(settled.append)
    first, second = Dispatch("A", {}), Dispatch("B", {})
    outbox.queue.extend([first, LoopLag(0, 9.0), second])
    outbox.next()
    assert settled == [first]
    outbox.next()
    assert settled == [first]
    outbox.next()
    assert settled == [first, second]


def test_ids_are_never_given_twice() -> None:
    outbox = Outbox(None)
    assert [outbox.new_id() for _ in range(3)] == [1, 2, 3]


def test_an_input_about_something_that_is_over_is_counted() -> None:
    outbox = Outbox(None)
    outbox.new_id()
    outbox.stale(1)
    outbox.stale(1)
    assert outbox.counts() == {"stale_inputs": 2}


@pytest.mark.parametrize("id", [-1, 0, 2, 1000])
def test_an_input_about_something_that_never_was_is_misuse_and_changes_nothing(id: int) -> None:
    outbox = Outbox(None)
    outbox.new_id()
    with pytest.raises(LocalProtocolError, match=f"id {id} was never issued by this machine"):
        outbox.stale(id)
    assert outbox.counts() == {}
    assert outbox.new_id() == 2


def test_what_was_not_handed_out_can_be_withdrawn_without_being_settled() -> None:
    settled: list[Dispatch] = []
    outbox = Outbox(settled.append)
    outbox.queue.extend([Dispatch("A", {}), SendData(1, b"x"), SendText(1, "x"), LoopLag(0, 9.0)])
    assert outbox.withdraw() == set()
    assert drain(outbox) == []
    assert settled == []


def test_the_endings_of_what_the_driver_has_begun_are_not_withdrawn() -> None:
    outbox = Outbox(None)
    endings: list[Output] = [Cancel(1), CloseConnection(2, 4000, ""), Abort(3)]
    outbox.queue.extend([endings[0], Dispatch("A", {}), endings[1], endings[2]])
    assert outbox.withdraw() == set()
    assert drain(outbox) == endings


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (FetchToken(1, 15.0), Cancel(1)),
        (FetchGateway(1, 15.0, fresh=True), Cancel(1)),
        (ReserveIdentify(1, 15.0), Cancel(1)),
        (OPEN, Abort(1)),
        (OPEN, CloseConnection(1, 4000, "")),
    ],
)
def test_what_the_driver_was_never_asked_to_begin_is_withdrawn_with_its_end(begin: Output, end: Output) -> None:
    outbox = Outbox(None)
    outbox.queue.extend([begin, end, Abort(7)])
    assert outbox.withdraw() == {1}
    assert drain(outbox) == [Abort(7)]
