"""Every test on every CPython that is installed here; `make test-all` runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

SUPPORTED = ["3.10", "3.11", "3.12", "3.13", "3.14"]

nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False


def interpreter(version: str) -> Path | None:
    """The CPython of that version, on PATH or among pyenv's; a pyenv shim that leads nowhere does not count."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))]
    question = "import platform, sys; print(platform.python_implementation(), *sys.version_info[:2])"
    for candidate in candidates:
        if candidate:
            answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
            if answer.stdout.split() == ["CPython", *version.split(".")]:
                return Path(candidate)
    return None


def installed() -> list[str]:
    """The supported versions that are here, each put on PATH where nox looks for it; the others are named."""
    if sys.platform == "win32":
        return SUPPORTED  # nox asks the py launcher, and skips what is missing
    found = {version: interpreter(version) for version in SUPPORTED}
    missing = [version for version, path in found.items() if path is None]
    if missing:
        print(f"not installed here, skipped: CPython {', '.join(missing)}", file=sys.stderr)
    folders = [str(path.parent) for path in found.values() if path]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])
    return [version for version, path in found.items() if path]


@nox.session(python=installed())
def tests(session: nox.Session) -> None:
    session.install("--editable", ".[asyncio,cli,dev,sync,trio,webhook]")
    session.run(
        "pytest",
        *(
            session.posargs
            or ["--numprocesses", "4", "--dist", "worksteal", "--doctest-modules", "qqproto", "transports", "tests"]
        ),
    )
