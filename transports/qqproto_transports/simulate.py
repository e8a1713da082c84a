"""Campaigns of simulated hours on every processor, and replays of one seed: ``python -m qqproto_transports.simulate``.

The simulation itself, :mod:`qqproto.testing.simulation`, is pure; processes, progress and printing are here.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from qqproto.testing.simulation import Bot, Report, Violation, script_of, shrink, simulate

_DEFAULT_HOURS = 10_000.0
_TELL_EVERY = 10.0
_MOST_SHOWN = 5
_LAST_LINES = 60
_FAULT = "fault: "
_INTERRUPTED = 130
"""What shells expect of a command that Ctrl-C has ended."""


@dataclass(slots=True)
class Campaign:
    """What came of many runs: connection-hours, how many seeds, counts, and the seeds that broke a promise.

    ``cut_short``: somebody pressed Ctrl-C before all of it was done.
    """

    hours: float = 0.0
    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, Violation] = field(default_factory=dict)
    cut_short: bool = False

    def add(self, report: Report) -> None:
        """Another run is done."""
        self.hours += report.hours
        self.seeds += 1
        self.counts.update(report.counts)
        if report.violation is not None:
            self.broken[report.script.seed] = report.violation


def campaign(
    hours: float, *, first: int = 0, processes: int | None = None, bot: str = "", tell: Callable[[str], None] = print
) -> Campaign:
    """Run the seeds from ``first`` on until they make up ``hours`` connection-hours; the same seeds for the same hours.

    ``bot`` is ``module:name`` of what makes a :class:`~qqproto.testing.simulation.Bot`, "" for a plain one. ``tell`` is
    given lines about progress, and about each broken promise as it is found. Ctrl-C ends it with what there is by then.
    """
    done = Campaign()
    try:
        _add_reports(done, hours, first, processes or os.cpu_count() or 1, bot, tell)
    except KeyboardInterrupt:
        done.cut_short = True
    return done


def _add_reports(
    done: Campaign, hours: float, first: int, processes: int, bot: str, tell: Callable[[str], None]
) -> None:
    began = told = time.monotonic()
    for report in _reports(_seeds(hours, first), processes, bot):
        done.add(report)
        if report.violation is not None:
            tell(f"seed {report.script.seed}: {_first_line(report.violation)}")
        now = time.monotonic()
        if now - told >= _TELL_EVERY:
            told = now
            tell(
                f"{done.hours:,.0f} of {hours:,.0f} h, {done.hours / (now - began):,.0f} h/s, {len(done.broken)} broken"
            )


def replay(seed: int, *, bot: str = "") -> tuple[bool, str]:
    """Whether every promise was kept, and the story; where one was not, of the smallest script that still fails."""
    script, make = script_of(seed), _bot(bot)
    report = simulate(script, make, timeline=True)
    if report.kept:
        end = f"every promise was kept in {report.hours:,.1f} connection-hours"
        return True, f"{script}\n\n{report.timeline}\n\n{end}"
    script = shrink(script, make)
    lines = str(simulate(script, make, timeline=True).timeline).splitlines()
    return False, f"{script}\n\n" + "\n".join(lines[-_LAST_LINES:])


def summary(done: Campaign, seconds: float) -> str:
    """A campaign in a few lines."""
    faults = {name.removeprefix(_FAULT): count for name, count in done.counts.items() if name.startswith(_FAULT)}
    others = {name: count for name, count in done.counts.items() if not name.startswith(_FAULT)}
    rate = done.hours / max(seconds, 1e-9)
    seeds = ", ".join(str(seed) for seed in sorted(done.broken)[:20])
    cut = "cut short: " if done.cut_short else ""
    return "\n".join(
        [
            f"{cut}{done.hours:,.0f} connection-hours in {done.seeds:,} runs, {seconds:,.0f} s ({rate:,.0f} h/s)",
            f"{sum(faults.values()):,} faults:",
            *_columns(faults),
            "what the bots did and were told:",
            *_columns(others),
            f"BROKEN in {len(done.broken)} runs, seeds {seeds}" if done.broken else "every promise was kept",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0 if every promise was kept."""
    options = _options().parse_args(arguments)
    if options.seed is not None and options.hours is None:
        kept, text = replay(options.seed, bot=options.bot)
        print(text)
        return 0 if kept else 1
    began = time.monotonic()
    hours = _DEFAULT_HOURS if options.hours is None else options.hours
    done = campaign(hours, first=options.seed or 0, processes=options.processes, bot=options.bot, tell=_tell)
    for seed in sorted(done.broken)[:_MOST_SHOWN]:
        print(f"--- seed {seed}, as small as it gets\n{replay(seed, bot=options.bot)[1]}\n")
    print(summary(done, time.monotonic() - began))
    if done.broken:
        return 1
    return _INTERRUPTED if done.cut_short else 0


# -- steps ------------------------------------------------------------------------------------------------------------


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qqproto_transports.simulate",
        description="Let bots live through simulated hours in which everything goes wrong, and check every promise.",
    )
    parser.add_argument("--hours", type=float, help=f"connection-hours (default: {_DEFAULT_HOURS:,.0f})")
    parser.add_argument("--seed", type=int, help="the seed to replay; with --hours, the one to begin with")
    parser.add_argument("--processes", type=int, help="how many processes (default: one for each processor)")
    parser.add_argument("--bot", default="", metavar="MODULE:NAME", help="what makes the bot, in place of a plain one")
    return parser


def _seeds(hours: float, first: int) -> Iterator[int]:
    """The seeds whose scripts make up that many connection-hours."""
    for seed in itertools.count(first):
        if hours <= 0.0:
            return
        yield seed
        script = script_of(seed)
        hours -= script.end / 3600.0 * script.shards


def _reports(seeds: Iterator[int], processes: int, bot: str) -> Iterator[Report]:
    if processes == 1:
        yield from (_run(seed, bot) for seed in seeds)
        return
    # Not forked: that is the same on every system, and safe beside threads.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _serve)
    running: set[Future[Report]] = set()
    try:
        for seed in seeds:
            running.add(pool.submit(_run, seed, bot))
            if len(running) >= 4 * processes:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in running)
    finally:
        pool.shutdown(cancel_futures=True)


def _serve() -> None:
    """A process of the pool begins: Ctrl-C is for its parent to heed, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(seed: int, bot: str) -> Report:
    """One seed, in a process of the pool. The faults are left out of the report; the seed makes them again."""
    script = script_of(seed)
    report = simulate(script, _bot(bot))
    report.script = script.with_faults(())
    return report


def _bot(name: str) -> Callable[[], Bot]:
    if not name:
        return Bot
    module, _, attribute = name.partition(":")
    make: Callable[[], Bot] = getattr(importlib.import_module(module), attribute)
    return make


def _first_line(violation: Violation) -> str:
    """A traceback's last line says the most."""
    first, *more = str(violation).strip().splitlines()
    return f"{first} {more[-1]}" if more else first


def _columns(figures: dict[str, int]) -> list[str]:
    cells = [f"{name} {count:,}" for name, count in sorted(figures.items(), key=lambda item: -item[1])]
    rows = [cells[start : start + 4] for start in range(0, len(cells), 4)]
    return ["  " + "".join(f"{cell:<28}" for cell in row).rstrip() for row in rows]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
