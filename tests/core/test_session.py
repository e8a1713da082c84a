from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Session, ShardConfig, User

CONFIG = ShardConfig("11111111", 1 << 25, (2, 8))
SESSION = Session(
    "S-1", "11111111", (2, 8), 1 << 25, 41, 38, User("42", "机器人"), ahead=(40,), missing=(7,),
    done=("e-1", "C2C_MESSAGE_CREATE m"),
)  # fmt: skip


def test_a_session_fits_the_shard_it_was_made_for() -> None:
    assert SESSION.unfit_for(CONFIG) is None
    assert SESSION.unfit_for(replace(CONFIG, properties={"$os": "linux"}, settle="manual")) is None


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(CONFIG, app_id="22222222"), "it is bot 11111111's, not bot 22222222's"),
        (replace(CONFIG, shard=(2, 9)), "it is of shard (2, 8), not of (2, 9)"),
        (replace(CONFIG, intents=1), "it was made with intents 33554432, not with 1"),
    ],
)
def test_another_bots_or_layouts_or_intents_session_does_not_fit(other: ShardConfig, why: str) -> None:
    assert SESSION.unfit_for(other) == why


def test_a_saved_session_comes_back_as_it_was() -> None:
    assert Session.from_bytes(SESSION.to_bytes()) == SESSION


def change(**fields: object) -> bytes:
    return json.dumps({**json.loads(SESSION.to_bytes()), **fields}).encode()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\xff\xfe", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (SESSION.to_bytes()[:-20], "no JSON object"),
        (change(version=2), "another version than 1"),
        (change(version=None), "another version than 1"),
        (change(id=5), "whose id is no text"),
        (change(app_id=None), "whose app_id is no text"),
        (change(shard=[0]), "whose shard is no pair"),
        (change(shard=[0, True]), "whose shard is no pair"),
        (change(intents="1"), "whose intents is no number"),
        (change(received=-1), "whose received is no number"),
        (change(settled=1.5), "whose settled is no number"),
        (change(user={"id": 5}), "without its user"),
        (change(user="me"), "without its user"),
        (change(ahead=["1"]), "whose ahead is no list"),
        (change(missing=None), "whose missing is no list"),
        (change(done=[1]), "whose done is no list"),
        (change(done="e"), "whose done is no list"),
    ],
)
def test_a_torn_or_foreign_file_is_a_clear_error(data: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Session.from_bytes(data)


@given(st.binary(max_size=200) | st.integers(0, len(SESSION.to_bytes())).map(lambda end: SESSION.to_bytes()[:end]))
def test_any_bytes_are_a_session_or_a_value_error(data: bytes) -> None:
    try:
        session = Session.from_bytes(data)
    except ValueError:
        return
    assert session == SESSION
