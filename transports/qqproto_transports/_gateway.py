"""A gateway but for its waiting: its shards, its buffer of events, what settles them, and how iterating ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from qqproto.config import Framing, SettleMode, ShardConfig
from qqproto.events import Dispatch, Event, ReadingPaused, Stopped
from qqproto.policy import Policy
from qqproto.protocol.close_codes import StopReason
from qqproto.session import Session
from qqproto.shard import Shard
from qqproto.status import Status
from qqproto_transports._common import GatewayStopped, Shards
from qqproto_transports._delivery import Delivery
from qqproto_transports._journal import Journal
from qqproto_transports._shard_runner import ShardRunner

if TYPE_CHECKING:
    from qqproto.recording import Recorder
    from qqproto_transports._keeper import Keeper

Runner = TypeVar("Runner", bound=ShardRunner)


def shard_configs(
    app_id: str,
    *,
    intents: int,
    shards: Shards,
    settle: SettleMode,
    properties: Mapping[str, str] | None,
    user_agent: str,
) -> list[ShardConfig]:
    """One configuration for each shard of this process; with "auto" that of the first, whose count is a guess."""
    properties, headers = dict(properties or {}), {"User-Agent": user_agent}
    return [
        ShardConfig(
            app_id=app_id,
            intents=intents,
            shard=pair,
            properties=properties,
            headers=headers,
            settle=settle,
        )
        for pair in _pairs(shards)
    ]


def _pairs(shards: Shards) -> list[tuple[int, int]]:
    if shards == "auto":
        return [(0, 1)]
    if isinstance(shards, int):
        if shards < 1:
            raise ValueError(f"shards must be at least 1, not {shards}")
        return [(index, shards) for index in range(shards)]
    pairs = list(shards)
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f'shards must be a number, "auto" or pairs of index and count, not {shards!r}')
    indexes, counts = {index for index, _ in pairs}, {count for _, count in pairs}
    if len(counts) != 1 or len(indexes) != len(pairs):
        raise ValueError(f"pairs of index and count must be of one count and name no index twice, not {pairs}")
    return pairs


class Crew(Generic[Runner]):
    """The runners of one gateway, which begin and end together."""

    def __init__(self) -> None:
        self.runners: list[Runner] = []

    @property
    def ended(self) -> bool:
        """Whether every shard has said its last."""
        for runner in self.runners:  # It is asked before every wait, and nearly always the first is alive.
            if not runner.ended:
                return False
        return True

    @property
    def bug(self) -> BaseException | None:
        """The first bug that ended a shard, if one did."""
        return next((runner.error for runner in self.runners if runner.error is not None), None)

    def start(self) -> None:
        """Begin."""
        for runner in list(self.runners):  # The first may bring, and start, the others.
            runner.start()

    def changed(self) -> None:
        """Something happened: those who wait for a change look again. From any thread."""
        raise NotImplementedError

    def close(self, *, keep_session: bool = False) -> None:
        """Every shard says goodbye."""
        for runner in self.runners:
            runner.close(keep_session=keep_session)

    def pause_reading(self) -> None:
        """The application has enough to do."""
        for runner in self.runners:
            runner.pause_reading()

    def resume_reading(self) -> None:
        """It has not any more."""
        for runner in self.runners:
            runner.resume_reading()


class GatewayCore(Delivery[Event], Generic[Runner]):
    """What a gateway of any driver knows and does without waiting.

    A driver's own class calls :meth:`_add_shards`, and :meth:`_begin` when it is entered, and overrides
    :meth:`_arrived`.
    """

    def __init__(
        self,
        crew: Crew[Runner],
        clock: Callable[[], float],
        policy: Policy,
        settle: SettleMode,
        *,
        journal: Journal,
        keeper: Keeper | None,
    ) -> None:
        super().__init__(settle, policy.max_buffered)
        self._crew = crew
        self._clock = clock
        self._journal = journal
        self._keeper = keeper
        self._configs: list[ShardConfig] = []
        self._make_shard: Callable[..., Shard]
        self._shards: dict[int, Shard] = {}
        self._bug_told = False
        if keeper is not None:
            keeper.serve(self._shards, self._tell_aside, crew.changed)

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether every shard's session is live on an open link, now."""
        return not self._closing and all(runner.connected for runner in self._crew.runners)

    @property
    def online(self) -> bool:
        """Whether every shard is connected, or away for less than the grace."""
        return not self._closing and all(status.online for status in self.status())

    @property
    def stopped(self) -> Stopped | None:
        """Why it stopped, None as long as a shard lives; of several the first that was not the host's ``close``."""
        runners = sorted(self._crew.runners, key=lambda runner: runner.stopped_at)
        stops = [runner.shard.stopped for runner in runners if runner.shard.stopped is not None]
        if len(stops) < len(runners):
            return None
        return next((stop for stop in stops if stop.reason is not StopReason.CLOSED), stops[0])

    @property
    def session(self) -> Session | None:
        """The session of the first shard as it stands, None without one."""
        return next(iter(self._shards.values())).session

    def status(self) -> tuple[Status, ...]:
        """A snapshot of each shard."""
        now = self._clock()
        return tuple(shard.status(now) for shard in self._shards.values())

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread; one of another session is ignored."""
        if dispatch.shard not in self._shards:
            return
        self._shards[dispatch.shard].settle(dispatch)
        if self._draining:
            self._crew.changed()
        if self._keeper is not None:
            self._keeper.settled()

    # -- steps: its beginning -------------------------------------------------------------------------------------

    def _add_shards(
        self,
        configs: list[ShardConfig],
        policy: Policy,
        loads: Callable[[str | bytes], Any],
        make_runner: Callable[[Shard], Runner],
        *,
        auto: bool,
        framing: Framing = Framing.BYTES,
        record: Recorder | None = None,
    ) -> None:
        """``auto``: ``configs`` is one, and the platform is asked how many there should be."""
        # An event in our buffer is not handed out yet, so what settles it is seen to here, in every mode.
        configs = [replace(config, settle="manual") for config in configs]
        chance = random.Random().random
        new_shard = Shard if record is None else record.shard

        def make_shard(config: ShardConfig, session: Session | None = None, age: float = 0.0) -> Shard:
            shard = new_shard(
                config, random=chance, session=session, session_age=age, policy=policy, loads=loads, framing=framing,
            )  # fmt: skip
            self._shards[config.shard[0]] = shard
            return shard

        def recruit(count: int) -> bool:
            if count == 1 and self._keeper is None:
                return False
            self._configs = [replace(configs[0], shard=(index, count)) for index in range(count)]
            first, *others = [make_shard(config) for config in self._configs]
            self._crew.runners[0].replace(first)
            for shard in others:
                runner = make_runner(shard)
                self._crew.runners.append(runner)
                if self._paused:
                    runner.pause_reading()
            self._begin()
            return True

        self._configs, self._make_shard = configs, make_shard
        self._crew.runners += [make_runner(make_shard(config)) for config in configs]
        if auto:
            # Its road up to the platform's answer is that of every start: backoff, verdicts, Offline, status, close.
            self._crew.runners[0].census = recruit

    def _begin(self) -> None:
        """Start the shards, with their saved sessions if there is a store and it is known which they are."""
        keeper, runners = self._keeper, self._crew.runners
        if keeper is None or runners[0].census is not None or self._crew.ended:
            self._crew.start()
            return
        for runner in runners:
            runner.attach()

        def start(saved: dict[int, tuple[Session, float]]) -> None:
            for config, runner in zip(self._configs, runners, strict=True):
                index = config.shard[0]
                if index in saved and not runner.ended:
                    runner.replace(self._make_shard(config, *saved[index]))
                runner.start()
                keeper.going_on_with(index)

        keeper.load(self._configs, start)

    # -- steps: its end -------------------------------------------------------------------------------------------

    def _keeps_session(self, wish: bool | None) -> bool:
        """Whether the session is kept: as the host wishes, and without a wish if there is a store for it."""
        return self._keeper is not None if wish is None else wish

    def _begin_draining(self) -> None:
        """From now on nothing is read; what is in the buffer is handed out, and waited for."""
        self._draining = True
        if not self._paused:
            self._paused = True
            self._crew.pause_reading()

    def _has_drained(self, caller: object) -> bool:
        """Whether what the application was given is settled, but for what ``caller``, a task or thread, has in hand."""
        return self._is_settled_but_for(self._held_by(caller))

    def _is_settled_but_for(self, mine: list[Dispatch]) -> bool:
        """For where the machines are driven."""
        held = sum(self._shards[event.shard].is_unsettled(event) for event in mine)
        return self._closing or sum(shard.unsettled for shard in self._shards.values()) <= held

    def _begin_closing(self) -> None:
        """From now on nothing but ``Stopped`` is handed out; a stop that was not the host's stays one."""
        if not self._crew.ended:
            self._closing = True

    def _raise_ending(self) -> None:
        """Raise what ends the iteration, once every shard has ended; return if that is nothing but ``close``."""
        self._raise_bug()
        if not self._closing and self.stopped is not None and self.stopped.reason is not StopReason.CLOSED:
            raise GatewayStopped(self.stopped)

    def _raise_bug(self) -> None:
        """A bug that ended a shard leaves the block, if it has not done so yet."""
        bug = self._crew.bug
        if bug is not None and not self._bug_told:
            self._bug_told = True
            raise bug

    # -- steps: what comes in -------------------------------------------------------------------------------------

    def _drained(self) -> None:
        """What one input of a shard brought lies in the buffer."""
        if not self._paused and len(self._buffer) >= self._max_buffered:
            behind = list(self._buffer)  # In one go: other threads may be taking from it.
            self._paused = True
            self._crew.pause_reading()
            if behind:
                self._tell_aside(ReadingPaused(behind[-1].shard, len(behind)))
        if self._keeper is not None and not self._is_dispatch_alone():
            self._keeper.look()
        self._arrived()

    def _is_dispatch_alone(self) -> bool:
        """Whether all that has come is a dispatch. It makes nothing due: one looks when it is settled."""
        buffer = self._buffer
        try:
            return type(buffer[0]) is Dispatch and len(buffer) == 1
        except IndexError:  # Nothing has come, or another thread has taken it.
            return False

    def _tell_aside(self, event: Event) -> None:
        """Something happened to a shard that is not of the machine's telling; ``Stopped`` stays the last of it."""
        self._journal.event(event)
        if not self._shards[event.shard].ended:
            self._buffer.append(event)
            self._arrived()

    def _relieved(self) -> None:
        super()._relieved()
        self._crew.resume_reading()

    def _arrived(self) -> None:
        """Wake who waits for an event or for a change."""
        raise NotImplementedError

    # -- steps: what is handed out --------------------------------------------------------------------------------

    def _settle_here(self, dispatch: Dispatch) -> None:
        """What the iteration settles. The sessions are looked at, so it is for where the machines are driven."""
        self._shards[dispatch.shard].settle(dispatch)
        if self._draining:
            self._crew.changed()
        if self._keeper is not None:
            self._keeper.look()
