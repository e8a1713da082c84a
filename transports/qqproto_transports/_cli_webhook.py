"""`qqproto listen --webhook`: what the platform posts to an address of this machine, until somebody asks it to stop."""

from __future__ import annotations

import asyncio
import logging

from qqproto.credentials import Credentials
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_print import People, print_json
from qqproto_transports._signals import on_signals
from qqproto_transports.asyncio import open_webhook
from qqproto_transports.local_gateway import CannotListen

_DRAIN = 1.0
"""The process is to be gone five seconds after it was asked."""


class _ForPeople(logging.Handler):
    """Log lines, which here say what was refused and why, as lines among the others."""

    def __init__(self, people: People) -> None:
        super().__init__()
        self._people = people

    def emit(self, record: logging.LogRecord) -> None:
        self._people.say(record.getMessage())


async def listen_to_callbacks(credentials: Credentials, host: str, port: int, *, as_json: bool) -> int:
    """Print every dispatch; returns 0 when it was asked to stop. Raises UsageError if it cannot listen."""
    people = People()
    logger = logging.Logger("qqproto")
    if not as_json:
        logger.addHandler(_ForPeople(people))
    show = print_json if as_json else people.show
    try:
        server = open_webhook(credentials, host=host, port=port, logger=logger)
    except ImportError as error:
        raise UsageError(str(error)) from None
    endings: list[asyncio.Task[None]] = []
    try:
        with on_signals(lambda: endings.append(asyncio.ensure_future(server.aclose(drain=_DRAIN)))):
            async with server:
                if not as_json:
                    people.say(f"bot {credentials.app_id} waits for callbacks at {server.url}")
                async for dispatch in server:
                    show(dispatch)
    except CannotListen as error:
        raise UsageError(str(error)) from None
    finally:
        await asyncio.gather(*endings)
    return 0
