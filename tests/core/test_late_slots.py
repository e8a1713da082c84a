"""An identify slot that is used too late would come too close to the next one; another is asked for."""

from __future__ import annotations

import pytest

from qqproto import IdentifySlot, ReserveIdentify
from tests.core.hosts import Talk, hello


def opcodes(talk: Talk) -> list[int]:
    return [frame["op"] for frame in talk.sent() if frame["op"] != 1]


@pytest.mark.parametrize(("late", "asks"), [(0.0, 0), (0.25, 0), (0.3, 1), (30.0, 1)])
def test_a_process_that_slept_through_its_slot_asks_for_another(late: float, asks: int) -> None:
    talk = Talk()
    talk.say(hello())
    talk.allow_identify(5.0)

    talk.now += 5.0 + late
    talk.machine.handle_timer(talk.now)
    talk.drain()

    assert len(talk.take(ReserveIdentify)) == asks
    assert opcodes(talk) == [2] * (1 - asks)


def test_an_answer_that_lay_in_the_inbox_for_long_is_too_late_as_well() -> None:
    talk = Talk()
    talk.say(hello())

    asked_at, talk.now = talk.now, talk.now + 8.0
    talk.machine.answer(talk.only(ReserveIdentify).id, IdentifySlot(asked_at), talk.now)
    talk.drain()
    assert opcodes(talk) == []

    talk.machine.answer(talk.only(ReserveIdentify).id, IdentifySlot(talk.now), talk.now)
    talk.drain()
    assert opcodes(talk) == [2]


def test_a_host_that_is_always_late_gets_its_identify_at_the_third_time() -> None:
    talk = Talk()
    talk.say(hello())
    for _ in range(3):
        assert opcodes(talk) == []
        talk.now += 1.0
        talk.machine.answer(talk.only(ReserveIdentify).id, IdentifySlot(0.0), talk.now)
        talk.drain()

    assert opcodes(talk) == [2]
    assert talk.take(ReserveIdentify) == []
