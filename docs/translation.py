"""Which Chinese page translates which state of its English one.

Each page in docs/zh/ carries, in its first lines, a fingerprint of the English page that it translates. When the
English page changes, tests/test_docs_chinese.py names the Chinese one. Translate what has changed, then::

    python -m docs.translation              # which pages are behind
    python -m docs.translation life outages # these two say the same again
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

ENGLISH = Path(__file__).parent
CHINESE = ENGLISH / "zh"

_STAMP = re.compile(r'\A---\nenglish: "(\w+)"\n---\n')


def pages() -> list[str]:
    """The names of the English pages, without ``.md``."""
    return sorted(path.stem for path in ENGLISH.glob("*.md"))


def fingerprint(page: str) -> str:
    """What tells this state of an English page from others."""
    text = (ENGLISH / f"{page}.md").read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stamp_of(page: str) -> str | None:
    """The fingerprint that a Chinese page carries; None if there is no such page, or none in it."""
    path = CHINESE / f"{page}.md"
    found = _STAMP.match(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found[1] if found else None


def behind() -> list[str]:
    """A sentence about each page whose translation is missing or out of date."""
    told = []
    for page in pages():
        stamp = stamp_of(page)
        if stamp is None:
            told.append(f"docs/zh/{page}.md is missing, or does not say which docs/{page}.md it translates")
        elif stamp != fingerprint(page):
            told.append(
                f"docs/{page}.md has changed since docs/zh/{page}.md was translated: see `git log -p docs/{page}.md`,"
                f" translate the change, then run `python -m docs.translation {page}`"
            )
    return told


def renew(page: str) -> None:
    """Say that the Chinese page says what the English one says now. Raises FileNotFoundError if either is missing."""
    path = CHINESE / f"{page}.md"
    text = _STAMP.sub("", path.read_text(encoding="utf-8"))
    path.write_text(f'---\nenglish: "{fingerprint(page)}"\n---\n{text}', encoding="utf-8", newline="\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(Path(name).stem)
    if problems := behind():
        sys.exit("\n".join(problems))
