"""The examples as a reader would start them, against the local gateway."""

from __future__ import annotations

import socket
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from qqproto.testing import HTTPFault, Refusal, at_message, c2c_message, group_at_message, reply
from qqproto_transports._network import Network
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.certificates import authority, server_context
from tests.transports.commands import Command, launched, settings_of
from tests.transports.loops import eventually, on_loop

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(example: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) < 60


def example(name: str, settings: dict[str, str]) -> AbstractAsyncContextManager[Command]:
    return launched(sys.executable, "-W", "error", str(EXAMPLES / name), settings=settings)


def echo(settings: dict[str, str]) -> AbstractAsyncContextManager[Command]:
    return example("echo.py", settings)


@on_loop
async def test_the_echo_bot_answers_where_it_was_asked() -> None:
    async with LocalGateway() as gateway, echo(settings_of(gateway)) as bot:
        await bot.line("ready as fake bot")
        platform = gateway.platform
        asked = group_at_message("hello", id="ROBOT1.0_group", group="G1", now=gateway.now)
        platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", asked, gateway.now)
        await eventually(lambda: len(platform.messages) == 1)
        asked = c2c_message("psst", id="ROBOT1.0_private", user="U1", now=gateway.now)
        platform.session().dispatch("C2C_MESSAGE_CREATE", asked, gateway.now)
        await eventually(lambda: len(platform.messages) == 2)
        group, private = platform.messages

        assert (group.place, group.target) == ("groups", "G1")
        assert group.body == {"content": "hello", "msg_type": 0, "msg_id": "ROBOT1.0_group", "msg_seq": 1}
        assert (private.place, private.target) == ("users", "U1")
        assert private.body["content"] == "psst"
        assert platform.violations == []
        assert bot.errors == []


BY_GATEWAY = "driver.open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT)"


@on_loop
async def test_the_echo_bot_moves_to_webhooks_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = (EXAMPLES / "echo.py").read_text(encoding="utf-8").splitlines()
    moved = [line.replace(BY_GATEWAY, f"driver.open_webhook(account, port={port})") for line in lines]
    assert sum(one != other for one, other in zip(lines, moved, strict=True)) == 1
    program = tmp_path / "echo.py"
    program.write_text("\n".join(moved), encoding="utf-8")

    async with LocalGateway() as gateway:
        said: list[str] = []
        bot = launched(sys.executable, "-W", "error", str(program), settings=settings_of(gateway))
        async with bot as echo_bot, gateway.deliver_to(f"http://127.0.0.1:{port}/", say=said.append) as callbacks:
            await callbacks.validated.wait()
            asked = group_at_message("hello", id="ROBOT1.0_group", group="G1", now=gateway.now)
            callbacks.dispatch("GROUP_AT_MESSAGE_CREATE", asked, id="e-1")
            asked = c2c_message("psst", id="ROBOT1.0_private", user="U1", now=gateway.now)
            callbacks.dispatch("C2C_MESSAGE_CREATE", asked, id="e-2")
            platform = gateway.platform
            await eventually(lambda: len(platform.messages) == 2)
            group, private = platform.messages

            assert (group.place, group.target, group.body["content"]) == ("groups", "G1", "hello")
            assert (private.place, private.target, private.body["content"]) == ("users", "U1", "psst")
            assert callbacks.delivered == ["e-1", "e-2"]
            assert platform.violations == []
            assert platform.sessions == {}, "no WebSocket was opened"
            assert echo_bot.errors == []


@on_loop
async def test_the_echo_bot_lives_through_what_goes_wrong() -> None:
    async with LocalGateway() as gateway, echo(settings_of(gateway)) as bot:
        await bot.line("ready as fake bot")
        platform = gateway.platform
        platform.behaviour.http.append(HTTPFault(reply(500, {"code": 500, "message": "sorry"}), times=1))
        asked = group_at_message("one", id="ROBOT1.0_1", now=gateway.now)
        platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", asked, gateway.now)
        await bot.line("the reply was refused")
        platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", {"id": "ROBOT1.0_2"}, gateway.now)
        await eventually(lambda: bot.errors)
        assert bot.errors == ["GROUP_AT_MESSAGE_CREATE: KeyError('group_openid')"]
        asked = group_at_message("three", id="ROBOT1.0_3", now=gateway.now)
        platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", asked, gateway.now)
        await eventually(lambda: platform.messages)
        assert platform.messages[0].body["content"] == "three"


@on_loop
async def test_the_echo_bot_ends_with_the_hint_when_its_secret_is_wrong() -> None:
    async with LocalGateway() as gateway, echo(settings_of(gateway) | {"QQ_SECRET": "wrong"}) as bot:
        assert await bot.end() == 1
        assert bot.errors[-1].startswith("credentials: wrong AppID or AppSecret")


@on_loop
async def test_the_shards_come_up_as_recommended_and_hear_what_is_theirs() -> None:
    async with LocalGateway() as gateway:
        platform = gateway.platform
        platform.bot.shards = platform.bot.max_concurrency = 3
        async with example("shards.py", settings_of(gateway)) as bot:
            await bot.line("3 are")
            platform.session(2).dispatch("AT_MESSAGE_CREATE", at_message("hello", id="M-1"), gateway.now)
            await bot.line("shard 2: AT_MESSAGE_CREATE")
        async with example("shards.py", settings_of(gateway) | {"SHARDS": "2/8"}) as bot:
            await bot.line("shard 2 is ready, 1 are")
            assert bot.errors == []


@on_loop
async def test_the_health_endpoint_tells_a_supervisor() -> None:
    async with LocalGateway() as gateway:
        gateway.platform.behaviour.hello = False
        async with example("health.py", settings_of(gateway) | {"HEALTH_PORT": "0"}) as bot:
            port = (await bot.line("health on port")).split()[-1]
            async with httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
                url = f"http://127.0.0.1:{port}/health"
                gateway.platform.behaviour.hello = True
                await bot.line("ready as fake bot")
                response = await http.get(url)
                assert (response.status_code, response.json()["online"]) == (200, True)
                assert response.json()["shards"][0]["phase"] == "ready"
                gateway.platform.behaviour.identify = [Refusal(code=4914, op9=None)]
                gateway.platform.conversations[-1].close(4914, "only the sandbox", gateway.now)
                assert await bot.end() == 1
                assert "sandbox" in bot.errors[-1]


@on_loop
async def test_the_bare_machines_live_on_one_socket(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    authority().cert_pem.write_to_path(str(roots))
    async with LocalGateway() as gateway, Network(gateway.port, tls=server_context("127.0.0.1")) as tls:
        gateway.platform.gateway_url = f"wss://127.0.0.1:{tls.port}/websocket"
        settings = settings_of(gateway) | {"SSL_CERT_FILE": str(roots)}
        async with example("bare_sockets.py", settings) as bot:
            await bot.line("Ready(")
            gateway.platform.conversations[0].send_reconnect(gateway.now)
            await eventually(lambda: gateway.platform.ops() == [2, 6])
            asked = c2c_message("psst", id="ROBOT1.0_private", user="U1", now=gateway.now)
            gateway.platform.session().dispatch("C2C_MESSAGE_CREATE", asked, gateway.now)
            await bot.line("psst")
            gateway.platform.conversations[-1].close(4914, "only the sandbox", gateway.now)
            await bot.line("Stopped(")
            assert await bot.end() == 0
            assert bot.errors == []
