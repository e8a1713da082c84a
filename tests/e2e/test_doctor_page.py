"""The page about the doctor shows what it prints, and names every step and every fact of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qqproto import Intents
from qqproto_transports._cli_doctor import diagnose
from qqproto_transports._doctor import Case
from qqproto_transports._network import Network
from qqproto_transports._proxy import ProxyServer
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.certificates import server_context, trusting_once
from tests.transports.doctor import WRONG, Examination, endpoints_at, examined, gateway_here
from tests.transports.loops import on_quick_loop

PAGE = (Path(__file__).parent.parent.parent / "docs" / "doctor.md").read_text(encoding="utf-8")
INTENTS = Intents.GROUP_AND_C2C_EVENT


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> dict[str, str]:
    """The table behind a heading whose first column is code, as a whole row by each name in it."""
    section = re.split(r"^#+ ", PAGE.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    found = {}
    for row in re.findall(r"^\| `.*\|$", section, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
            found[name] = row
    return found


def without_numbers(lines: list[str]) -> list[str]:
    """What stays the same from run to run; of the first line, nothing but its step does."""
    return [re.sub(r"[0-9]+(\.[0-9]+)*", "0", line) for line in lines[1:]]


@pytest.mark.parametrize(("block", "secret", "code"), [(0, True, 0), (1, False, 1)])
@on_quick_loop
async def test_the_samples_are_what_it_prints(
    block: int, secret: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *sample = blocks("console")[block].splitlines()
    async with LocalGateway(heartbeat_interval=1.0) as gateway:
        credentials, identify = gateway.credentials if secret else WRONG, "--identify" in command
        case = Case(credentials, gateway.endpoints, INTENTS, identify=identify)
        assert await diagnose(case, as_json=False) == code

    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("ok       environment")
    assert without_numbers(sample) == without_numbers(printed)


@on_quick_loop
async def test_the_json_is_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    async with LocalGateway() as gateway:
        gateway.clock_ahead = -7200.0
        assert await diagnose(Case(WRONG, gateway.endpoints, INTENTS), as_json=True) == 1

    printed = {record["step"]: record for record in map(json.loads, capsys.readouterr().out.splitlines())}
    for record in map(json.loads, blocks("json")[0].splitlines()):
        actual = printed[record["step"]]
        assert record.keys() == actual.keys()
        assert record["facts"].keys() == actual["facts"].keys()
        for key in ("state", "host", "remedy"):
            assert record[key] == actual[key]
        assert without_numbers(["", record["text"]]) == without_numbers(["", actual["text"]])


async def longest() -> Examination:
    """An examination with every step that there is."""
    context = server_context("127.0.0.1")
    async with gateway_here() as gateway, Network(gateway.port, tls=context) as network:
        async with ProxyServer(tls=context) as proxy:
            url = f"https://127.0.0.1:{proxy.port}"
            case = {"endpoints": endpoints_at(network.port, "https"), "ssl_context": trusting_once(), "proxy": url}
            return await examined(gateway, identify=True, **case)


@on_quick_loop
async def test_every_step_and_every_fact_is_on_the_page() -> None:
    found = await longest()

    *steps, _ = found.findings
    facts = rows("## JSON")
    assert set(rows("## What each step looks at")) >= {finding.step for finding in steps}
    for finding in steps:
        missing = [name for name in finding.facts if f"`{name}`" not in facts[finding.step]]
        assert missing == [], finding.step


def test_no_step_is_on_the_page_that_there_is_not() -> None:
    described = rows("## What each step looks at")
    told = "environment proxy dns tcp proxy-tls tunnel tls clock token gateway websocket hello identify ready"

    assert list(described) == [*told.split(), "heartbeat", "instances"]
