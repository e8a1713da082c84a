"""What bots do on a fake platform, as lines for people."""

from __future__ import annotations

import json

from qqproto.protocol.intents import Intents
from qqproto.protocol.opcodes import Opcode
from qqproto.testing import FakePlatform, Frame, SentMessage
from qqproto_transports._cli_print import plain, shorten

_PLACES = {"groups": "group", "users": "user", "channels": "channel", "dms": "guild, in private,"}


class Watch:
    """Looks at a platform from time to time, tells what is new, and clears the lists that would grow for ever."""

    def __init__(self, platform: FakePlatform) -> None:
        self._platform = platform
        self._open: set[int] = set()

    def news(self) -> list[str]:
        """What happened since the last call, in order."""
        platform, before = self._platform, self._open
        self._open = {talk.id for talk in platform.conversations}
        found = [(request.at, f"{request.method} {request.path}: {request.status}") for request in platform.requests]
        found += [
            (talk.opened_at, f"connection {talk.id} is open")
            for talk in platform.conversations
            if talk.id not in before
        ]
        found += [(frame.at, _frame(frame)) for frame in platform.frames if frame.op != Opcode.HEARTBEAT]
        found += [(message.at, _message(message)) for message in platform.messages]
        lines = [line for _, line in sorted(found, key=lambda item: item[0])]
        lines += [f"connection {id} has ended" for id in sorted(before - self._open)]
        # They begin with the seconds of a clock that nobody can read.
        lines += [f"a client's mistake: {violation.partition(', ')[2]}" for violation in platform.violations]
        for told in (platform.requests, platform.frames, platform.messages, platform.violations):
            told.clear()
        return [plain(line) for line in lines]


def _frame(frame: Frame) -> str:
    """An Identify or a Resume, or what no client should send; its token is left out."""
    data = frame.payload.get("d")
    data = data if isinstance(data, dict) else {}
    where = f"connection {frame.connection}"
    if frame.op == Opcode.IDENTIFY:
        intents = data.get("intents")
        names = " ".join(Intents(intents).names) if isinstance(intents, int) and intents >= 0 else "none"
        return f"{where}: Identify, intents {names}"
    if frame.op == Opcode.RESUME:
        return f"{where}: Resume of {shorten(str(data.get('session_id')))} after {shorten(str(data.get('seq')))}"
    return f"{where}: opcode {frame.op}"


def _message(message: SentMessage) -> str:
    content = message.body.get("content")
    text = content if isinstance(content, str) and content else json.dumps(message.body, ensure_ascii=False)
    return f"the bot to {_PLACES[message.place]} {shorten(message.target, 16)}: {shorten(text)}"
