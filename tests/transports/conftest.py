"""Fixtures of the tests with sockets."""

from __future__ import annotations

import pytest

from tests.transports import bots


@pytest.fixture(params=bots.DRIVERS)
def each_driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each driver that runs on asyncio in turn."""
    monkeypatch.setattr(bots, "driver", bots.DRIVERS[request.param])
