"""The documentation keeps up with the code: its examples run, and the reference leaves no public name out."""

import doctest
import re
from pathlib import Path
from types import ModuleType
from typing import is_typeddict

import pytest

import qqproto
import qqproto.protocol.dispatches
import qqproto.recording
import qqproto.testing
import qqproto.testing.simulation
import qqproto.webhook
import qqproto_transports.asgi
import qqproto_transports.asyncio
import qqproto_transports.local_gateway
import qqproto_transports.recordings
import qqproto_transports.stores
import qqproto_transports.sync
import qqproto_transports.trio

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if ">>> " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # Some write files.
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    report: list[str] = []

    result = doctest.DocTestRunner().run(example, out=report.append)

    assert result.attempted > 0
    assert result.failed == 0, "".join(report)


def documented(page: Path) -> dict[str, list[str]]:
    """The names that a page has an entry for, by module."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    text = page.read_text(encoding="utf-8")
    for directive, name in re.findall(
        r"^\.\. (auto\w+|py:class|py:data|py:exception|currentmodule):: ([\w.]+)", text, re.MULTILINE
    ):
        if directive == "currentmodule":
            names = found.setdefault(name, [])
        else:
            names.append(name)
    return found


def public_names(module: ModuleType) -> list[str]:
    """What a module says it exports, or defines without an underscore; the shapes of payloads are looked at elsewhere
    (test_docs_generated.py)."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    names = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    return [name for name in names if not is_typeddict(getattr(module, name))]


@pytest.mark.parametrize(
    ("page", "module"),
    [
        ("api.md", qqproto),
        ("dispatches.md", qqproto.protocol.dispatches),
        ("webhooks.md", qqproto.webhook),
        ("webhooks.md", qqproto_transports.asgi),
        ("testing.md", qqproto.testing),
        ("simulation.md", qqproto.testing.simulation),
        ("asyncio.md", qqproto_transports.asyncio),
        ("asyncio.md", qqproto_transports.local_gateway),
        ("trio.md", qqproto_transports.trio),
        ("threads.md", qqproto_transports.sync),
        ("sessions.md", qqproto_transports.stores),
        ("recordings.md", qqproto.recording),
        ("recordings.md", qqproto_transports.recordings),
    ],
    ids=lambda value: value.__name__ if isinstance(value, ModuleType) else value,
)
def test_the_reference_has_every_public_name(page: str, module: ModuleType) -> None:
    names = documented(DOCS / page)[module.__name__]

    assert names
    assert sorted(names) == sorted(public_names(module))
