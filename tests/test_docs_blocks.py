"""Every block of code in the documentation is run, or checked for what it says. The Chinese pages have the same ones.

Python in a page is run as a doctest (test_docs.py). Whole programs are examples, which have tests of their own. What is
typed into a shell is checked here: commands, options, targets and files exist. The tutorial is played word for word
(e2e/test_tutorial.py).
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import qqproto
from qqproto_transports._cli_app import app
from tests.test_docs_chinese import blocks

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
BUILT = {"{eval-rst}", "{include}", "{raw}", "{toctree}", "{admonition}", "{note}", "{tip}", "{warning}"}
"""What the documentation's build checks."""

PAGE_BLOCKS = [
    pytest.param(kind, argument, body, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (kind, argument, body) in enumerate(blocks(page.read_text(encoding="utf-8")))
    if kind not in BUILT
]
SHELL = {"cd", "export", "kill", "pkill", "unset", "."}
TUTORIAL = {"hello", "survivor"}
"""The examples that the tutorial starts."""


def commands() -> dict[str, set[str]]:
    """The commands of `qqproto`, and the options of each."""
    group: Any = typer.main.get_command(app)  # a click.Group, of whichever click typer stands on
    return {
        name: {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for name, command in group.commands.items()
    }


def check_command(line: str) -> None:
    """Raises AssertionError if the line names something that there is not."""
    words = shlex.split(line)
    match words:
        case ["qqproto", name, *rest]:
            options = commands()[name]
            assert {word for word in rest if word.startswith("--")} <= options, line
        case ["make", *rest]:
            targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
            assert {word for word in rest if "=" not in word} <= targets, line
        case ["pip", "install", *rest]:
            metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            for word in rest:
                extras = re.fullmatch(r"\.\[([\w,]+)\]", word)
                assert extras, line
                for extra in extras[1].split(","):
                    assert re.search(rf"^{extra} = \[", metadata, re.MULTILINE), line
        case ["python" | "python3", "-m", module, *_]:
            path = ROOT / "transports" / Path(*module.split("."))
            assert module in ("venv", "docs.translation") or path.with_suffix(".py").is_file() or path.is_dir(), line
        case ["python", program, *_]:
            assert (ROOT / program).is_file(), line
        case _:
            assert words[0] in SHELL, f"nobody knows what {line!r} does"


@pytest.mark.parametrize(("kind", "argument", "body"), PAGE_BLOCKS)
def test_the_block_says_what_is_so(kind: str, argument: str, body: str) -> None:
    match kind:
        case "python":
            assert body.startswith(">>> "), "a block that is not run: make it an example, or a doctest"
        case "console":
            typed = [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]
            for line in typed:
                check_command(line)
        case "json":
            for line in body.splitlines():
                record = json.loads(line)
                assert "time" in record
                if "step" not in record:  # those of the doctor are checked by its own tests
                    assert hasattr(qqproto, "".join(map(str.title, record["event"].split("_"))))
        case "{literalinclude}":
            included = (ROOT / "docs" / argument).resolve()
            if "_generated" in argument:
                return
            assert included.is_file(), argument
            check_example(included)
            for name in re.findall(r"^:pyobject: (\w+)$", body, re.MULTILINE):
                check_recipe(included, name)
        case _:
            raise AssertionError(f"nothing runs or checks a block of {kind or 'no language'}")


def check_example(path: Path) -> None:
    """An example has a test that starts it; a unit is one that systemd can read."""
    if path.suffix == ".py":
        tests = [text.read_text(encoding="utf-8") for text in (ROOT / "tests" / "e2e").glob("test_*.py")]
        assert path.stem in TUTORIAL or any(f'"{path.name}"' in text or f'"{path.stem}:' in text for text in tests), (
            "no test starts it"
        )
    elif path.suffix == ".service":
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation has it
        unit.read_string(path.read_text(encoding="utf-8"))
        assert unit["Service"]["Type"] == "notify"
        assert (path.parent / Path(unit["Service"]["ExecStart"].split()[1]).name).is_file()
    else:
        assert path.suffix == ".yml"


def check_recipe(path: Path, name: str) -> None:
    """A recipe is short enough to be copied."""
    [found] = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    assert found.end_lineno is not None
    assert found.end_lineno - found.lineno < 15


@pytest.mark.parametrize(
    "line",
    [
        "qqproto listen --loud",
        "make tea",
        "pip install '.[magic]'",
        "python -m qqproto_transports.dream",
        "python no.py",
        "rm -rf .",
    ],
)
def test_a_line_that_cannot_work_is_found(line: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        check_command(line)
