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
    """The reply to the one token request in flight."""
    GATEWAY = "gateway"
    """The reply to the one request for gateway information."""
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
        self._requests: dict[Timer, int] = {}
        self._token = TokenLife(refresh_before=policy.token_refresh_before, refused_pause=policy.token_refused_pause)
        self._token_waiters: dict[tuple[Hashable, int], None] = {}
        self._token_failure: tuple[float, Failure] | None = None
        self._gateway_waiters: dict[tuple[Hashable, int], bool] = {}
        self._gateway_token = ""
        self._gateway_refreshed = False
        self._info: GatewayInfo | None = None
        self._info_at = 0.0
        self._bucket = Bucket(burst=policy.gateway_burst, refill=policy.gateway_refill)
        self._pacer = IdentifyPacer(policy.identify_window + policy.identify_margin)

    # -- facts ----------------------------------------------------------------------------------------------------

    def current_token(self, now: float) -> Token | None:
        """The token in force, None if there is none yet, or it has expired or was refused."""
        return self._token.usable(now) if self._token.held_until(now) is None else None

    def fresh_token(self, now: float) -> Token | None:
        """The token in force if it is outside its last minute: what a ``FetchToken`` would be answered at once."""
        return self._token.fresh(now) if self._token.held_until(now) is None else None

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
            if not self._gateway_waiters:
                self._gateway_refreshed = False
            self._gateway_waiters[key] = question.fresh
            self._serve_gateway(now)

    def withdraw(self, asker: Hashable, id: int, now: float) -> None:
        """The asker does not want to know any more (``Cancel(id)``). Then drain :meth:`next_output`."""
        self._token_waiters.pop((asker, id), None)
        self._gateway_waiters.pop((asker, id), None)
        if Timer.TOKEN in self._requests and not self._token_waiters and not self._gateway_waiters:
            self._call_off(Timer.TOKEN)
        if Timer.GATEWAY in self._requests and not self._gateway_waiters:
            self._call_off(Timer.GATEWAY)

    def response_received(self, id: int, response: HTTPResponse, now: float) -> None:
        """The exchange ``id`` brought a reply. Then drain :meth:`next_output`."""
        request = self._finish(id)
        if request is Timer.TOKEN:
            self._token_done(rest.parse_token(response, hide=self._credentials.secret), now)
        elif request is Timer.GATEWAY:
            self._gateway_done(rest.parse_gateway(response, hide=self._gateway_token), now)

    def request_failed(self, id: int, failure: Failure, now: float) -> None:
        """The exchange ``id`` failed. Then drain :meth:`next_output`."""
        request = self._finish(id)
        if request is Timer.TOKEN:
            self._token_done(failure, now)
        elif request is Timer.GATEWAY:
            self._gateway_done(failure, now)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed; calls that come too early do no harm. Then drain :meth:`next_output`."""
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is Timer.HELD:
                self._serve_token(now)
                self._serve_gateway(now)
            elif timer is Timer.TOKEN:
                self._call_off(timer)
                self._token_done(Failure(FailureKind.TIMEOUT, "no reply to the token request"), now)
            else:
                self._call_off(timer)
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

    def _token_to_give(self, now: float, *, old_will_do: bool = False) -> Token | None:
        """A token that may be given out; else None, and one is on its way, or the waiters were told why not."""
        if self._is_held(now):
            return None
        token = self._token.usable(now) if old_will_do else self._token.fresh(now)
        if token is not None or Timer.TOKEN in self._requests:
            return token
        if self._token_failure is not None and now < self._token_failure[0]:
            until, failure = self._token_failure
            token = self._token.usable(now)
            if token is None:
                wait = None if failure.retry_after is None else until - now
                self._token_refused_to_all(replace(failure, retry_after=wait))
            return token
        self._request_token(now)
        return None

    def _request_token(self, now: float) -> None:
        credentials = self._credentials
        request = rest.token_request(self._endpoints.token_url, app_id=credentials.app_id, secret=credentials.secret)
        self._send(request, Timer.TOKEN, now)

    def _is_held(self, now: float) -> bool:
        """Whether the token in force was refused a moment ago; it is then looked at again when that is past."""
        until = self._token.held_until(now)
        if until is not None:
            self._timers.set(Timer.HELD, until)
        return until is not None

    def _token_done(self, result: tuple[str, float] | Failure, now: float) -> None:
        if isinstance(result, Failure):
            # Failures are shared for a moment, so that n shards do not make n requests of one incident.
            until = now + max(self._policy.token_failure_pause, result.retry_after or 0.0)
            self._token_failure = (until, result)
            token = self._token.usable(now)
            if token is None:
                self._token_refused_to_all(result)
                return
        else:
            token = Token(result[0])
            self._token.store(token.value, result[1], now)
            if self._is_held(now):
                return
        for key in self._take(self._token_waiters):
            self._answer(key, token)
        self._serve_gateway(now)

    def _token_refused_to_all(self, failure: Failure) -> None:
        """No token, so nobody gets anything that needs one."""
        for key in self._take(self._token_waiters):
            self._answer(key, failure)
        if Timer.GATEWAY not in self._requests:
            for key in self._take(self._gateway_waiters):
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
        if not self._gateway_waiters or Timer.GATEWAY in self._requests:
            return
        token = self._token_to_give(now, old_will_do=True)
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
        self._send(request, Timer.GATEWAY, now)

    def _gateway_done(self, result: GatewayInfo | Failure, now: float) -> None:
        if isinstance(result, Failure):
            if rest.verdict_of(result) is RestVerdict.REFRESH and not self._gateway_refreshed:
                # Once more with another token; the second refusal is the askers' to judge.
                self._gateway_refreshed = True
                self._token.refuse(self._gateway_token, now)
                self._serve_gateway(now)
                return
            for key in self._take(self._gateway_waiters):
                self._answer(key, result)
            return
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

    def _send(self, request: HTTPRequest, timer: Timer, now: float) -> None:
        self._issued += 1
        deadline = now + self._policy.http_timeout
        self._timers.set(timer, deadline)
        self._requests[timer] = self._issued
        self._queue.append(SendRequest(self._issued, deadline, request))

    def _call_off(self, timer: Timer) -> None:
        self._timers.stop(timer)
        self._queue.append(Cancel(self._requests.pop(timer)))

    def _finish(self, id: int) -> Timer | None:
        """What the exchange ``id``, which has ended, was for; None if it was called off."""
        if not 1 <= id <= self._issued:
            raise LocalProtocolError(f"id {id} was never issued by this account")
        for timer, request in self._requests.items():
            if request == id:
                self._timers.stop(timer)
                del self._requests[timer]
                return timer
        return None

    def _answer(self, key: tuple[Hashable, int], value: Token | GatewayInfo | IdentifySlot | Failure) -> None:
        self._queue.append(Answer(key[0], key[1], value))

    def _take(self, waiters: dict[tuple[Hashable, int], Any]) -> list[tuple[Hashable, int]]:
        keys = list(waiters)
        waiters.clear()
        return keys
