"""What the documentation takes from the code: the real Shard's transitions, and tables that leave nothing out."""

from __future__ import annotations

import dataclasses
import re
import typing
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import generated
from docs.diagram import draw
from docs.exploration import Edge, Found, explore
from docs.words import PICTURES
from qqproto import Phase, Policy, StopReason, classify
from qqproto.protocol import dispatches
from qqproto.protocol.close_codes import CLOSE_CODES
from qqproto.protocol.dispatches import DISPATCH_TYPES
from qqproto.protocol.intents import INTENTS
from qqproto.protocol.rest import REST_ERRORS

DOCS = Path(__file__).parent.parent / "docs"

TRANSITIONS = {
    ("idle", "http"): "start()",
    ("idle", "ended"): "close(), fail()",
    ("http", "http"): "token answered",
    ("http", "dial"): "gateway answered",
    ("http", "wait"): "deadline, failure answered, no session starts left, unusable address answered",
    ("http", "ended"): "close(), fail(), fatal error answered",
    ("dial", "hello"): "connection opened",
    ("dial", "wait"): "deadline, dial failed",
    ("dial", "ended"): "close(), fail()",
    ("hello", "hello"): "op 9",
    ("hello", "auth"): "Hello",
    ("hello", "wait"): (
        "another close code, close code 4004, close code 4009, connection lost, deadline, op 7, resumable op 9"
    ),
    ("hello", "closing"): "close()",
    ("hello", "ended"): "close code 4004, fail(), fatal close code",
    ("auth", "auth"): "op 9, slot answered",
    ("auth", "ready"): "READY, RESUMED",
    ("auth", "wait"): (
        "READY without a session, another close code, close code 4004, close code 4009, connection lost, deadline,"
        " failure answered, op 7, resumable op 9, slot too far away"
    ),
    ("auth", "closing"): "close()",
    ("auth", "ended"): "close code 4004, fail(), fatal close code",
    ("ready", "ready"): "op 9",
    ("ready", "wait"): (
        "another close code, close code 4004, close code 4009, connection lost, deadline, op 7, resumable op 9"
    ),
    ("ready", "closing"): "close()",
    ("ready", "ended"): "fail(), fatal close code",
    ("wait", "http"): "delay is over",
    ("wait", "ended"): "close(), fail()",
    ("closing", "ended"): "close frame, connection lost, deadline, fail()",
}
"""From which phase to which, and by what. A change of the machine shows here, and then in docs/life.md."""


@pytest.fixture(scope="module")
def found() -> Found:
    return explore()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "_generated"
    generated.write(folder)
    return folder


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_shard_goes_from_phase_to_phase_as_the_page_says(found: Found) -> None:
    expected = {
        Edge(before, name, after) for (before, after), names in TRANSITIONS.items() for name in names.split(", ")
    }
    assert set(found.edges) == expected
    assert len(found.edges) == len(expected)


def test_every_phase_but_the_first_and_the_last_has_its_deadline(found: Found) -> None:
    policy = Policy()
    first_beat = 0.5 * (41.25 - 0.05 * 41.25)
    assert found.deadlines == {
        ("http", policy.http_timeout),
        ("dial", policy.dial_timeout),
        ("hello", policy.hello_timeout),
        ("hello", policy.invalid_session_wait),
        ("auth", policy.http_timeout),
        ("auth", policy.ready_timeout),
        ("auth", policy.invalid_session_wait),
        ("ready", round(first_beat + policy.dead_after, 3)),
        ("ready", policy.invalid_session_wait),
        ("closing", policy.close_timeout),
    }


def test_the_picture_names_every_phase_and_every_input(folder: Path, found: Found) -> None:
    picture = ElementTree.parse(folder / "shard.svg")
    texts = [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    words = " · ".join(texts)
    for phase in Phase:
        assert texts.count(phase.value) == 1
    for edge in found.edges:
        assert edge.name in words


@pytest.mark.parametrize("chinese", [False, True])
def test_no_label_of_the_picture_lies_on_another(found: Found, chinese: bool) -> None:
    notes = generated.docstrings(Phase)
    picture = ElementTree.fromstring(draw(found.edges, notes, PICTURES if chinese else None))
    boxes = []
    for element in picture.iter("{http://www.w3.org/2000/svg}text"):
        kind, text = element.attrib["class"], element.text or ""
        letters = sum(2 if letter >= "\u2e80" else 1 for letter in text)
        width = letters * (8.0 if kind == "name" else 6.0)
        left = float(element.attrib["x"]) - {"side": 0.0, "end": width}.get(kind, width / 2)
        bottom = float(element.attrib["y"])
        boxes.append((left, left + width, bottom - 11, bottom, text))
        assert 0 <= left <= left + width <= float(picture.attrib["width"])
    for one, other in combinations(boxes, 2):
        apart = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
        assert apart, (one[4], other[4])


def test_a_transition_without_a_place_in_the_picture_fails_the_build(found: Found) -> None:
    notes = generated.docstrings(Phase)
    with pytest.raises(AssertionError, match="no place"):
        draw([*found.edges, Edge("ready", "a shortcut", "http")], notes)


def test_every_close_code_is_in_the_table_with_its_verdicts(folder: Path) -> None:
    table = rows((folder / "close_codes.md").read_text(encoding="utf-8"))
    verdicts = {code: row[2:5] for row in table for code in row[0].split(", ")}
    for code in CLOSE_CODES:
        assert verdicts[str(code)] == [
            classify(code, phase).value for phase in (Phase.HELLO, Phase.AUTH, Phase.READY)
        ], code
    assert verdicts["1000"] == ["resume", "identify", "resume"]
    assert verdicts["4009"] == ["resume", "resume", "resume"]
    assert verdicts["4915"] == ["stop", "stop", "stop"]
    assert verdicts["none"] == verdicts["1006"] == ["resume", "resume", "resume"]
    assert verdicts["any other from 4000 on"] == ["identify", "identify", "identify"]
    assert verdicts["any other below 4000"] == ["resume", "identify", "resume"]
    assert all(row[6] for row in table if row[0][0].isdecimal()), "each row has its source"


def test_every_error_is_in_the_table_with_its_verdict(folder: Path) -> None:
    table = rows((folder / "rest_errors.md").read_text(encoding="utf-8"))
    verdicts = {code: row[2] for row in table for code in row[0].split(", ")}
    for code, row in REST_ERRORS.items():
        assert verdicts[str(code)] == row.verdict.value
    assert verdicts["any other"] == "configuration"
    assert (verdicts["100016"], verdicts["11244"], verdicts["11298"]) == ("stop", "refresh", "configuration")


def test_every_intent_is_in_the_table_with_what_it_carries(folder: Path) -> None:
    table = {row[1]: row for row in rows((folder / "intents.md").read_text(encoding="utf-8"))[2:]}

    assert len(table) == len(INTENTS)
    bit, _, types, permission, source = table["`GROUP_AND_C2C_EVENT`"]
    assert bit == "25"
    assert types.split(", ")[0] == "`C2C_MESSAGE_CREATE`"
    assert permission
    assert source


def test_every_dispatch_type_is_in_the_table(folder: Path) -> None:
    table = {row[0].strip("`"): row for row in rows((folder / "dispatch_types.md").read_text(encoding="utf-8"))[2:]}

    assert table.keys() == DISPATCH_TYPES.keys()
    assert table["MESSAGE_CREATE"][1:4] == [
        "{py:class}`~qqproto.protocol.dispatches.GuildMessageCreate`",
        "`GUILD_MESSAGES`",
        "yes",
    ]
    assert table["RESUMED"][1:4] == ["none", "none needed", ""]


def test_every_payload_has_an_entry_with_all_of_its_fields(folder: Path) -> None:
    text = (folder / "payloads.rst").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^\.\. py:class:: (\w+)\n(.*?)(?=^\.\. |\Z)", text, re.MULTILINE | re.DOTALL))
    shapes = {name: getattr(dispatches, name) for name in dispatches.__all__}
    shapes = {name: shape for name, shape in shapes.items() if typing.is_typeddict(shape)}

    assert entries.keys() == shapes.keys()
    for name, shape in shapes.items():
        fields = re.findall(r"\* - ``(\w+)``\n +- (.+)\n +- (.+)", entries[name])
        assert {field for field, _, _ in fields} == set(typing.get_type_hints(shape)), name
        for field, _, note in fields:
            assert (note == "required") == (field in shape.__required_keys__)
    assert "* - ``user_openid``\n        - ``str``\n        - required" in entries["C2CAuthor"]
    assert "- in the wild: nonebot models/qq.py" in entries["C2CAuthor"]
    assert "list of :py:class:`Attachment`" in entries["C2CMessageCreate"]
    assert "``int`` or ``str``" in entries["ForumThread"]


def test_every_number_of_the_policy_has_a_default_and_a_reason(folder: Path) -> None:
    numbers = {row[0]: row[1:] for row in rows((folder / "policy.md").read_text(encoding="utf-8"))}
    for field in dataclasses.fields(Policy):
        default, reason = numbers[f"`{field.name}`"]
        assert default
        assert len(reason.split()) > 1, field.name
    assert numbers["`http_timeout`"][0] == "15 s"
    assert numbers["`backoff`"][0] == "1, 2, 5, 10, 30, 60 s"
    assert numbers["`session_life`"][0] == "24 h"
    assert numbers["`configuration_retry`"][0] == "5 min"
    assert numbers["`max_message`"][0] == "16 MiB"
    assert numbers["`budget_low`"][0] == "5% of the budget"
    assert numbers["`keepalive_ping`"][0] == "none"
    assert numbers["`leave_code`"][0] == "4000"


def test_every_reason_to_stop_is_in_the_table(folder: Path) -> None:
    table = rows((folder / "stop_reasons.md").read_text(encoding="utf-8"))
    assert {row[0] for row in table[2:]} == {f"`{reason.value}`" for reason in StopReason}
    causes = {row[1]: (row[0], row[2]) for row in table}
    assert causes["close code 4011"] == ("`sharding`", "no")
    assert causes["error 11245"] == ("`credentials`", "no")
    assert causes["close code 4004, 3 times in a row over at least 30 s"] == ("`token-refused`", "yes")
    assert causes["`fail()`"] == ("`host-failure`", "yes")
    assert all(row[3] for row in table), "each has its hint"


def test_the_log_of_an_outage_is_short_and_tells_its_end(folder: Path) -> None:
    lines = (folder / "outage.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 20
    assert lines[0] == "00:00:00  INFO     shard 0: ready as fake bot"
    assert lines[1] == "00:02:00  DEBUG    shard 0: rotation asked for by the server"
    assert any("offline: dns: no such host" in line for line in lines)
    assert any("online again after 108" in line for line in lines)
    assert lines[-1].split()[1] == "ERROR"
    assert "stopped: bot banned (4915)" in lines[-1]


def test_nothing_is_written_anew_that_stays_the_same(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    stale = folder / "policy.md"
    stale.write_text("old", encoding="utf-8")
    generated.write(folder)
    after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert [path for path in before if before[path] != after[path]] == [stale]
    assert stale.read_text(encoding="utf-8") != "old"


def test_the_pages_use_everything_that_is_generated_and_no_number_that_is_not_there(folder: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert set(re.findall(r"_generated/([\w.]+)", pages)) == {path.name for path in folder.iterdir()}
    assert set(re.findall(r"{{ (\w+) }}", pages)) <= generated.substitutions().keys()
