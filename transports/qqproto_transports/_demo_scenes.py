"""The outages of the demo: what happens in each, and what is promised about it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qqproto.protocol.close_codes import StopReason
from qqproto.protocol.rest import HTTPResponse
from qqproto.testing import FakeConversation, HTTPFault, reply
from qqproto_transports._demo_stage import HEARTBEAT, POLICY, Stage

_BUDGET = 101
"""Tries: one more than the largest number after which a bot's code gives up for good (10, 99, 100: hermes-agent#14539,
#15490 and others)."""

_ACT = _BUDGET // 3 + 1
"""Tries in each act of an outage that has several."""

_SLOW_ACT = 3
"""The same, where each try takes two seconds."""

_LONGEST_ACT = 20.0

_NO_HOST = "no-such-gateway.invalid"
"""A name that nobody will ever have (RFC 2606)."""

_TOKEN_PATH = "/app/getAppAccessToken"
_GATEWAY_PATH = "/gateway/bot"


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of a scene.

    The bot is live again within ``back_within`` seconds of the moment from which nothing stands in its way, at the
    price of so many Resumes and Identifies; the first line of its diagnosis holds one of the texts of ``because``, and
    for each text of ``then`` there is a later one that holds it. Or it stops for the reason ``stops``, tells how to
    mend that, and does nothing more. That nothing is lost or repeated, that each connection has its heartbeats, and
    that the bot tells the truth about itself is promised of every scene.
    """

    back_within: float = 0.0
    because: tuple[str, ...] = ("",)
    then: tuple[str, ...] = ()
    resumes: int = 1
    identifies: int = 0
    stops: StopReason | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One outage.

    ``begin`` lets it happen. If it lasts, it does so until ``tries`` tries to come back have failed and the bot has
    told that it is offline; ``end`` ends it then, and ``relief`` says how. ``starts``: the bot is not there before, in
    the first scene only. A scene that stops the bot is the last one.
    """

    name: str
    story: str
    begin: Callable[[Stage], Awaitable[None]]
    promise: Promise
    tries: int = 0
    end: Callable[[Stage], Awaitable[None]] | None = None
    relief: str = ""
    starts: bool = False


def _talk(stage: Stage) -> FakeConversation:
    talk = stage.talk
    assert talk is not None, "a scene begins when the bot is there"
    return talk


# -- one connection ----------------------------------------------------------------------------------------------------


async def _op_7(stage: Stage) -> None:
    _talk(stage).send_reconnect(stage.gateway.now)


async def _close_4009(stage: Stage) -> None:
    _talk(stage).close(4009, "session timed out", stage.gateway.now)


async def _reset(stage: Stage) -> None:
    _talk(stage).reset(stage.gateway.now)


async def _mute_acks(stage: Stage) -> None:
    _talk(stage).mute_acks()


async def _black_hole(stage: Stage) -> None:
    _talk(stage).excuse()  # What the network loses is not the bot's fault.
    stage.network.lose()


# -- everything around it ----------------------------------------------------------------------------------------------


async def _start_without_name(stage: Stage) -> None:
    stage.name_host(_NO_HOST)
    stage.start()


async def _name_host(stage: Stage) -> None:
    stage.name_host("127.0.0.1")


async def _http_errors(stage: Stage) -> None:
    """A token is refused, and there is no other one to be had, nor the gateway's address when there is one."""
    page = HTTPResponse(502, {"Content-Type": "text/html"}, b"<html><body>502 Bad Gateway</body></html>")
    half = HTTPResponse(200, {"Content-Type": "application/json"}, b'{"url":"wss://api.sg')
    platform = stage.gateway.platform
    platform.behaviour.http += [
        HTTPFault(reply(500, {"code": 500, "message": "internal error"}), _TOKEN_PATH, 20),
        HTTPFault(page, _TOKEN_PATH, 20),
        HTTPFault(reply(200, {"code": 100001, "message": "too many requests"}), _TOKEN_PATH, 20),
        HTTPFault(reply(500, {"code": 11281, "message": "check admin failed"}), _GATEWAY_PATH, 20),
        HTTPFault(half, _GATEWAY_PATH, 10),
        HTTPFault(reply(504, {"code": 504, "message": "timeout"}), _GATEWAY_PATH, float("inf")),
    ]
    platform.bot.revoke_tokens()
    _talk(stage).close(4004, "authentication failed", stage.gateway.now)


async def _http_works(stage: Stage) -> None:
    stage.gateway.platform.behaviour.http.clear()


async def _refuse(stage: Stage) -> None:
    _talk(stage).excuse()
    stage.network.refuse()


async def _accept(stage: Stage) -> None:
    await stage.network.accept()


async def _through_proxy(stage: Stage) -> None:
    stage.send_through_proxy()
    _talk(stage).send_reconnect(stage.gateway.now)


async def _proxy_fails(stage: Stage) -> None:
    """The outage of the first report, in its acts."""
    network, told = stage.way_to_proxy, len(stage.events)

    async def after(tries: int) -> None:
        soon = stage.failed_tries(told) + tries
        await stage.until(lambda: stage.failed_tries(told) >= soon, _LONGEST_ACT)

    stage.proxy.drops = True
    _talk(stage).send_reconnect(stage.gateway.now)
    await after(_ACT)
    network.impostor = b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
    await after(_ACT)
    network.impostor = None
    network.refuse()
    await after(_SLOW_ACT if sys.platform == "win32" else _ACT)
    stage.send_through_proxy(over_tls=True)
    network.swallows = True
    await network.accept()
    await after(2)


async def _proxy_works(stage: Stage) -> None:
    stage.proxy.drops = stage.way_to_proxy.swallows = False
    stage.send_through_proxy()


async def _sandbox_only(stage: Stage) -> None:
    _talk(stage).close(4914, "only sandbox is allowed", stage.gateway.now)


_NOTICED = HEARTBEAT + max(2 * HEARTBEAT, POLICY.dead_after)
"""Seconds within which a dead link is dropped: the first heartbeat it ignores, and as long as that may go on."""

_A_SECOND = 1.0
"""For the first wait of a recovery; elsewhere for the machine that the demo runs on."""

SCENES = (
    Scene(
        "no such name",
        f"the bot starts while its gateway's name, {_NO_HOST}, cannot be looked up",
        _start_without_name,
        # Where no name server answers, the look-up takes longer than a dial may.
        Promise(
            back_within=POLICY.gateway_fresh_for + POLICY.dial_timeout + _A_SECOND,
            because=("could not connect to the gateway: dns: ", "could not be opened in time"),
            resumes=0,
            identifies=1,
        ),
        tries=3,
        end=_name_host,
        relief="the platform names a host that there is",
        starts=True,
    ),
    Scene(
        "rotation, op 7",
        "the gateway asks for a new connection, as the real one does about every half hour",
        _op_7,
        Promise(_A_SECOND, ("op 7",)),
    ),
    Scene(
        "rotation, 4009",
        "the gateway closes the connection with code 4009",
        _close_4009,
        Promise(_A_SECOND, ("close code 4009",)),
    ),
    Scene("TCP reset", "the connection breaks off", _reset, Promise(3 * _A_SECOND, ("reset: ",))),
    Scene(
        "no ACKs",
        "the gateway goes on sending messages, and acknowledges no heartbeat any more",
        _mute_acks,
        Promise(_NOTICED + 2 * _A_SECOND, ("acknowledges no heartbeat",)),
    ),
    Scene(
        "black hole",
        "the network loses all that is sent on this connection, and tells neither side",
        _black_hole,
        Promise(_NOTICED + 2 * _A_SECOND, ("not one byte came back",)),
    ),
    Scene(
        "HTTP errors",
        "the platform refuses the token, and answers with errors whoever wants another, or the gateway's address",
        _http_errors,
        Promise(2 * _A_SECOND, ("close code 4004",)),
        tries=_BUDGET,
        end=_http_works,
        relief="the platform answers as it should",
    ),
    Scene(
        "closed port",
        "nothing listens on the gateway's port any more",
        _refuse,
        # Windows takes two seconds to tell that a connection was refused.
        Promise(3 * _A_SECOND, ("reset: ",)),
        tries=11 if sys.platform == "win32" else _BUDGET,
        end=_accept,
        relief="the port is open again",
    ),
    Scene(
        "into a proxy",
        "the gateway asks for a new connection, and from now on the bot has to go through a proxy",
        _through_proxy,
        Promise(_A_SECOND, ("op 7",)),
    ),
    Scene(
        "proxy outage",
        "in the middle of a reconnect the proxy drops connections, then answers 502, then is gone, then hangs in the"
        " TLS handshake",
        _proxy_fails,
        Promise(
            # The handshake that hangs when it is over has to be given up first.
            back_within=POLICY.dial_timeout + 2 * _A_SECOND,
            because=("op 7",),
            then=("the connection was cut", "(HTTP 502)", "nobody listens there", "could not be opened in time"),
        ),
        tries=2 * _ACT + 2 + (_SLOW_ACT if sys.platform == "win32" else _ACT),
        end=_proxy_works,
        relief="the proxy works again",
    ),
    Scene(
        "code 4914",
        "the platform takes the bot offline: this is for a person to mend",
        _sandbox_only,
        Promise(resumes=0, stops=StopReason.SANDBOX_ONLY),
    ),
)
"""In the order in which the demo shows them."""
