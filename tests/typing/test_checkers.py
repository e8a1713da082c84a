"""Type checkers read the modules of this folder, which claim what is inferred, and find nothing to object to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
BIN = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300)


def mypy(*files: Path) -> subprocess.CompletedProcess[str]:
    """mypy as `make types` runs it."""
    return _run(sys.executable, "-m", "mypy", *map(str, files))


def pyright(*files: Path) -> subprocess.CompletedProcess[str]:
    """pyright, or basedpyright, which is the same but for what it brings along; with the settings of pyproject.toml."""
    found = shutil.which("basedpyright", path=BIN) or shutil.which("pyright", path=BIN)
    if found is None:
        pytest.skip("neither basedpyright nor pyright is installed: python -m pip install basedpyright")
    return _run(found, "--pythonpath", sys.executable, *map(str, files))


CHECKERS = [mypy, pyright]


@pytest.mark.long
@pytest.mark.parametrize("checker", CHECKERS)
def test_everything_is_inferred_as_it_is_claimed(checker: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert MODULES
    done = checker(*MODULES)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_wrong_claim_is_found(checker: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from typing import TYPE_CHECKING\n"
        "from qqproto import Dispatch\n"
        "from qqproto.protocol.dispatches import C2CMessageCreate, payload\n"
        "if TYPE_CHECKING:\n"
        "    from typing_extensions import assert_type\n"
        "def claim(event: Dispatch) -> None:\n"
        "    assert_type(payload(event, 'FRIEND_ADD'), C2CMessageCreate | None)\n",
        encoding="utf-8",
    )
    done = checker(wrong)

    assert done.returncode == 1
    assert "wrong.py:7" in done.stdout
    assert "FriendAdd" in done.stdout
