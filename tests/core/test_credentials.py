from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqproto import Credentials, Endpoints, Token, authorization
from qqproto.credentials import TokenLife


def life(value: str = "T", expires_in: float = 7200.0, now: float = 0.0) -> TokenLife:
    token = TokenLife(refresh_before=60.0, refused_pause=5.0)
    token.store(value, expires_in, now)
    return token


def test_neither_the_secret_nor_a_token_is_shown() -> None:
    assert "hush" not in repr([Credentials("11111111", "hush"), Token("hush")])
    assert "11111111" in repr(Credentials("11111111", "hush"))


def test_the_authorization_has_the_one_form_in_force() -> None:
    assert authorization(Token("ACCESS_TOKEN")) == "QQBot ACCESS_TOKEN"


@pytest.mark.parametrize("bad", ["", "  ", None, 11111111])
def test_credentials_that_are_none_say_where_to_find_them(bad: Any) -> None:
    with pytest.raises(ValueError, match="AppID from the bot's page"):
        Credentials(bad, "secret")
    with pytest.raises(ValueError, match="AppSecret from the bot's page"):
        Credentials("11111111", bad)


def test_a_refusal_of_credentials_does_not_repeat_them() -> None:
    with pytest.raises(ValueError, match="app_id") as raised:
        Credentials("", "hush")
    assert "hush" not in str(raised.value)


def test_the_platform_is_the_default() -> None:
    endpoints = Endpoints()
    assert endpoints.api_base == "https://api.sgroup.qq.com"
    assert endpoints.token_url == "https://bots.qq.com/app/getAppAccessToken"
    assert endpoints.gateway_url is None, "the address is what /gateway/bot says"


def test_there_is_no_token_before_the_first() -> None:
    token = TokenLife(refresh_before=60.0, refused_pause=5.0)
    assert token.fresh(0.0) is None
    assert token.usable(0.0) is None
    assert token.held_until(0.0) is None
    assert not token.refuse("T", 0.0)


def test_a_token_is_fresh_until_its_last_minute_and_usable_until_its_end() -> None:
    token = life(expires_in=7200.0, now=1000.0)
    assert token.fresh(8139.9) == Token("T")
    assert token.fresh(8140.0) is None, "inside its last minute the platform gives a new one"
    assert token.usable(8199.9) == Token("T")
    assert token.usable(8200.0) is None


def test_a_token_in_its_last_minute_when_it_came_is_usable_at_once() -> None:
    token = life(expires_in=30.0)
    assert token.fresh(0.0) is None
    assert token.usable(0.0) == Token("T")


def test_a_refused_token_is_given_to_nobody() -> None:
    token = life()
    assert token.refuse("T", 10.0)
    assert token.fresh(10.0) is None
    assert token.usable(10.0) is None


def test_the_refusal_of_a_token_that_is_not_in_force_changes_nothing() -> None:
    token = life("new")
    assert not token.refuse("old", 10.0)
    assert token.fresh(10.0) == Token("new")
    assert token.held_until(10.0) is None


def test_a_refused_token_that_comes_again_is_held_back_for_a_while() -> None:
    token = life()
    token.refuse("T", 10.0)
    token.store("T", 7000.0, 10.5)
    assert token.held_until(10.5) == 15.0
    assert token.held_until(14.9) == 15.0
    assert token.held_until(15.0) is None
    assert token.fresh(15.0) == Token("T")


def test_another_token_after_a_refusal_is_not_held_back() -> None:
    token = life()
    token.refuse("T", 10.0)
    token.store("U", 7200.0, 10.5)
    assert token.held_until(10.5) is None
    assert token.fresh(10.5) == Token("U")


def test_each_refusal_of_the_same_token_is_held_against_it_anew() -> None:
    token = life()
    token.refuse("T", 10.0)
    token.store("T", 7000.0, 10.5)
    assert token.refuse("T", 20.0)
    token.store("T", 6990.0, 20.5)
    assert token.held_until(20.5) == 25.0


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 100.0),
        st.sampled_from(["store", "refuse"]),
        st.sampled_from("AB"),
        st.floats(1.0, 7200.0),
    )
)


@given(STEPS)
def test_what_is_given_out_is_the_last_token_stored_alive_and_not_refused_since(
    steps: list[tuple[float, str, str, float]],
) -> None:
    token = TokenLife(refresh_before=60.0, refused_pause=5.0)
    now, last, refused = 0.0, ("", 0.0), ("", 0.0)
    for wait, step, value, expires_in in steps:
        now += wait
        if step == "store":
            token.store(value, expires_in, now)
            last = (value, now + expires_in)
        else:
            assert token.refuse(value, now) is (value == last[0])
            if value == last[0]:
                last, refused = ("", 0.0), (value, now)
        value, end = last
        assert token.usable(now) == (Token(value) if value and now < end else None)
        assert token.fresh(now) == (Token(value) if value and end - now > 60.0 else None)
        held = value and value == refused[0] and now < refused[1] + 5.0
        assert token.held_until(now) == (refused[1] + 5.0 if held else None)


@pytest.mark.parametrize("url", ["", "bots.qq.com", "ftp://bots.qq.com", "https://", "https://a b", "https://x:0/"])
def test_endpoints_that_cannot_be_asked_are_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="api_base must be an http:// or https:// URL"):
        Endpoints(api_base=url)
    with pytest.raises(ValueError, match="token_url must be an http:// or https:// URL"):
        Endpoints(token_url=url)
    with pytest.raises(ValueError, match="gateway_url must be a ws:// or wss:// URL"):
        Endpoints(gateway_url=url)


def test_endpoints_may_be_plain_http_for_a_gateway_of_ones_own() -> None:
    endpoints = Endpoints("http://127.0.0.1:1", "http://127.0.0.1:1/token", "ws://127.0.0.1:1/websocket")
    assert endpoints.gateway_url == "ws://127.0.0.1:1/websocket"
