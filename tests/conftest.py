"""Settings that every test shares."""

import os

from hypothesis import settings

# A slow machine is no failure: examples are limited by number, not by time.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# The servers of the tests are on this machine, whatever proxy stands between it and the rest of the world.
for _variable in list(os.environ):
    if _variable.lower().endswith("_proxy"):
        del os.environ[_variable]
