from __future__ import annotations

from dataclasses import replace

import pytest

from qqproto import Session, ShardConfig, User
from qqproto.session import LiveSession

CONFIG = ShardConfig("11111111", 1 << 25, (2, 8))
SESSION = Session("S-1", "11111111", (2, 8), 1 << 25, received=41, settled=38, user=User("42", "bot"))


def test_a_session_fits_the_shard_it_was_made_for() -> None:
    assert SESSION.fits(CONFIG)
    assert SESSION.fits(replace(CONFIG, properties={"$os": "linux"}, settle="manual"))


@pytest.mark.parametrize(
    "other", [replace(CONFIG, app_id="22222222"), replace(CONFIG, shard=(2, 9)), replace(CONFIG, intents=1)]
)
def test_another_bots_or_layouts_or_intents_session_does_not_fit(other: ShardConfig) -> None:
    assert not SESSION.fits(other)


def test_a_new_session_has_everything_before_it() -> None:
    live = LiveSession("S-2", User("42", "bot"), since=100.0)
    assert (live.restored, live.busy, live.since) == (False, False, 100.0)
    assert live.value(CONFIG) == Session("S-2", "11111111", (2, 8), 1 << 25, 0, 0, User("42", "bot"))


def test_a_restored_session_goes_on_from_what_was_settled() -> None:
    live = LiveSession.restore(SESSION, since=-60.0)
    assert (live.restored, live.busy, live.since) == (True, False, -60.0)
    assert live.value(CONFIG) == replace(SESSION, received=38), "39 to 41 were never finished: they are to come again"


def test_what_may_be_saved_follows_what_came_and_what_was_settled() -> None:
    live = LiveSession.restore(SESSION, since=0.0)
    for sequence in (39, 40):
        live.settlement.receive(sequence)
    live.settlement.settle(39)
    assert live.value(CONFIG) == replace(SESSION, received=40, settled=39)
