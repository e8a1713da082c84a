from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qqproto import Intents
from qqproto.protocol import payloads
from tests.core.samples import body, names

TOKEN = "QQBot ACCESS_TOKEN"
SAMPLE_SESSION = "082ee18c-0be3-491b-9d8b-fbd95c51673a"

# Whatever json.loads can make of a document; NaN is never equal to itself, so it is left out.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


def test_identify_is_the_documented_one() -> None:
    properties = {"$os": "linux", "$browser": "my_library", "$device": "my_library"}
    text = payloads.identify(token=TOKEN, intents=Intents.GROUP_AND_C2C_EVENT, shard=(0, 1), properties=properties)
    assert json.loads(text) == body("identify")


def test_identify_without_properties_leaves_them_out() -> None:
    text = payloads.identify(token=TOKEN, intents=1073741827, shard=(0, 1), properties={})
    assert json.loads(text) == body("identify_minimal")


def test_resume_is_the_documented_one() -> None:
    text = payloads.resume(token=TOKEN, session_id=SAMPLE_SESSION, sequence=1337)
    assert json.loads(text) == body("resume")


@pytest.mark.parametrize(("sequence", "sample"), [(None, "heartbeat_first"), (251, "heartbeat")])
def test_a_heartbeat_carries_a_sequence_or_null(sequence: int | None, sample: str) -> None:
    assert json.loads(payloads.heartbeat(sequence)) == body(sample)


@given(st.text(min_size=1), st.integers(min_value=1))
@example("\ud800", 1)
def test_a_resume_can_be_sent_whatever_the_session_is_called(session_id: str, sequence: int) -> None:
    # JSON may name a session by half of a surrogate pair, which no UTF-8 can carry as it is.
    text = payloads.resume(token=TOKEN, session_id=session_id, sequence=sequence)
    text.encode()
    assert json.loads(text)["d"] == {"token": TOKEN, "session_id": session_id, "seq": sequence}


@pytest.mark.parametrize(("sample", "seconds"), [("hello", 45.0), ("hello_field", 41.25)])
def test_the_interval_of_hello_comes_in_milliseconds(sample: str, seconds: float) -> None:
    assert payloads.heartbeat_interval(body(sample)["d"]) == seconds


@pytest.mark.parametrize("value", [None, "45000", True, False, [], {}, math.nan])
def test_an_interval_that_is_no_number_is_none(value: Any) -> None:
    assert payloads.heartbeat_interval({"heartbeat_interval": value}) is None


@pytest.mark.parametrize("data", [None, "", 45000, [45000], {}, {"interval": 45000}])
def test_a_hello_without_an_interval_has_none(data: Any) -> None:
    assert payloads.heartbeat_interval(data) is None


@pytest.mark.parametrize("value", [1e308, math.inf, 10**400, 10**4000])
def test_an_absurdly_long_interval_is_long(value: float) -> None:
    seconds = payloads.heartbeat_interval({"heartbeat_interval": value})
    assert seconds is not None
    assert seconds > 1e6


@pytest.mark.parametrize("value", [0, -0.0, -1, -45000, -1e308, -math.inf, -(10**400), 5e-324])
def test_an_interval_of_nothing_or_less_is_far_below_every_limit(value: float) -> None:
    seconds = payloads.heartbeat_interval({"heartbeat_interval": value})
    assert seconds is not None
    assert seconds < 0.001


@pytest.mark.parametrize("sample", ["ready", "resumed", *names("ev_")])
def test_every_sampled_dispatch_has_its_sequence(sample: str) -> None:
    assert payloads.sequence_of(body(sample)) == body(sample)["s"]


@pytest.mark.parametrize("value", [None, 0, -1, True, 1.0, "1", [1]])
def test_what_is_no_positive_integer_is_no_sequence(value: Any) -> None:
    assert payloads.sequence_of({"op": 0, "s": value}) is None


def test_an_envelope_may_have_no_sequence() -> None:
    assert payloads.sequence_of(body("reconnect")) is None


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        ("ready", (SAMPLE_SESSION, "6158788878435714165", "group_pro_test")),
        ("ready_field", ("S1", "1", "bot")),
    ],
)
def test_ready_names_the_session_and_the_user(sample: str, found: tuple[str, str, str]) -> None:
    assert payloads.ready_of(body(sample)["d"]) == found


@pytest.mark.parametrize("data", [None, "", [], {}, {"session_id": ""}, {"session_id": 5}, {"session_id": None}])
def test_a_ready_without_a_session_is_none(data: Any) -> None:
    assert payloads.ready_of(data) is None


@pytest.mark.parametrize(
    ("user", "found"),
    [
        (None, ("", "")),
        ("bot", ("", "")),
        ({}, ("", "")),
        ({"id": None, "username": None}, ("", "")),
        ({"id": 6158788878435714165, "username": "bot"}, ("6158788878435714165", "bot")),
        ({"id": True, "username": 5}, ("", "")),
        ({"id": ["1"]}, ("", "")),
    ],
)
def test_a_ready_is_good_without_a_whole_user(user: Any, found: tuple[str, str]) -> None:
    assert payloads.ready_of({"session_id": "S", "user": user}) == ("S", *found)


@given(JSON)
def test_no_json_makes_the_readers_raise(data: Any) -> None:
    payloads.heartbeat_interval(data)
    payloads.heartbeat_interval({"heartbeat_interval": data})
    payloads.ready_of(data)
    payloads.ready_of({"session_id": "S", "user": {"id": data, "username": data}})
    assert payloads.sequence_of({"s": data}) == (data if type(data) is int and data > 0 else None)


def test_a_user_id_that_is_a_tower_of_brackets_is_left_aside() -> None:
    # Other decoders than json's nest deeper than Python can print.
    tower: list[Any] = []
    for _ in range(2_000):
        tower = [tower]
    assert payloads.ready_of({"session_id": "S", "user": {"id": tower}}) == ("S", "", "")
