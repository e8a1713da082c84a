"""What the generated tables say, in Chinese: the code's own sentences, one for one."""

from __future__ import annotations

import json
import re
from pathlib import Path

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

_WORDS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))

PICTURES = _WORDS.pop("pictures")
"""What stands in the pictures."""

PAYLOADS = _WORDS.pop("payloads")
"""What the reference of the payloads says beside names and docstrings."""

CHINESE = {english: chinese for part in _WORDS.values() for english, chinese in part.items()}
"""The cells of the tables and the headings above them."""

_NOTE = re.compile(rf"^( +(?:\* )?- |   )({'|'.join(map(re.escape, PAYLOADS))})(?=$|`|\w)", re.MULTILINE)
_AMOUNT = re.compile(r"([\d.,%]+(?:, [\d.]+)*) ([a-z ]+)")


def amount(text: str) -> str:
    """A number with its unit; what has none stays as it is."""
    found = _AMOUNT.fullmatch(text)
    if found is None or found[2] not in UNITS:
        return "无" if text == "none" else text
    number, unit = found[1].replace(", ", "、"), UNITS[found[2]]
    return f"{unit[1:]}的 {number}" if unit.startswith("的") else f"{number} {unit}"


def translated(text: str, name: str) -> str:
    """A generated file in Chinese: the cells of tables, the notes of payloads."""
    if name.endswith(".md"):
        return "".join(_line(line) + "\n" for line in text.splitlines())
    if name == "payloads.rst":
        return re.sub(_NOTE, lambda note: note[1] + PAYLOADS[note[2]], text)
    return text


def _line(line: str) -> str:
    if line.startswith("**"):
        return f"**{_cell(line.strip('*'))}**"
    if not line.startswith("| "):
        return line
    cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    if text in CHINESE:
        return CHINESE[text]
    if code := re.fullmatch(r"(close code|error) (\d+)", text):
        return f"{'错误' if code[1] == 'error' else '关闭码'} {code[2]}"
    if text.startswith("after "):
        return f"{amount(text.removeprefix('after '))}之后"
    return amount(text)
