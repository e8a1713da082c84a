"""`qqproto serve`: the local gateway for people, with its levers on the keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

from qqproto import Intents
from qqproto.testing import FakeConversation, HTTPFault, c2c_message, group_at_message, reply
from qqproto_transports._callbacks import Callbacks
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_print import shorten
from qqproto_transports._cli_stdin import lines_from_stdin
from qqproto_transports._cli_watch import Watch
from qqproto_transports._signals import on_signals
from qqproto_transports.local_gateway import LocalGateway

_LOOK_EVERY = 0.1
_LONGEST_SHIFT = 1e9
"""Seconds; about thirty years."""

HELP = """\
say TEXT     somebody mentions the bot in a group and says TEXT
tell TEXT    somebody writes TEXT to the bot in private
rotate       the gateway asks for a new connection (op 7)
4009         the gateway closes with 4009; any other code from 4000 to 4999 will do, too
reset        the connection breaks off
unplug       the cable is pulled: nothing comes through any more, and nobody is told
plug         the cable is back
allowlist off, allowlist on
             this machine is taken off the bot's IP allowlist, and put back
intents NAMES
             the bot may ask for these intents alone; "intents all": for any
clock SECONDS
             the gateway's clock goes so much ahead, or behind with a minus
quit         the end; so does Ctrl-C"""


async def serve(
    gateway: LocalGateway,
    say: Callable[[str], None],
    *,
    every: float | None,
    rotate_every: float | None,
    webhook: str | None = None,
) -> None:
    """Serve until somebody asks it to stop; with ``webhook``, events go to that address, and to no WebSocket.

    Raises CannotListen, and UsageError if a package is missing.
    """
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(gateway)
        ended = asyncio.Event()
        desk, watch = Desk(gateway, say, ended.set), Watch(gateway.platform)
        print(how_to_connect(gateway), flush=True)
        if webhook is not None:
            try:
                desk.callbacks = gateway.deliver_to(webhook, say=say)
            except ImportError as error:
                raise UsageError(str(error)) from None
            await stack.enter_async_context(desk.callbacks)

        def look() -> None:
            for line in watch.news():
                say(line)

        chores = [(look, _LOOK_EVERY)]
        if every is not None:
            chores.append((desk.send_sample, every))
        if rotate_every is not None:
            chores.append((desk.rotate, rotate_every))
        with on_signals(ended.set), lines_from_stdin(desk.obey):
            tasks = [asyncio.ensure_future(_each(seconds, chore)) for chore, seconds in chores]
            tasks.append(asyncio.ensure_future(ended.wait()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in done:
                await task


async def _each(seconds: float, chore: Callable[[], None]) -> bool:
    while True:
        await asyncio.sleep(seconds)
        chore()


def how_to_connect(gateway: LocalGateway) -> str:
    """What to type into another terminal, and what to give to another SDK."""
    credentials, endpoints = gateway.credentials, gateway.endpoints
    return f"""\
A QQ gateway of your own. In another terminal:

    export QQ_APP_ID={credentials.app_id}
    export QQ_SECRET={credentials.secret}
    export QQ_TOKEN_URL={endpoints.token_url}
    export QQ_API_BASE={endpoints.api_base}
    qqproto listen

For other SDKs:  API base   {endpoints.api_base}
                 token URL  {endpoints.token_url}
                 WebSocket  {gateway.platform.gateway_url}

Type "say hello", "rotate", "reset", "help"; Ctrl-C ends it.
"""


class Desk:
    """Where a person pulls the gateway's levers, by keyboard or by clock."""

    def __init__(self, gateway: LocalGateway, say: Callable[[str], None], leave: Callable[[], None]) -> None:
        self._gateway = gateway
        self._say = say
        self._leave = leave
        self._messages = 0
        self._not_allowed = HTTPFault(
            reply(401, {"message": "the source IP is not in the allowlist", "code": 11298, "err_code": 40023002}),
            path="/gateway/bot",
            times=math.inf,
        )
        self.callbacks: Callbacks | None = None
        """Where the events go, if not to a WebSocket."""

    def obey(self, line: str) -> None:
        """Do what somebody typed."""
        word, _, rest = line.strip().partition(" ")
        if word == "say":
            self._dispatch("GROUP_AT_MESSAGE_CREATE", rest.strip() or "hello")
        elif word == "tell":
            self._dispatch("C2C_MESSAGE_CREATE", rest.strip() or "hello")
        elif word == "rotate":
            self.rotate()
        elif word == "reset":
            self._pull("the connection breaks off", lambda talk, now: talk.reset(now))
        elif word == "unplug":
            self._say("the cable is out: nothing comes through, and nobody is told")
            self._gateway.unplug()
        elif word == "plug":
            self._say("the cable is back")
            self._gateway.plug()
        elif word.isdecimal() and 4000 <= int(word) <= 4999:
            code = int(word)
            self._pull(f"the gateway closes with {code}", lambda talk, now: talk.close(code, "on request", now))
        elif word in ("allowlist", "intents", "clock"):
            self._configure(word, rest.strip())
        elif word in ("quit", "exit"):
            self._leave()
        elif word:
            self._say(f"commands:\n{HELP}" if word == "help" else f'"{shorten(word, 20)}" is no command; see "help"')

    def send_sample(self) -> None:
        """Somebody mentions the bot in a group, if there ever was one."""
        if self._gateway.platform.sessions or self.callbacks is not None:
            self._dispatch("GROUP_AT_MESSAGE_CREATE", f"sample {self._messages + 1}")

    def rotate(self) -> None:
        """Ask the bot to come back on a new connection."""
        self._pull("the gateway asks for a new connection (op 7)", lambda talk, now: talk.send_reconnect(now))

    def _configure(self, word: str, value: str) -> None:
        """What is wrong with a bot's settings, or is right again."""
        platform = self._gateway.platform
        try:
            if word == "clock":
                seconds = float(value)
                if not abs(seconds) < _LONGEST_SHIFT:
                    raise ValueError
                self._gateway.clock_ahead = seconds
                self._say(f"the gateway's clock is {seconds:+g} s off")
            elif word == "intents":
                platform.bot.intents = intents = None if value == "all" else Intents.parse(value)
                self._say(f"the bot may ask for {'all intents' if intents is None else ' '.join(intents.names)}")
            else:
                allowed = {"on": True, "off": False}[value]
                faults = platform.behaviour.http
                faults[:] = [fault for fault in faults if fault is not self._not_allowed]
                faults += [] if allowed else [self._not_allowed]
                self._say(f"this machine is {'on' if allowed else 'off'} the bot's IP allowlist")
        except (KeyError, ValueError):
            self._say(f'"{shorten(f"{word} {value}", 40)}" cannot be done; see "help"')

    def _dispatch(self, type: str, content: str) -> None:
        make = c2c_message if type == "C2C_MESSAGE_CREATE" else group_at_message
        if self.callbacks is not None:
            self._messages += 1
            message = make(content, id=f"ROBOT1.0_said-{self._messages}", now=self._gateway.now)
            self.callbacks.dispatch(type, message, id=f"{type}:said-{self._messages}")
            return
        try:
            session = self._gateway.platform.session()
        except LookupError:
            self._say("no bot has been here yet, so nobody hears it")
            return
        self._messages += 1
        now = self._gateway.now
        session.dispatch(type, make(content, id=f"ROBOT1.0_said-{self._messages}", now=now), now)
        self._say(f"sent: {shorten(content)}" if session.live else f"kept until the bot is back: {shorten(content)}")

    def _pull(self, what: str, lever: Callable[[FakeConversation, float], None]) -> None:
        live = [session.live for session in self._gateway.platform.sessions.values() if session.live is not None]
        if live:
            self._say(what)
        for talk in live:
            lever(talk, self._gateway.now)
