"""Every input that a Shard can be given, one of each kind, by the names under which they are drawn."""

from __future__ import annotations

from collections.abc import Callable

from docs.player import OPEN, POLICY, Move, Player
from qqproto import (
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    GatewayInfo,
    IdentifySlot,
    Phase,
    ReserveIdentify,
    Token,
    Verdict,
)
from qqproto.protocol.close_codes import CLOSE_CODES, row_of
from qqproto.protocol.rest import REST_ERRORS, RestVerdict, error_row

_URL = "wss://gateway.example/websocket"
_READY = '{"op":0,"s":1,"t":"READY","d":{"session_id":"S","user":{"id":"1"}}}'
_HELLO = '{"op":10,"d":{"heartbeat_interval":41250}}'
_EOF = Failure(FailureKind.EOF)


def every_move() -> list[Move]:
    """Which of them are possible depends on the state."""
    return [*_host_moves(), *_answers(), *_network_moves(), *_messages(), *_closes()]


def _host_moves() -> list[Move]:
    return [
        Move("start()", lambda player: player.shard.start(player.now), _in(Phase.IDLE)),
        Move("close()", lambda player: player.shard.close(player.now), _always),
        Move("close()", lambda player: player.shard.close(player.now, keep_session=True), _always, "keep_session"),
        Move("fail()", lambda player: player.shard.fail("what the host says went wrong", player.now), _always),
        Move("delay is over", Player.wait, _in(Phase.WAIT)),
        Move("deadline", Player.wait, _in(Phase.HTTP, Phase.DIAL, *OPEN, Phase.CLOSING)),
    ]


def _answers() -> list[Move]:
    spent = GatewayInfo(_URL, total=1000, remaining=0, reset_after=3600.0)
    moves = [
        _answer("token answered", Token("T"), FetchToken),
        _answer("gateway answered", GatewayInfo(_URL), FetchGateway),
        _answer("unusable address answered", GatewayInfo("https://example.org"), FetchGateway),
        Move(
            "no session starts left",
            lambda player: player.answer(spent),
            lambda player: player.asked_for == "FetchGateway" and player.shard.session is None,
        ),
        Move(
            "slot answered",
            lambda player: player.answer(IdentifySlot(player.now)),
            lambda player: player.asked_for == "ReserveIdentify",
        ),
        Move(
            "slot too far away",
            lambda player: player.answer(IdentifySlot(player.now + POLICY.identify_slot_wait + 1)),
            lambda player: player.asked_for == "ReserveIdentify",
        ),
        _answer("failure answered", _EOF, FetchToken, FetchGateway, ReserveIdentify),
    ]
    for code in (*REST_ERRORS, 99999):
        fatal = error_row(code).verdict is RestVerdict.STOP
        failure = Failure(FailureKind.HTTP_STATUS, code=code)
        name = "fatal error answered" if fatal else "failure answered"
        moves.append(_answer(name, failure, FetchToken, FetchGateway, detail=f"error {code}"))
    return moves


def _answer(
    name: str, value: Token | GatewayInfo | IdentifySlot | Failure, *questions: type[object], detail: str = ""
) -> Move:
    names = [question.__name__ for question in questions]
    return Move(name, lambda player: player.answer(value), lambda player: player.asked_for in names, detail)


def _network_moves() -> list[Move]:
    def lose(player: Player) -> None:
        player.shard.connection_lost(player.connection, _EOF, player.now)

    return [
        Move(
            "connection opened",
            lambda player: player.shard.connection_opened(player.connection, player.now),
            _in(Phase.DIAL),
        ),
        Move("dial failed", lose, _in(Phase.DIAL)),
        Move("connection lost", lose, _in(*OPEN, Phase.CLOSING)),
        Move("close frame", lambda player: _close(player, 1000), _in(Phase.CLOSING)),
    ]


def _messages() -> list[Move]:
    def refuse(player: Player) -> None:
        player.hear('{"op":9,"d":false}')
        player.refused = True

    return [
        Move("Hello", lambda player: player.hear(_HELLO), _in(*OPEN)),
        Move("READY", lambda player: player.hear(_READY), _in(*OPEN)),
        Move("READY without a session", lambda player: player.hear('{"op":0,"t":"READY","d":{}}'), _in(*OPEN)),
        Move("RESUMED", lambda player: player.hear('{"op":0,"s":2,"t":"RESUMED","d":""}'), _in(*OPEN)),
        Move("a dispatch", lambda player: player.hear('{"op":0,"s":2,"t":"X","d":{}}'), _in(*OPEN)),
        Move("heartbeat", lambda player: player.hear('{"op":1}'), _in(*OPEN)),
        Move("ACK", lambda player: player.hear('{"op":11}'), _in(*OPEN)),
        Move("op 7", lambda player: player.hear('{"op":7}'), _in(*OPEN)),
        Move("resumable op 9", lambda player: player.hear('{"op":9,"d":true}'), _in(*OPEN)),
        Move("op 9", refuse, lambda player: player.phase in OPEN and not player.refused),
        Move("nonsense", lambda player: player.hear("nonsense"), _in(*OPEN)),
    ]


def _closes() -> list[Move]:
    codes = [None, 1006, *CLOSE_CODES, 1011, 3000, 4015, 9001]
    codes.sort(key=lambda code: _name(code) == "another close code")
    return [Move(_name(code), _closing(code), _in(*OPEN), f"close code {code}") for code in codes]


def _name(code: int | None) -> str:
    row = None if code is None else row_of(code)
    if row is None:
        return "connection lost"
    if row.verdict is Verdict.STOP:
        return "fatal close code"
    special = row.planned or row.verdict is Verdict.REFRESH_TOKEN
    return f"close code {row.code}" if special else "another close code"


def _closing(code: int | None) -> Callable[[Player], None]:
    return lambda player: _close(player, code)


def _close(player: Player, code: int | None) -> None:
    player.shard.connection_closed(player.connection, code, "", player.now)


def _in(*phases: Phase) -> Callable[[Player], bool]:
    return lambda player: player.phase in phases


def _always(player: Player) -> bool:
    return True
