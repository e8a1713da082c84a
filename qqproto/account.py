"""What the shards of one bot share: the token's life, the gateway information, the identify budget; the only HTTP."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from qqproto.actions import (
    AccountAction,
    Answer,
    Cancel,
    FetchToken,
    Question,
    ReserveIdentify,
    SendRequest,
)
from qqproto.credentials import Credentials, Endpoints, Token, TokenLife, authorization
from qqproto.errors import LocalProtocolError
from qqproto.failures import Failure, FailureKind
from qqproto.pacing import Bucket, IdentifyPacer, IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol import rest
from qqproto.protocol.rest import GatewayInfo, HTTPRequest, HTTPResponse, RestVerdict
from qqproto.timers import Timers


class Timer(enum.Enum):
    """What an account waits for."""

    TOKEN = "token"
    GATEWAY = "gateway"
    HELD = "held"
    """A token that was refused a moment ago may be given out again."""


class Account:
    """Answers the questions of one bot's shards, one AppID and process.

    The driver carries each shard's question here with :meth:`ask`, and each ``Answer`` back to the asker. A host may
    ask too, the shard count say; ids in a question are the asker's. After every input drain :meth:`next_output`, then
    look at :meth:`next_timer`.
    """

    def __init__(
        self, credentials: Credentials, *, endpoints: Endpoints = Endpoints(), policy: Policy = Policy()
    ) -> None:
        self._credentials = credentials
        self._endpoints = endpoints
        self._policy = policy
        self._queue: deque[AccountAction] = deque()
        self._issued = 0
        self._timers: Timers[Timer] = Timers()
        self._token = TokenLife(refresh_before=policy.token_refresh_before, refused_pause=policy.token_refused_pause)
        self._token_waiters: dict[tuple[Hashable, int], None] = {}
        self._token_request: int | None = None
        self._token_failure: tuple[float, Failure] | None = None
        self._gateway_waiters: dict[tuple[Hashable, int], bool] = {}
        self._gateway_request: int | None = None
        self._gateway_token = ""
        self._gateway_refreshed = False
        self._info: GatewayInfo | None = None
        self._info_at = 0.0
        self._bucket = Bucket(burst=policy.gateway_burst, refill=policy.gateway_refill)
        self._pacer = IdentifyPacer(policy.identify_window)

    # -- facts ----------------------------------------------------------------------------------------------------

    def current_token(self, now: float) -> Token | None:
        """The token in force, None if there is none yet, or it has expired or was refused."""
        return self._token.usable(now) if self._token.held_until(now) is None else None

    # -- inputs ---------------------------------------------------------------------------------------------------

    def ask(self, asker: Hashable, question: Question, now: float) -> None:
        """``asker`` wants to know; the answer names ``asker`` and ``question.id``. Then drain :meth:`next_output`."""
        key = (asker, question.id)
        if isinstance(question, ReserveIdentify):
            at = self._pacer.reserve(asker, now)
            self._answer(key, IdentifySlot(at))
        elif isinstance(question, FetchToken):
            if question.rejected is not None and self._token.refuse(question.rejected, now):
                # Whatever made the platform refuse may have changed the gateway's address and budget as well.
                self._info = None
            self._token_waiters[key] = None
            self._serve_token(now)
        else:
            self._gateway_waiters[key] = question.fresh
            self._serve_gateway(now)

    def withdraw(self, asker: Hashable, id: int, now: float) -> None:
        """The asker does not want to know any more (``Cancel(id)``). Then drain :meth:`next_output`."""
        self._token_waiters.pop((asker, id), None)
        self._gateway_waiters.pop((asker, id), None)
        if self._token_request is not None and not self._token_waiters and not self._gateway_waiters:
            self._queue.append(Cancel(self._token_request))
            self._token_request = None
            self._timers.stop(Timer.TOKEN)
        if self._gateway_request is not None and not self._gateway_waiters:
            self._queue.append(Cancel(self._gateway_request))
            self._gateway_request = None
            self._timers.stop(Timer.GATEWAY)

    def response_received(self, id: int, response: HTTPResponse, now: float) -> None:
        """The exchange ``id`` brought a reply. Then drain :meth:`next_output`."""
        if id == self._token_request:
            self._token_done(rest.parse_token(response), now)
        elif id == self._gateway_request:
            self._gateway_done(rest.parse_gateway(response), now)
        else:
            self._check_issued(id)

    def request_failed(self, id: int, failure: Failure, now: float) -> None:
        """The exchange ``id`` failed. Then drain :meth:`next_output`."""
        if id == self._token_request:
            self._token_done(failure, now)
        elif id == self._gateway_request:
            self._gateway_done(failure, now)
        else:
            self._check_issued(id)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed; calls that come too early do no harm. Then drain :meth:`next_output`."""
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is Timer.HELD:
                self._serve_token(now)
                self._serve_gateway(now)
            elif timer is Timer.TOKEN and self._token_request is not None:
                self._queue.append(Cancel(self._token_request))
                self._token_done(Failure(FailureKind.TIMEOUT, "no reply to the token request"), now)
            elif timer is Timer.GATEWAY and self._gateway_request is not None:
                self._queue.append(Cancel(self._gateway_request))
                self._gateway_done(Failure(FailureKind.TIMEOUT, "no reply from /gateway/bot"), now)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> AccountAction | None:
        """The oldest action, None when there is none left."""
        return self._queue.popleft() if self._queue else None

    def next_timer(self) -> float | None:
        """When :meth:`handle_timer` is due, None while nothing is under way."""
        return self._timers.next()

    # -- steps: the token -----------------------------------------------------------------------------------------

    def _serve_token(self, now: float) -> None:
        """Answer those who wait for a token, or see that one comes."""
        if not self._token_waiters:
            return
        token = self._token_to_give(now)
        if token is not None:
            for key in self._take(self._token_waiters):
                self._answer(key, token)

    def _token_to_give(self, now: float) -> Token | None:
        """A token that may be given out; else None, and one is on its way, or the waiters were told why not."""
        until = self._token.held_until(now)
        if until is not None:
            self._timers.set(Timer.HELD, until)
            return None
        token = self._token.fresh(now)
        if token is None and self._token_request is None:
            self._request_token(now)
        return token

    def _request_token(self, now: float) -> None:
        if self._token_failure is not None and now < self._token_failure[0]:
            self._token_refused_to_all(self._token_failure[1])
            return
        credentials = self._credentials
        request = rest.token_request(self._endpoints.token_url, app_id=credentials.app_id, secret=credentials.secret)
        self._token_request = self._send(request, Timer.TOKEN, now)

    def _token_done(self, result: tuple[str, float] | Failure, now: float) -> None:
        self._token_request = None
        self._timers.stop(Timer.TOKEN)
        if isinstance(result, Failure):
            # Failures are shared for a moment, so that n shards do not make n requests of one incident.
            until = now + max(self._policy.token_failure_pause, result.retry_after or 0.0)
            self._token_failure = (until, result)
        else:
            self._token_failure = None
            self._token.store(result[0], result[1], now)
        until_held = self._token.held_until(now)
        if until_held is not None:
            self._timers.set(Timer.HELD, until_held)
            return
        token = self._token.usable(now)
        if token is None and isinstance(result, Failure):
            self._token_refused_to_all(result)
        elif token is not None:
            for key in self._take(self._token_waiters):
                self._answer(key, token)
            self._serve_gateway(now)

    def _token_refused_to_all(self, failure: Failure) -> None:
        """No token, so nobody gets anything that needs one."""
        for key in (*self._take(self._token_waiters), *self._take(self._gateway_waiters)):
            self._answer(key, failure)

    # -- steps: the gateway information ---------------------------------------------------------------------------

    def _serve_gateway(self, now: float) -> None:
        """Answer those for whom what is known will do; ask for the others."""
        if self._info is not None:
            aged = now - self._info_at > self._policy.gateway_fresh_for
            for key, fresh in list(self._gateway_waiters.items()):
                if not (fresh and aged):
                    del self._gateway_waiters[key]
                    self._answer(key, self._info)
        if not self._gateway_waiters or self._gateway_request is not None:
            return
        token = self._token.usable(now) if self._token.held_until(now) is None else None
        token = token or self._token_to_give(now)
        if token is not None:
            self._request_gateway(token, now)

    def _request_gateway(self, token: Token, now: float) -> None:
        wait = self._bucket.wait(now)
        if wait > 0.0:
            failure = Failure(FailureKind.RATE_LIMITED, "our own limit for /gateway/bot", retry_after=wait)
            for key in self._take(self._gateway_waiters):
                self._answer(key, failure)
            return
        self._bucket.take(now)
        self._gateway_token = token.value
        request = rest.gateway_request(
            self._endpoints.api_base, app_id=self._credentials.app_id, authorization=authorization(token)
        )
        self._gateway_request = self._send(request, Timer.GATEWAY, now)

    def _gateway_done(self, result: GatewayInfo | Failure, now: float) -> None:
        self._gateway_request = None
        self._timers.stop(Timer.GATEWAY)
        if isinstance(result, Failure):
            if rest.verdict_of(result) is RestVerdict.REFRESH and not self._gateway_refreshed:
                # Once more with another token; the second refusal is the askers' to judge.
                self._gateway_refreshed = True
                self._token.refuse(self._gateway_token, now)
                self._serve_gateway(now)
                return
            self._gateway_refreshed = False
            for key in self._take(self._gateway_waiters):
                self._answer(key, result)
            return
        self._gateway_refreshed = False
        if self._endpoints.gateway_url is not None:
            result = replace(result, url=self._endpoints.gateway_url)
        self._info, self._info_at = result, now
        self._pacer.learn(
            total=result.total, remaining=result.remaining, reset_after=result.reset_after,
            max_concurrency=result.max_concurrency, now=now,
        )  # fmt: skip
        for key in self._take(self._gateway_waiters):
            self._answer(key, result)

    # -- small things ---------------------------------------------------------------------------------------------

    def _send(self, request: HTTPRequest, timer: Timer, now: float) -> int:
        self._issued += 1
        deadline = now + self._policy.http_timeout
        self._timers.set(timer, deadline)
        self._queue.append(SendRequest(self._issued, deadline, request))
        return self._issued

    def _answer(self, key: tuple[Hashable, int], value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        self._queue.append(Answer(key[0], key[1], value))

    def _take(self, waiters: dict[tuple[Hashable, int], Any]) -> list[tuple[Hashable, int]]:
        keys = list(waiters)
        waiters.clear()
        return keys

    def _check_issued(self, id: int) -> None:
        if not 1 <= id <= self._issued:
            raise LocalProtocolError(f"id {id} was never issued by this account")
