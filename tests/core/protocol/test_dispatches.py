"""The table of dispatch types and the shapes of their payloads, held against the wire samples."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Dispatch, Intents
from qqproto.protocol import dispatches
from qqproto.protocol.dispatch_types import EVENT_NAMING_TYPES
from qqproto.protocol.dispatches import DISPATCH_TYPES, Wild, payload, rich_text
from qqproto.protocol.intents import INTENT_OF
from tests.core.hosts import Talk
from tests.core.samples import body, names
from tests.core.shapes import hints_of, misfits, strangers

DISPATCHES = ["ready", "ready_field", "resumed", *names("ev_")]
FUTURE = "ev_some_future_event"
SHAPES = [getattr(dispatches, name) for name in dispatches.__all__ if typing.is_typeddict(getattr(dispatches, name))]


def shape_of(type: str) -> Any:
    """The class of a type's payload."""
    return getattr(dispatches, DISPATCH_TYPES[type].payload or "")


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_has_every_type_of_the_samples_and_every_type_of_the_intents() -> None:
    sampled = {body(name)["t"] for name in DISPATCHES if name != FUTURE}

    assert sampled <= set(DISPATCH_TYPES)
    assert set(INTENT_OF) == set(DISPATCH_TYPES) - {"READY", "RESUMED"}


def test_every_row_has_a_source_and_the_intent_that_carries_it() -> None:
    for type, row in DISPATCH_TYPES.items():
        assert row.type == type
        assert row.source
        assert row.intent == INTENT_OF.get(type)


def test_every_payload_is_a_public_shape_and_every_row_but_that_of_resumed_has_one() -> None:
    without = [type for type, row in DISPATCH_TYPES.items() if row.payload is None]

    assert without == ["RESUMED"]
    for row in DISPATCH_TYPES.values():
        if row.payload is not None:
            assert row.payload in dispatches.__all__
            assert typing.is_typeddict(getattr(dispatches, row.payload))


def test_the_ids_that_name_an_event_are_those_of_messages_and_interactions() -> None:
    created = {type for type in DISPATCH_TYPES if type.endswith("MESSAGE_CREATE")}

    assert created | {"INTERACTION_CREATE"} == EVENT_NAMING_TYPES
    assert len(created) == 6


def test_every_class_is_reached_from_a_payload() -> None:
    """No shape stands there for nothing."""
    reached = {shape_of(row.type) for row in DISPATCH_TYPES.values() if row.payload}
    queue = list(reached)
    while queue:
        for inner in _shapes_in(queue.pop()) - reached:
            reached.add(inner)
            queue.append(inner)

    assert {shape.__name__ for shape in SHAPES} == {shape.__name__ for shape in reached}


def _shapes_in(shape: Any) -> set[Any]:
    found = set()
    kinds = list(hints_of(shape).values())
    while kinds:
        kind = kinds.pop()
        if typing.is_typeddict(kind):
            found.add(kind)
        kinds += typing.get_args(kind)
    return found


# -- the shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in DISPATCHES if name not in (FUTURE, "resumed")])
def test_a_sample_fits_the_shape_of_its_type(name: str) -> None:
    sample = body(name)
    shape = shape_of(sample["t"])

    assert list(misfits(sample["d"], shape)) == []
    assert list(strangers(sample["d"], shape)) == [], "a field of the samples has no place in its shape"


def test_a_payload_that_does_not_fit_is_seen() -> None:
    """The measure itself: without it the test above could not fail."""
    shape = dispatches.C2CMessageCreate
    good = body("ev_c2c_message_create")["d"]

    assert list(misfits({**good, "id": 5}, shape)) == ["d.id is 5, no str"]
    assert list(misfits({**good, "author": {"id": "A"}}, shape)) == ["d.author.user_openid is missing"]
    assert list(misfits({**good, "attachments": [1]}, shape)) == ["d.attachments[0] is no object"]
    assert list(misfits({**good, "message_type": True}, shape)) == ["d.message_type is True, no int"]
    assert list(misfits("", shape)) == ["d is no object"]
    assert list(strangers({**good, "author": {"x": 1}, "y": 2}, shape)) == ["d.author.x", "d.y"]


def test_strings_and_numbers_are_both_taken_where_the_platform_sends_both() -> None:
    both = {"timestamp", "type", "guild_id", "channel_id", "author_id", "version"}

    for name in ("ev_group_add_robot", "ev_group_add_robot_2", "ev_message_reaction_add", "ev_message_reaction_remove"):
        assert list(misfits(body(name)["d"], shape_of(body(name)["t"]))) == []
    found = {
        field for shape in SHAPES for field, kind in hints_of(shape).items() if set(typing.get_args(kind)) == {int, str}
    }
    assert both <= found


def test_ids_are_strings() -> None:
    for shape in SHAPES:
        for field, kind in hints_of(shape).items():
            if (field == "id" or field.endswith("_id")) and kind is not Any:
                assert str in (kind, *typing.get_args(kind)) or field == "template_id", f"{shape.__name__}.{field}"


def test_what_the_wild_adds_is_never_required_and_names_who_saw_it() -> None:
    wild = 0
    for shape in SHAPES:
        for field, kind in typing.get_type_hints(shape, include_extras=True).items():
            for mark in getattr(kind, "__metadata__", ()):
                assert isinstance(mark, Wild)
                assert mark.source
                assert field in shape.__optional_keys__
                wild += 1

    assert wild > 30


def test_every_shape_says_what_it_is() -> None:
    for shape in SHAPES:
        assert shape.__doc__, shape.__name__


# -- through the machine ----------------------------------------------------------------------------------------------


def through_a_machine(sample: dict[str, Any]) -> Dispatch:
    """What a live conversation makes of one message of the server."""
    talk = Talk()
    talk.up()
    talk.say(json.dumps(sample))
    assert len(talk.outputs) == 1, talk.outputs
    return talk.only(Dispatch)


@pytest.mark.parametrize("name", names("ev_"))
def test_a_sample_comes_out_of_the_machine_as_it_went_in(name: str) -> None:
    sample = body(name)
    event = through_a_machine(sample)

    assert (event.type, event.id, event.data) == (sample["t"], sample["id"], sample["d"])
    assert payload(event, sample["t"]) is event.data
    assert payload(event, "SOMETHING_ELSE") is None


def test_unknown_types_and_fields_pass_through_untouched() -> None:
    sample = body("ev_c2c_message_create")
    odd = {**sample, "d": {**sample["d"], "brand_new": [1, {"x": None}]}, "also_new": 1.5}
    event = through_a_machine(odd)
    message = payload(event, "C2C_MESSAGE_CREATE")

    assert message is event.data
    assert message == odd["d"]
    assert event.envelope == odd
    assert payload(through_a_machine(body(FUTURE)), "SOME_FUTURE_EVENT") == {"a": 1}


# -- narrowing --------------------------------------------------------------------------------------------------------


@given(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()))
def test_what_is_no_object_is_no_payload(data: object) -> None:
    assert payload(Dispatch("C2C_MESSAGE_CREATE", data), "C2C_MESSAGE_CREATE") is None


def test_the_overloads_are_those_of_the_table() -> None:
    """Type checkers read the overloads; here they are read as text. tests/typing shows what is inferred."""
    source = inspect.getsource(inspect.getmodule(payload) or payload)
    told: dict[str, str] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef) or node.name != "payload" or not node.decorator_list:
            continue
        annotation, result = node.args.args[1].annotation, node.returns
        assert isinstance(result, ast.BinOp)
        for constant in ast.walk(annotation) if isinstance(annotation, ast.Subscript) else ():
            if isinstance(constant, ast.Constant):
                told[str(constant.value)] = ast.unparse(result.left)

    assert told == {type: row.payload for type, row in DISPATCH_TYPES.items() if row.payload}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('{"paragraphs":[]}', {"paragraphs": []}),
        ([{"type": 1, "text_info": {"text": "Test"}}], [{"type": 1, "text_info": {"text": "Test"}}]),
        ("plain words", "plain words"),
        ("[" * 100_000, "[" * 100_000),
        (None, None),
    ],
)
def test_rich_text_is_read_in_whichever_form_it_comes(value: object, read: object) -> None:
    assert rich_text(value) == read


def test_the_machines_do_not_load_the_shapes() -> None:
    """Sixty classes that nobody may need are not worth a bot's start."""
    program = "import qqproto, sys; print('qqproto.protocol.dispatches' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_intents_are_joined_from_rows() -> None:
    rows = [row for row in DISPATCH_TYPES.values() if row.payload in ("C2CMessageCreate", "GuildMessageCreate")]

    assert Intents.for_types(*(row.type for row in rows)).names == (
        "GUILD_MESSAGES",
        "GROUP_AND_C2C_EVENT",
        "PUBLIC_GUILD_MESSAGES",
    )
