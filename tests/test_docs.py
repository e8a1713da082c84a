"""The documentation keeps up with the code: its examples run, and the reference leaves no public name out."""

import doctest
import re
from pathlib import Path
from types import ModuleType

import pytest

import qqproto
import qqproto.testing

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if ">>> " in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    report: list[str] = []

    result = doctest.DocTestRunner().run(example, out=report.append)

    assert result.attempted > 0
    assert result.failed == 0, "".join(report)


@pytest.mark.parametrize(("page", "module"), [("api.md", qqproto), ("testing.md", qqproto.testing)])
def test_the_reference_has_every_public_name(page: str, module: ModuleType) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. (?:auto\w+|py:data):: (\w+)$", text, re.MULTILINE)

    assert sorted(documented) == sorted(module.__all__)
