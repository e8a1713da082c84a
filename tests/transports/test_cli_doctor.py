"""`qqproto doctor`: five broken set-ups by their last lines; and as a process, with its exit codes and Ctrl-C."""

from __future__ import annotations

import dataclasses
import math
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from qqproto import Credentials, Intents
from qqproto.testing import HTTPFault, reply
from qqproto_transports._cli_app import app
from qqproto_transports._cli_doctor import diagnose
from qqproto_transports._doctor import Case
from qqproto_transports._network import Network
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.certificates import authority, server_context
from tests.transports.commands import environment, running, settings_of
from tests.transports.doctor import SECRET, WRONG, endpoints_at, examined, gateway_here
from tests.transports.loops import on_quick_loop
from tests.transports.servers import closed_port, serving, silence
from tests.transports.test_cli_serve import serving as running_gateway

GIVEN = ["--app-id", "1", "--secret-file", __file__]
INTENTS = Intents.GUILD_MESSAGES | Intents.GROUP_AND_C2C_EVENT


def case_of(gateway: LocalGateway, **options: Any) -> Case:
    return Case(gateway.credentials, gateway.endpoints, INTENTS, **options)


async def last_line(case: Case, output: pytest.CaptureFixture[str]) -> str:
    """What the doctor prints last about a bot that something is wrong with."""
    assert await diagnose(case, as_json=False) == 1
    *lines, last = output.readouterr().out.splitlines()
    assert all(re.match(r"(ok|warning|failed|skipped) +[a-z-]+ +[0-9.]+ s  ", line) for line in lines)
    return str(last)


# -- the five broken set-ups -------------------------------------------------------------------------------------------


@on_quick_loop
async def test_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with closed_port() as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with gateway_here() as gateway:
            line = await last_line(case_of(gateway), capsys)

    assert line.startswith("tcp (127.0.0.1) failed: the proxy cannot be reached: nobody listens there")
    assert f"What to do: start the proxy http://127.0.0.1:{port}, or correct http_proxy" in line


@on_quick_loop
async def test_a_wrong_secret(capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway_here() as gateway:
        line = await last_line(dataclasses.replace(case_of(gateway), credentials=WRONG), capsys)

    assert line.startswith("token (127.0.0.1) failed: wrong AppID or AppSecret: ")
    assert line.endswith("What to do: check AppID and AppSecret against the bot's page in the QQ console")


@on_quick_loop
async def test_an_address_that_is_not_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway_here() as gateway:
        body = {"message": "接口访问源IP不在白名单", "code": 11298, "err_code": 40023002}
        gateway.platform.behaviour.http.append(HTTPFault(reply(401, body), "/gateway/bot", math.inf))
        line = await last_line(case_of(gateway), capsys)

    assert line.startswith("gateway (127.0.0.1) failed: this address is not on the bot's IP allowlist: ")
    assert "What to do: add this machine's public IPv4 address" in line


@on_quick_loop
async def test_intents_that_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway_here() as gateway:
        gateway.platform.bot.intents = Intents.GROUP_AND_C2C_EVENT
        line = await last_line(case_of(gateway, identify=True), capsys)

    assert line.startswith("identify (127.0.0.1) failed: it seems that the intents GUILD_MESSAGES GROUP_AND_C2C_EVENT")
    assert "GUILD_MESSAGES: private-domain bots only" in line


@on_quick_loop
async def test_a_clock_that_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway_here() as gateway:
        gateway.clock_ahead = 7200
        line = await last_line(case_of(gateway), capsys)

    assert line.startswith("clock (127.0.0.1): this machine's clock is 2 h behind 127.0.0.1's")
    assert "What to do: set this machine's clock" in line


@on_quick_loop
async def test_the_levers_of_a_gateway_of_ones_own_break_them_as_well() -> None:
    async with running_gateway() as (gateway, settings):
        port = int(settings["QQ_API_BASE"].rpartition(":")[2])
        credentials = Credentials(settings["QQ_APP_ID"], settings["QQ_SECRET"])

        async def verdict(**options: Any) -> str:
            here = LocalGateway()  # Its settings alone; it is the process that is examined.
            found = await examined(here, credentials=credentials, endpoints=endpoints_at(port), **options)
            return found.verdict.text

        await gateway.type("allowlist off")
        await gateway.line("this machine is off the bot's IP allowlist")
        assert (await verdict()).startswith("gateway (127.0.0.1) failed: this address is not on the bot's IP allowlist")
        await gateway.type("allowlist on")
        await gateway.type("intents interaction")
        await gateway.line("the bot may ask for INTERACTION")
        assert "the intents GROUP_AND_C2C_EVENT are refused" in await verdict(identify=True)
        await gateway.type("intents all")
        await gateway.type("clock -7200")
        await gateway.line("the gateway's clock is -7200 s off")
        assert "this machine's clock is 2 h ahead" in await verdict()
        for wrong in ("clock nan", "clock", "intents everything", "allowlist maybe"):
            await gateway.type(wrong)
            await gateway.line(f'"{wrong}" cannot be done; see "help"')


# -- as a process ------------------------------------------------------------------------------------------------------


@on_quick_loop
async def test_all_is_well_is_exit_code_0() -> None:
    async with gateway_here() as gateway, running("doctor", "--identify", settings=settings_of(gateway)) as command:
        assert await command.end() == 0

    assert command.errors == []
    assert command.lines[-1] == "all is well: the bot connects, and its heartbeats are acknowledged"
    assert SECRET not in "\n".join(command.lines)


@on_quick_loop
async def test_json_has_one_object_a_line_and_root_certificates_come_from_the_environment(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    roots = tmp_path_factory.mktemp("roots") / "roots.pem"
    authority().cert_pem.write_to_path(str(roots))
    async with gateway_here() as gateway, Network(gateway.port, tls=server_context("127.0.0.1")) as network:
        url = f"https://127.0.0.1:{network.port}"
        places = {"QQ_API_BASE": url, "QQ_TOKEN_URL": f"{url}/app/getAppAccessToken", "SSL_CERT_FILE": str(roots)}
        settings = {**settings_of(gateway), **places, "QQ_SECRET": "another-secret"}
        async with running("doctor", "--json", "--intents", "INTERACTION", settings=settings) as command:
            assert await command.end() == 1

    assert command.errors == []
    records = command.records()
    keys = {"step", "state", "time", "seconds", "host", "text", "remedy", "facts"}
    assert all(set(record) == keys and abs(record["time"] - time.time()) < 60 for record in records)
    assert [record["step"] for record in records] == [
        "environment", "proxy", "dns", "tcp", "tls", "clock", "token", "verdict"
    ]  # fmt: skip
    assert records[4]["facts"]["issuer"].startswith("trustme")
    assert (records[-2]["state"], records[-2]["facts"]["code"]) == ("failed", 100016)
    assert (records[-1]["state"], records[-1]["facts"]["cause"]) == ("failed", "token")
    assert records[-1]["remedy"] == records[-2]["remedy"]
    assert all(line.isascii() for line in command.lines)
    assert "another-secret" not in "\n".join(command.lines)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "no AppID: set QQ_APP_ID"),
        (["--app-id", "1"], "no AppSecret: set QQ_SECRET"),
        (
            ["--app-id", "1", "--secret-file", __file__, "--intents", "everything"],
            "--intents: 'everything' is no intent",
        ),
        ([*GIVEN, "--shards", "0"], "--shards is '0'"),
        ([*GIVEN, "--proxy", "ftp://x"], "--proxy: the proxy's address cannot"),
        (
            ["--app-id", "1", "--secret-file", __file__, "--api-base", "ws://x"],
            "QQ_API_BASE is 'ws://x', a WebSocket's",
        ),
    ],
)
def test_what_it_is_given_may_be_wrong_which_is_exit_code_2(args: list[str], sentence: str) -> None:
    clean = dict.fromkeys(("QQ_APP_ID", "QQ_SECRET", "QQ_API_BASE", "QQ_TOKEN_URL"))
    done = CliRunner().invoke(app, ["doctor", *args], env=clean)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"qqproto: {sentence}")


def test_without_the_package_that_reads_certificates_it_is_exit_code_2() -> None:
    program = (
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "sys.argv = ['qqproto', 'doctor']\n"
        "from qqproto_transports.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, encoding="utf-8")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "qqproto: the doctor needs cryptography: python -m pip install cryptography\n"


@on_quick_loop
async def test_ctrl_c_ends_it_with_exit_code_1() -> None:
    async with gateway_here() as gateway, serving(silence) as port:
        settings = settings_of(gateway) | {"QQ_TOKEN_URL": f"http://127.0.0.1:{port}/token"}
        async with running("doctor", "--timeout", "60", settings=settings) as command:
            await command.line("connected to")
            command.ask_to_end(signal.SIGINT)
            assert await command.end() == 1

    assert command.errors == []
    assert command.lines[-1] == "ended before it was through"


def test_a_look_up_that_hangs_keeps_it_neither_from_its_verdict_nor_from_its_end() -> None:
    program = (
        "import socket, sys, time\n"
        "hang = lambda *args, **options: time.sleep(60)\n"
        "socket.getaddrinfo = hang\n"
        "sys.argv = ['qqproto', 'doctor', '--timeout', '0.2']\n"
        "from qqproto_transports.cli import main\n"
        "main()\n"
    )
    settings = environment({"QQ_APP_ID": "1", "QQ_SECRET": SECRET, "QQ_TOKEN_URL": "http://name.invalid/token"})
    done = subprocess.run(
        [sys.executable, "-c", program], env=settings, capture_output=True, encoding="utf-8", timeout=30
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("dns (name.invalid) failed: no reply in time. What to do: ")
