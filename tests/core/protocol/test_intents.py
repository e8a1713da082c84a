from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Intents

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
        ["GROUP_AND_C2C_EVENT", "interaction "],
        ("33554432", "67108864"),
    ],
)
def test_names_and_numbers_in_any_usual_notation_are_read(words: str | list[str]) -> None:
    assert Intents.parse(words) == Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION


@pytest.mark.parametrize("words", ["GUILDZ", "GUILDS, GUILDZ", ["GUILDS", ""], "-1", "1.5", "²"])
def test_a_word_that_is_no_intent_is_named_beside_those_that_are(words: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"is no intent; known are GUILDS, GUILD_MEMBERS, .*PUBLIC_GUILD_MESSAGES"):
        Intents.parse(words)


@pytest.mark.parametrize("words", ["", " ,|", []])
def test_no_intents_at_all_are_a_mistake(words: str | list[str]) -> None:
    with pytest.raises(ValueError, match="no intents given; known are GUILDS"):
        Intents.parse(words)


def test_a_bit_without_a_name_is_kept_and_shown_by_its_number() -> None:
    intents = Intents.parse("GUILDS, 2147483648")
    assert int(intents) == 1 | 1 << 31
    assert intents.names == ("GUILDS", "1<<31")


def test_no_bits_have_no_names() -> None:
    assert Intents(0).names == ()


@given(st.sets(st.sampled_from(sorted(BITS)), min_size=1))
def test_what_is_shown_can_be_read_again(names: set[str]) -> None:
    intents = Intents.parse(names)
    assert set(intents.names) == names
    assert Intents.parse(intents.names) == intents
