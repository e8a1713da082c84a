from __future__ import annotations

from typing import Any

import pytest

from qqproto import Policy

POLICY = Policy()


@pytest.mark.parametrize(
    ("failures", "longest"), [(0, 1), (1, 1), (2, 2), (3, 5), (4, 10), (5, 30), (6, 60), (7, 60), (10_000, 60)]
)
def test_the_backoff_grows_to_a_minute_and_stays_there(failures: int, longest: float) -> None:
    assert POLICY.delay(failures, 0.0) == longest / 2
    assert longest * 0.99 < POLICY.delay(failures, 0.9999) < longest


def test_the_numbers_of_the_platforms_documents_are_the_defaults() -> None:
    assert (POLICY.gateway_burst, POLICY.gateway_refill) == (10, 30.0), "/gateway: burst 10, then 2 a minute"
    assert POLICY.identify_window == 5.0, "max_concurrency sessions may be started in 5 s"
    assert POLICY.token_refresh_before == 60.0, "inside its last minute a new token is given"
    assert POLICY.sending_too_fast_pause == 60.0, "4008: a minute's silence"
    assert POLICY.leave_code not in (1000, 1001), "they end sessions elsewhere"


@pytest.mark.parametrize(
    "change",
    [
        {"backoff": ()},
        {"backoff": (1.0, 0.0)},
        {"backoff": (-1.0,)},
        {"min_interval": 0.0},
        {"keepalive_ping": 0.0},
        {"keepalive_ping": -1.0},
        {"leave_code": 1000},
        {"leave_code": 1006},
        {"leave_code": 5000},
        {"leave_code": 0},
    ],
)
def test_a_policy_that_would_spin_or_could_not_be_said_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Policy(**change)


@pytest.mark.parametrize("change", [{"leave_code": None}, {"leave_code": 3000}, {"keepalive_ping": 15.0}])
def test_what_is_unusual_and_harmless_is_not(change: dict[str, Any]) -> None:
    Policy(**change)


def test_a_driver_that_did_nothing_but_save_is_refused() -> None:
    with pytest.raises(ValueError, match="save_every"):
        Policy(save_every=0.0)
