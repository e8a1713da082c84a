"""Each scenario once for each driver; nothing of it may be left, and no secret told."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.scenarios.diary import Diary, find_leaks
from tests.scenarios.drivers import DRIVERS, Driver, eventually
from tests.scenarios.stage import Stage
from tests.transports.loops import open_files


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No thread and no file descriptor outlives a scenario (FAILURES.md, row 44)."""
    files, threads = len(open_files()), at_work()
    yield
    eventually(lambda: at_work() <= threads)
    eventually(lambda: len(open_files()) <= files)
    gc.collect()


def at_work() -> set[threading.Thread]:
    """The threads that do something. Trio keeps idle ones for ten seconds, under this name."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each driver, and those that a module names beside them, in ``MORE_DRIVERS``; unless a test chooses for itself."""
    chosen = any("driver" in marker.args[0] for marker in metafunc.definition.iter_markers("parametrize"))
    if "driver" in metafunc.fixturenames and not chosen:
        drivers = [*DRIVERS, *getattr(metafunc.module, "MORE_DRIVERS", [])]
        metafunc.parametrize("driver", drivers, indirect=True, ids=[driver.name for driver in drivers])


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """One of the drivers, at work."""
    with request.param() as driver:
        yield driver


@pytest.fixture
def stages(driver: Driver) -> Iterator[Callable[..., Stage]]:
    """Makes platforms to a scenario's wishes, and sees at the end that nobody has told a secret of theirs (row 33)."""
    made: list[Stage] = []
    with Diary() as diary, ExitStack() as stack:

        def make(**options: Any) -> Stage:
            stage = stack.enter_context(Stage(driver, **options))
            made.append(stage)
            return stage

        yield make
    told = [*diary.lines, *(stage.told() for stage in made)]
    assert find_leaks({secret for stage in made for secret in stage.secrets()}, told) == []


@pytest.fixture
def stage(stages: Callable[..., Stage]) -> Stage:
    """A platform, and no bot yet."""
    return stages()
