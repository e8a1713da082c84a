"""Recording shards: each input with its time, each output, each random number, as lines of JSON without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import qqproto
from qqproto.config import Framing, ShardConfig
from qqproto.decoding import Loads
from qqproto.policy import Policy
from qqproto.recording.recorded_shard import RecordedShard
from qqproto.recording.redaction import Redactor
from qqproto.recording.tape import Tape
from qqproto.recording.values import clean, dump, made_of
from qqproto.session import Session
from qqproto.shard import Shard


class Recorder:
    """Makes shards that record themselves: ``write`` is called with each line, which has no end of line yet.

    One recorder serves any number of shards that run in one thread. ``secrets`` are replaced wherever they turn up;
    tokens are so anyway. ``contents_key``, 16 to 64 random bytes, hides what people wrote as well: the texts in
    dispatches. Both are replaced one to one, so that a recording replays as it is (:func:`~qqproto.recording.replay`).
    ``unix_time`` tells the time of day, for a recording that is to know when it was.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        secrets: Iterable[str] = (),
        contents_key: bytes | None = None,
        unix_time: Callable[[], float] | None = None,
    ) -> None:
        self._write = write
        self._unix_time = unix_time
        self.redactor = Redactor(secrets, key=contents_key)
        self._head = {
            "recording": 1,
            "qqproto": qqproto.__version__,
            "contents": "hidden" if contents_key is not None else "kept",
        }
        self._made: list[dict[str, Any]] = []
        self._now = 0.0

    def conceal(self, secret: str) -> None:
        """From now on ``secret`` is replaced wherever it turns up."""
        self.redactor.secret(secret)

    def shard(
        self,
        config: ShardConfig,
        *,
        random: Callable[[], float],
        session: Session | None = None,
        session_age: float = 0.0,
        policy: Policy = Policy(),
        framing: Framing = Framing.BYTES,
        loads: Loads = json.loads,
    ) -> Shard:
        """A :class:`~qqproto.Shard`, made of the same arguments, and driven by the same contract."""
        number = len(self._made) + 1
        tape = Tape(self.redactor, partial(self._note, number), in_bytes=framing is Framing.BYTES)
        self._add(number, clean(made_of(config, session, session_age, policy, framing, self.redactor), self.redactor))
        return RecordedShard(
            config, tape, self._time_of_day,
            random=random, session=session, session_age=session_age, policy=policy, framing=framing, loads=loads,
        )  # fmt: skip

    def head(self) -> str:
        """The first line of a file that goes on with another one: which recording it is, and of which shards."""
        return dump({**self._head, "continued": True, "made": self._made, "t": self._now, **self._time_of_day()})

    # -- steps ----------------------------------------------------------------------------------------------------

    def _add(self, number: int, made: dict[str, Any]) -> None:
        """Another shard begins."""
        if number == 1:
            self._write(dump(self._head))
        line = {"m": number, **made}
        self._made.append(line)
        self._write(dump(line))

    def _time_of_day(self) -> dict[str, float]:
        """The time of day as a field, if it is known."""
        return {} if self._unix_time is None else {"unix": round(self._unix_time(), 3)}

    def _note(self, number: int, fields: dict[str, Any]) -> None:
        """Something happened to a shard."""
        self._now = fields.get("t", self._now)
        self._write(dump({"m": number, **fields}))
