"""The scenarios' stage and drivers, for real proxies; nothing of it may be left, and no secret told."""

from tests.scenarios.conftest import _nothing_is_left, driver, pytest_generate_tests, stage, stages

__all__ = ["_nothing_is_left", "driver", "pytest_generate_tests", "stage", "stages"]
