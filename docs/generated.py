"""What the documentation says in tables and pictures, made from the code at each build; conf.py calls :func:`write`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import logging
import re
from collections import defaultdict
from pathlib import Path

from docs import dispatch_tables, layers, words
from docs.diagram import draw
from docs.exploration import Found, explore
from docs.player import Move
from docs.tables import table
from qqproto import Event, Failure, FailureKind, Narrator, Phase, Policy, StopReason, classify
from qqproto.protocol.close_codes import CLOSE_CODES, CloseCode, row_of
from qqproto.protocol.rest import LONGEST_FOREIGN_WAIT, REST_ERRORS, error_row
from qqproto.testing import World
from qqproto.testing.simulation import KINDS

_CLOSED_IN = (Phase.HELLO, Phase.AUTH, Phase.READY)
"""Where a close frame can come."""

_UNITS = {
    "budget_low": "of the budget",
    "leave_code": "close code",
    "conflicts": "times",
    "gateway_burst": "calls",
    "max_buffered": "events",
    "max_control_frames": "frames",
    "max_fragments": "fragments",
    "max_http_body": "bytes",
    "max_message": "bytes",
    "max_missing": "sequences",
    "max_proxy_reply": "bytes",
    "max_unsettled": "dispatches",
    "max_unsent": "bytes",
    "refused_identifies": "times",
    "remember_done": "dispatches",
    "remember_seen": "dispatches",
    "resume_attempts": "links",
    "token_refusals": "times",
}
"""Of the numbers of :class:`~qqproto.Policy` that are no seconds."""


def write(folder: Path, *, chinese: bool = False) -> None:
    """Write everything into ``folder``; a file that would stay the same is not touched, so that nothing is rebuilt."""
    found, imports = explore(), layers.imports()
    files = {
        "shard.svg": draw(
            found.edges,
            {phase: text.replace("``", "") for phase, text in docstrings(Phase).items()},
            words.PICTURES if chinese else None,
        ),
        "close_codes.md": close_codes(),
        "rest_errors.md": rest_errors(),
        "policy.md": policy(),
        "stop_reasons.md": stop_reasons(found),
        "outage.txt": outage(),
        "faults.md": faults(),
        "intents.md": dispatch_tables.intents(),
        "dispatch_types.md": dispatch_tables.dispatch_types(),
        "payloads.rst": dispatch_tables.payloads(),
        "house.svg": layers.draw(imports, words.PICTURES if chinese else None),
        "rooms.md": layers.rooms(imports),
    }
    folder.mkdir(exist_ok=True)
    for name, english in files.items():
        text = words.translated(english, name) if chinese else english
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")


def docstrings(cls: type) -> dict[str, str]:
    """The docstrings of a class's attributes; by the member's value in an enum."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.Assign):
            key, value = ast.literal_eval(statement.value), following
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            key, value = statement.target.id, following
        else:
            continue
        if isinstance(value, ast.Expr) and isinstance(value.value, ast.Constant):
            found[key] = inspect.cleandoc(str(value.value.value)).replace("\n", " ")
    return found


# -- close codes and errors ---------------------------------------------------------------------------------------


def close_codes() -> str:
    """Code × phase → verdict, one row for all codes that are alike."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    named = {row.code: str(row.code) for row in CLOSE_CODES.values()}
    for code, name in {**named, 3999: "any other below 4000", 9999: "any other from 4000 on"}.items():
        row = row_of(code)
        cells = (row.meaning, *_verdicts(code), _note(row), row.source)
        alike[cells].append(name)
    rows = [("none, 1005, 1006", "no close frame came; a dead link refuses nothing", *_verdicts(None), "", "")]
    rows += [(", ".join(codes), *cells) for cells, codes in alike.items()]
    phases = (f"in `{phase.value}`" for phase in _CLOSED_IN)
    return table(("code", "meaning", *phases, "note", "source"), rows)


def _verdicts(code: int | None) -> list[str]:
    return [classify(code, phase).value for phase in _CLOSED_IN]


def _note(row: CloseCode) -> str:
    if row.planned:
        return "a planned rotation"
    if row.code == 4008:
        return f"after {_amount('sending_too_fast_pause')}"
    return row.reason.value if row.reason is not None else ""


def rest_errors() -> str:
    """Error → verdict, one row for all errors that are alike."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in [*REST_ERRORS.values(), error_row(0)]:
        code, hint, source = (str(row.code), row.hint, row.source) if row.code else ("any other", "", "")
        note = row.reason.value if row.reason is not None else hint
        alike[row.meaning, row.verdict.value, note, source].append(code)
    rows = [(", ".join(codes), *cells) for cells, codes in alike.items()]
    return table(("error", "meaning", "verdict", "note", "source"), rows)


def stop_reasons(found: Found) -> str:
    """Why shards ended while they were explored, and what they said then; each cause once."""
    rows: dict[tuple[StopReason, str], tuple[str, ...]] = {}
    for stopped, move in found.stops:
        cause = _cause(stopped.reason, move)
        retryable = "yes" if stopped.retryable else "no"
        rows.setdefault((stopped.reason, cause), (f"`{stopped.reason.value}`", cause, retryable, stopped.hint))
    order = list(StopReason)
    in_order = sorted(rows.items(), key=lambda item: order.index(item[0][0]))
    return table(("reason", "because of", "retryable", "hint"), [row for _, row in in_order])


def _cause(reason: StopReason, move: Move) -> str:
    if reason is StopReason.CLOSED:
        return "`close()`"
    if reason is StopReason.TOKEN_REFUSED:
        times, within = Policy().token_refusals, _amount("token_refusals_within")
        return f"{move.detail}, {times} times in a row over at least {within}"
    return move.detail or f"`{move.name}`"


# -- the numbers --------------------------------------------------------------------------------------------------


def policy() -> str:
    """Every number with its default, its unit and its reason, under the headings that the code has for them."""
    lines = inspect.getsource(Policy).splitlines()
    reasons = docstrings(Policy)
    parts: list[str] = []
    rows: list[tuple[str, ...]] = []
    for line in lines:
        if heading := re.match(r" +# -- (.+?) -+$", line):
            parts, rows = [*parts, table(_POLICY_HEAD, rows)] if rows else parts, []
            parts.append(f"**{heading[1][0].upper()}{heading[1][1:]}**\n")
        elif field := re.match(r"    (\w+): ", line):
            rows.append((f"`{field[1]}`", _amount(field[1]), reasons[field[1]].replace("``", "`")))
    return "\n".join([*parts, table(_POLICY_HEAD, rows)])


_POLICY_HEAD = ("number", "default", "reason")


def substitutions(*, chinese: bool = False) -> dict[str, str]:
    """Each number of the policy with its unit, and the few others that the text of the pages needs."""
    numbers = {field.name: _amount(field.name) for field in dataclasses.fields(Policy)}
    numbers["longest_foreign_wait"] = _span(LONGEST_FOREIGN_WAIT)
    return {name: words.amount(number) for name, number in numbers.items()} if chinese else numbers


def _amount(name: str) -> str:
    """The default of a number with its unit."""
    value = getattr(Policy(), name)
    unit = _UNITS.get(name)
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"{delay:g}" for delay in value) + " s"
    if unit is None:
        assert isinstance(value, float), f"the unit of {name} is not known: add it to _UNITS"
        return _span(value)
    if unit == "close code":
        return str(value)
    if unit == "bytes":
        return f"{value >> 20} MiB" if value >= 1 << 20 else f"{value >> 10} KiB"
    return f"{value:.0%} {unit}" if isinstance(value, float) else f"{value:,} {unit}"


def _span(seconds: float) -> str:
    if seconds >= 3600.0:
        return f"{seconds / 3600.0:g} h"
    return f"{seconds / 60.0:g} min" if seconds >= 300.0 else f"{seconds:g} s"


# -- the log ------------------------------------------------------------------------------------------------------


def outage() -> str:
    """What is logged of two quiet minutes, a rotation, three hours without a network, and a ban."""
    world, narrator, lines = World(), Narrator(), list[str]()

    def tell(event: Event) -> None:
        line = narrator.line(event, world.now)
        if line is not None:
            minutes, seconds = divmod(int(world.now), 60)
            clock = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
            lines.append(f"{clock}  {logging.getLevelName(line[0]):7}  {line[1]}\n")

    bot = world.bot(on_event=tell)
    world.run(120)
    world.platform.conversations[0].send_reconnect(world.now)
    world.run(120)
    world.network.dial = Failure(FailureKind.DNS, "no such host")
    bot.reset()
    world.run(3 * 3600)
    world.network.dial = None
    world.run(120)
    world.platform.conversations[0].close(4915, "bot banned", world.now)
    world.run()
    assert bot.ended
    return "".join(lines)


# -- the simulation -----------------------------------------------------------------------------------------------


def faults() -> str:
    """Every kind of fault that the simulation knows."""
    rows = [(f"`{name}`", kind.does, "a while" if kind.lasts else "a moment") for name, kind in KINDS.items()]
    return table(("kind", "what happens", "for"), rows)
