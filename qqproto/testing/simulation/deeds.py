"""What each kind of fault does to the world when its time has come."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from qqproto.testing.simulation import stream
from qqproto.testing.simulation.kinds import KINDS
from qqproto.testing.simulation.nonsense import BROKEN_FRAMES, NONSENSE, TOO_LONG
from qqproto.testing.simulation.script import Fault

if TYPE_CHECKING:
    from qqproto.testing.simulation.gateway import Talk
    from qqproto.testing.simulation.link import Link
    from qqproto.testing.simulation.world import World

_BUFFERED = 120.0
"""A machine that sleeps for longer than this misses what was sent to it; its connections are dead when it wakes up."""

Deed: TypeAlias = Callable[["World", Fault], None]


def strike(world: World, fault: Fault) -> None:
    """Let ``fault`` happen; if it lasts, it is in force until its end."""
    if world.timeline is not None:
        world.timeline.fault(world.now, fault)
    world.counts[f"fault: {fault.kind}"] += 1
    if KINDS[fault.kind].lasts:
        world.active.setdefault(fault.kind, []).append(fault)
        world.at(fault.end, _over, world, fault)
    deed = _DEEDS.get(fault.kind)
    if deed is not None:
        deed(world, fault)


def _over(world: World, fault: Fault) -> None:
    faults = world.active[fault.kind]
    faults.remove(fault)
    if not faults:
        del world.active[fault.kind]
    if fault.kind == "latency":
        _set_latency(world)
    elif fault.kind == "pause" and fault.kind not in world.active and world.process is not None:
        world.process.notice(partial(world.process.release, fault.kind))


# -- the network ------------------------------------------------------------------------------------------------------


def _cut(world: World, fault: Fault) -> None:
    _break_off(world.links(fault.shard), "eof")


def _reset(world: World, fault: Fault) -> None:
    _break_off(world.links(fault.shard), "reset")


def _break_off(links: list[Link], kind: str) -> None:
    for link in links:
        if link.talk is not None:
            link.talk.hang_up(kind)


def _black_hole(world: World, fault: Fault) -> None:
    for link in world.links(fault.shard):
        if link.talk is not None:
            link.dumb = link.dumb or fault.value != "down"
            link.deaf = link.deaf or fault.value != "up"


def _hold(world: World, fault: Fault) -> None:
    for link in world.links(fault.shard):
        link.hold(fault.span)


def _set_latency(world: World, fault: Fault | None = None) -> None:
    more = sum(fault.value for fault in world.active.get("latency", ()))
    world.latency = world.script.latency + more


def _offline(world: World, fault: Fault) -> None:
    for link in world.links(None):
        link.deaf = link.dumb = True


# -- the gateway ------------------------------------------------------------------------------------------------------


def _to_talks(act: Callable[[Talk, Fault], None]) -> Deed:
    def deed(world: World, fault: Fault) -> None:
        for link in world.links(fault.shard):
            if link.talk is not None and link.talk.open:
                act(link.talk, fault)

    return deed


def _ask(talk: Talk, fault: Fault) -> None:
    for _ in range(fault.value):
        talk.link.say({"op": 1})


def _nonsense(talk: Talk, fault: Fault) -> None:
    talk.say_nonsense(NONSENSE[fault.value])


def _broken_frames(world: World, fault: Fault) -> None:
    for link in world.links(fault.shard):
        if link.talk is None or not link.talk.open:
            continue
        if link.text:
            link.talk.hang_up("reset")
        elif fault.value == TOO_LONG:
            link.say_bytes("broken", stream.binary_frame(b" " * (world.bot.policy.max_message + 1)))
        else:
            link.say_bytes("broken", BROKEN_FRAMES[fault.value])


def _burst(world: World, fault: Fault) -> None:
    for index, session in world.gateway.newest.items():
        if fault.shard in (None, index):
            for _ in range(fault.value):
                session.happen()


def _chat(world: World, fault: Fault) -> None:
    """The server has much to say, and nothing to acknowledge."""
    if fault.value and world.now < fault.end:
        for index, session in world.gateway.newest.items():
            if fault.shard in (None, index):
                session.happen()
        world.at(world.now + fault.value, _chat, world, fault)


def _forget(world: World, fault: Fault) -> None:
    world.gateway.sessions.clear()


# -- the process ------------------------------------------------------------------------------------------------------


def _stall(world: World, fault: Fault) -> None:
    if world.process is not None:
        world.process.stall(fault.span)


def _suspend(world: World, fault: Fault) -> None:
    if world.process is not None:
        world.process.stall(fault.span, asleep=not fault.value)
    if fault.span > _BUFFERED:
        for link in world.links(None):
            link.deaf = link.dumb = True


def _pause(world: World, fault: Fault) -> None:
    if world.process is not None and not world.process.stalled:
        world.process.hold(fault.kind)


_DEEDS: dict[str, Deed] = {
    "cut": _cut,
    "reset": _reset,
    "black hole": _black_hole,
    "hold": _hold,
    "latency": _set_latency,
    "offline": _offline,
    "rotate": _to_talks(lambda talk, fault: talk.rotate(fault.value)),
    "close": _to_talks(lambda talk, fault: talk.close(fault.value)),
    "ban": _to_talks(lambda talk, fault: talk.close(fault.value)),
    "op 9": _to_talks(lambda talk, fault: talk.invalidate(*fault.value)),
    "second hello": _to_talks(lambda talk, fault: talk.link.say({"op": 10, "d": fault.value})),
    "ask": _to_talks(_ask),
    "nonsense": _to_talks(_nonsense),
    "broken frames": _broken_frames,
    "burst": _burst,
    "mute": _chat,
    "forget": _forget,
    "revoke": lambda world, fault: world.endpoints.revoke(),
    "budget": lambda world, fault: world.endpoints.set_budget(*fault.value),
    "stall": _stall,
    "suspend": _suspend,
    "pause": _pause,
    "restart": lambda world, fault: world.restart(fault.span, *fault.value),
    "host failure": lambda world, fault: world.fail(fault.span),
    "crash": lambda world, fault: world.crash(fault.span),
}
"""The kinds that act at once; the others are looked up by those whom they concern."""
