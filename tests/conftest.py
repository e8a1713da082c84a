"""Settings that every test shares."""

from hypothesis import settings

# A slow machine is no failure: examples are limited by number, not by time.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
