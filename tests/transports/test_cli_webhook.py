"""`qqproto listen --webhook` and `qqproto serve --webhook` as processes, which talk to each other."""

from __future__ import annotations

import socket
import subprocess
import sys

import httpx
import pytest

from qqproto_transports._cli_input import UsageError, read_address, read_callback_url
from tests.transports.commands import environment, run, running
from tests.transports.loops import on_loop
from tests.transports.test_cli_listen import ends_cleanly

SETTINGS = {"QQ_APP_ID": "11111111", "QQ_SECRET": "the-secret-of-a-fake-bot"}
HERE = ("listen", "--webhook", "127.0.0.1:0")


@on_loop
async def test_the_platform_validates_delivers_and_both_end_cleanly() -> None:
    async with running(*HERE, settings=SETTINGS) as bot:
        url = (await bot.line("bot 11111111 waits for callbacks at http://127.0.0.1:")).rpartition(" at ")[2]
        async with running("serve", "--port", "0", "--webhook", url) as gateway:
            await gateway.line(f"{url} is the bot's")
            await gateway.type("say good morning")
            await bot.line("group message from nick in 0F1E2D3C4B5A697…: good morning")
            await gateway.line("delivered: GROUP_AT_MESSAGE_CREATE:said-1")
            await gateway.type("tell psst")
            await bot.line("private message from A1B2C3D4E5F6A1B…: psst")
            await ends_cleanly(gateway)
        await ends_cleanly(bot)


@on_loop
async def test_samples_come_by_themselves_as_json_lines() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/anywhere"
    async with running("serve", "--port", "0", "--every", "0.05", "--webhook", url) as gateway:
        await gateway.line(f"{url} cannot be validated: refused")
        async with running("listen", "--json", "--webhook", f"127.0.0.1:{port}", settings=SETTINGS) as bot:
            await gateway.line(f"{url} is the bot's")
            first = await bot.record(lambda record: record["event"] == "dispatch")
            assert first["type"] == "GROUP_AT_MESSAGE_CREATE"
            assert first["d"]["content"].strip() == "sample 1"


@on_loop
async def test_another_secret_is_told_on_both_sides() -> None:
    async with running(*HERE, settings=SETTINGS | {"QQ_SECRET": "another"}) as bot:
        url = (await bot.line("waits for callbacks")).rpartition(" at ")[2]
        async with running("serve", "--port", "0", "--webhook", url) as gateway:
            await gateway.line("did not validate itself: status 200")


@on_loop
async def test_a_person_sees_what_is_refused_and_why() -> None:
    async with running(*HERE, settings=SETTINGS) as bot, httpx.AsyncClient(trust_env=False, timeout=60.0) as http:
        url = (await bot.line("waits for callbacks")).rpartition(" at ")[2]
        assert (await http.post(url, content=b'{"op":0}')).status_code == 401
        await bot.line("webhook: a request was refused with 401, the request is not signed")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["listen", "--webhook", "8080"], ["--webhook is '8080'", "127.0.0.1:8080"]),
        (["listen", "--webhook", "127.0.0.1:0", "--shards", "2"], ["--webhook", "--shards"]),
        (["listen", "--webhook", "127.0.0.1:0", "--session", "x.db"], ["--webhook", "--session"]),
        (["listen", "--webhook", "203.0.113.1:8080"], ["cannot listen on port 8080 of 203.0.113.1"]),
        (["serve", "--webhook", "ws://127.0.0.1/"], ["--webhook", "http"]),
    ],
)
def test_bad_input_is_one_sentence(args: list[str], words: list[str]) -> None:
    done = run(*args, settings=SETTINGS)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":443", ("0.0.0.0", 443)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "8080", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:\u0661"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="give HOST:PORT"):
        read_address(text)


def test_where_to_post_is_an_http_address() -> None:
    assert read_callback_url("http://127.0.0.1:8080/") == "http://127.0.0.1:8080/"
    with pytest.raises(UsageError, match="--webhook"):
        read_callback_url("127.0.0.1:8080")


@pytest.mark.parametrize("command", ["listen", "serve"])
def test_the_help_tells_of_it(command: str) -> None:
    assert "--webhook" in run(command, "--help").stdout


def test_a_missing_package_is_one_sentence() -> None:
    program = "import sys; sys.modules['cryptography'] = None; from qqproto_transports.cli import main; main()"
    for args in (["listen", "--webhook", "127.0.0.1:0"], ["serve", "--port", "0", "--webhook", "http://127.0.0.1:1/"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *args],
            env=environment(SETTINGS), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == "qqproto: webhooks need cryptography: python -m pip install 'qqproto[webhook]'\n"
