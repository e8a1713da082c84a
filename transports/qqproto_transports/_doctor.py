"""Why a bot cannot connect: the steps of a connection in their order, up to the first that fails."""

from __future__ import annotations

import dataclasses
import os
import platform
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

import qqproto
from qqproto.config import ShardConfig
from qqproto.credentials import Credentials, Endpoints, Token
from qqproto.failures import Failure
from qqproto.policy import Policy
from qqproto.protocol.intents import Intents
from qqproto.protocol.rest import GatewayInfo
from qqproto.wire.proxies import Proxy as ProxyAddress
from qqproto_transports import _doctor_remedies as remedies
from qqproto_transports import _doctor_time as times
from qqproto_transports._clock import clock
from qqproto_transports._common import USER_AGENT, Proxy
from qqproto_transports._doctor_desk import Desk
from qqproto_transports._doctor_findings import Chart, Diagnosed, Finding, GaveUp, Note, State
from qqproto_transports._doctor_remedies import Target
from qqproto_transports._doctor_visit import Visit
from qqproto_transports._doctor_way import Way
from qqproto_transports._doctor_wire import Wire
from qqproto_transports._failures import Failed

_LOOKED_AT = (
    "http_proxy", "https_proxy", "HTTPS_PROXY", "ws_proxy", "WS_PROXY", "wss_proxy", "WSS_PROXY", "all_proxy",
    "ALL_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_IGNORED = ("HTTP_PROXY",)
"""Under CGI it is a header that anybody can send; curl reads it in lower case alone, and so do we."""

_SPENT = "a bot that is restarted over and over spends it, or a second one with the same AppID: stop it"


@dataclass(slots=True)
class Case:
    """What is to be examined. ``shards`` None: as many as the platform recommends; its first one is tried. ``deadline``
    is how long a step may take, in seconds. ``wall`` is this machine's clock, as Unix time."""

    credentials: Credentials
    endpoints: Endpoints
    intents: Intents
    shards: int | None = 1
    proxy: Proxy = "env"
    ssl_context: ssl.SSLContext | None = None
    identify: bool = False
    deadline: float = 10.0
    wall: Callable[[], float] = time.time


Errand: TypeAlias = Callable[[Wire, Target], Coroutine[Any, Any, None]]
"""What is done at the end of a way."""


async def examine(case: Case, tell: Callable[[Finding], None]) -> Finding:
    """Take each step of a connection, tell how it went, and return what it comes to, which is told last."""
    chart = Chart(tell, case.deadline, clock)
    examination = _Examination(case, chart)
    try:
        await examination.run()
    except GaveUp:
        pass
    finally:
        await examination.aclose()
    verdict = chart.verdict()
    if verdict.state is State.OK:
        verdict.text = examination.all_is_well()
    tell(verdict)
    return verdict


class _Examination:
    def __init__(self, case: Case, chart: Chart) -> None:
        self._case = case
        self._chart = chart
        self._policy = dataclasses.replace(
            Policy(), http_timeout=case.deadline, invalid_session_wait=min(5.0, case.deadline / 2)
        )
        self._desk = Desk(case.credentials, case.endpoints, case.proxy, case.ssl_context, self._policy)
        self._walked: set[tuple[str, ProxyAddress | None]] = set()
        self._way: Way | None = None
        self._visit: Visit | None = None
        self._remaining: int | None = None

    async def run(self) -> None:
        """From the environment to the first heartbeat's ACK."""
        case = self._case
        self._chart.add(_environment())
        await self._desk.warm_up()
        tokens = Target(case.endpoints.token_url, _origin("QQ_TOKEN_URL", case.endpoints.token_url))
        await self._walk(tokens, self._check_clock)
        token = await self._fetch_token(tokens)
        api = Target(case.endpoints.api_base, _origin("QQ_API_BASE", case.endpoints.api_base))
        await self._walk(api)
        info = await self._fetch_gateway(api)
        await self._visit_gateway(Target(info.url, "the platform has named this address"), token, info)

    async def aclose(self) -> None:
        """Leave nothing behind."""
        if self._visit is not None:
            await self._visit.aclose()
        if self._way is not None:
            self._way.close()
        await self._desk.aclose()

    def all_is_well(self) -> str:
        """The verdict when nothing is wrong."""
        if self._case.identify:
            return "all is well: the bot connects, and its heartbeats are acknowledged"
        price = "a session start" if self._remaining is None else f"one of {self._remaining} session starts"
        return f"all is well as far as Hello; --identify goes on to the first heartbeat, and costs {price}"

    # -- steps: the way and HTTP ----------------------------------------------------------------------------------

    async def _walk(self, target: Target, then: Errand | None = None) -> None:
        """Go the way to a host, unless it was gone already, and end it."""
        way = self._way = self._way_to(target)
        key = await way.choose()
        if key in self._walked:
            return
        self._walked.add(key)
        wire = await way.walk()
        if then is not None:
            await then(wire, target)
        way.close()

    async def _visit_gateway(self, target: Target, token: Token, info: GatewayInfo) -> None:
        """The same to the gateway, but for the end: who is there is talked to."""
        way = self._way = self._way_to(target)
        known = await way.choose() in self._walked
        wire = await way.walk(quiet=known)
        case = self._case
        shards = case.shards or info.shards
        config = ShardConfig(case.credentials.app_id, case.intents, (0, shards), headers={"User-Agent": USER_AGENT})
        visit = self._visit = Visit(target, self._chart, self._desk, self._policy, config, info)
        await visit.greet(wire, token)
        if case.identify:
            await visit.identify(token)
        else:
            self._chart.add(Finding("identify", State.SKIPPED, "not asked for; --identify does it", 0.0, target.host))

    def _way_to(self, target: Target) -> Way:
        case = self._case
        return Way(target, self._desk.egress, case.proxy, self._policy, self._chart, case.wall)

    async def _check_clock(self, wire: Wire, target: Target) -> None:
        async def compare() -> Note:
            ahead = await times.measure(times.ask_time(wire, target.authority), self._case.wall)
            remedy = times.REMEDY if abs(ahead) > times.TOLERATED else ""
            return Note(times.describe(ahead, target.host), {"ahead": round(ahead, 1)}, remedy)

        await self._chart.step("clock", target.host, compare(), lambda failure: "", optional=True)

    async def _fetch_token(self, target: Target) -> Token:
        token = Token("")

        async def fetch() -> Note:
            nonlocal token
            token, life = await self._desk.token()
            return Note(f"an access token, good for {life:.0f} s", {"expires_in": life})

        await self._chart.step("token", target.host, self._asked(fetch(), target), _answered(target))
        return token

    async def _fetch_gateway(self, target: Target) -> GatewayInfo:
        info = GatewayInfo("")

        async def fetch() -> Note:
            nonlocal info
            info = await self._desk.gateway()
            self._remaining = info.remaining
            return _gateway_note(info, self._policy)

        await self._chart.step("gateway", target.host, self._asked(fetch(), target), _answered(target))
        return info

    async def _asked(self, coming: Coroutine[Any, Any, Note], target: Target) -> Note:
        """An exchange with the platform, what it says being told with what that means."""
        try:
            return await coming
        except Failed as error:
            failure = error.failure
            text = remedies.meaning(failure)
            facts = {"http_status": failure.http_status, "code": failure.code}
            told = Failure(failure.kind, text, failure.http_status, failure.code)
            raise Diagnosed(told, remedies.of_reply(failure, target), facts) from None


def _origin(variable: str, url: str) -> str:
    """Where an address comes from."""
    default = Endpoints()
    given = url not in (default.api_base, default.token_url)
    return f"check {variable}" if given else "this is the platform's own address"


def _answered(target: Target) -> Callable[[Failure], str]:
    return lambda failure: remedies.of_reply(failure, target)


def _environment() -> Finding:
    """Where this runs, and what of the environment is heeded; no value, which may hold a password."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    heeded = [name for name in _LOOKED_AT if os.environ.get(name, "").strip()]
    text = f"qqproto {qqproto.__version__}, {version}, {ssl.OPENSSL_VERSION}, {platform.system()} {platform.release()}"
    ignored = [name for name in _IGNORED if os.environ.get(name, "").strip()]
    text += f"; set: {', '.join(heeded)}" if heeded else "; no variable for a proxy or for certificates is set"
    text += f"; set and not heeded: {', '.join(ignored)}" if ignored else ""
    facts = {
        "qqproto": qqproto.__version__, "python": version, "openssl": ssl.OPENSSL_VERSION,
        "system": platform.platform(), "variables": heeded, "ignored": ignored,
    }  # fmt: skip
    return Finding("environment", State.OK, text, facts=facts)


def _gateway_note(info: GatewayInfo, policy: Policy) -> Note:
    """What ``/gateway/bot`` says, and whether the budget will do."""
    text = f"{info.url}, {info.shards} shard{'' if info.shards == 1 else 's'} recommended"
    facts = {name: getattr(info, name) for name in [field.name for field in dataclasses.fields(info)]}
    if info.remaining is None or info.total is None:
        return Note(f"{text}; of the budget nothing is said", facts)
    refill = "" if info.reset_after is None else f", refilled in {times.span(info.reset_after)}"
    text += f"; {info.remaining} of {info.total} session starts left{refill}"
    low = info.remaining <= policy.budget_low * info.total
    if info.remaining == 0:
        return Note(text, facts, f"wait until it is refilled, and see what spends it: {_SPENT}")
    return Note(text, facts, f"see what spends it: {_SPENT}" if low else "")
