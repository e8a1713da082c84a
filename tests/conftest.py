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
    """What takes longest begins first, so that nobody waits for it alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
