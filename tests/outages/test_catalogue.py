"""Every row of the catalogue has a story."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.outages.catalogue import ROWS, STORIES


@pytest.fixture(scope="module", autouse=True)
def _all_stories() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.outages.{path.stem}")


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_story(row: int) -> None:
    assert STORIES[row], ROWS[row]
