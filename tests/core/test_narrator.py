from __future__ import annotations

import logging

from qqproto import (
    ConfigurationError,
    ConflictSuspected,
    Dispatch,
    Failure,
    FailureKind,
    IdentifyBudgetLow,
    LoopLag,
    Malformed,
    Narrator,
    Offline,
    Online,
    ReadingPaused,
    SessionRefused,
    SettlementLagging,
    Stopped,
    StopReason,
    StoreFailed,
)
from qqproto.narrator import Line
from tests.core.hosts import RECONNECT, Host, dispatch, hello, ready, resumed


class Told:
    """The lines of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.narrator = Narrator()
        self.lines: list[Line] = []

    def hear(self) -> list[Line]:
        """The lines of what came out since the last call."""
        lines = []
        for output in self.host.outputs:
            if hasattr(output, "shard"):
                line = self.narrator.line(output, self.host.now)  # type: ignore[arg-type]  # events have a shard
                if line is not None:
                    lines.append(line)
        self.host.outputs.clear()
        self.lines += lines
        return lines


def test_the_first_session_is_one_info_line() -> None:
    host = Host()
    told = Told(host)
    host.say(hello(), ready())
    assert told.hear() == [
        (logging.INFO, "shard 0: ready as bot", {"qq_event": "Ready", "qq_shard": 0, "qq_session": "S-1"})
    ]


def test_row_41_a_rotation_is_one_debug_line() -> None:
    host = Host()
    told = Told(host)
    host.up()
    host.say(dispatch(2), RECONNECT)
    host.redial(0.25)
    host.say(hello(), resumed(3))
    [(level, text, extra)] = told.hear()
    assert (level, text) == (logging.DEBUG, "shard 0: rotation asked for by the server")
    assert (extra["qq_planned"], extra["qq_verdict"]) == (True, "resume")


def test_row_41_an_outage_of_a_day_is_less_than_forty_lines() -> None:
    host = Host()
    told = Told(host)
    host.up()
    host.dial = Failure(FailureKind.DNS, "no such name")
    host.lose(Failure(FailureKind.RESET, "reset by the peer"))
    for _ in range(24 * 60):
        host.run(60.0)
        told.hear()
    host.dial = None
    host.redial(61.0)
    host.say(hello(), ready("S-2"))
    told.hear()
    assert 20 < len(told.lines) < 40
    texts = [text for _, text, _ in told.lines]
    assert "reset by the peer" in texts[0]
    assert any(text.startswith("shard 0: offline: dns: no such name") for text in texts)
    assert texts[-2].startswith("shard 0: online again after")


def test_the_end_of_an_outage_is_told_also_when_the_last_of_many_failures_was_not() -> None:
    host = Host()
    told = Told(host)
    host.dial = Failure(FailureKind.REFUSED)
    host.lose(Failure(FailureKind.REFUSED))
    while host.shard.status(host.now).attempt < 5:
        host.run(1.0)
    assert [fields["qq_attempt"] for _, _, fields in told.hear()] == [1, 2, 4]
    host.dial = None
    host.redial(61.0)
    host.say(hello(), ready())
    assert [(level, fields["qq_event"]) for level, _, fields in told.hear()] == [(logging.INFO, "Ready")]


def test_a_connection_that_flaps_for_a_day_is_told_ever_more_rarely() -> None:
    host = Host()
    told = Told(host)
    host.say(hello(), ready())
    while host.now < 5000.0 + 86_400.0:
        host.run(5.0)
        host.lose(Failure(FailureKind.EOF))
        told.hear()
        host.redial(61.0)
        host.say(hello(), resumed(2))
        told.hear()
    assert len(told.lines) < 80


def test_what_is_missing_after_a_rotation_is_a_warning() -> None:
    host = Host()
    told = Told(host)
    host.up()
    host.say(RECONNECT)
    host.redial(0.25)
    host.say(hello(), dispatch(5), resumed(6))
    assert (logging.WARNING, "shard 0: resumed, 1 replayed, 3 missing") in [line[:2] for line in told.hear()]


def test_a_fatal_code_is_an_error_with_its_hint() -> None:
    host = Host()
    told = Told(host)
    host.up()
    host.server_closes(4014, "disallowed intents")
    disconnected, stopped = told.hear()
    assert disconnected[:2] == (
        logging.WARNING,
        "shard 0: disconnected in phase ready: closed with 4014 (disallowed intents)",
    )
    assert stopped[0] == logging.ERROR
    assert "apply for them" in stopped[1]
    assert (stopped[2]["qq_reason"], stopped[2]["qq_code"]) == ("intents", 4014)


def test_our_own_goodbye_is_no_error() -> None:
    assert Narrator().line(Stopped(0, StopReason.CLOSED, False, "closed by the application"), 0.0) == (
        logging.INFO,
        "shard 0: stopped: closed by the application",
        {"qq_event": "Stopped", "qq_shard": 0, "qq_reason": "closed", "qq_code": None},
    )


def test_a_server_that_talks_nonsense_is_told_ever_more_rarely() -> None:
    narrator = Narrator()
    told = [n for n in range(1, 1001) if narrator.line(Malformed(0, "a message that is not JSON", "x"), float(n))]
    assert told == [1, 2, 4, 8, 16, 32, 64]
    assert narrator.line(Malformed(0, "a message that is not JSON", "x"), 64.0 + 3600.0) is not None


def test_stalls_are_told_ever_more_rarely() -> None:
    narrator = Narrator()
    told = [narrator.line(LoopLag(0, 35.0), float(n)) for n in range(100)]
    lines = [line for line in told if line is not None]
    assert len(lines) == 7
    assert lines[0][1] == "shard 0: this process was 35.0 s late (1 times so far): blocked, or suspended"


def test_an_application_that_is_behind_is_told_ever_more_rarely() -> None:
    narrator = Narrator()
    told = [narrator.line(ReadingPaused(0, 1000), float(n)) for n in range(100)]
    lines = [line for line in told if line is not None]
    assert len(lines) == 7
    level, text, extra = lines[1]
    assert level == logging.WARNING
    assert text == "shard 0: 1000 events wait for the application, reading pauses (2 times so far)"
    assert extra == {"qq_event": "ReadingPaused", "qq_shard": 0, "qq_buffered": 1000, "qq_count": 2}


def test_shards_are_told_apart() -> None:
    narrator = Narrator()
    assert narrator.line(Malformed(0, "x", ""), 0.0) is not None
    assert narrator.line(Malformed(1, "x", ""), 0.0) is not None


def test_the_rest_is_a_line_each() -> None:
    narrator = Narrator()
    for event, level, words in (
        (Offline(0, None), logging.WARNING, "offline"),
        (Online(0, 75.0), logging.INFO, "after 75 s"),
        (IdentifyBudgetLow(0, 3, 1000, 60.0), logging.WARNING, "3 of 1000"),
        (ConflictSuspected(0, "two of us"), logging.ERROR, "two of us"),
        (ConfigurationError(0, "not allowed", None, None), logging.ERROR, "not allowed"),
        (SettlementLagging(0, 7, 700.0, 1), logging.WARNING, "7 dispatches are not settled, the oldest for 700 s"),
        (SessionRefused(0, "too old"), logging.WARNING, "too old"),
        (StoreFailed(0, "load", "OSError: gone"), logging.ERROR, "cannot be read, a new one is started: OSError: gone"),
        (
            StoreFailed(0, "save", "OSError: full"),
            logging.ERROR,
            "cannot be saved, which is tried again: OSError: full",
        ),
    ):
        line = narrator.line(event, 0.0)
        assert line is not None
        assert line[0] == level
        assert words in line[1]
    assert narrator.line(Online(0, None), 0.0) is None
    assert narrator.line(Dispatch("X", {}), 0.0) is None


def test_requests_that_a_webhook_refuses_are_told_ever_more_rarely_each_reason_by_itself() -> None:
    narrator = Narrator()
    lines = [narrator.refusal(401, "the request is not signed", float(now)) for now in range(70)]
    told = [line[1] for line in lines if line is not None]

    assert told[:3] == [
        "webhook: a request was refused with 401, the request is not signed",
        "webhook: a request was refused with 401, the request is not signed (2 so far)",
        "webhook: a request was refused with 401, the request is not signed (4 so far)",
    ]
    assert len(told) == 7
    assert narrator.refusal(413, "too much", 70.0) == (
        logging.WARNING,
        "webhook: a request was refused with 413, too much",
        {"qq_event": "WebhookRefused", "qq_status": 413, "qq_count": 1},
    )
    assert narrator.refusal(401, "the request is not signed", 4000.0) is not None
