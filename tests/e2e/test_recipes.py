"""The recipes of the documentation: metrics for Prometheus, a service for systemd, a web application, bare text."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from qqproto.testing import FakeBot, FakeCallbacks, Refusal, group_at_message
from qqproto_transports.local_gateway import LocalGateway
from tests.e2e.test_examples import EXAMPLES, example
from tests.e2e.test_readme import block
from tests.transports.commands import launched, settings_of
from tests.transports.loops import eventually, on_loop

SAMPLE = re.compile(r'(\w+)\{app_id="11111111",shard="0"\} (-?\d+(?:\.\d+)?)')


@on_loop
async def test_prometheus_scrapes_how_the_bot_is() -> None:
    async with LocalGateway(heartbeat_interval=0.3) as gateway:
        async with example("metrics.py", settings_of(gateway) | {"METRICS_PORT": "0"}) as bot:
            port = (await bot.line("metrics on port")).split()[-1]
            await bot.line("Ready")
            await eventually(lambda: gateway.platform.ops(heartbeats=True).count(1) > 1)
            async with httpx.AsyncClient(trust_env=False) as http:
                reply = await http.get(f"http://127.0.0.1:{port}/metrics")

    assert reply.headers["content-type"] == "text/plain; version=0.0.4"
    assert reply.text.endswith("\n")
    found = [SAMPLE.fullmatch(line) for line in reply.text.splitlines()]
    samples = {match[1]: float(match[2]) for match in found if match}
    assert len(samples) == len(found), reply.text
    assert (samples["qqproto_connected"], samples["qqproto_online"], samples["qqproto_attempt"]) == (1, 1, 0)
    assert (samples["qqproto_misconfigured"], samples["qqproto_identifies_total"]) == (0, 1)
    assert 0 < samples["qqproto_heartbeat_latency_seconds"] < 10
    rules = (EXAMPLES / "qq-bot.rules.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"qqproto_\w+", rules)) <= samples.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")
@on_loop
async def test_systemd_hears_that_the_bot_lives_and_leaves_in_order(tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        told: list[dict[str, str]] = []

        def hear() -> None:
            told.append(dict(line.split("=", 1) for line in systemd.recv(4096).decode().splitlines()))

        asyncio.get_running_loop().add_reader(systemd, hear)
        async with LocalGateway() as gateway:
            settings = settings_of(gateway) | {
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": "100000",
                "STATE_DIRECTORY": str(tmp_path),
            }
            async with example("service.py", settings) as bot:
                await bot.line("Ready(")
                await eventually(lambda: any("ready" in each["STATUS"] for each in told))
                gateway.unplug()
                message = group_at_message("hello?", id="M-1", now=gateway.now)
                gateway.platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", message, gateway.now)
                beats = len(told)
                await eventually(lambda: len(told) > beats + 2)
                assert told[-1] == {"READY": "1", "WATCHDOG": "1", "STATUS": "shard 0: ready, attempt 0"}
                gateway.plug()
                await bot.line("Resumed(")
                bot.ask_to_end()
                assert await bot.end() == 0
                assert bot.errors == []
            async with example("service.py", settings) as bot:
                await bot.line("Resumed(")
                gateway.platform.behaviour.resume = [Refusal(code=4914, op9=None)]
                gateway.platform.conversations[-1].close(4914, "only the sandbox", gateway.now)
                assert await bot.end() == 78
                assert "sandbox" in bot.errors[-1]
        asyncio.get_running_loop().remove_reader(systemd)


@on_loop
async def test_a_web_application_is_called_by_the_platform() -> None:
    bot = FakeBot()
    settings = {"QQ_APP_ID": bot.app_id, "QQ_SECRET": bot.secret}
    argv = (sys.executable, "-m", "uvicorn", "web_app:api", "--app-dir", str(EXAMPLES), "--port", "0")
    async with launched(*argv, settings=settings) as server:
        await eventually(lambda: any("running on" in line for line in server.errors))
        [url] = re.findall(r"http://[\d.:]+", "\n".join(server.errors))
        async with httpx.AsyncClient(trust_env=False) as http:
            now = 1725442341
            request = FakeCallbacks(bot).dispatch("FRIEND_ADD", {"openid": "U"}, unix_time=now)
            reply = await http.post(f"{url}/callbacks/qq/", headers=request.headers, content=request.body)
            assert reply.status_code == 401, "what the platform has signed is older than five minutes"
            request = FakeCallbacks(bot).dispatch("FRIEND_ADD", {"openid": "U"}, unix_time=int(time.time()))
            reply = await http.post(f"{url}/callbacks/qq/", headers=request.headers, content=request.body)
            assert (reply.status_code, reply.json()) == (200, {"op": 12, "d": 0})
        await server.line("heard: FRIEND_ADD")


@on_loop
async def test_a_machine_on_text_messages_is_the_one_of_the_readme() -> None:
    program = (EXAMPLES / "text_machine.py").read_text(encoding="utf-8")
    assert program.partition("config = ")[2] == block("README.md", "python", "def drain").partition("config = ")[2]
    async with example("text_machine.py", {}) as machine:
        await machine.line("ready as bot")
        assert await machine.end() == 0
