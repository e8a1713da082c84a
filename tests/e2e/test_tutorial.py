"""The tutorial, word for word: what it says to type is typed, and what it shows is seen.

Only spans are shorter here: the gateway wants more heartbeats, and the bot has less patience.
"""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import pytest

from qqproto_transports._cli_serve import HELP
from tests.transports.commands import ROOT, Command, launched, running
from tests.transports.loops import eventually, on_loop

LEVERS = {line.split()[0] for line in HELP.splitlines()}
IMPATIENT = """
import dataclasses, runpy, sys
from qqproto.policy import Policy
names = [field.name for field in dataclasses.fields(Policy)]
numbers = dict(zip(names, Policy.__init__.__defaults__)) | {"probe_after": 0.3, "dead_after": 0.6, "backoff": (0.2,)}
Policy.__init__.__defaults__ = tuple(numbers.values())
sys.path.pop(0)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def blocks() -> list[list[str]]:
    """What is typed and what is seen, up to the step that needs an AppID of one's own."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    found = [block.splitlines() for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]
    [own] = [number for number, block in enumerate(found) if block[0].startswith("$ unset")]
    return found[:own]


def alike(line: str) -> str:
    """A line without its numbers and addresses, which are others each time."""
    return re.sub(r"\d+(\.\d+)?", "0", line).strip()


class Reader:
    """Somebody who follows the page, with a gateway in one terminal and a bot in another."""

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        self._gateway: Command | None = None
        self._bot: Command | None = None
        self._settings: dict[str, str] = {}

    async def follow(self, block: list[str]) -> None:
        commands = [line.removeprefix("$ ") for line in block if line.startswith("$ ")]
        rest = [line for line in block if not line.startswith("$ ")]
        for command in commands:
            await self._run(command)
        for line in filter(None, map(str.strip, rest)):
            if not commands and line.split()[0] in LEVERS:
                assert self._gateway is not None
                await self._gateway.type(line)
            else:
                await self._see(line)

    async def _run(self, command: str) -> None:
        match command.split():
            case ["qqproto", "serve", "--heartbeat", "5"]:
                args = ("serve", "--port", "0", "--heartbeat", "0.25")
                self._gateway = await self._stack.enter_async_context(running(*args))
                await self._gateway.line("Ctrl-C ends it")
            case ["export", setting]:
                assert self._gateway is not None
                told = [line.strip() for line in self._gateway.lines]
                assert alike(f"export {setting}") in map(alike, told)
                name = setting.partition("=")[0]
                [value] = [line.partition("=")[2] for line in told if line.startswith(f"export {name}=")]
                self._settings[name] = value
            case ["python", program]:
                if self._bot is not None:
                    await self._bot.abandon()
                argv = (sys.executable, "-W", "error", "-c", IMPATIENT, str(ROOT / program))
                self._bot = await self._stack.enter_async_context(launched(*argv, settings=self._settings))
            case ["pkill", "-KILL", "-f", "survivor.py"]:
                assert self._bot is not None
                await self._bot.abandon()
            case ["python3", "-m", "venv", ".venv"] | [".", ".venv/bin/activate"] | ["pip", "install", _]:
                pass  # what these tests run on
            case _:
                raise AssertionError(f"nobody knows what {command!r} does")

    async def _see(self, line: str) -> None:
        """Wait for the line, from the bot if there is one."""
        shown = self._bot or self._gateway
        assert shown is not None
        await eventually(lambda: alike(line) in map(alike, [*shown.lines, *shown.errors]))


@pytest.mark.skipif(sys.platform == "win32", reason="it is for a Unix shell")
@on_loop
async def test_the_tutorial_word_for_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the bot keeps its session
    async with contextlib.AsyncExitStack() as stack:
        reader = Reader(stack)
        for block in blocks():
            await reader.follow(block)
