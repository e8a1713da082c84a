"""`qqproto serve` as a process, with `qqproto listen` in another one."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.transports.commands import Command, running
from tests.transports.loops import eventually, on_loop
from tests.transports.test_cli_listen import ENDS, ends_cleanly


@contextlib.asynccontextmanager
async def serving(*args: str) -> AsyncIterator[tuple[Command, dict[str, str]]]:
    """A gateway on a free port, and the settings that it tells people to make."""
    async with running("serve", "--port", "0", *args) as command:
        await command.line("Ctrl-C ends it")
        exports = [line.strip() for line in command.lines if line.startswith("    export ")]
        settings = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        assert set(settings) == {"QQ_APP_ID", "QQ_SECRET", "QQ_TOKEN_URL", "QQ_API_BASE"}
        yield command, settings


@on_loop
async def test_the_two_talk_to_each_other() -> None:
    async with serving() as (gateway, settings), running("listen", settings=settings) as bot:
        await bot.line("ready")
        await gateway.line("POST /app/getAppAccessToken: 200")
        await gateway.line("GET /gateway/bot: 200")
        await gateway.line("connection 1 is open")
        await gateway.line("connection 1: Identify, intents GROUP_AND_C2C_EVENT")
        await gateway.type("say good morning")
        await gateway.line("sent: good morning")
        await bot.line("group message from nick in 0F1E2D3C4B5A697…: good morning")
        await gateway.type("tell psst")
        await bot.line("private message from A1B2C3D4E5F6A1B…: psst")
        await ends_cleanly(bot)
        await gateway.line("connection 1 has ended")
        await ends_cleanly(gateway)


@on_loop
async def test_the_levers_on_the_keyboard() -> None:
    async with serving() as (gateway, settings), running("listen", settings=settings) as bot:
        await bot.line("ready")
        await gateway.type("4009")
        await bot.line("close code 4009")
        await gateway.line("connection 2: Resume of fake-session-")
        await gateway.type("reset")
        await bot.line("disconnected: reset")
        await gateway.type("say meanwhile")
        await gateway.line("kept until the bot is back: meanwhile")
        await bot.line("meanwhile")
        await gateway.type("unplug")
        await gateway.line("the cable is out: nothing comes through, and nobody is told")
        await gateway.type("say into the void")
        await gateway.line("sent: into the void")
        await gateway.type("plug")
        await gateway.line("the cable is back")
        await bot.line("into the void")
        await gateway.type("dance")
        await gateway.line('"dance" is no command; see "help"')
        await gateway.type("help")
        await gateway.line("rotate       the gateway asks for a new connection (op 7)")
        await gateway.type("quit")
        assert await gateway.end() == 0
        assert gateway.errors == []
        await bot.line("could not connect to the gateway: refused")


@on_loop
async def test_samples_and_rotations_by_the_clock() -> None:
    async with serving("--every", "0.05", "--rotate-every", "1") as (gateway, settings):
        async with running("listen", settings=settings) as bot:
            await bot.line("sample 3")
            await gateway.line("the gateway asks for a new connection (op 7)")
            await bot.line("rotation: the gateway asked for a new connection (op 7)")
            await bot.line("resumed")
            await ends_cleanly(bot)
        await ends_cleanly(gateway)
        assert not [line for line in gateway.lines if "mistake" in line]


@on_loop
async def test_what_other_clients_do_is_told_as_well() -> None:
    async with serving() as (gateway, settings), aiohttp.ClientSession() as http:
        base = settings["QQ_API_BASE"]
        login = {"appId": settings["QQ_APP_ID"], "clientSecret": settings["QQ_SECRET"]}
        async with http.post(settings["QQ_TOKEN_URL"], json=login) as response:
            token = f"QQBot {(await response.json())['access_token']}"
        async with http.ws_connect(f"{base.replace('http', 'ws', 1)}/websocket") as websocket:
            await websocket.send_json({"op": 1, "d": 41})
            await websocket.send_json({"op": 2, "d": {"token": token, "intents": 1 << 25, "shard": [0, 1]}})
            await gateway.line("Identify, intents GROUP_AND_C2C_EVENT")
            await gateway.line("a client's mistake: connection 1: a heartbeat with sequence 41 before Identify")
            message = {"content": "I\nam\x1b[0m here", "msg_type": 0}
            headers = {"Authorization": token}
            async with http.post(f"{base}/v2/groups/G1/messages", json=message, headers=headers) as response:
                assert response.status == 200
            await gateway.line("the bot to group G1: I am [0m here")
            await websocket.send_json({"op": 77})
            await gateway.line("connection 1: opcode 77")
        await ends_cleanly(gateway)
        assert token.removeprefix("QQBot ") not in "\n".join(gateway.lines)


@on_loop
async def test_nobody_hears_what_is_said_before_a_bot_comes() -> None:
    async with serving("--every", "0.05") as (gateway, _):
        await gateway.type("say hello")
        await gateway.line("no bot has been here yet")
        await gateway.type("rotate")
        await gateway.type("")
        await ends_cleanly(gateway)


@pytest.mark.parametrize("number", ENDS)
@on_loop
async def test_a_signal_ends_it_with_bots_on_it(number: signal.Signals) -> None:
    async with serving() as (gateway, settings), running("listen", settings=settings) as bot:
        await bot.line("ready")
        await ends_cleanly(gateway, number)
        await eventually(lambda: any("disconnected" in line for line in bot.lines))
