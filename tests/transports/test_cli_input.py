"""Bad input: one clear sentence on standard error, exit code 2, and no secret in it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qqproto import Credentials, Disconnected, Endpoints, Failure, FailureKind, Phase, Verdict
from qqproto.testing import HTTPFault, reply
from qqproto_transports._cli_input import (
    UsageError,
    read_credentials,
    read_driver,
    read_endpoints,
    read_intents,
    read_proxy,
    read_shards,
)
from qqproto_transports._cli_listen import _problem
from qqproto_transports._demo_bot import DRIVERS
from qqproto_transports.asyncio import BotAccount
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.commands import environment, run, running, settings_of
from tests.transports.loops import on_loop
from tests.transports.servers import serving

SECRET = "a-secret-that-nobody-may-see"
GIVEN = {"QQ_APP_ID": "11111111", "QQ_SECRET": SECRET}


def refused(args: list[str], settings: dict[str, str]) -> str:
    """The one sentence with which the command line refuses."""
    done = run(*args, settings=settings)

    assert done.returncode == 2
    assert done.stdout == ""
    assert SECRET not in done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "settings", "words"),
    [
        ([], {"QQ_SECRET": SECRET}, ["no AppID", "QQ_APP_ID", "--app-id"]),
        ([], {"QQ_APP_ID": "1"}, ["no AppSecret", "QQ_SECRET", "--secret-file"]),
        (["--secret-file", "not/there"], GIVEN, ["not", "cannot be read"]),
        (["--intents", "GROUP_AND_C2C"], GIVEN, ["'GROUP_AND_C2C'", "GROUP_AND_C2C_EVENT"]),
        (["--shards", "some"], GIVEN, ["--shards", "'some'", "auto"]),
        (["--proxy", "socks4://10.0.0.1"], GIVEN, ["--proxy", "neither http://", "http://user:password@proxy.example"]),
        (["--proxy", f"http://bot:{SECRET}@10.0.0.1:1"], GIVEN, ["--proxy", "other users", "https_proxy"]),
        (["--api-base", "wss://api.sgroup.qq.com/websocket"], GIVEN, ["QQ_API_BASE", "https://api.sgroup.qq.com"]),
    ],
)
def test_bad_input_is_told_in_a_sentence(args: list[str], settings: dict[str, str], words: list[str]) -> None:
    sentence = refused(["listen", *args], settings)

    assert sentence.startswith("qqproto: ")
    for word in words:
        assert word in sentence


def test_the_secret_is_no_option() -> None:
    done = run("listen", "--secret", SECRET, settings=GIVEN)

    assert done.returncode == 2
    assert "No such option" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
@on_loop
async def test_wrong_credentials_bring_the_platforms_hint(options: list[str]) -> None:
    async with LocalGateway() as gateway:
        settings = settings_of(gateway) | {"QQ_SECRET": SECRET}
        async with running("listen", *options, settings=settings) as command:
            assert await command.end() == 2
        sentence = only(command.errors)
        assert "wrong AppID or AppSecret" in sentence
        assert "QQ console" in sentence
        assert "invalid appid or secret" in sentence
        if options:
            assert [record["event"] for record in command.records()] == ["disconnected", "stopped"]
        else:
            assert "listens to" in only(command.lines)
        assert SECRET not in "".join(command.lines + command.errors)


@on_loop
async def test_a_web_server_is_no_token_endpoint() -> None:
    async with serving(web_server) as port, LocalGateway() as gateway:
        url = f"http://127.0.0.1:{port}/app/getAppAccessToken"
        sentence = await refusal(settings_of(gateway) | {"QQ_TOKEN_URL": url})
        assert f"what answers at {url} is not the QQ platform" in sentence
        assert "check QQ_TOKEN_URL" in sentence


@on_loop
async def test_a_web_server_is_no_api() -> None:
    async with serving(web_server) as port, LocalGateway() as gateway:
        sentence = await refusal(settings_of(gateway) | {"QQ_API_BASE": f"http://127.0.0.1:{port}"})
        assert f"what answers at http://127.0.0.1:{port} is not the QQ platform: HTTP 200" in sentence
        assert "check QQ_API_BASE" in sentence


@on_loop
async def test_a_web_server_is_no_gateway() -> None:
    async with serving(web_server) as port, LocalGateway() as gateway:
        gateway.platform.gateway_url = f"ws://127.0.0.1:{port}/websocket"
        sentence = await refusal(settings_of(gateway))
        assert "is no gateway: the server refused the WebSocket upgrade with HTTP 200; check QQ_API_BASE" in sentence


@pytest.mark.parametrize("status", [301, 404, 501])
@on_loop
async def test_json_that_is_not_the_platforms_is_no_platform(status: int) -> None:
    async with LocalGateway() as gateway:
        gateway.platform.behaviour.http.append(HTTPFault(reply(status, {"detail": "no such page"}), times=99))
        sentence = await refusal(settings_of(gateway))
        assert "is not the QQ platform" in sentence
        assert "check QQ_TOKEN_URL" in sentence


def test_a_port_that_is_in_use() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]

        sentence = refused(["serve", "--port", str(port)], {})

    assert f"port {port} of 127.0.0.1 is in use" in sentence


def test_a_port_that_is_none() -> None:
    done = run("serve", "--port", "70000")

    assert done.returncode == 2
    assert "65535" in done.stderr


@pytest.mark.parametrize("missing", [["typer"], ["httpx", "rich"]])
def test_a_package_that_is_not_installed(missing: list[str]) -> None:
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({missing})); from qqproto_transports.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, encoding="utf-8")

    names = " ".join(missing)
    assert done.returncode == 2
    assert done.stderr == f"qqproto: the command line needs {names}: python -m pip install {names}\n"


def test_the_version() -> None:
    import qqproto

    done = run("--version")

    assert (done.returncode, done.stdout) == (0, f"qqproto {qqproto.__version__}\n")


@pytest.mark.parametrize("args", [["--help"], ["listen", "--help"], ["serve", "--help"], ["demo", "--help"]])
def test_help_is_plain_where_there_is_no_terminal(args: list[str]) -> None:
    done = run(*args)

    assert done.returncode == 0
    assert "Usage: qqproto" in done.stdout
    assert all(line.isprintable() and line.isascii() for line in done.stdout.splitlines())


async def refusal(settings: dict[str, str]) -> str:
    """The one sentence with which `listen` refuses."""
    async with running("listen", settings=settings) as command:
        assert await command.end() == 2
    return only(command.errors)


def only(lines: list[str]) -> str:
    assert len(lines) == 1, lines
    return lines[0]


async def web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It has one page, for everybody."""
    await reader.readuntil(b"\r\n\r\n")
    page = b"<html>It works!</html>"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + page)
    await writer.drain()


# -- what is read ------------------------------------------------------------------------------------------------------


def test_credentials_from_the_environment() -> None:
    assert read_credentials(" 1 ", None, {"QQ_SECRET": f" {SECRET}\n"}) == Credentials("1", SECRET)


def test_a_secret_file_goes_before_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\r\n", encoding="utf-8")

    assert read_credentials("1", path, {"QQ_SECRET": "another"}) == Credentials("1", SECRET)


@pytest.mark.parametrize(
    ("content", "complaint"), [(b" \n", "is empty"), (b"\xff\xfe\x00", "is no text"), (None, "cannot be read")]
)
def test_a_secret_file_without_a_secret(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=complaint):
        read_credentials("1", path, {})


def test_endpoints_are_production_unless_said_otherwise() -> None:
    assert read_endpoints(None, "") == Endpoints()
    assert read_endpoints("http://[::1]:8765", " http://127.0.0.1/token ") == Endpoints(
        "http://[::1]:8765", "http://127.0.0.1/token"
    )


@pytest.mark.parametrize(
    "url",
    [
        "api.sgroup.qq.com", "ftp://api.sgroup.qq.com", "https://", "https:///path", "http://127.0.0.1:port",
        "http://127.0.0.1:99999", "http://[::1", "http://a b", "http://主机", "http://a\x00b", "wss://a/websocket",
    ],
)  # fmt: skip
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="QQ_API_BASE") as caught:
        read_endpoints(url, None)
    assert "https://api.sgroup.qq.com" in str(caught.value)
    assert str(caught.value).isprintable()
    with pytest.raises(UsageError, match="QQ_TOKEN_URL"):
        read_endpoints(None, url)


def test_a_url_with_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="must not hold a user name") as caught:
        read_endpoints("https://user:hunter2@host", None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "bits"),
    [
        (["GROUP_AND_C2C_EVENT"], 1 << 25),
        (["guilds,guild-members 1024"], 1 | 2 | 1024),
        (["GUILDS|INTERACTION", "4"], 1 | 1 << 26 | 4),
    ],
)
def test_intents(words: list[str], bits: int) -> None:
    assert read_intents(words) == bits


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["GUILD"], r"'GUILD' is no intent; did you mean .*GUILDS"),
        (["guilds, forum_event"], r"'forum_event' is no intent; did you mean .*FORUMS_EVENT"),
        (["zzz"], r"known are GUILDS, .*and numbers"),
        ([" , "], "no intents"),
        (["0"], "no intents"),
    ],
)
def test_what_is_no_intent(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_intents(words)


def test_shards() -> None:
    assert [read_shards(word) for word in ("1", "16", "auto")] == [1, 16, "auto"]


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "", "2/8", "³", "1" * 5000])
def test_what_is_no_number_of_shards(word: str) -> None:
    with pytest.raises(UsageError, match="a number from 1 to 512, or auto"):
        read_shards(word)


def test_proxies() -> None:
    words = ("env", "none", "http://10.0.0.1:3128", "socks5://proxy.example")

    assert [read_proxy(word) for word in words] == ["env", None, "http://10.0.0.1:3128", "socks5://proxy.example"]


def test_drivers() -> None:
    assert [read_driver(name) for name in ("asyncio", "trio", "sync")] == list(DRIVERS.values())
    with pytest.raises(UsageError, match="give one of asyncio, trio, sync"):
        read_driver("twisted")


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "qqproto_transports.trio", raising=False)
    monkeypatch.setitem(sys.modules, "qqproto_transports._anyio_account", None)
    with pytest.raises(UsageError, match=r"the trio driver needs .*: python -m pip install"):
        read_driver("trio")


# -- what the first answers say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "failure"),
    [
        (Phase.HTTP, Failure(FailureKind.REFUSED, "nobody listens there")),
        (Phase.HTTP, Failure(FailureKind.OTHER, "no route to host")),
        (Phase.HTTP, Failure(FailureKind.HTTP_STATUS, "error 11298", 401, 11298)),
        (Phase.HTTP, Failure(FailureKind.RATE_LIMITED, "HTTP 429", 429)),
        (Phase.HTTP, Failure(FailureKind.PROXY_AUTH, "HTTP 407", 407)),
        *((Phase.HTTP, Failure(FailureKind.HTTP_STATUS, "bad day", status)) for status in (500, 502, 503, 504)),
        *((Phase.HELLO, Failure(FailureKind.HTTP_STATUS, "bad day", status)) for status in (500, 502, 503, 504)),
        (Phase.DIAL, Failure(FailureKind.TLS_UNTRUSTED, "the certificate is not trusted")),
        (Phase.AUTH, None),
    ],
)
def test_an_outage_is_no_bad_input(phase: Phase, failure: Failure | None) -> None:
    account = BotAccount(Credentials("1", SECRET))
    event = Disconnected(
        shard=0, code=None, reason="", verdict=Verdict.IDENTIFY, phase=phase, failure=failure, planned=False,
        last_send=None, last_receive=None, last_ack=None, lag=0.0, retry_in=1.0, attempt=1,
    )  # fmt: skip

    assert _problem(event, account, Endpoints()) is None
