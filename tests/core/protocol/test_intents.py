from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Intents
from qqproto.protocol.intents import INTENTS

# websocket.html's list, with the bits that only SDKs name: see the class.
BITS = {
    "GUILDS": 0,
    "GUILD_MEMBERS": 1,
    "GUILD_MESSAGES": 9,
    "GUILD_MESSAGE_REACTIONS": 10,
    "DIRECT_MESSAGE": 12,
    "OPEN_FORUM_EVENT": 18,
    "AUDIO_OR_LIVE_CHANNEL_MEMBER": 19,
    "ENTER_AIO": 23,
    "GROUP_MEMBER_EVENT": 24,
    "GROUP_AND_C2C_EVENT": 25,
    "INTERACTION": 26,
    "MESSAGE_AUDIT": 27,
    "FORUMS_EVENT": 28,
    "AUDIO_ACTION": 29,
    "PUBLIC_GUILD_MESSAGES": 30,
}


def test_every_intent_is_its_bit() -> None:
    assert {name: int(member) for name, member in Intents.__members__.items()} == {
        name: 1 << bit for name, bit in BITS.items()
    }


@pytest.mark.parametrize(
    "words",
    [
        "GROUP_AND_C2C_EVENT,INTERACTION",
        "group_and_c2c_event | interaction",
        " Group-And-C2C-Event   67108864 ",
        "1<<25|1 << 26",
        "0x2000000, 0X4000000",
        ["GROUP_AND_C2C_EVENT", "interaction "],
        ["GROUP_AND_C2C_EVENT,", "", "1 << 26"],
        ("33554432", "67108864"),
    ],
)
def test_names_and_numbers_in_any_usual_notation_are_read(words: str | list[str]) -> None:
    assert Intents.parse(words) == Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("GUILDZ", r"'GUILDZ' is no intent; did you mean GUILDS or .*\?"),
        ("GUILDS, forum_event", r"'forum_event' is no intent; did you mean .*FORUMS_EVENT"),
        (["GUILDS", "zzz"], r"'zzz' is no intent; known are GUILDS, .*PUBLIC_GUILD_MESSAGES, and numbers"),
        ("-1", r"'-1' is no intent"),
        ("1.5", r"'1\.5' is no intent"),
        ("²", r"'²' is no intent"),
        ("1<<32", r"'1<<32' is no intent: the bits are from 1<<0 to 1<<31"),
        ("4294967296", r"'4294967296' is no intent: the bits are"),
        ("1<<<2", r"'1<<<2' is no intent"),
        ("9" * 5000, r"is no intent"),
    ],
)
def test_a_word_that_is_no_intent_is_named_beside_what_was_meant(words: str | list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Intents.parse(words)


@pytest.mark.parametrize("words", ["", " ,|", [], "0"])
def test_no_intents_at_all_are_a_mistake(words: str | list[str]) -> None:
    with pytest.raises(ValueError, match="no intents given; give at least one, such as GROUP_AND_C2C_EVENT"):
        Intents.parse(words)


def test_a_bit_without_a_name_is_kept_and_shown_by_its_number() -> None:
    intents = Intents.parse("GUILDS, 2147483648")
    assert int(intents) == 1 | 1 << 31
    assert intents.names == ("GUILDS", "1<<31")


def test_no_bits_have_no_names() -> None:
    assert Intents(0).names == ()


@given(st.integers(1, (1 << 32) - 1))
def test_what_is_shown_can_be_read_again(bits: int) -> None:
    intents = Intents(bits)
    assert Intents.parse(intents.names) == intents
    assert Intents.parse(" | ".join(intents.names)) == intents
    assert Intents.parse(hex(bits)) == Intents.parse(str(bits)) == intents


# -- which dispatches they carry, and who may have them ----------------------------------------------------------------


def test_every_bit_has_one_row_in_order() -> None:
    assert [row.intent for row in INTENTS] == list(Intents)
    for row in INTENTS:
        assert row.types
        assert row.permission
        assert row.source


def test_no_two_bits_carry_the_same_type() -> None:
    types = [type for row in INTENTS for type in row.types]

    assert len(types) == len(set(types))


def test_intents_for_the_types_that_a_bot_handles() -> None:
    assert Intents.for_types("C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE") == Intents.GROUP_AND_C2C_EVENT
    assert Intents.for_types("AT_MESSAGE_CREATE", "GUILD_CREATE", "GROUP_MEMBER_ADD") == (
        Intents.PUBLIC_GUILD_MESSAGES | Intents.GUILDS | Intents.GROUP_MEMBER_EVENT
    )
    assert Intents.for_types() == 0


@pytest.mark.parametrize(
    ("type", "complaint"),
    [
        ("C2C_MESAGE_CREATE", r"carries 'C2C_MESAGE_CREATE'; did you mean C2C_MESSAGE_CREATE"),
        ("READY", r"carries 'READY'"),
        ("SOME_FUTURE_EVENT", r"carries 'SOME_FUTURE_EVENT'"),
    ],
)
def test_a_type_that_no_intent_carries_is_a_mistake(type: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Intents.for_types("GUILD_CREATE", type)
