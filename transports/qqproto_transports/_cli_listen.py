"""`qqproto listen`: one bot's events until somebody asks it to stop, or it stops by itself."""

from __future__ import annotations

from qqproto.credentials import Credentials, Endpoints
from qqproto.events import Disconnected, Event, Ready, Resumed, Stopped
from qqproto.failures import FailureKind
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase, StopReason
from qqproto.protocol.intents import Intents
from qqproto_transports._cli_input import UsageError
from qqproto_transports._cli_print import People, print_json
from qqproto_transports._common import Shards
from qqproto_transports._signals import on_signals
from qqproto_transports.asyncio import BotAccount, GatewayStopped, open_gateway

# The process is to be gone five seconds after it was asked, so the goodbye may not take all of them.
_POLICY = Policy(close_timeout=2.0)

_TAKEN_FROM_INPUT = (StopReason.CREDENTIALS, StopReason.INTENTS)
_PASSING = (429, 500, 502, 503, 504)
"""What a gateway's front door says on a bad day; a program that is no gateway says something else."""


async def listen(
    credentials: Credentials, endpoints: Endpoints, intents: Intents, shards: Shards = 1, *, as_json: bool
) -> int:
    """Print every event; returns 0 when it was asked to stop, 1 when it stopped by itself.

    Raises UsageError if the platform's first answers say that what it was given is wrong.
    """
    account = BotAccount(credentials, endpoints=endpoints, policy=_POLICY)
    gateway = open_gateway(account, intents=intents, shards=shards)
    people = People()
    show = print_json if as_json else people.show
    live_once = False
    with on_signals(gateway.close):
        if not as_json:
            people.say(f"bot {credentials.app_id} at {endpoints.api_base} listens to {' '.join(intents.names)}")
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
