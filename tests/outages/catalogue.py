"""The catalogue of outages: each row has its story, and the bugs that the story is there to catch."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

import pytest

from qqproto import Framing

ROWS = {
    1: "silent death: the retries run out, and nobody is told",
    2: "the retry counter creeps up over days, until a healthy bot dies of it",
    3: "a busy loop takes the whole CPU",
    4: "heartbeats are lost after a reconnect, then 4009 for ever",
    5: "a half-open link is taken for a live one",
    6: "an idle bot is taken for a dead one",
    7: "one attempt to connect hangs, and nothing else is tried",
    8: "connected, but Hello or READY never comes",
    9: "closing a dead link takes for ever",
    10: "a dead session is resumed for ever",
    11: "a server that closes at once is asked again at once",
    12: "every rotation costs an Identify, and the messages in between",
    13: "fatal close codes are retried for ever",
    14: "a harmless close code ends the bot",
    15: "the identify quota of the day is burnt",
    16: "a refused token is used again and again",
    17: "the refresh of the token dies, or spins",
    18: "op 9 is handled twice, or not at all",
    19: "op 7 is ignored, or leaks",
    20: "a bot that was switched off still answers",
    23: "a session rots: it is resumed, and carries no events",
    24: "a blocked process looks like a dead link",
    25: "a laptop sleeps, its sockets die",
    26: "a slow application blocks reading, and with it the heartbeats",
    27: "an odd payload ends the loop",
    28: "shutting down hangs",
    29: "a proxy's refusal is taken for an error of the token",
    30: "a name that does not resolve at boot is fatal",
    32: "a certificate that is not trusted ends the bot, or is tried for ever in haste",
    33: "secrets in logs",
    34: "shards disturb each other",
    35: "bots disturb each other, and their host",
    36: "the same bot runs twice, and the two kick each other out",
    38: "the webhook's check fails, or forgeries pass",
    39: "a mistake in the configuration looks like a network fault",
    40: "calls that are too fast get the bot locked out",
    41: "noise in the log hides the real faults",
    42: "the application's state flaps with the transport",
    43: "sends are lost while the session is away",
    45: "it cannot be made without an event loop",
}
"""Those that the machines decide about. Settlement, networks with their proxies and certificates, threads and file
descriptors have rows and tests of their own."""

Story: TypeAlias = Callable[..., None]
Plant: TypeAlias = Callable[[pytest.MonkeyPatch], None]

STORIES: dict[int, list[str]] = {row: [] for row in ROWS}
"""The names of the tests of each row, once their modules are imported."""


@dataclass(frozen=True, slots=True)
class Bug:
    """The code that prevents the outage, broken: ``plant`` patches the bug into the real code.

    ``noticed_as`` is what the story then ends with. An AssertionError has to be the story's own or the simulated
    world's, so that a bug that merely breaks something else counts for nothing.
    """

    what: str
    plant: Plant
    noticed_as: type[Exception] = AssertionError


def outage(row: int, *bugs: Bug) -> Callable[[Story], Story]:
    """A story of this row: told on the real code it passes, and with each of the bugs it fails.

    A story that takes a ``framing`` is told in both, the bugs by turns in one of them.
    """
    assert bugs, "a story that nothing can make fail proves nothing"

    def register(story: Story) -> Story:
        assert story.__name__.startswith(f"test_row_{row}_"), story.__name__
        STORIES[row].append(story.__name__)
        framings = list(Framing) if "framing" in inspect.signature(story).parameters else [None]
        cases = [*((framing, None) for framing in framings), *zip(itertools.cycle(framings), bugs)]
        params = [pytest.param(framing, bug, id=_id(framing, bug)) for framing, bug in cases]

        @pytest.mark.parametrize(("framing", "bug"), params)
        def test(framing: Framing | None, bug: Bug | None, monkeypatch: pytest.MonkeyPatch) -> None:
            arguments = () if framing is None else (framing,)
            if bug is None:
                story(*arguments)
                return
            bug.plant(monkeypatch)
            with pytest.raises(bug.noticed_as) as noticed:
                story(*arguments)
            if bug.noticed_as is AssertionError:
                where = _innermost(noticed.tb)
                assert where.startswith(("tests.", "qqproto.testing.")), f"it is {where} that breaks"

        test.__name__, test.__qualname__, test.__doc__ = story.__name__, story.__qualname__, story.__doc__
        test.__module__ = story.__module__
        return test

    return register


def _id(framing: Framing | None, bug: Bug | None) -> str:
    told = "the real code" if bug is None else bug.what
    return told if framing is None else f"{framing.name}-{told}"


def _innermost(traceback: TracebackType) -> str:
    """The module in which an exception was raised."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    name: str = traceback.tb_frame.f_globals["__name__"]
    return name
