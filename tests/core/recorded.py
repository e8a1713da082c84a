"""A host whose shard is recorded: it answers at once, and its recording is replayed and looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from qqproto import (
    Failure,
    FailureKind,
    FetchGateway,
    FetchToken,
    Framing,
    GatewayInfo,
    IdentifySlot,
    OpenConnection,
    Policy,
    ReserveIdentify,
    SendData,
    Session,
    ShardConfig,
    Token,
)
from qqproto.outbox import Output
from qqproto.recording import Line, Recorder, Report, read, replay
from tests.core import frames
from tests.core.hosts import URL, OfAShard, half, hello, ready

SECRET = "TOKEN-THAT-NOBODY-MAY-SEE"
KEY = b"0123456789abcdef"
CONFIG = ShardConfig("11111111", 1 << 25)
LOST = Failure(FailureKind.RESET, "the connection was cut")


class Recorded(OfAShard):
    """A recorded shard, its clock, and the server's end of the present connection."""

    def __init__(
        self,
        *,
        config: ShardConfig = CONFIG,
        framing: Framing = Framing.BYTES,
        policy: Policy = Policy(),
        session: Session | None = None,
        random: Callable[[], float] = half,
        token: str = SECRET,
        url: str = URL,
        hide: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.written: list[str] = []
        self.recorder = Recorder(self.written.append, secrets=secrets, contents_key=KEY if hide else None)
        self.shard = self.recorder.shard(config, random=random, session=session, policy=policy, framing=framing)
        self.framing = framing
        self.token, self.url = token, url
        self.now = 100.0
        self.connection = 0
        self.request = b""

    def live(self) -> Recorded:
        """Its session is live."""
        self.start()
        self.say(hello(), ready())
        return self

    def start(self) -> None:
        self.shard.start(self.now)
        self.drain()
        if self.framing is Framing.BYTES:
            self.receive(frames.accept(self.request))

    def drain(self) -> None:
        while (output := self.shard.next_output()) is not None:
            self.outputs.append(output)
            self.answer(output)
        self.shard.next_timer()

    def answer(self, output: Output) -> None:
        if isinstance(output, FetchToken):
            self.shard.answer(output.id, Token(self.token), self.now)
        elif isinstance(output, FetchGateway):
            self.shard.answer(output.id, GatewayInfo(self.url), self.now)
        elif isinstance(output, ReserveIdentify):
            self.shard.answer(output.id, IdentifySlot(self.now), self.now)
        elif isinstance(output, OpenConnection):
            self.connection = output.id
            self.shard.connection_opened(output.id, self.now)
        elif isinstance(output, SendData) and output.data.startswith(b"GET "):
            self.request = output.data

    def say(self, *messages: str | bytes) -> None:
        """The server says these; bytes are a binary message."""
        for message in messages:
            if self.framing is Framing.TEXT:
                self.shard.receive_message(self.connection, message, self.now)
                self.drain()
            elif isinstance(message, str):
                self.receive(frames.text(message))
            else:
                self.receive(frames.frame(frames.BINARY, message))

    def receive(self, *reads: bytes) -> None:
        """The server sends these bytes, read by read."""
        for data in reads:
            self.shard.receive_data(self.connection, data, self.now)
            self.drain()

    def lose(self) -> None:
        self.shard.connection_lost(self.connection, LOST, self.now)
        self.drain()

    # -- the recording --------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        return read(self.written)

    @property
    def text(self) -> str:
        return "\n".join(self.written)

    def inputs(self, what: str) -> list[dict[str, Any]]:
        """The inputs of a kind, as recorded."""
        return [line.fields for line in self.lines if line.fields.get("in") == what]

    def said(self, what: str) -> list[dict[str, Any]]:
        """The outputs of a kind, as recorded."""
        return [line.fields for line in self.lines if line.fields.get("out") == what]

    def replays(self) -> Report:
        """Its replay, which goes as it was recorded."""
        report = replay(self.lines)
        assert report.difference is None, str(report.difference)
        assert SECRET not in self.text
        return report

    def changed(self, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Report:
        """The replay of a recording in which ``change`` has changed lines, or left them out."""
        changed = (change(json.loads(text)) for text in self.written)
        return replay(read(json.dumps(fields) for fields in changed if fields is not None))
