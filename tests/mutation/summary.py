"""What `make mutate` found out: how many of the mutants of each machine the tests killed, and which survived."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

LIMIT = 90.0
"""Per cent of all mutants that have to be killed."""

# The exit codes that mutmut notes, beside 0: a mutant that hangs is a mutant that was noticed.
_KILLED = {1, 3}
_TIMED_OUT = {24, -24, 36, 152, 255}
_NOT_COVERED = {5, 33}


def _fate(code: int | None) -> str:
    if code in _KILLED:
        return "killed"
    if code in _TIMED_OUT:
        return "timeout"
    if code in _NOT_COVERED:
        return "no tests"
    return "survived" if code == 0 else "not checked"


def main(folder: Path) -> int:
    """Print the table and the survivors' names; 1 if too many survived, or something was not checked."""
    total: Counter[str] = Counter()
    left: list[str] = []
    row = "{:<28} {:>7} {:>7} {:>7} {:>8} {:>8}"
    print(row.format("", "mutants", "killed", "timeout", "survived", "percent"))
    for meta in sorted(folder.glob("qqproto/**/*.meta")):
        codes: dict[str, int | None] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        fates = {name: _fate(code) for name, code in codes.items()}
        counts = Counter(fates.values())
        total += counts
        left += [f"{fate:<11}  {name}" for name, fate in fates.items() if fate not in ("killed", "timeout")]
        print(row.format(str(meta.relative_to(folder).with_suffix("")), *_figures(counts)))
    print(row.format("all", *_figures(total)))
    if left:
        print("\nLook at one with `mutmut show NAME`; tests/mutation/README.md has the reasons.")
        print("\n".join(left))
    enough = 100.0 * (total["killed"] + total["timeout"]) >= LIMIT * total.total() > 0
    return 0 if enough and not total["not checked"] else 1


def _figures(counts: Counter[str]) -> tuple[int, int, int, int, str]:
    alive = counts.total() - counts["killed"] - counts["timeout"]
    percent = 100.0 * (counts.total() - alive) / counts.total() if counts else 0.0
    return counts.total(), counts["killed"], counts["timeout"], alive, f"{percent:.1f}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
