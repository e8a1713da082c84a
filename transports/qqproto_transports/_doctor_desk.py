"""Asks the platform over HTTP what a bot asks, by the same account, and keeps what it said."""

from __future__ import annotations

import asyncio
import importlib
import ssl
from typing import TypeVar

from qqproto.actions import FetchGateway, FetchToken, Question, ReserveIdentify
from qqproto.credentials import Credentials, Endpoints, Token, authorization
from qqproto.failures import Failure
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol import rest
from qqproto.protocol.rest import GatewayInfo, HTTPRequest, HTTPResponse
from qqproto_transports import _asyncio_dial
from qqproto_transports._common import Proxy
from qqproto_transports._egress import Egress
from qqproto_transports._failures import Failed
from qqproto_transports._http import exchange_by
from qqproto_transports.asyncio import BotAccount

Value = TypeVar("Value", Token, GatewayInfo, IdentifySlot)


class Desk:
    """One bot's account. Each method raises :class:`~qqproto_transports._failures.Failed` if there is no answer."""

    def __init__(
        self,
        credentials: Credentials,
        endpoints: Endpoints,
        proxy: Proxy,
        ssl_context: ssl.SSLContext | None,
        policy: Policy,
    ) -> None:
        self.egress = Egress(proxy, ssl_context)
        self._exchange = exchange_by(None, self.egress, _asyncio_dial, policy)
        self._account = BotAccount(
            credentials, endpoints=endpoints, http=self._keep, proxy=proxy, ssl_context=ssl_context, policy=policy
        )
        self._credentials = credentials
        self._endpoints = endpoints
        self._policy = policy
        self._asked = 0
        self._reply: HTTPResponse | None = None

    async def warm_up(self) -> None:
        """Load now what the first step that needs it would load, and be thought slow for."""
        import anyio.lowlevel

        importlib.import_module("httpcore")
        await anyio.lowlevel.checkpoint()
        if "https:" in (self._endpoints.api_base[:6], self._endpoints.token_url[:6]):
            self.egress.context()

    async def token(self) -> tuple[Token, float]:
        """An access token, and how many seconds it is good for."""
        token = await self._ask(FetchToken(self._next_id(), self._deadline()), Token)
        assert self._reply is not None, "it came with a reply"
        parsed = rest.parse_token(self._reply)
        assert not isinstance(parsed, Failure), "the account has taken it"
        return token, parsed[1]

    async def gateway(self) -> GatewayInfo:
        """What ``/gateway/bot`` says."""
        return await self._ask(FetchGateway(self._next_id(), self._deadline(), fresh=True), GatewayInfo)

    async def slot(self) -> IdentifySlot:
        """From when an Identify may be sent."""
        return await self._ask(ReserveIdentify(self._next_id(), self._deadline()), IdentifySlot)

    async def gateway_again(self, token: Token) -> GatewayInfo:
        """The same as :meth:`gateway`, asked anew: an account remembers for a minute what it was told."""
        credentials = self._credentials
        request = rest.gateway_request(
            self._endpoints.api_base, app_id=credentials.app_id, authorization=authorization(token)
        )
        info = rest.parse_gateway(await self._exchange(request), hide=token.value)
        if isinstance(info, Failure):
            raise Failed(info)
        return info

    async def aclose(self) -> None:
        """Wait until nothing of it is left."""
        await self._account.aclose()

    # -- steps ----------------------------------------------------------------------------------------------------

    async def _keep(self, request: HTTPRequest) -> HTTPResponse:
        self._reply = await self._exchange(request)
        return self._reply

    def _next_id(self) -> int:
        self._asked += 1
        return self._asked

    def _deadline(self) -> float:
        return self._account.runner.clock() + self._policy.http_timeout

    async def _ask(self, question: Question, kind: type[Value]) -> Value:
        runner, inquiry = self._account.runner, _Inquiry()
        runner.attach(inquiry)
        try:
            runner.ask(inquiry, question)
            value = await inquiry.answered
        finally:
            runner.withdraw(inquiry, question.id)
            runner.detach(inquiry)
            await runner.calm()
        if isinstance(value, Failure):
            raise Failed(value)
        assert isinstance(value, kind), "each question has its answer"
        return value


class _Inquiry:
    """Somebody who asks an account."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Token | GatewayInfo | IdentifySlot | Failure] = loop.create_future()

    def answer(self, id: int, value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        if not self.answered.done():
            self.answered.set_result(value)

    def bug(self, error: BaseException) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
