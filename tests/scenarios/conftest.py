"""Each scenario once for each driver, and nothing of it may be left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tests.scenarios.drivers import DRIVERS, Driver, eventually
from tests.scenarios.stage import Stage
from tests.transports.loops import open_files


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No thread and no file descriptor outlives a scenario (FAILURES.md, row 44)."""
    files, threads = len(open_files()), set(threading.enumerate())
    yield
    eventually(lambda: set(threading.enumerate()) <= threads)
    eventually(lambda: len(open_files()) <= files)
    gc.collect()


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.__name__.removesuffix("Driver").lower())
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """Each driver in turn, at work."""
    with request.param() as driver:
        yield driver


@pytest.fixture
def stage(driver: Driver) -> Iterator[Stage]:
    """A platform, and no bot yet."""
    with Stage(driver) as stage:
        yield stage
