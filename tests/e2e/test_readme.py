"""The README on both language pages: every block of code runs, and the pages say the same in the same order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qqproto.testing import group_at_message
from qqproto_transports._cli_serve import how_to_connect
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.commands import environment, launched, settings_of
from tests.transports.loops import on_loop

ROOT = Path(__file__).parent.parent.parent
PAGES = ["README.md", "README.zh-CN.md"]
PORT = 8765
PYTHON = (sys.executable, "-W", "error", "-c")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: their language and their text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


def block(page: str, language: str, holding: str) -> str:
    """The one block of a page that holds these words."""
    found = [text for kind, text in blocks(page) if kind == language and holding in text]
    assert len(found) == 1, f"{page} has {len(found)} {language} blocks with {holding!r}"
    return found[0]


def prose(page: str) -> str:
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


# -- the two pages -----------------------------------------------------------------------------------------------------


def test_both_pages_have_the_same_blocks() -> None:
    assert blocks(PAGES[0]) == blocks(PAGES[1])


@pytest.mark.parametrize(
    "skeleton",
    [
        pytest.param(r"^#+(?= )", id="headings"),
        pytest.param(r"^- |^\|(?=.*\|$)|^\d+\. ", id="lists and tables"),
        pytest.param(r"(?<=\]\()(?!README)[^)]+", id="links"),
        pytest.param(r"`[^`\n]+`", id="code"),
    ],
)
def test_both_pages_have_the_same_skeleton(skeleton: str) -> None:
    # Each leads to the documentation in its own language.
    english, chinese = (re.findall(skeleton, prose(page).replace("docs/zh/", "docs/"), re.MULTILINE) for page in PAGES)

    assert english
    # Within a sentence the order of words is each language's own.
    assert sorted(english) == sorted(chinese)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", prose(page)) if "://" not in target]

    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_every_block_is_run_by_a_test_of_this_file() -> None:
    """A new block needs a test below; ``make`` and ``pip`` set up the machine that these tests run on."""
    tried = ["make demo", "async def main()", "qqproto serve", "qqproto listen", "def drain", "SendData", "pip install"]

    found = [text for _, text in blocks(PAGES[0])]
    assert len(found) == len(tried)
    for text, words in zip(found, tried, strict=True):
        assert words in text


# -- the blocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
@on_loop
async def test_the_bot_in_ten_lines(page: str) -> None:
    program = block(page, "python", "async def main()")
    async with LocalGateway() as gateway, launched(*PYTHON, program, settings=settings_of(gateway)) as bot:
        await bot.line("Ready")
        message = group_at_message("hello", id="ROBOT1.0_readme", now=gateway.now)
        gateway.platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", message, gateway.now)
        await bot.line("group: hello")
        assert bot.errors == []
        assert gateway.platform.violations == []


def run_python(program: str) -> list[str]:
    """The lines that a block prints."""
    done = subprocess.run([*PYTHON, program], env=environment(), capture_output=True, encoding="utf-8", timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_a_shard_on_text_messages(page: str) -> None:
    *told, timer = run_python(block(page, "python", "def drain"))

    assert told[0] == "open a WebSocket to wss://api.sgroup.qq.com/websocket"
    assert re.fullmatch(r"send \d+ characters", told[1])
    assert told[2:] == ["ready as bot"]
    assert re.fullmatch(r"next timer in \d+ s", timer)


@pytest.mark.parametrize("page", PAGES)
def test_a_shard_on_bytes(page: str) -> None:
    assert run_python(block(page, "python", "SendData")) == ["GET /websocket HTTP/1.1"]


@pytest.mark.skipif(sys.platform == "win32", reason="the lines are for a Unix shell")
@pytest.mark.parametrize("page", PAGES)
@on_loop
async def test_serve_and_listen_talk_to_each_other(page: str) -> None:
    command = f"exec {sys.executable} -m qqproto_transports"
    lines = block(page, "console", "qqproto serve").replace(".venv/bin/qqproto", command)
    async with launched("sh", "-c", lines.replace(str(PORT), "0")) as gateway:
        port = (await gateway.line("export QQ_API_BASE=")).rpartition(":")[2]
        lines = block(page, "console", "qqproto listen").replace(".venv/bin/qqproto", command)
        async with launched("sh", "-c", lines.replace(str(PORT), port)) as bot:
            await bot.line("ready: fake bot")
            await gateway.line("Identify")
            await gateway.type("say hello")
            await bot.line("hello")


@pytest.mark.parametrize("page", PAGES)
def test_serve_says_the_same_settings_as_the_page(page: str) -> None:
    told = re.findall(r"QQ_\w+=\S+", how_to_connect(LocalGateway(port=PORT)))

    assert len(told) == 4
    assert sorted(told) == sorted(re.findall(r"QQ_\w+=\S+", block(page, "console", "qqproto listen")))
