"""The generated tables in Chinese: every sentence of the code that is in one has its translation."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import generated, words

AS_THEY_ARE = {"来源", "导入", "事件类型", "载荷"}
"""Columns of names: pages, modules, types, classes."""


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zh") / "_generated"
    generated.write(folder, chinese=True)
    return folder


def cells(table: str) -> list[str]:
    """The cells of Markdown tables, without those of columns that stay as they are."""
    found: list[str] = []
    head: list[str] = []
    for line in table.splitlines():
        row = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if not line.startswith("| "):
            head = []
            found.append(line.strip("*"))
        elif not head:
            head = row
            found += row
        else:
            found += [cell for name, cell in zip(head, row, strict=False) if name not in AS_THEY_ARE]
    return found


def test_every_sentence_has_its_translation(chinese: Path) -> None:
    english = re.compile(r"[a-z]+ [a-z]+ [a-z]+")
    missing = [
        cell
        for page in sorted(chinese.glob("*.md"))
        for cell in cells(page.read_text(encoding="utf-8"))
        if english.search(re.sub(r"`[^`]*`", "", cell))
    ]
    assert missing == [], "add what they mean to docs/words.json"


def test_what_stands_in_the_pictures_is_chinese(chinese: Path) -> None:
    """But for what is code: calls, phases, opcodes, events, rooms."""
    words = re.compile(r"[a-z]+ [a-z]+")
    for name in ("shard.svg", "house.svg"):
        picture = ElementTree.parse(chinese / name)
        texts = [text.text or "" for text in picture.iter() if text.tag.endswith(("}text", "}title"))]
        assert [text for text in texts if words.search(text)] == []
        assert any("\u4e00" <= letter for letter in "".join(texts))


def test_what_is_said_of_payloads_is_chinese(chinese: Path) -> None:
    text = (chinese / "payloads.rst").read_text(encoding="utf-8")
    assert "- 必有\n" in text
    assert not re.search(r"- (required|may be absent|in the wild)", text)


def test_no_translation_is_left_of_what_nobody_says_any_more(tmp_path: Path) -> None:
    generated.write(tmp_path)
    said = {
        cell.strip("* ")
        for page in tmp_path.glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        for cell in (line.removeprefix("| ").removesuffix(" |").split(" | ") if line.startswith("| ") else [line])
    }
    assert words.CHINESE.keys() - said == set()


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("15 s", "15 秒"),
        ("5 min", "5 分钟"),
        ("1, 2, 5, 10, 30, 60 s", "1、2、5、10、30、60 秒"),
        ("5% of the budget", "配额的 5%"),
        ("10,000 dispatches", "10,000 个事件"),
        ("16 MiB", "16 MiB"),
        ("none", "无"),
        ("4000", "4000"),
    ],
)
def test_an_amount_in_chinese(english: str, chinese: str) -> None:
    assert words.amount(english) == chinese
