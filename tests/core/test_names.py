"""The names of ``qqproto``: each is imported when it is asked for, and the type checkers see the same ones."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import qqproto

HOMES = {name: home for home, names in qqproto._HOMES.items() for name in names}


def test_every_name_has_one_home_and_is_there() -> None:
    assert sorted(HOMES) == sorted(qqproto.__all__)
    assert len(HOMES) == sum(map(len, qqproto._HOMES.values()))
    for name, home in HOMES.items():
        assert getattr(qqproto, name) is getattr(import_module(f"qqproto.{home}"), name)


def test_type_checkers_are_told_the_same() -> None:
    [block] = [node for node in ast.parse(inspect.getsource(qqproto)).body if isinstance(node, ast.If)][:1]
    told = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        assert statement.module is not None
        told.update({alias.name: statement.module.removeprefix("qqproto.") for alias in statement.names})
    assert told == HOMES


def test_a_name_that_is_none_is_none() -> None:
    with pytest.raises(AttributeError, match="'qqproto' has no attribute 'Shart'"):
        _ = getattr(qqproto, "Shart")  # noqa: B009
    assert {*qqproto.__all__, "__version__"} <= {*dir(qqproto)}


def test_who_wants_one_name_does_not_wait_for_the_others() -> None:
    program = "import sys, qqproto; qqproto.Intents; print('wsproto' in sys.modules, 'qqproto.shard' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_shard_on_texts_does_not_wait_for_a_websocket() -> None:
    program = """
import sys
from qqproto import Framing, Shard, ShardConfig
for framing in (Framing.TEXT, Framing.BYTES):
    Shard(ShardConfig("1", 1), random=lambda: 0.5, framing=framing)
    print("wsproto" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"], "and who needs one has it before there is a connection"
