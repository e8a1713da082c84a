"""How events look to people and to machines."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from qqproto import (
    ConfigurationError,
    ConflictSuspected,
    Disconnected,
    Dispatch,
    Event,
    Failure,
    FailureKind,
    IdentifyBudgetLow,
    LoopLag,
    Malformed,
    Offline,
    Online,
    Phase,
    ReadingPaused,
    Ready,
    Resumed,
    SessionRefused,
    SettlementLagging,
    Stopped,
    StopReason,
    StoreFailed,
    User,
    Verdict,
)
from qqproto.testing import at_message, c2c_message, group_at_message
from qqproto_transports._cli_print import as_record, describe, print_json, shorten

BOT = User("99", "Bot")
LOST = Disconnected(
    shard=0, code=None, reason="", verdict=Verdict.RESUME, phase=Phase.READY,
    failure=Failure(FailureKind.RESET, "the connection was cut"), planned=False, last_send=1.23456, last_receive=0.5,
    last_ack=None, lag=0.0, retry_in=1.5, attempt=1,
)  # fmt: skip


def like(**changes: Any) -> Disconnected:
    """LOST, but different."""
    return dataclasses.replace(LOST, **changes)


EVENTS: list[tuple[Event, str | None]] = [
    (Ready(0, "s1", BOT, Dispatch("READY", {})), "ready: Bot (99), session s1"),
    (Ready(0, "s1", User("99"), Dispatch("READY", {})), "ready: the bot (99), session s1"),
    (Resumed(0, "s1", BOT, Dispatch("RESUMED", ""), 4, 0, False), "resumed: session s1, 4 replayed"),
    (Resumed(0, "s1", BOT, Dispatch("RESUMED", ""), 4, 2, False), "resumed: session s1, 4 replayed, 2 missing"),
    (LOST, "disconnected: reset: the connection was cut; next try in 1.5 s"),
    (like(phase=Phase.DIAL), "could not connect to the gateway: reset: the connection was cut; next try in 1.5 s"),
    (like(failure=None), "disconnected: no reason given; next try in 1.5 s"),
    (
        like(failure=None, code=4901, reason="oops"),
        "disconnected: close code 4901, internal error of the platform (oops); next try in 1.5 s",
    ),
    (
        like(failure=None, planned=True, retry_in=0.1),
        "rotation: the gateway asked for a new connection (op 7); next try in 0.10 s",
    ),
    (
        like(failure=None, planned=True, code=4009, retry_in=0.1),
        "rotation: the gateway asked for a new connection (close code 4009); next try in 0.10 s",
    ),
    (like(verdict=Verdict.STOP, retry_in=None), None),
    (Online(0, None), None),
    (Online(0, 61.26), "online again after 61.3 s"),
    (Offline(0, LOST), "offline: away for longer than the grace; still trying"),
    (Malformed(0, "no JSON", "<html>\n"), "malformed: no JSON: <html>"),
    (LoopLag(0, 6.04), "this process was held up for 6.0 s"),
    (SettlementLagging(0, 7, 700.4, 1), "7 dispatches are not settled, the oldest for 700 s"),
    (SessionRefused(0, "it is 4000 s old"), "the saved session is not resumed: it is 4000 s old"),
    (StoreFailed(0, "load", "OSError: gone"), "the saved session cannot be read, a new one is started: OSError: gone"),
    (StoreFailed(0, "save", "OSError: full"), "the session cannot be saved, which is tried again: OSError: full"),
    (ReadingPaused(0, 1000), "1000 events wait for this program: reading pauses"),
    (IdentifyBudgetLow(0, 10, 1000, 7200.0), "identify budget low: 10 of 1000 left, refilled in 2.0 h"),
    (ConflictSuspected(0, "stop one"), "conflict: stop one"),
    (
        ConfigurationError(0, "ask for less", Failure(FailureKind.HTTP_STATUS, "HTTP 401"), None),
        "configuration: ask for less (http-status: HTTP 401); tried again every few minutes",
    ),
    (Stopped(0, StopReason.BANNED, False, "banned"), "stopped (banned): banned"),
    (Dispatch("C2C_MESSAGE_CREATE", c2c_message("hi", id="1")), "private message from A1B2C3D4E5F6A1B…: hi"),
    (
        Dispatch("GROUP_AT_MESSAGE_CREATE", group_at_message("hi", id="1"), redelivered=True),
        "group message (replayed) from nick in 0F1E2D3C4B5A697…: hi",
    ),
    (Dispatch("AT_MESSAGE_CREATE", at_message("hi", id="1")), "channel message from nick in 10: hi"),
    (Dispatch("C2C_MESSAGE_CREATE", {"author": 5, "content": None}), "private message from somebody:"),
    (Dispatch("C2C_MESSAGE_CREATE", "nonsense"), 'C2C_MESSAGE_CREATE "nonsense"'),
    (Dispatch("FRIEND_ADD", {"openid": "朋友"}), 'FRIEND_ADD {"openid": "朋友"}'),
]


@pytest.mark.parametrize(("event", "line"), EVENTS)
def test_an_event_in_a_line(event: Event, line: str | None) -> None:
    assert describe(event) == line


def test_every_kind_of_event_is_described() -> None:
    assert {type(event) for event, _ in EVENTS} == set(Event.__args__)


@pytest.mark.parametrize("event", [event for event, _ in EVENTS])
def test_an_event_as_json_has_its_name_its_time_and_its_shard(event: Event) -> None:
    record = json.loads(json.dumps(as_record(event, 1700000000.0004)))

    assert record["event"].replace("_", "") == type(event).__name__.lower()
    assert record["time"] == 1700000000.0
    assert record["shard"] == 0


def test_a_dispatch_as_json_is_as_on_the_wire() -> None:
    record = as_record(Dispatch("FRIEND_ADD", {"openid": "x"}, "FRIEND_ADD:1", 7, 1, True), 5.0)

    assert record == {
        "event": "dispatch", "time": 5.0, "shard": 1, "type": "FRIEND_ADD", "id": "FRIEND_ADD:1", "s": 7,
        "redelivered": True, "d": {"openid": "x"},
    }  # fmt: skip


def test_an_outage_as_json_has_its_whole_diagnosis() -> None:
    record = as_record(Offline(0, LOST), 5.0)

    assert record["cause"] == {
        "shard": 0, "code": None, "reason": "", "verdict": "resume", "phase": "ready",
        "failure": {
            "kind": "reset", "message": "the connection was cut", "http_status": None, "code": None,
            "retry_after": None,
        },
        "planned": False, "last_send": 1.235, "last_receive": 0.5, "last_ack": None, "lag": 0.0, "retry_in": 1.5,
        "attempt": 1,
    }  # fmt: skip


def test_the_json_in_the_documentation_has_the_fields_of_today() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    today = {record["event"]: set(record) for record in (as_record(event, 0.0) for event, _ in EVENTS)}

    shown = [json.loads(line) for line in block.splitlines()]

    assert [record["event"] for record in shown] == ["dispatch", "disconnected", "resumed", "stopped"]
    for record in shown:
        assert set(record) == today[record["event"]]


def test_what_only_python_takes_for_json_is_not_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Dispatch("X", json.loads('{"a": [NaN, 1e999, 1.5], "b": -Infinity}')))

    def fail(constant: str) -> None:
        raise AssertionError(constant)

    record = json.loads(capsys.readouterr().out, parse_constant=fail)
    assert record["d"] == {"a": [None, None, 1.5], "b": None}


@pytest.mark.parametrize(
    ("text", "short"),
    [("short", "short"), ("a\nb\x1b[31mc\u202e", "a b [31mc"), ("x" * 80, "x" * 80), ("x" * 81, "x" * 79 + "…")],
)
def test_long_and_dangerous_texts_are_made_plain(text: str, short: str) -> None:
    assert shorten(text) == short
