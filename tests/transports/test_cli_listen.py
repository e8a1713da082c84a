"""`qqproto listen` as a process, on a local gateway."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from qqproto.testing import FakeConversation, FakePlatform, HTTPFault, c2c_message, group_at_message, reply
from qqproto_transports._proxy import ProxyServer
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.commands import GENTLE, GROUP, MODULE, Command, environment, running, settings_of
from tests.transports.loops import eventually, on_loop
from tests.transports.servers import closed_port, serving, silence

SECRET = "a-secret-that-nobody-may-see"
ENDS = [signal.SIGTERM] if sys.platform == "win32" else [signal.SIGTERM, signal.SIGINT]
NUMBERS = itertools.count(1)


def local_gateway(port: int = 0) -> LocalGateway:
    return LocalGateway(port=port, secret=SECRET)


def talk(gateway: LocalGateway) -> FakeConversation:
    """The gateway's side of the bot's connection."""
    live = gateway.platform.session().live
    assert live is not None
    return live


def say(gateway: LocalGateway, content: str) -> None:
    """Somebody in a group mentions the bot."""
    message = group_at_message(content, id=f"ROBOT1.0_test-{next(NUMBERS)}", now=gateway.now)
    gateway.platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", message, gateway.now)


async def ends_cleanly(command: Command, number: signal.Signals = signal.SIGTERM) -> None:
    """Ask it to end: it does, within five seconds, with exit code 0 and no complaint."""
    asked = time.monotonic()
    command.ask_to_end(number)
    assert await command.end() == 0
    assert time.monotonic() - asked < 5
    assert command.errors == []


def nothing_secret(command: Command, platform: FakePlatform) -> None:
    """Neither the secret nor an access token has been printed."""
    printed = "\n".join(command.lines + command.errors)
    tokens = [frame.payload["d"]["token"].removeprefix("QQBot ") for frame in platform.frames if frame.op in (2, 6)]
    assert tokens
    for secret in (SECRET, *tokens):
        assert secret not in printed


@on_loop
async def test_people_read_what_happens_line_by_line() -> None:
    async with local_gateway() as gateway, running("listen", settings=settings_of(gateway)) as command:
        await command.line("ready: fake bot")
        say(gateway, "good morning")
        letter = c2c_message("a secret", id="ROBOT1.0_private", now=gateway.now)
        gateway.platform.session().dispatch("C2C_MESSAGE_CREATE", letter, gateway.now)
        await command.line("a secret")
        talk(gateway).reset(gateway.now)
        await command.line("resumed")
        await ends_cleanly(command)

    happened = [line[10:] for line in command.lines]  # without the time of day
    assert happened[0] == f"bot 11111111 at {gateway.url} listens to GROUP_AND_C2C_EVENT"
    assert happened[2:4] == [
        "group message from nick in 0F1E2D3C4B5A697…: good morning",
        "private message from A1B2C3D4E5F6A1B…: a secret",
    ]
    assert happened[4].startswith("disconnected: reset: ")
    assert "back after" in happened[5]
    assert happened[6:] == ["stopped (closed): closed by the application"]
    nothing_secret(command, gateway.platform)


@on_loop
async def test_a_message_cannot_write_to_the_terminal() -> None:
    async with local_gateway() as gateway, running("listen", settings=settings_of(gateway)) as command:
        await command.line("ready")
        say(gateway, "\x1b[2J\x1b]0;owned\x07 [red]harmless\nsecond line\u202e " + "long " * 100)
        say(gateway, "the end")
        await command.line("the end")
        await ends_cleanly(command)

    line = next(line for line in command.lines if "harmless" in line)
    assert line.isprintable()
    assert "[red]harmless second line" in line
    assert len(line) < 150


@on_loop
async def test_json_has_one_object_a_line() -> None:
    async with local_gateway() as gateway, running("listen", "--json", settings=settings_of(gateway)) as command:
        await command.record(lambda record: record["event"] == "ready")
        say(gateway, "你好 👋")
        await command.record(lambda record: record["event"] == "dispatch")
        talk(gateway).close(4009, "session timed out", gateway.now)
        await command.record(lambda record: record["event"] == "resumed")
        await ends_cleanly(command)

    records = command.records()
    assert [record["event"] for record in records] == [
        "online", "ready", "dispatch", "disconnected", "resumed", "stopped"
    ]  # fmt: skip
    assert all(abs(record["time"] - time.time()) < 60 and record["shard"] == 0 for record in records)
    _, ready, dispatch, disconnected, resumed, stopped = records
    assert ready["user"] == {"id": "911111111", "username": "fake bot"}
    assert ready["session_id"] == resumed["session_id"]
    assert dispatch["type"] == "GROUP_AT_MESSAGE_CREATE"
    assert dispatch["id"].startswith("GROUP_AT_MESSAGE_CREATE:")
    assert dispatch["s"] == 2
    assert dispatch["d"]["content"] == " 你好 👋"
    assert disconnected["code"] == 4009
    assert disconnected["verdict"] == "resume"
    assert disconnected["planned"] is True
    assert disconnected["retry_in"] >= 0
    assert stopped["reason"] == "closed"
    assert all(line.isascii() for line in command.lines)
    nothing_secret(command, gateway.platform)


@on_loop
async def test_intents_by_names_and_numbers() -> None:
    words = ["--intents", "group-and-c2c-event,INTERACTION", "--intents", "1073741824"]
    async with local_gateway() as gateway, running("listen", *words, settings=settings_of(gateway)) as command:
        await command.line("ready")
        await ends_cleanly(command)

        identify = next(frame for frame in gateway.platform.frames if frame.op == 2)
        assert identify.payload["d"]["intents"] == 1 << 25 | 1 << 26 | 1 << 30


@on_loop
async def test_as_many_shards_as_the_platform_recommends() -> None:
    async with local_gateway() as gateway:
        gateway.platform.bot.shards = gateway.platform.bot.max_concurrency = 2
        async with running("listen", "--shards", "auto", "--json", settings=settings_of(gateway)) as command:
            await command.record(lambda record: (record["event"], record["shard"]) == ("ready", 0))
            await command.record(lambda record: (record["event"], record["shard"]) == ("ready", 1))
            await ends_cleanly(command)


@on_loop
async def test_a_proxy_may_be_named_and_the_environments_may_be_left_aside() -> None:
    async with local_gateway() as gateway, ProxyServer() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        settings = settings_of(gateway)
        async with running("listen", "--proxy", url, "--json", settings=settings) as command:
            await command.record(lambda record: record["event"] == "ready")
            await ends_cleanly(command)
        asked = list(proxy.targets)
        async with running("listen", "--proxy", "none", "--json", settings={**settings, "all_proxy": url}) as command:
            await command.record(lambda record: record["event"] == "ready")
            await ends_cleanly(command)

    assert len(asked) == 3, "the token, the gateway's address, the gateway"
    assert proxy.targets == asked


@on_loop
async def test_the_secret_may_come_from_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("secrets") / "secret"
    path.write_text(f"  {SECRET}\n", encoding="utf-8")
    async with local_gateway() as gateway:
        settings = settings_of(gateway)
        del settings["QQ_SECRET"]
        async with running("listen", "--secret-file", str(path), settings=settings) as command:
            await command.line("ready")
            await ends_cleanly(command)
        nothing_secret(command, gateway.platform)


@pytest.mark.parametrize("number", ENDS)
@on_loop
async def test_a_signal_says_goodbye(number: signal.Signals) -> None:
    async with local_gateway() as gateway, running("listen", settings=settings_of(gateway)) as command:
        await command.line("ready")
        session = gateway.platform.session()
        await ends_cleanly(command, number)

        await eventually(lambda: session.id not in gateway.platform.sessions)  # it was told 1000


@pytest.mark.parametrize("number", ENDS)
@on_loop
async def test_a_signal_ends_it_while_the_platform_does_not_answer(number: signal.Signals) -> None:
    async with serving(silence) as port, local_gateway() as gateway:
        settings = settings_of(gateway) | {"QQ_TOKEN_URL": f"http://127.0.0.1:{port}/token"}
        async with running("listen", settings=settings) as command:
            await command.line("listens to")
            await ends_cleanly(command, number)


@on_loop
async def test_a_signal_ends_it_while_the_goodbye_is_not_heard() -> None:
    deaf = False

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", gateway.port)

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if not deaf:
                    target.write(data)

        try:
            await asyncio.gather(carry(reader, back), carry(there, writer))
        finally:
            back.close()
            await back.wait_closed()

    async with local_gateway() as gateway, serving(relay) as port:
        gateway.platform.gateway_url = f"ws://127.0.0.1:{port}/websocket"
        async with running("listen", settings=settings_of(gateway)) as command:
            await command.line("ready")
            deaf = True
            await ends_cleanly(command)
        assert "stopped (closed)" in command.lines[-1]  # it was not left by force


def test_a_signal_ends_it_while_a_name_is_looked_up() -> None:
    program = (
        "import socket, sys, time\n"
        "def hang(*args, **options):\n"
        "    print('looking up', flush=True)\n"
        "    time.sleep(60)\n"
        "socket.getaddrinfo = hang\n"
        "sys.argv = ['qqproto', 'listen']\n"
        "from qqproto_transports.cli import main\n"
        "main()\n"
    )
    settings = environment({"QQ_APP_ID": "1", "QQ_SECRET": SECRET, "QQ_TOKEN_URL": "http://name.invalid/token"})
    with subprocess.Popen(
        [sys.executable, "-c", program], env=settings, stdout=subprocess.PIPE, encoding="utf-8", creationflags=GROUP
    ) as process:
        assert process.stdout is not None
        assert any("looking up" in line for line in process.stdout)
        asked = time.monotonic()
        process.send_signal(GENTLE or signal.SIGTERM)

        assert process.wait(10) == 0
        assert time.monotonic() - asked < 5


@on_loop
async def test_a_stop_that_was_not_asked_for_is_exit_code_1() -> None:
    async with local_gateway() as gateway, running("listen", "--json", settings=settings_of(gateway)) as command:
        await command.record(lambda record: record["event"] == "ready")
        talk(gateway).close(4915, "banned", gateway.now)
        assert await command.end() == 1

    assert command.errors == []
    stopped = command.records()[-1]
    assert (stopped["event"], stopped["reason"], stopped["code"]) == ("stopped", "banned", 4915)
    assert "QQ console" in stopped["hint"]


@on_loop
async def test_a_gateway_that_is_not_there_yet_is_waited_for() -> None:
    with closed_port() as port:
        pass
    gateway = local_gateway(port)
    async with running("listen", settings=settings_of(gateway)) as command:
        line = await command.line("could not ask")
        assert "refused: nobody listens there" in line
        assert "next try in" in line
        async with gateway:
            await command.line("ready")
            await ends_cleanly(command)


@pytest.mark.parametrize("status", [503, 429])
@on_loop
async def test_a_front_door_on_a_bad_day_is_waited_for(status: int) -> None:
    async with local_gateway() as gateway:
        gateway.platform.behaviour.http.append(HTTPFault(reply(status, "<html>sorry</html>")))
        async with running("listen", settings=settings_of(gateway)) as command:
            await command.line(f"HTTP {status}")
            await command.line("ready")
            await ends_cleanly(command)


@on_loop
async def test_a_web_server_in_the_way_later_on_is_waited_for() -> None:
    """What would be bad input at the start is an outage once the bot has been there."""
    async with local_gateway() as gateway, running("listen", settings=settings_of(gateway)) as command:
        await command.line("ready")
        gateway.platform.behaviour.upgrade = reply(404, "not here")
        talk(gateway).reset(gateway.now)
        await command.line("HTTP 404")
        gateway.platform.behaviour.upgrade = None
        await command.line("resumed")
        await ends_cleanly(command)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE, and reports this in many ways")
@pytest.mark.parametrize("options", [[], ["--json"]])
@on_loop
async def test_a_reader_that_leaves_ends_it(options: list[str]) -> None:
    async with local_gateway() as gateway:
        read, write = os.pipe()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *MODULE, "listen", *options, env=environment(settings_of(gateway)),
            stdin=asyncio.subprocess.DEVNULL, stdout=write, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        os.close(write)
        await eventually(lambda: gateway.platform.sessions)
        os.close(read)
        say(gateway, "is anybody there?")
        _, errors = await process.communicate()

        assert process.returncode == 1
        assert errors == b""
