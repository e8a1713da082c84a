from __future__ import annotations

from typing import Any

import pytest

from qqproto import Framing, Intents, ShardConfig


def test_a_config_needs_a_bot_and_its_intents() -> None:
    config = ShardConfig("11111111", Intents.GROUP_AND_C2C_EVENT)
    assert (config.intents, config.shard, config.settle) == (1 << 25, (0, 1), "delivery")
    assert (config.properties, config.headers) == ({}, {})
    assert ShardConfig("11111111", 0).intents == 0, "a connection without events is a connection"


@pytest.mark.parametrize("shard", [(0, 1), (0, 8), (7, 8)])
def test_a_shard_is_an_index_below_a_count(shard: tuple[int, int]) -> None:
    assert ShardConfig("1", 1, shard).shard == shard


@pytest.mark.parametrize("shard", [(1, 1), (-1, 1), (0, 0), (8, 8), (0, -1)])
def test_an_index_outside_the_count_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="index, count"):
        ShardConfig("1", 1, shard)


def test_negative_intents_are_refused() -> None:
    with pytest.raises(ValueError, match="intents must not be negative, not -1"):
        ShardConfig("1", -1)


@pytest.mark.parametrize("settle", ["", "Delivery", None])
def test_an_unknown_way_to_settle_is_refused(settle: Any) -> None:
    with pytest.raises(ValueError, match="settle must be 'delivery', 'iteration' or 'manual'"):
        ShardConfig("1", 1, settle=settle)


def test_headers_of_ones_own_are_kept() -> None:
    headers = {"User-Agent": "my bot/1.0 (+https://bot.example)", "X-Empty": ""}
    assert ShardConfig("1", 1, headers=headers).headers == headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User-Agent", "mein böser Bot"),
        ("User-Agent", "a\r\nX-Injected: 1"),
        ("User-Agent", " padded "),
        ("User-Agent", "bell\a"),
        ("User Agent", "x"),
        ("Üser-Agent", "x"),
        ("", "x"),
        ("X:", "x"),
    ],
)
def test_a_header_that_no_request_can_carry_is_refused_here_and_not_when_it_is_sent(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        ShardConfig("1", 1, headers={name: value})


@pytest.mark.parametrize(
    "name",
    ["Host", "connection", "UPGRADE", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Key",
     "Sec-WebSocket-Version", "sec-websocket-protocol", "Sec-WebSocket-Extensions"],
)  # fmt: skip
def test_the_headers_of_the_upgrade_itself_are_not_the_hosts(name: str) -> None:
    with pytest.raises(ValueError, match=f"header {name!r} is the WebSocket's own"):
        ShardConfig("1", 1, headers={name: "1"})


def test_the_framings_are_bytes_and_text() -> None:
    assert [framing.value for framing in Framing] == ["bytes", "text"]
