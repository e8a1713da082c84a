"""A recorded Shard under any inputs in any order, misuse included: the recording replays, and holds no token."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

from qqproto import Shard, ShardConfig
from qqproto.recording import Recorder, read, replay
from tests.core.test_shard_any_order import AnyOrder
from tests.fuzz.machines import EXAMPLES, campaign


class RecordedAnyOrder(AnyOrder):
    """The same rules; what came of them is looked at in the end."""

    def make_shard(self, config: ShardConfig, **options: Any) -> Shard:
        self.written: list[str] = []
        # Every other one without what people wrote.
        key = b"0123456789abcdef" if options["session"] is None else None
        return Recorder(self.written.append, contents_key=key).shard(config, **options)

    def teardown(self) -> None:
        report = replay(read(self.written))
        assert report.difference is None, str(report.difference)
        assert "TOKEN-" not in "".join(self.written)


TestRecordedAnyOrder = RecordedAnyOrder.TestCase
TestRecordedAnyOrder.settings = settings(campaign, max_examples=EXAMPLES // 15, stateful_step_count=40)
