"""``make crash``: bots that are killed with SIGKILL under load and started again, and whether an event was lost."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from tests.crash.campaign import Campaign, Result, plans

_INTERRUPTED = 130
"""What shells expect of a command that Ctrl-C has ended."""


def summary(result: Result) -> str:
    """A campaign in a few lines."""
    figures = result.judge.figures
    again = figures.in_flight + figures.unsaved
    moments = ", ".join(f"{count:,} at {word!r}" for word, count in sorted(result.moments.items()))
    lines = [
        f"{'cut short: ' if result.cut_short else ''}{figures.kills:,} bots killed in {result.seconds:,.0f} s"
        + (f": {moments}" if moments else ""),
        f"{figures.sent:,} events sent, {len(figures.lost):,} lost",
        f"{figures.handed_out:,} handed out, {again:,} of them again: {figures.in_flight:,} were in flight,"
        f" {figures.unsaved:,} were settled and not saved yet, the oldest for {figures.oldest:.2f} s",
        f"{figures.saves:,} saves",
    ]
    lines += [f"BROKEN: {complaint}" for complaint in result.judge.complaints]
    lines += [f"BROKEN, says the gateway: {violation}" for violation in result.violations[:20]]
    return "\n".join(lines if not result.kept else [*lines, "every promise was kept"])


async def crash(runs: int, seed: int) -> Result:
    """Run a campaign; Ctrl-C ends it with what there is by then."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = asyncio.ensure_future(Campaign(Path(folder), plans(seed)).run(runs))
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, campaign.cancel)
        return await campaign


def main() -> int:
    """The command; returns its exit code: 0 if every promise was kept."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description="Kill bots with SIGKILL under load, start them again on the same session, and compare what their"
        " handlers finished with what the gateway sent. Exit code 0: nothing was lost, and only what was in flight, or"
        " settled and not saved yet, came again, each marked.",
    )
    parser.add_argument("--runs", type=int, default=1000, help="how many bots are killed (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="which moments they are killed at (default: 0)")
    options = parser.parse_args()
    if sys.platform == "win32":
        parser.error("a process is not killed on Windows as it is elsewhere")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    result = asyncio.run(crash(options.runs, options.seed))
    print(summary(result))
    return _INTERRUPTED if result.cut_short and result.kept else int(not result.kept)


if __name__ == "__main__":
    sys.exit(main())
