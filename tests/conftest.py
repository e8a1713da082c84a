"""Settings that every test shares."""

import os
import signal

import pytest
from hypothesis import settings

# A slow machine is no failure: examples are limited by number, not by time.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# The servers of the tests are on this machine, whatever proxy stands between it and the rest of the world.
for _variable in list(os.environ):
    if _variable.lower().endswith("_proxy"):
        del os.environ[_variable]

# A job in the background begins with SIGINT ignored, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread what takes long over the others, so that of several processes each gets its share and nobody waits for one
    at the end. The cases of a test stay together: they may share what they are about."""
    families: dict[str, list[pytest.Item]] = {}
    others: list[pytest.Item] = []
    for item in items:
        is_long = item.get_closest_marker("long") is not None
        (families.setdefault(item.nodeid.partition("[")[0], []) if is_long else others).append(item)
    share = -(-len(others) // len(families)) if families else 0
    ordered: list[pytest.Item] = []
    for at, family in enumerate(families.values()):
        ordered += [*family, *others[at * share : (at + 1) * share]]
    items[:] = ordered or others
