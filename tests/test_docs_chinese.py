"""The Chinese documentation keeps up with the English one: the same pages, the same skeleton, the same code."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from docs import translation
from docs.translation import CHINESE, ENGLISH

TRANSLATED = [page for page in translation.pages() if translation.stamp_of(page) is not None]

FENCE = re.compile(r"^(`{3,}|:{3,})(\{[\w-]+\}|\w*) ?(.*)\n((?:.*\n)*?)\1$", re.MULTILINE)


def text_of(page: str, folder: Path) -> str:
    """A page without its stamp; what it takes from outside of docs/ has the same name from both folders."""
    text = (folder / f"{page}.md").read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return text.replace("../../", "../") if folder == CHINESE else text


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Fenced blocks: language or directive, its argument, its text."""
    return [(kind, argument, body) for _, kind, argument, body in FENCE.findall(text)]


def code(page: str, folder: Path) -> list[tuple[str, str, str]]:
    """What has to be the same to the letter. Of the reference that is what it names, of a box nothing."""
    found = []
    for kind, argument, body in blocks(text_of(page, folder)):
        if kind == "{eval-rst}":
            body = "\n".join(re.findall(r"^ *\.\. .*$|^ +:[\w-]+:(?: .*)?$", body, re.MULTILINE))
        if kind == "{toctree}":
            body = re.sub(r"^:caption: .*\n", "", body, flags=re.MULTILINE)
        if kind not in ("{admonition}", "{note}", "{tip}", "{warning}"):
            found.append((kind, argument, body))
    return found


def prose(page: str, folder: Path) -> str:
    """A page without its blocks, but for what boxes say."""
    text = text_of(page, folder)
    return FENCE.sub(lambda found: found[4] if found[1].startswith(":") else "", text)


def test_no_page_has_fallen_behind() -> None:
    # On their way: the other pages are being translated.
    assert [told for told in translation.behind() if "is missing" not in told] == []


def test_there_is_no_chinese_page_without_an_english_one() -> None:
    assert {path.stem for path in CHINESE.glob("*.md")} <= set(translation.pages())


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_pages_have_the_same_code(page: str) -> None:
    assert code(page, CHINESE) == code(page, ENGLISH)


@pytest.mark.parametrize(
    "skeleton",
    [
        pytest.param(r"^#+(?= )", id="headings"),
        pytest.param(r"^ *- |^\|(?=.*\|$)|^\d+\. ", id="lists and tables"),
        pytest.param(r"(?<=\]\()[^)#\s]+", id="links"),
        pytest.param(r"{{ \w+ }}", id="numbers"),
        pytest.param(r"`[^`\n]+`", id="code"),
    ],
)
@pytest.mark.parametrize("page", TRANSLATED)
def test_both_pages_have_the_same_skeleton(page: str, skeleton: str) -> None:
    english, chinese = (
        Counter(re.findall(skeleton, prose(page, folder), re.MULTILINE)) for folder in (ENGLISH, CHINESE)
    )
    # Within a sentence the order of words is each language's own. A link's or a role's text is translated.
    for found in (english, chinese):
        for word in [word for word in found if " <" in word]:
            found[re.sub(r"`.*<", "`<", word)] += found.pop(word)
    assert chinese == english


@pytest.mark.parametrize("page", TRANSLATED)
def test_a_chinese_page_is_in_chinese(page: str) -> None:
    """Paragraphs that were forgotten would have no Chinese character in them."""
    paragraphs = [part for part in prose(page, CHINESE).split("\n\n") if re.search(r"[a-z]+ [a-z]+ [a-z]+", part)]
    assert [part for part in paragraphs if not re.search(r"[\u4e00-\u9fff]", part)] == []


def test_a_page_that_fell_behind_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english, chinese = tmp_path, tmp_path / "zh"
    chinese.mkdir()
    monkeypatch.setattr(translation, "ENGLISH", english)
    monkeypatch.setattr(translation, "CHINESE", chinese)
    for page in ("life", "outages", "proxies"):
        (english / f"{page}.md").write_text("# Before\n", encoding="utf-8")
    for page in ("life", "outages"):
        (chinese / f"{page}.md").write_text("# 之前\n", encoding="utf-8")
        translation.renew(page)
    (english / "outages.md").write_text("# After\n", encoding="utf-8")

    changed, missing = translation.behind()

    assert "`git log -p docs/outages.md`" in changed
    assert "`python -m docs.translation outages`" in changed
    assert "docs/zh/proxies.md is missing" in missing
    translation.renew("outages")
    assert translation.behind() == [missing]
    assert (chinese / "outages.md").read_text(encoding="utf-8").endswith("---\n# 之前\n")
