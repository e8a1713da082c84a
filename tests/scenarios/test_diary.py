"""The check that no secret is told finds one that is."""

from __future__ import annotations

import logging

from tests.scenarios.diary import Diary, find_leaks


def test_a_secret_is_found_wherever_a_record_has_it() -> None:
    log = logging.getLogger("a.library")
    with Diary() as diary:
        log.debug("asking with %s", "the-token")
        log.debug("asking", extra={"headers": {"Authorization": "QQBot the-token"}})
        try:
            raise ValueError("refused: the-token")
        except ValueError:
            log.exception("it failed")
        log.debug("nothing of interest")

    assert len(diary.lines) == 4
    assert find_leaks({"the-token"}, diary.lines) == diary.lines[:3]
    assert find_leaks({"another"}, diary.lines) == []
