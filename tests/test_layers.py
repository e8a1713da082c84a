"""The layers of the house: every import contract holds, and is seen to break when it is violated."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"

PURE = "the core imports no I/O, clock, thread, randomness or environment module"
NO_DRIVERS = "the core never imports the drivers"
LAYERS = "shard and account above connection above conversation above values above facts"
WIRE = "the wire knows no machine"
BARE = "the conversation needs the standard library alone"
SIGNATURES = "cryptography is for the signatures of webhooks alone"
REFERENCE = "the reference model of the simulation shares no code with the machines"
APART = "nothing in the core imports qqproto.testing"

# contract, the module that misbehaves, the import that it must not contain
VIOLATIONS = [
    (PURE, "policy", "import time"),
    (PURE, "session", "import random"),
    (PURE, "testing/__init__", "from socket import socketpair"),
    (NO_DRIVERS, "errors", "import qqproto_transports"),
    (LAYERS, "account", "from qqproto import shard"),
    (LAYERS, "shard", "from qqproto import account"),
    (LAYERS, "shard", "from qqproto import recording"),
    (LAYERS, "connection", "from qqproto import shard"),
    (LAYERS, "conversation", "from qqproto import recovery"),
    (LAYERS, "status", "from qqproto import conversation"),
    (LAYERS, "protocol/opcodes", "from qqproto import policy"),
    (LAYERS, "webhook", "from qqproto import shard"),
    (WIRE, "wire/__init__", "from qqproto import conversation"),
    (SIGNATURES, "webhook", "import cryptography"),
    (BARE, "conversation", "import wsproto"),
    (BARE, "policy", "import wsproto"),
    (REFERENCE, "testing/simulation/reference/table", "from qqproto.protocol import close_codes"),
    (REFERENCE, "testing/simulation/reference/pulse", "from qqproto.heartbeat import Heartbeat"),
    (APART, "__init__", "import qqproto.testing"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of both packages and of the contracts, free to be spoilt."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "qqproto", tmp_path / "qqproto", ignore=ignore)
    shutil.copytree(ROOT / "transports", tmp_path / "transports", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> tuple[set[str], set[str]]:
    """The names of the contracts that were kept and of those that were broken in ``root``."""
    paths = os.pathsep.join([str(root), str(root / "transports")])
    run = subprocess.run(
        [LINT_IMPORTS, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )
    kept = set(re.findall(r"^(.+) KEPT(?: \(.+\))?$", run.stdout, re.MULTILINE))
    broken = set(re.findall(r"^(.+) BROKEN(?: \(.+\))?$", run.stdout, re.MULTILINE))
    assert kept or broken, run.stdout + run.stderr
    assert run.returncode == (1 if broken else 0), run.stdout + run.stderr
    return kept, broken


def test_the_untouched_layers_keep_every_contract(copy: Path) -> None:
    kept, broken = lint(copy)

    assert broken == set()
    assert kept == {contract for contract, _, _ in VIOLATIONS}, "each contract needs a violation in this file"


@pytest.mark.parametrize(("contract", "module", "statement"), VIOLATIONS)
def test_a_violation_breaks_its_contract_and_no_other(copy: Path, contract: str, module: str, statement: str) -> None:
    with (copy / "qqproto" / f"{module}.py").open("a", encoding="utf-8") as source:
        source.write(f"\n{statement}\n")

    _, broken = lint(copy)

    assert broken == {contract}


def test_a_module_without_a_layer_breaks_the_layers(copy: Path) -> None:
    (copy / "qqproto" / "homeless.py").touch()

    _, broken = lint(copy)

    assert broken == {LAYERS}
