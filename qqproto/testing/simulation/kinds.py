"""Everything that can go wrong: each kind of fault with what it does, how long it lasts and what its value says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qqproto.testing.simulation.bodies import FAILURES, FATAL, LIVES, REPLIES
from qqproto.testing.simulation.dice import Dice
from qqproto.testing.simulation.nonsense import BROKEN_FRAMES, NONSENSE, ODD_HELLOS, ODD_READIES, TOO_LONG
from qqproto.testing.simulation.store import ODDITIES


def _nothing(dice: Dice) -> None:
    return None


def _no_echo(value: Any) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. ``weight``: how often, compared with the others, chance picks it. ``span``: between which seconds it
    lasts, None for what happens in a moment. ``value`` draws one; ``echo`` is for how long after its end a value goes
    on to work. ``shared``: it happens to the whole bot, not to one shard."""

    does: str
    weight: float
    span: tuple[float, float] | None = None
    value: Callable[[Dice], Any] = _nothing
    echo: Callable[[Any], float] = _no_echo
    shared: bool = False

    @property
    def lasts(self) -> bool:
        return self.span is not None


# -- draws of values --------------------------------------------------------------------------------------------------

_PASSING = (
    (6, 4009), (3, 1000), (3, 1001), (2, 4000), (2, 4006), (1, 4007), (1, 4008), (2, 4902), (2, 4903), (1, 4900),
    (1, 4913), (1, 4003), (1, 4005), (2, 4004), (1, 4015), (1, 4999), (1, 9001), (1, 9005), (1, 1011), (1, 1012),
    (1, 3000), (2, None),
)  # fmt: skip
_FATAL_CODES = (4001, 4002, 4010, 4011, 4012, 4013, 4014, 4914, 4915)
_OP9_VALUES = ((6, False), (2, True), (1, None), (1, {"can_resume": True}), (1, 0), (1, "false"))
_DIAL_FAILURES = ("refused", "reset", "eof", "dns", "tls", "tls-untrusted", "proxy", "proxy-auth", "timeout", "other")


def _code(dice: Dice) -> int | None:
    return dice.weighted(_PASSING)


def _op9(dice: Dice) -> tuple[Any, Any, float]:
    """What op 9 says, what follows (a code, "end", "op 7", "op 9", or None for nothing), and after how long."""
    then = dice.weighted(((3, None), (3, 4903), (1, 4006), (1, 4004), (1, 4009), (1, 1000), (1, "end"), (1, "op 7"),
                          (1, "op 9")))  # fmt: skip
    return dice.weighted(_OP9_VALUES), then, dice.pick((0.0, 0.0, 0.5, 4.0, 7.0))


def _refused_identify(dice: Dice) -> tuple[Any, Any]:
    """``d`` of op 9 ("no" for none) and the close code that follows ("end": none, None: nothing at all)."""
    return dice.weighted((
        (4, (False, 4903)), (2, ("no", 4903)), (2, ("no", "end")), (1, (False, "end")), (1, (False, None)),
        (1, ("no", 4006)), (1, ("no", 4004)), (1, (True, None)), (1, ("no", 1000)), (1, ("no", 4902)),
    ))  # fmt: skip


def _refused_resume(dice: Dice) -> tuple[Any, Any]:
    return dice.weighted((
        (3, (False, 4006)), (2, ("no", 4902)), (2, ("no", 4006)), (1, ("no", 4007)), (1, (False, None)),
        (1, (False, "end")), (1, (False, 4903)), (1, ("no", 4009)), (1, ("no", 4000)), (1, ("no", 4008)),
        (1, ("no", 4004)), (1, (False, 4004)), (1, (True, None)), (1, ("no", 1000)), (2, ("no", "end")),
        (1, ("no", 4913)), (1, ("no", 9001)),
    ))  # fmt: skip


def _http(dice: Dice) -> tuple[str, str]:
    """Which endpoint ("token", "gateway" or "both"), and the name of what it gets."""
    what = dice.weighted(
        (
            (4, dice.pick(tuple(REPLIES))),
            (2, dice.pick(tuple(FAILURES))),
            (2, "hang"),
            (1, dice.pick(("slow 3", "slow 12", "slow 20"))),
            (1, f"life {dice.whole(0, len(LIVES) - 1)}"),
            (1, "odd limits"),
        )
    )
    return dice.pick(("token", "gateway", "both")), what


def _budget(dice: Dice) -> tuple[int, float]:
    """How many Identifies are left, and when there are all again, in seconds."""
    return dice.pick((0, 0, 1, 2, 5)), dice.between(30.0, 1500.0)


KINDS: dict[str, Kind] = {
    # -- the network
    "cut": Kind("the stream ends without a close frame", 4),
    "reset": Kind("the stream breaks off", 4),
    "black hole": Kind(
        "nothing arrives on this connection any more: value says up, down or both", 5,
        value=lambda dice: dice.pick(("both", "both", "up", "down")),
    ),
    "hold": Kind("what is on its way on this connection comes only at the end", 2, (1.0, 60.0)),
    "latency": Kind("everything takes value seconds longer", 1, (10.0, 900.0), lambda dice: dice.scale(0.05, 8.0),
                    shared=True),
    "chunks": Kind("bytes arrive in pieces of value bytes", 1, (10.0, 600.0), lambda dice: dice.pick((1, 2, 7)),
                   shared=True),
    "refused dials": Kind("dials fail with the failure that value names", 2, (1.0, 900.0),
                          lambda dice: dice.pick(_DIAL_FAILURES), shared=True),
    "hung dials": Kind("dials lead to nothing at all", 2, (1.0, 600.0), shared=True),
    "offline": Kind("no network: nothing arrives, dials and requests fail", 3, (1.0, 7200.0), shared=True),
    # -- the gateway
    "rotate": Kind("a planned rotation: op 7, a close with 4009, or both", 16,
                   value=lambda dice: dice.pick(("op 7", "op 7", "4009", "both"))),
    "close": Kind("closed with the code in value (None: a close frame without one)", 10, value=_code),
    "op 9": Kind("invalid session: value is its d, what follows, and after how long", 4, value=_op9),
    "mute": Kind("no heartbeat is acknowledged; a dispatch comes every value seconds (0: none)", 3, (5.0, 600.0),
                 lambda dice: dice.pick((0.0, 0.0, 3.0, 15.0))),
    "late acks": Kind("heartbeats are acknowledged value seconds late", 2, (60.0, 900.0),
                      lambda dice: dice.scale(0.5, 90.0)),
    "double acks": Kind("heartbeats are acknowledged twice", 1, (60.0, 900.0)),
    "ask": Kind("heartbeats are asked for (op 1), value times", 1, value=lambda dice: dice.pick((1, 2, 40))),
    "no hello": Kind("new connections get no Hello", 1, (10.0, 300.0), shared=True),
    "odd hello": Kind("Hello names an odd interval: value is its d", 1, (10.0, 300.0),
                      lambda dice: dice.pick(ODD_HELLOS), shared=True),
    "second hello": Kind("Hello comes again, with value as its d", 1,
                         value=lambda dice: dice.pick(ODD_HELLOS)),
    "early dispatch": Kind("dispatches come before READY", 1, (10.0, 300.0), shared=True),
    "no answer": Kind("Identify and Resume are not answered", 2, (5.0, 300.0), shared=True),
    "refused identify": Kind("Identify is turned down: value is op 9's d and the code", 2, (1.0, 1800.0),
                             _refused_identify, shared=True),
    "refused resume": Kind("Resume is turned down: value is op 9's d and the code", 4, (1.0, 300.0),
                           _refused_resume, shared=True),
    "odd ready": Kind("READY has value as its d", 1, (1.0, 120.0), lambda dice: dice.pick(ODD_READIES), shared=True),
    "short lives": Kind("sessions are closed with a code soon after they begin: value is both", 2, (5.0, 900.0),
                        lambda dice: (_code(dice), dice.pick((0.0, 0.0, 1.0, 20.0, 59.0))), shared=True),
    "forget": Kind("the platform knows no session any more", 1, shared=True),
    "replay all": Kind("a Resume gets everything again", 1, (60.0, 3600.0), shared=True),
    "slow replay": Kind("a replay comes with value seconds between two dispatches", 1, (60.0, 3600.0),
                        lambda dice: dice.pick((0.5, 5.0, 15.0)), shared=True),
    "partial replay": Kind("a Resume does not get all: value is what is left out, and after how many seconds it comes"
                           " all the same (None: never)", 1, (60.0, 3600.0),
                           lambda dice: (dice.pick(("everything", "the first half", "the last half", "every third")),
                                         dice.pick((None, None, 0.0, 2.0, 90.0)))),
    "gaps": Kind("dispatches are left out: value is which one of how many, and after how many seconds it comes all the"
                 " same (None: never)", 1, (10.0, 3600.0),
                 lambda dice: (dice.pick((2, 3, 7)), dice.pick((None, 0.0, 1.0, 40.0)))),
    "repeats": Kind("a Resume gets the last value dispatches once more, under new numbers", 1, (60.0, 3600.0),
                    lambda dice: dice.pick((1, 5, 40))),
    "burst": Kind("value dispatches at once", 1, value=lambda dice: dice.pick((2, 20, 200))),
    "nonsense": Kind("a message that makes no sense: value names it", 4, value=lambda dice: dice.pick(tuple(NONSENSE))),
    "broken frames": Kind("bytes that are no WebSocket, or too much of it: value names them (framing TEXT: a reset)", 1,
                          value=lambda dice: dice.pick((*BROKEN_FRAMES, TOO_LONG))),
    "upgrade": Kind("upgrades are refused with a status: value is it and Retry-After (None: there is none)", 1,
                    (1.0, 600.0), lambda dice: dice.pick(((503, None), (429, None), (429, 25), (200, None), (403, None),
                                                         (302, None))), shared=True),
    "revoke": Kind("every token given out so far is worth nothing", 2, shared=True),
    "refused tokens": Kind("no token is good enough on the gateway (4004)", 1, (0.5, 25.0), shared=True),
    "ban": Kind("closed with a code that ends a bot", 0.08, value=lambda dice: dice.pick(_FATAL_CODES)),
    # -- the HTTP endpoints
    "http": Kind("requests to an endpoint get something else: value is endpoint and name", 8, (1.0, 900.0), _http,
                 shared=True),
    "expelled": Kind("the token endpoint answers with a code that ends a bot", 0.08, (60.0, 60.0),
                     lambda dice: dice.pick(FATAL), shared=True),
    "budget": Kind("value Identifies are left, and the day is over in so many seconds", 0.5, value=_budget,
                   echo=lambda value: float(value[1]), shared=True),
    # -- the process
    "stall": Kind("the process stands still", 4, (0.5, 300.0), shared=True),
    "suspend": Kind("the machine sleeps; value says whether the process's clock goes on", 2, (5.0, 30_000.0),
                    lambda dice: dice.happens(0.5), shared=True),
    "pause": Kind("the application reads nothing", 2, (1.0, 600.0), shared=True),
    "restart": Kind("the application closes, and a new process starts: value says whether it keeps the session, whether"
                    " it closes from its handler, at the next event, and for how many seconds it first finishes what it"
                    " has", 1, (0.5, 5000.0),
                    lambda dice: (dice.happens(0.7), dice.happens(0.5), dice.pick((0.0, 5.0, 300.0))),
                    lambda value: 60.0 + value[2], shared=True),
    "host failure": Kind("the driver has a bug and says so; a new process starts", 0.3, (0.5, 60.0), shared=True),
    "crash": Kind("the process is gone with all that it had in memory, and a new one starts with the sessions that were"
                  " saved last", 2, (0.5, 5000.0), shared=True),
    "full disk": Kind("nothing can be saved", 1, (1.0, 7200.0), shared=True),
    "odd store": Kind("a process that starts finds something else than what was saved: value says what", 1,
                      (60.0, 7200.0), lambda dice: dice.pick(ODDITIES)),
}  # fmt: skip
"""By name. The order is part of what a seed means."""
