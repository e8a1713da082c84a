"""`qqproto listen`: one bot's events until somebody asks it to stop, or it stops by itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qqproto.credentials import Credentials, Endpoints
from qqproto.events import Disconnected, Event, Ready, Resumed, Stopped
from qqproto.failures import FailureKind
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase, StopReason
from qqproto.protocol.intents import Intents
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_print import People, print_json
from qqproto_transports._common import Proxy, Shards
from qqproto_transports._signals import on_signals
from qqproto_transports.asyncio import BotAccount, GatewayStopped, open_gateway
from qqproto_transports.recordings import FileRecorder
from qqproto_transports.stores import SQLiteStore, StoreInUse, StoreUnusable

# The process is to be gone five seconds after it was asked, so neither what is left nor the goodbye may take them all.
_DRAIN = 1.0
_GOODBYE = 2.0
_POLICY = Policy(close_timeout=_GOODBYE)

_TAKEN_FROM_INPUT = (StopReason.CREDENTIALS, StopReason.INTENTS)
_PASSING = (429, 500, 502, 503, 504)
"""What a gateway's front door says on a bad day; a program that is no gateway says something else."""


async def listen(
    credentials: Credentials,
    endpoints: Endpoints,
    intents: Intents,
    shards: Shards = 1,
    *,
    session: Path | None = None,
    proxy: Proxy = "env",
    record: Path | None = None,
    hide_contents: bool = False,
    as_json: bool,
) -> int:
    """Print every event; returns 0 when it was asked to stop, 1 when it stopped by itself.

    ``session`` is the file that keeps the session for the next time, ``record`` the one that is recorded into. Raises
    UsageError if they cannot, and if the platform's first answers say that what it was given is wrong.
    """
    account = BotAccount(credentials, endpoints=endpoints, proxy=proxy, policy=_POLICY)
    with _store_in(session) as store, _recorder_in(record, hide_contents=hide_contents) as recorder:
        return await _listen(account, endpoints, intents, shards, store, recorder, as_json=as_json)


@contextmanager
def _recorder_in(path: Path | None, *, hide_contents: bool) -> Iterator[FileRecorder | None]:
    if path is None:
        yield None
        return
    try:
        recorder = FileRecorder(path, hide_contents=hide_contents)
    except OSError as error:
        raise UsageError(f"the recording {path} cannot be written: {error.strerror}") from None
    with recorder:
        yield recorder
    if recorder.failure is not None:
        why = recorder.failure.strerror
        print(f"qqproto: the recording {path} is not complete, it could not be written: {why}", file=sys.stderr)


@contextmanager
def _store_in(path: Path | None) -> Iterator[SQLiteStore | None]:
    if path is None:
        yield None
        return
    try:
        store = SQLiteStore(path)
    except (StoreInUse, StoreUnusable) as error:
        raise UsageError(str(error)) from None
    with store:
        yield store


async def _listen(
    account: BotAccount,
    endpoints: Endpoints,
    intents: Intents,
    shards: Shards,
    store: SQLiteStore | None,
    recorder: FileRecorder | None,
    *,
    as_json: bool,
) -> int:
    gateway = open_gateway(account, intents=intents, shards=shards, store=store, record=recorder)
    people = People()
    show = print_json if as_json else people.show
    live_once = False
    endings: list[asyncio.Task[None]] = []

    def stop() -> None:
        """What was read is printed, and need not come again; then the goodbye."""
        endings.append(asyncio.ensure_future(gateway.aclose(_GOODBYE, drain=_DRAIN)))

    with on_signals(stop):
        if not as_json:
            people.say(f"bot {account.credentials.app_id} at {endpoints.api_base} listens to {' '.join(intents.names)}")
        try:
            async with gateway:
                async for event in gateway:
                    live_once = live_once or isinstance(event, (Ready, Resumed))
                    problem = None if live_once else _problem(event, account, endpoints)
                    # A person reads it in the error.
                    if problem is None or as_json:
                        show(event)
                    if problem is not None:
                        raise UsageError(problem)
        except GatewayStopped:
            return 1
        finally:
            await asyncio.gather(*endings)
    return 0


def _problem(event: Event, account: BotAccount, endpoints: Endpoints) -> str | None:
    """What ``event``, before the first READY, says about what was given, None if it is about the network."""
    if isinstance(event, Stopped) and event.reason in _TAKEN_FROM_INPUT:
        return f"{event.hint} ({event.failure.message})" if event.failure else event.hint
    if not isinstance(event, Disconnected) or event.failure is None:
        return None
    failure = event.failure
    answered = failure.kind in (FailureKind.HTTP_STATUS, FailureKind.OTHER) and failure.http_status is not None
    if not answered or failure.code is not None or failure.http_status in _PASSING:
        return None
    if event.phase is Phase.HELLO:
        return f"what {endpoints.api_base} names is no gateway: {failure.message}; check QQ_API_BASE"
    name, url = "QQ_API_BASE", endpoints.api_base
    if account.current_token is None:
        name, url = "QQ_TOKEN_URL", endpoints.token_url
    return f"what answers at {url} is not the QQ platform: {failure.message}; check {name}"
