"""A Shard under any inputs in any order: the promises that need no world around them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qqproto import (
    Abort,
    Cancel,
    CloseConnection,
    Dispatch,
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    LocalProtocolError,
    Narrator,
    OpenConnection,
    Policy,
    ReserveIdentify,
    SendText,
    Shard,
    ShardConfig,
    Stopped,
    Token,
    Verdict,
)
from qqproto.outbox import Output
from qqproto.protocol.close_codes import CLOSE_CODES
from qqproto.testing import Randomness
from tests.core.hosts import SESSION, URL
from tests.fuzz.machines import EXAMPLES, campaign

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
ENVELOPES = st.fixed_dictionaries(
    {"op": st.sampled_from([0, 1, 7, 9, 10, 11]) | JSON},
    optional={
        "s": st.integers(-1, 50) | JSON,
        "t": st.sampled_from(["READY", "RESUMED", "GROUP_AT_MESSAGE_CREATE", "NEW"]) | JSON,
        "d": st.sampled_from([{"heartbeat_interval": 41250}, {"session_id": "S"}, False, True, ""]) | JSON,
        "id": st.text(max_size=10) | JSON,
    },
)
MESSAGES: st.SearchStrategy[str | bytes] = ENVELOPES.map(json.dumps) | st.text(max_size=20) | st.binary(max_size=20)
SPANS = st.sampled_from([0.0, 0.001, 0.2, 1.0, 5.0, 19.9, 20.1, 41.25, 61.0, 300.0, 3700.0, 90_000.0]) | st.floats(
    0, 100
)
FAILURES = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    http_status=st.none() | st.sampled_from([200, 401, 429, 502]),
    code=st.none() | st.sampled_from([11244, 11298, 100001, 100016, 500, 31337]),
    retry_after=st.none() | st.floats(0, 100),
)
CODES = st.none() | st.sampled_from([*CLOSE_CODES, 1005, 1006, 1011, 4015, 4999, 5000, 0, -1])


class AnyOrder(RuleBasedStateMachine):
    """The rules are the inputs, valid, late and foreign ones; the model knows only ids and the clock."""

    def make_shard(self, config: ShardConfig, **options: Any) -> Shard:
        return Shard(config, **options)

    @initialize(
        seed=st.integers(0, 2**32), leave=st.sampled_from([4000, None]), resumes=st.booleans(), busy=st.booleans()
    )
    def begin(self, seed: int, leave: int | None, resumes: bool, busy: bool) -> None:
        self.now = 100.0
        self.policy = Policy(leave_code=leave)
        config = ShardConfig("11111111", 1 << 25, settle="manual" if busy else "delivery")
        session = SESSION if resumes else None
        random = Randomness(seed)
        self.shard = self.make_shard(config, random=random, session=session, policy=self.policy, framing=Framing.TEXT)
        self.narrator = Narrator()
        self.started = False
        self.ids: set[int] = set()
        self.questions: dict[int, type[Any]] = {}
        self.dialling: set[int] = set()
        self.open: set[int] = set()
        self.stopped: Stopped | None = None
        self.dispatches: list[Dispatch] = []

    # -- what comes out -------------------------------------------------------------------------------------------

    def drain(self) -> None:
        count = 0
        while (output := self.shard.next_output()) is not None:
            count += 1
            assert count < 1000
            assert self.stopped is None, f"{output} after Stopped"
            assert "TOKEN-" not in repr(output)
            self.take(output)
        assert self.shard.ended == (self.stopped is not None)
        if self.started:
            assert self.shard.ended or self.shard.next_timer() is not None, "G1"

    def take(self, output: Output) -> None:
        match output:
            case FetchToken(id=id, deadline=deadline) | FetchGateway(id=id, deadline=deadline):
                self.ask(id, deadline, Token if isinstance(output, FetchToken) else GatewayInfo)
            case ReserveIdentify(id=id, deadline=deadline):
                self.ask(id, deadline, IdentifySlot)
            case OpenConnection(id=id, deadline=deadline):
                self.issue(id, deadline)
                assert not self.dialling | self.open, "one socket at any time"
                self.dialling.add(id)
            case SendText(id=id):
                assert id in self.open
            case CloseConnection(id=id):
                assert id in self.open
                self.open.discard(id)
            case Abort(id=id):
                assert id in self.ids
                self.open.discard(id)
                self.dialling.discard(id)
            case Cancel(id=id):
                assert id in self.questions
                del self.questions[id]
            case Stopped():
                self.stopped = output
                assert output.hint
            case Dispatch():
                self.dispatches.append(output)
                self.narrator.line(output, self.now)
            case _:
                self.narrator.line(output, self.now)  # type: ignore[arg-type]  # SendData has no place in TEXT

    def ask(self, id: int, deadline: float, kind: type[Any]) -> None:
        self.issue(id, deadline)
        self.questions[id] = kind

    def issue(self, id: int, deadline: float) -> None:
        assert id not in self.ids, "an id twice"
        assert deadline > self.now
        self.ids.add(id)

    # -- what goes in ---------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.started)
    @rule()
    def start(self) -> None:
        self.started = True
        self.shard.start(self.now)
        self.drain()

    @precondition(lambda self: self.questions)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.questions)))
        answers: dict[type[Any], st.SearchStrategy[Any]] = {
            Token: st.builds(Token, st.sampled_from(["TOKEN-1", "TOKEN-2"])),
            GatewayInfo: st.builds(
                GatewayInfo,
                st.sampled_from([URL, URL, URL, "nonsense"]),
                total=st.just(1000),
                remaining=st.none() | st.integers(0, 1000),
                reset_after=st.none() | st.floats(0, 1000),
            ),
            IdentifySlot: st.builds(IdentifySlot, st.floats(-20, 60).map(lambda wait: self.now + wait)),
        }
        values = answers[self.questions.pop(id)]
        self.shard.answer(id, data.draw(st.one_of(values, values, FAILURES)), self.now)
        self.drain()

    @precondition(lambda self: self.dialling)
    @rule(failure=st.none() | FAILURES)
    def dialled(self, failure: Failure | None) -> None:
        id = self.dialling.pop()
        if failure is None:
            self.open.add(id)
            self.shard.connection_opened(id, self.now)
        else:
            self.shard.connection_lost(id, failure, self.now)
        self.drain()

    @precondition(lambda self: self.open)
    @rule(messages=st.lists(MESSAGES, min_size=1, max_size=5))
    def hear(self, messages: list[str | bytes]) -> None:
        [id] = self.open
        for message in messages:
            self.shard.receive_message(id, message, self.now)
        self.drain()

    @precondition(lambda self: self.open)
    @rule(verdict=st.sampled_from(["ready", "resumed"]), sequence=st.integers(1, 60))
    def hear_sense(self, verdict: str, sequence: int) -> None:
        """A server that does what it should, so that the deep states are reached."""
        [id] = self.open
        self.shard.receive_message(id, '{"op":10,"d":{"heartbeat_interval":41250}}', self.now)
        self.drain()
        for question, kind in list(self.questions.items()):
            if kind is IdentifySlot:
                del self.questions[question]
                self.shard.answer(question, IdentifySlot(self.now), self.now)
                self.drain()
        name, data = ("READY", {"session_id": "S"}) if verdict == "ready" else ("RESUMED", "")
        for envelope in ({"op": 0, "s": sequence, "t": name, "d": data}, {"op": 11}):
            self.shard.receive_message(id, json.dumps(envelope), self.now)
        self.drain()

    @precondition(lambda self: self.open)
    @rule(code=CODES, lost=st.none() | FAILURES)
    def end(self, code: int | None, lost: Failure | None) -> None:
        id = self.open.pop()
        if lost is None:
            self.shard.connection_closed(id, code, "because", self.now)
        else:
            self.shard.connection_lost(id, lost, self.now)
        self.drain()

    @rule(span=SPANS)
    def late(self, span: float) -> None:
        """A driver that sleeps through its deadlines."""
        self.now += span
        self.shard.handle_timer(self.now)
        self.drain()
        self.progress()

    @rule(span=SPANS)
    def on_time(self, span: float) -> None:
        end = self.now + min(span, 400.0)
        while (due := self.shard.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.shard.handle_timer(self.now)
            self.drain()
            self.progress()
        self.now = end

    def progress(self) -> None:
        due = self.shard.next_timer()
        assert due is None or due > self.now, "G2: the machine spins"

    @rule(paused=st.booleans())
    def read(self, paused: bool) -> None:
        if paused:
            self.shard.reading_paused(self.now)
        else:
            self.shard.reading_resumed(self.now)
        self.drain()

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), failure=FAILURES)
    def stale(self, data: st.DataObject, failure: Failure) -> None:
        """Ids that are over are ignored."""
        over = sorted(self.ids - set(self.questions) - self.dialling - self.open)
        if not over:
            return
        id = data.draw(st.sampled_from(over))
        if self.shard.status(self.now).phase.value == "closing":
            return  # the end of the stream that is being closed is no stale input
        self.shard.answer(id, failure, self.now)
        self.shard.connection_opened(id, self.now)
        self.shard.receive_message(id, '{"op":7}', self.now)
        self.shard.connection_closed(id, 4009, "", self.now)
        self.shard.connection_lost(id, failure, self.now)
        assert self.shard.next_output() is None

    @rule()
    def foreign(self) -> None:
        """Ids that were never issued are misuse, and change nothing."""
        for id in (0, -1, 10**9):
            try:
                self.shard.connection_lost(id, Failure(FailureKind.EOF), self.now)
            except LocalProtocolError:
                continue
            raise AssertionError("misuse was not noticed")
        assert self.shard.next_output() is None

    @precondition(lambda self: self.dispatches)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        self.shard.settle(data.draw(st.sampled_from(self.dispatches)))

    @precondition(lambda self: len(self.ids) > 12)
    @rule(keep=st.booleans(), fail=st.booleans())
    def finish(self, keep: bool, fail: bool) -> None:
        was_over = self.shard.ended
        if fail:
            self.shard.fail("a bug", self.now)
        else:
            self.shard.close(self.now, keep_session=keep)
        self.started = True
        self.drain()
        assert self.shard.ended or not was_over

    # -- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def the_session_is_sane(self) -> None:
        session = self.shard.session
        if session is not None:
            assert 0 <= session.settled <= session.received

    @invariant()
    def the_status_is_true(self) -> None:
        status = self.shard.status(self.now)
        assert not status.connected or self.open
        assert status.stopped == self.stopped
        if status.last_disconnect is not None and status.last_disconnect.verdict is Verdict.STOP:
            assert self.stopped is not None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(campaign, max_examples=max(60, EXAMPLES // 20), stateful_step_count=60)
