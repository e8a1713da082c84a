"""What the generated tables say, in Chinese: the code's own sentences, one for one."""

from __future__ import annotations

import re

UNITS = {
    "s": "秒",
    "min": "分钟",
    "h": "小时",
    "of the budget": "的配额",
    "calls": "次",
    "times": "次",
    "events": "个事件",
    "frames": "帧",
    "fragments": "个分片",
    "sequences": "个序号",
    "dispatches": "个事件",
    "links": "条连接",
}

CHINESE: dict[str, str] = {}
"""The cells of the tables, and the headings above them."""

_AMOUNT = re.compile(r"([\d.,%]+(?:, [\d.]+)*) (.+)")


def amount(text: str) -> str:
    """A number with its unit; what has none stays as it is."""
    found = _AMOUNT.fullmatch(text)
    if found is None or found[2] not in UNITS:
        return "无" if text == "none" else text
    number, unit = found[1].replace(", ", "、"), UNITS[found[2]]
    return f"{unit[1:]}的 {number}" if unit.startswith("的") else f"{number} {unit}"


def translated(tables: str) -> str:
    """Tables in Markdown, with what is known of them in Chinese."""
    return "".join(_line(line) + "\n" for line in tables.splitlines())


def _line(line: str) -> str:
    if line.startswith("**"):
        return f"**{_cell(line.strip('*'))}**"
    if not line.startswith("| "):
        return line
    cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return CHINESE.get(text) or amount(text)
