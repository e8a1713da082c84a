"""The simulation is broken on purpose: each bug, put into the real machines, is found within a number of seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from qqproto import Account, Disconnected, Dispatch, Framing, Session, Shard, ShardConfig, StopReason, Token, Verdict
from qqproto.actions import SendData, SendText
from qqproto.conversation import Conversation, Ending
from qqproto.credentials import TokenLife
from qqproto.heartbeat import Beat, Heartbeat
from qqproto.live_session import LiveSession
from qqproto.memory import Memory
from qqproto.outbox import Outbox, Output
from qqproto.pacing import Bucket, IdentifyPacer
from qqproto.protocol import payloads
from qqproto.protocol.close_codes import CLOSE_CODES, Phase, classify
from qqproto.recovery import Plan, Recovery, Stop
from qqproto.settlement import Settlement
from qqproto.shard import Timer
from qqproto.testing.simulation import Fault, Script, Violation, script_of, simulate

Plant = Callable[[pytest.MonkeyPatch], None]


DIES_AT_WORK = Script(settle="manual", work=100.0, traffic=5.0, faults=(Fault(600.0, "crash", span=5.0),))
"""Many events are worked on when the process is killed, and some that came later are finished."""

CLOSES_AT_WORK = DIES_AT_WORK.with_faults((Fault(600.0, "restart", span=5.0, value=(True, False, 0.0)),))


@dataclass(slots=True)
class Bug:
    """A mistake and its name; one of the promises breaks within ``seeds`` seeds from ``first`` on, or in ``script``,
    where it takes more than chance brings in so short a time. What lies before ``first`` found nothing when
    it was written down."""

    name: str
    plant: Plant
    promises: tuple[str, ...]
    first: int = 0
    seeds: int = 60
    script: Script | None = None


def instead(owner: Any, name: str, other: Callable[..., Any]) -> Plant:
    """The method does this."""
    return lambda patch: patch.setattr(owner, name, other)


def nothing(owner: Any, name: str) -> Plant:
    """The method does nothing."""
    return instead(owner, name, lambda *_, **__: None)


def around(owner: Any, name: str, other: Callable[..., Any]) -> Plant:
    """``other`` is called with the method and its arguments."""
    real = getattr(owner, name)
    return instead(owner, name, lambda *args, **options: other(real, *args, **options))


def both(*plants: Plant) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant


# -- heartbeats and silence -------------------------------------------------------------------------------------------


def lost_after_the_second_connection(patch: pytest.MonkeyPatch) -> None:
    real, connections = Heartbeat.begin, 0

    def begin(self: Heartbeat, interval: float, now: float, random: float) -> None:
        nonlocal connections
        connections += 1
        real(self, interval, now, random)
        if connections > 2:
            self._beat_at = math.inf
            self._look()

    patch.setattr(Heartbeat, "begin", begin)


def too_slow(real: Callable[..., None], self: Heartbeat, interval: float, now: float, random: float) -> None:
    real(self, interval * 1.07, now, random)


def no_ack_deadline(real: Callable[..., None], self: Heartbeat, now: float) -> None:
    real(self, now)
    self._dead_at = math.inf
    self._look()


def early_ack_deadline(real: Callable[..., None], self: Heartbeat, now: float) -> None:
    real(self, now)
    if self._dead_at < math.inf:
        self._dead_at = now + self._interval / 2.0
        self._look()


def never_silent(real: Callable[..., Beat | None], self: Heartbeat, now: float) -> Beat | None:
    found = real(self, now)
    return None if found is Beat.SILENT else found


def deaf(real: Callable[..., Beat | None], self: Heartbeat, now: float) -> Beat | None:
    """What comes is no sign of life."""
    self.received_at = None
    return real(self, now)


def spinning(real: Callable[..., Beat | None], self: Heartbeat, now: float) -> Beat | None:
    beat = real(self, now)
    if beat is not Beat.PROBE:
        return beat
    self._silence_at = now
    self._look()
    return None


def dial_without_end(real: Callable[..., None], self: Shard, *arguments: Any) -> None:
    real(self, *arguments)
    self._timers.stop(Timer.DIAL)


def request_without_end(real: Callable[..., None], self: Account, request: Any, timer: Any, now: float) -> None:
    real(self, request, timer, now)
    self._timers.stop(timer)


def asks_again(real: Callable[..., Token | None], self: Account, now: float, **options: Any) -> Token | None:
    token = real(self, now, **options)
    if token is None:
        self._request_token(now)
    return token


# -- coming back ------------------------------------------------------------------------------------------------------


def success_is_an_open_socket(real: Callable[..., None], self: Shard, id: int, now: float) -> None:
    real(self, id, now)
    self._recovery.failures = 0


def never_drops(real: Callable[..., Plan], self: Recovery, *arguments: Any) -> Plan:
    plan = real(self, *arguments)
    plan.drop_session = False
    return plan


def op7_is_a_failure(real: Callable[..., Plan], self: Recovery, ending: Ending, *arguments: Any) -> Plan:
    return real(self, replace(ending, planned=False), *arguments)


def op7_identifies(real: Callable[..., None], self: Conversation, ending: Ending, *arguments: Any, **rest: Any) -> None:
    real(self, replace(ending, verdict=Verdict.IDENTIFY) if ending.planned else ending, *arguments, **rest)


def gives_up_silently(real: Callable[..., None], self: Shard, *arguments: Any) -> None:
    real(self, *arguments)
    if self._recovery.failures >= 10:
        self._timers.clear()


def gives_up_loudly(real: Callable[..., None], self: Shard, ending: Ending, plan: Plan, now: float, *rest: Any) -> None:
    real(self, ending, plan, now, *rest)
    if self._recovery.failures >= 10 and not self.ended:
        self._stop(Stop(StopReason.PROTOCOL, True, "ten times is enough"), now)


def backs_off_for_ever_longer(real: Callable[..., float], self: Recovery, random: float) -> float:
    return real(self, random) * (1.0 if self.failures < 6 else 20.0)


def untold(real: Callable[..., None], self: Shard, *arguments: Any) -> None:
    real(self, *arguments)
    for output in [output for output in self._outbox.queue if isinstance(output, Disconnected)]:
        self._outbox.queue.remove(output)


def offline_at_once(real: Callable[..., None], self: Shard, ending: Ending, plan: Plan, now: float, *rest: Any) -> None:
    real(self, ending, plan, now, *rest)
    if self._timers.at(Timer.GRACE) is not None:
        self._timers.set(Timer.GRACE, now + 0.1)


def codes(verdict: Verdict, *wrong: int) -> Plant:
    """These codes mean something else."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        def other(code: int | None, phase: Phase) -> Verdict:
            return verdict if code in wrong else classify(code, phase)

        patch.setattr("qqproto.conversation.classify", other)
        for code in wrong:
            row = replace(CLOSE_CODES[code], verdict=verdict, reason=StopReason.PROTOCOL, hint="made up")
            patch.setitem(CLOSE_CODES, code, row)

    return plant


# -- endings, ids, limits ---------------------------------------------------------------------------------------------


def twice(real: Callable[..., None], self: Any, *arguments: Any, **options: Any) -> None:
    real(self, *arguments, **options)
    real(self, *arguments, **options)


def reused(real: Callable[..., int], self: Outbox) -> int:
    if self._issued >= 12:
        self._issued -= 6
    return real(self)


def slow_goodbye(real: Callable[..., None], self: Shard, now: float, **options: Any) -> None:
    real(self, now, **options)
    if not self.ended:
        self._timers.set(Timer.GOODBYE, now + 60.0)


def keeps_what_it_has_to_say(self: Outbox) -> set[int]:
    return {output.id for output in self.queue if hasattr(output, "id") and not hasattr(output, "envelope")}


def loses_some(real: Callable[..., None], self: Conversation, envelope: Any, *rest: Any) -> None:
    if self._flowing is None or envelope.get("s") != 9:
        real(self, envelope, *rest)


def leaks(real: Callable[..., Output | None], self: Shard) -> Output | None:
    output, outbox = real(self), self._outbox
    if output is not None:
        known = len(outbox.counts())  # Once: it is a copy.
        for number in range(known, known + 200):
            outbox.count(f"output {number}")
    return output


# -- what is settled, saved, repeated and missing ----------------------------------------------------------------------


def saved_with(change: Callable[[LiveSession, Session], dict[str, Any]]) -> Plant:
    """What is saved of a session is something else."""

    def value(real: Callable[..., Session], self: LiveSession, config: ShardConfig) -> Session:
        session = real(self, config)
        return replace(session, **change(self, session))

    return around(LiveSession, "value", value)


def settled_on_arrival(real: Callable[..., None], self: Conversation, *arguments: Any) -> None:
    before = self._outbox.dispatches
    real(self, *arguments)
    if self._outbox.dispatches > before:
        dispatch = self._outbox.queue[-1]
        assert isinstance(dispatch, Dispatch)
        self.settle(dispatch)


def highest_that_is_settled(self: Settlement, sequence: int | None) -> None:
    """The watermark is wherever the last one was settled."""
    for number in [number for number in self._open if sequence is not None and number <= sequence]:
        del self._open[number]
        if self._late:
            self._late.discard(number)
    while self._order and self._order[0] not in self._open:
        self._order.popleft()


def settles_by_number_alone(self: LiveSession, dispatch: Dispatch) -> None:
    if dispatch.sequence is not None:
        self.settlement.settle(dispatch.sequence)


def unmarked(real: Callable[..., None], self: LiveSession) -> None:
    real(self)
    self.redelivering = False


def marked_for_ever(real: Callable[..., int], self: LiveSession, sequence: int | None) -> int:
    untold = real(self, sequence)
    self.redelivering = True
    return untold


def hears_of_no_gap(real: Callable[..., int], self: Settlement, sequence: int | None) -> int:
    real(self, sequence)
    return 0


def tells_gaps_again(real: Callable[..., int], self: Settlement, sequence: int | None) -> int:
    untold = real(self, sequence)
    self._untold = untold
    return untold


def settles_all(real: Callable[..., None], self: Shard, now: float, **options: Any) -> None:
    """Who closes has finished, the bug believes."""
    if self._live is not None:
        for sequence in list(self._live.settlement._open):
            self._live.settlement.settle(sequence)
    real(self, now, **options)


def turned_round(real: Callable[..., Output | None], self: Shard) -> Output | None:
    """Of two dispatches that wait the later one comes first."""
    queue = self._queue
    if len(queue) > 1 and isinstance(queue[0], Dispatch) and isinstance(queue[1], Dispatch):
        queue[0], queue[1] = queue[1], queue[0]
    return real(self)


class EveryType(frozenset[str]):
    """Whatever the type, its ``d.id`` is taken for an event's name."""

    def __contains__(self, kind: object) -> bool:
        return True


def with_one_more(real: Callable[..., Any], self: Conversation, *arguments: Any) -> None:
    self._replayed += 1
    real(self, *arguments)


# -- what no machine may say ------------------------------------------------------------------------------------------


def spins_slowly(real: Callable[..., Beat | None], self: Heartbeat, now: float) -> Beat | None:
    beat = real(self, now)
    if beat is not Beat.PROBE:
        return beat
    self._silence_at, self._probed = now + 0.001, False
    self._look()
    return real(self, now)


def sends(change: Callable[[bytes], bytes]) -> Plant:
    """Bytes go out changed."""

    def other(real: Callable[..., Output | None], self: Shard) -> Output | None:
        output = real(self)
        return replace(output, data=change(output.data)) if isinstance(output, SendData) else output

    return around(Shard, "next_output", other)


def speaks_after_the_end(real: Callable[..., None], self: Shard, *arguments: Any) -> None:
    connection = self._connection
    real(self, *arguments)
    if connection is not None:
        self._outbox.queue.append(SendText(connection, '{"op":1,"d":null}'))


def speaks_to_a_dial(real: Callable[..., None], self: Shard, *arguments: Any) -> None:
    real(self, *arguments)
    assert self._connection is not None
    self._outbox.queue.append(SendText(self._connection, '{"op":1,"d":null}'))


def ends_twice(real: Callable[..., None], self: Shard, ending: Ending, plan: Plan, now: float, *rest: Any) -> None:
    real(self, ending, plan, now, *rest)
    real(self, replace(ending, failure=None), plan, now)


def asks_for_ever(real: Callable[..., None], self: Shard, info: Any, now: float) -> None:
    self._on_token(self._token, now)


def numbered_anew(real: Callable[..., None], self: Account, *arguments: Any) -> None:
    self._issued = 0
    real(self, *arguments)


BUGS = [
    Bug("heartbeats are lost after the second connection", lost_after_the_second_connection, ("G3",)),
    Bug("the margin of the heartbeat is forgotten", around(Heartbeat, "begin", too_slow), ("G3",)),
    Bug("no deadline for ACKs", around(Heartbeat, "_judge_from", no_ack_deadline), ("G4",)),
    Bug("too early a deadline for ACKs", around(Heartbeat, "_judge_from", early_ack_deadline), ("G4",)),
    Bug("silence is never death", around(Heartbeat, "_judge_silence", never_silent), ("G4",)),
    Bug("bytes are no sign of life", around(Heartbeat, "_judge_silence", deaf), ("G4",)),
    Bug("a stall is blamed on the link", nothing(Conversation, "_notice_lag"), ("G4",)),
    Bug("who does not read blames the link for what is not heard", nothing(Heartbeat, "pause"), ("G4",), script=Script(
        faults=(Fault(600.0, "pause", span=200.0),))),
    Bug("no deadline for Hello", nothing(Conversation, "start"), ("G1", "G4")),
    Bug("no deadline for a dial", around(Shard, "_on_gateway", dial_without_end), ("G1",)),
    Bug("no deadline for a request", around(Account, "_send", request_without_end), ("G4",), script=Script(
        shards=2, faults=(Fault(600.0, "http", span=200.0, value=("token", "hang")),
                          Fault(601.0, "close", shard=0, value=4004), Fault(610.0, "close", shard=1, value=4004)))),
    Bug("no deadline for READY", nothing(Conversation, "_await_ready"), ("G4",), first=15),
    Bug("a probe that never ends", around(Heartbeat, "due", spinning), ("G2",)),
    Bug("backoff is reset by an open socket", around(Shard, "connection_opened", success_is_an_open_socket), ("G2",)),
    Bug("no backoff", instead(Recovery, "_next_step", lambda self, random: 0.1), ("G2",)),
    Bug("the backoff has no end", around(Recovery, "_next_step", backs_off_for_ever_longer), ("G1",)),
    Bug("ten failures are silently the end", around(Shard, "_disconnected", gives_up_silently), ("G1",)),
    Bug("ten failures are loudly the end", around(Shard, "_disconnected", gives_up_loudly), ("G1",)),
    Bug("ends of connections are not told", around(Shard, "_disconnected", untold), ("G1",)),
    Bug("4008 is not waited for", lambda patch: patch.setattr("qqproto.recovery._SENDING_TOO_FAST", -1), ("G2",),
        first=5),
    Bug("a refused session is resumed", around(Recovery, "after_connection", never_drops), ("G5",)),
    Bug("dead sessions are resumed for ever", nothing(Recovery, "_judge_resume"), ("G5", "G6"), first=6),
    Bug("a Resume says the wrong sequence", around(
        payloads, "resume", lambda real, **options: real(**{**options, "sequence": 0})), ("G5",)),
    Bug("Identify twice on one socket", around(Conversation, "_identify", twice), ("G5",)),
    Bug("op 7 leads to an Identify", around(Conversation, "_leave", op7_identifies), ("G5",)),
    Bug("a rotation is a failure", around(Recovery, "after_connection", op7_is_a_failure), ("G1", "G2", "G5")),
    Bug("a rotation is told as Offline", around(Shard, "_disconnected", offline_at_once), ("G5",)),
    Bug("1000 is the end", codes(Verdict.STOP, 1000), ("G1", "G5")),
    Bug("4006 keeps the session", codes(Verdict.RESUME, 4006), ("G5", "G6")),
    Bug("4009 loses the session", codes(Verdict.IDENTIFY, 4009), ("G5",)),
    Bug("fatal codes are tried again", codes(
        Verdict.RESUME, 4001, 4002, 4010, 4011, 4012, 4013, 4014, 4914, 4915), ("G5",), first=15),
    Bug("a refused token is used again", instead(TokenLife, "refuse", lambda self, value, now: False), ("G5",)),
    Bug("refused Identifies are not counted", nothing(Recovery, "_judge_identify"), ("G5", "G2")),
    Bug("a second instance is not noticed", nothing(Recovery, "_judge_conflict"), ("G5", "G2"), first=60),
    Bug("each question asks for a token", around(Account, "_token_to_give", asks_again), ("G6",)),
    Bug("identify slots are not kept apart", instead(IdentifyPacer, "reserve", lambda self, asker, now: now), ("G6",)),
    Bug("the identify budget is ignored", both(
        instead(Shard, "_budget_is_spent", lambda self, info, now: False),
        instead(IdentifyPacer, "_spent", lambda self: False)), ("G6",), first=34),
    Bug("the limit of /gateway/bot is ignored", instead(Bucket, "wait", lambda self, now: 0.0), ("G6",),
        script=Script(shards=8, faults=(Fault(600.0, "http", span=900.0, value=("gateway", "503")),
                                        Fault(600.0, "close", value=4006)))),
    Bug("Stopped twice", around(Shard, "_stop", twice), ("G8",)),
    Bug("no end to the goodbye", around(Shard, "close", slow_goodbye), ("G8",), first=47),
    Bug("events after close()", instead(Outbox, "withdraw", keeps_what_it_has_to_say), ("G8",), script=Script(faults=(
        Fault(600.0, "stall", span=3.0), Fault(601.0, "burst", value=20),
        Fault(602.0, "restart", span=5.0, value=(True, True, 0.0))))),
    Bug("odd messages raise", around(
        Conversation, "_malformed", lambda real, self, what, message: [][0]), ("exception",)),
    Bug("ids are used again", around(Outbox, "new_id", reused), ("contract",)),
    Bug("a repetition is handed out", instead(Settlement, "came_before", lambda self, sequence: False), ("G7",),
        first=7),
    Bug("a dispatch is lost now and then", around(Conversation, "receive_value", loses_some), ("G7",)),
    Bug("a heartbeat names what never came", around(
        payloads, "heartbeat", lambda real, sequence: real((sequence or 0) + 1)), ("G7",)),
    Bug("the sequence is committed on receipt", saved_with(
        lambda live, session: {"settled": session.received, "ahead": ()}), ("G5",), script=DIES_AT_WORK),
    Bug("what comes is settled", around(Conversation, "receive_value", settled_on_arrival), ("G7",)),
    Bug("the watermark passes over what is open", instead(Settlement, "_finish", highest_that_is_settled), ("G7",),
        first=7),
    Bug("what was seen is saved, not what is done", saved_with(
        lambda live, session: {"done": tuple(live._recall.seen._fold())}), ("G7",), script=DIES_AT_WORK),
    Bug("what is done is not saved", saved_with(lambda live, session: {"done": ()}), ("G7",)),
    Bug("what is settled ahead is not saved", saved_with(lambda live, session: {"ahead": ()}), ("G7",),
        script=DIES_AT_WORK),
    Bug("what is missing is not saved", saved_with(lambda live, session: {"missing": ()}), ("G7",), first=23),
    Bug("another session's dispatch is settled", instead(LiveSession, "settle", settles_by_number_alone), ("G7",)),
    Bug("close() settles what is open", around(Shard, "close", settles_all), ("G5",), script=CLOSES_AT_WORK),
    Bug("there is never anything new to be saved", lambda patch: patch.setattr(
        Settlement, "progress", (0, 0)), ("G7",)),
    Bug("what comes again is not marked", around(LiveSession, "resuming", unmarked), ("G7",)),
    Bug("everything after a Resume is marked", around(LiveSession, "resumed", marked_for_ever), ("G7",)),
    Bug("a gap is not told", around(Settlement, "resumed", hears_of_no_gap), ("G7",)),
    Bug("a gap is told twice", around(Settlement, "resumed", tells_gaps_again), ("G7",), first=23),
    Bug("the number of RESUMED is taken for a dispatch's", around(
        Settlement, "resumed", lambda real, self, sequence: (real(self, sequence), self._missing.pop(sequence, None))[0]
    ), ("G7",), first=23),
    Bug("what is replayed is counted wrongly", around(Conversation, "_on_resumed", with_one_more), ("G7",)),
    Bug("names are not looked up", instead(Memory, "knows", lambda self, names, now: False), ("G7",)),
    Bug("two updates of one channel are one event", lambda patch: patch.setattr(
        "qqproto.event_names.EVENT_NAMING_TYPES", EveryType()), ("G7",)),
    Bug("what fills a gap late is a repetition", instead(
        Settlement, "came_before",
        lambda self, sequence: sequence <= self.received or sequence in self.out_of_order), ("G7",)),
    Bug("dispatches are turned round", around(Shard, "next_output", turned_round), ("G7",), first=36),
    Bug("a foreign session is gone on with", instead(Session, "unfit_for", lambda self, config: None), ("G7",)),
    Bug("a saved session is left aside", instead(Session, "unfit_for", lambda self, config: "today"), ("G7",)),
    Bug("a session that was refused is left aside without a word", around(
        Shard, "_restore", lambda real, self, now: real(self, now) if self._saved_age < 3600.0 else None), ("G7",)),
    Bug("the deadlines of the account are not heeded", nothing(Account, "handle_timer"), ("G2",)),
    Bug("a probe each millisecond", around(Heartbeat, "due", spins_slowly), ("G2",), script=Script(faults=(
        Fault(600.0, "black hole"),))),
    Bug("the account uses ids again", around(Account, "_send", numbered_anew), ("contract",)),
    Bug("an upgrade without a key", sends(lambda data: data.replace(b"Sec-WebSocket-Key", b"Key")), ("contract",)),
    Bug("frames without a mask", sends(
        lambda data: data if data.startswith(b"GET ") else b"\x81\x02{}"), ("contract",)),
    Bug("a connection that is over is written to", around(Shard, "_disconnected", speaks_after_the_end), (
        "contract",)),
    Bug("what is dialled is written to before it is there", around(Shard, "_on_gateway", speaks_to_a_dial), (
        "contract",), script=Script(framing=Framing.TEXT)),
    Bug("an end is told twice", around(Shard, "_disconnected", ends_twice), ("G5",), script=Script(faults=(
        Fault(600.0, "close", value=1000),))),
    Bug("the gateway's address is asked for, for ever", around(Shard, "_on_gateway", asks_for_ever), ("G2",)),
    Bug("counters without end", around(Shard, "next_output", leaks), ("G10",)),
]  # fmt: skip


def first_violation(scripts: Iterable[Script]) -> Violation | None:
    return next(filter(None, (simulate(script).violation for script in scripts)), None)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_in_the_machines_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)

    seeds = range(bug.first, bug.first + bug.seeds)
    violation = first_violation(map(script_of, seeds) if bug.script is None else [bug.script])

    assert violation is not None, f"not within {bug.seeds} seeds" if bug.script is None else "not in its script"
    assert violation.promise in bug.promises, violation


@pytest.mark.untraced
def test_the_machines_without_a_bug_are_not_blamed() -> None:
    assert first_violation(map(script_of, range(10))) is None
    assert first_violation(bug.script for bug in BUGS if bug.script is not None) is None
