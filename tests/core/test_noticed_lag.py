"""A stall is noticed at whatever input comes first after it, whichever of the shard's deadlines was missed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qqproto import IdentifySlot, LoopLag, OpenConnection, ReserveIdentify
from tests.core.hosts import Host, Talk, hello, ready


def sleep_through(host: Host) -> None:
    due = host.shard.next_timer()
    assert due is not None
    host.now = due + 10.0


def opened(host: Host) -> None:
    host.shard.connection_opened(host.only(OpenConnection).id, host.now)


def test_the_dial_succeeded_long_before_it_was_heard_of() -> None:
    host = Host(start=False)
    host.dials_hang = True
    host.shard.start(host.now)
    host.drain()

    sleep_through(host)
    opened(host)
    host.drain()

    assert host.only(LoopLag).seconds == 10.0


@pytest.mark.parametrize("method", ["reading_paused", "reading_resumed"])
def test_reading_stops_or_goes_on(method: str) -> None:
    host = Host()
    host.up()
    if method == "reading_resumed":
        host.shard.reading_paused(host.now)
        host.drain()

    sleep_through(host)
    pause_or_resume: Callable[[float], None] = getattr(host.shard, method)
    pause_or_resume(host.now)
    host.drain()

    assert host.only(LoopLag).seconds == 10.0


def test_the_slot_was_given_long_before_it_was_heard_of() -> None:
    talk = Talk(random=lambda: 0.99)
    talk.say(hello())
    question = talk.only(ReserveIdentify)

    talk.now += 25.0
    talk.machine.answer(question.id, IdentifySlot(talk.now), talk.now)
    talk.drain()

    assert talk.only(LoopLag).seconds == 10.0


def test_the_deadline_that_was_missed_is_the_shards_and_not_the_connections() -> None:
    # READY's stable minute ends long before the next heartbeat is due.
    host = Host(random=lambda: 0.99)
    host.say(hello(120_000), ready())
    stable_at = host.now + host.policy.stable_after
    assert host.shard.next_timer() == stable_at

    sleep_through(host)
    host.shard.handle_timer(host.now)
    host.drain()

    assert host.only(LoopLag).seconds == 10.0
