"""The ASGI application in memory: what it answers, what it hands out and when, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from qqproto import Credentials, Dispatch, HTTPResponse, Policy
from qqproto_transports.asgi import WebhookApp
from qqproto_transports.asyncio import BotAccount
from tests.transports.callbacks import BOT, NOW, Exchange, changed, heard, platform, post, said, unix_time
from tests.transports.loops import eventually, on_loop

CREDENTIALS = Credentials(BOT.app_id, BOT.secret)
SENDER = platform()


def webhook(**options: Any) -> WebhookApp:
    return WebhookApp(CREDENTIALS, unix_time=unix_time, **options)


# -- what it answers --------------------------------------------------------------------------------------------------


@on_loop
async def test_a_validation_is_answered_before_anybody_iterates() -> None:
    """The console validates the address when it is typed in; the bot may not have begun yet."""
    response = await post(webhook(), SENDER.validation(NOW))

    assert SENDER.confirms(response)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.body))


@on_loop
async def test_an_event_is_acknowledged_and_handed_out() -> None:
    async with webhook() as app:
        response = await post(app, said("hello", SENDER))
        dispatch = await app.__anext__()

    assert SENDER.acknowledged(response)
    assert isinstance(dispatch, Dispatch)
    assert (dispatch.type, dispatch.data["content"]) == ("C2C_MESSAGE_CREATE", "hello")


@on_loop
async def test_a_body_in_pieces_is_one_body() -> None:
    request = said("hello", SENDER)
    pieces = [request.body[:1], b"", request.body[1:50], request.body[50:]]
    async with webhook() as app:
        assert SENDER.acknowledged(await post(app, request, parts=pieces))
        assert await heard(app) == ["hello"]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
@on_loop
async def test_anything_but_a_post_is_refused(method: str) -> None:
    async with webhook() as app:
        response = await post(app, changed(said("hello", SENDER), method=method))

    assert response.status == 405
    assert response.headers["allow"] == "POST"
    assert app.counters == {}


@on_loop
async def test_a_huge_body_is_refused_when_it_has_become_too_long() -> None:
    """What is beyond the limit is not read, let alone kept."""
    exchange = Exchange(said("hello", SENDER), parts=[b"x" * 60] * 1000)
    app = webhook(policy=Policy(max_http_body=100))
    response = await exchange.run(app)

    assert response.status == 413
    assert len(exchange._left) == 998


@on_loop
async def test_a_client_that_goes_away_in_the_middle_of_its_body_gets_no_answer() -> None:
    exchange = Exchange(said("hello", SENDER), parts=[b"{"], gone=True)
    async with webhook() as app:
        response = await exchange.run(app)

    assert (response.status, exchange.log, app.counters) == (0, [], {})


@on_loop
async def test_junk_is_refused_with_a_reason_and_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with webhook() as app:
        for _ in range(100):
            response = await post(app, changed(said("hello", SENDER), headers={"X-Signature-Ed25519": "junk"}))
            assert response.status == 401
            assert "128 hexadecimal digits" in json.loads(response.body)["message"]
    records = [record for record in caplog.records if record.name == "qqproto"]

    assert [vars(record)["qq_count"] for record in records] == [1, 2, 4, 8, 16, 32, 64], "nobody outside fills the log"
    assert records[0].levelno == logging.WARNING
    assert records[0].getMessage() == (
        "webhook: a request was refused with 401, the signature is not 128 hexadecimal digits"
    )
    assert vars(records[0])["qq_event"] == "WebhookRefused"
    assert vars(records[0])["qq_status"] == 401


@on_loop
async def test_a_logger_of_the_hosts_own_is_told() -> None:
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]  # the shortest one
    logger = logging.Logger("the-hosts-own")
    logger.addHandler(handler)
    await post(webhook(logger=logger), changed(said("hello", SENDER), method="GET"))

    assert told == ["webhook: a request was refused with 405, callbacks are POSTs"]


@on_loop
async def test_the_lifespan_of_a_server_is_answered() -> None:
    asked = iter(["lifespan.startup", "lifespan.shutdown"])
    answered = []

    async def receive() -> dict[str, Any]:
        return {"type": next(asked)}

    async def send(message: Any) -> None:
        answered.append(message["type"])

    await webhook()({"type": "lifespan"}, receive, send)
    assert answered == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@on_loop
async def test_a_websocket_is_not_accepted() -> None:
    answered = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is to be read")

    async def send(message: Any) -> None:
        answered.append(message["type"])

    await webhook()({"type": "websocket"}, receive, send)
    assert answered == ["websocket.close"]


# -- when it hands out ------------------------------------------------------------------------------------------------


@on_loop
async def test_the_reply_is_sent_before_the_handler_runs() -> None:
    """A handler takes as long as it wants; the platform's patience is not documented, and short."""
    exchange = Exchange(said("hello", SENDER))
    order = exchange.log

    async def handle(app: WebhookApp) -> None:
        async for dispatch in app:
            order.append(f"handling {dispatch.data['content']}")
            app.close()

    async with webhook() as app:
        handler = asyncio.ensure_future(handle(app))
        await asyncio.sleep(0)
        await exchange.run(app)
        await handler

    assert order == ["http.response.start", "http.response.body", "handling hello"]


@on_loop
async def test_a_handler_that_takes_long_keeps_no_request_waiting() -> None:
    async with webhook() as app:
        await post(app, said(0, SENDER))
        assert await heard(app) == ["0"], "and it is not done with it"
        for number in range(1, 6):
            assert SENDER.acknowledged(await post(app, said(number, SENDER)))
        assert await heard(app, 5) == ["1", "2", "3", "4", "5"]


@on_loop
async def test_an_event_whose_reply_cannot_be_sent_is_handled_all_the_same() -> None:
    """The platform may have the reply or not; if it has not, it delivers again, and that is a repetition."""
    request = said("hello", SENDER)
    async with webhook() as app:
        with pytest.raises(OSError, match="has gone"):
            await post(app, request, deaf=True)
        assert SENDER.acknowledged(await post(app, SENDER.again(request, NOW + 1.0)))
        assert await heard(app) == ["hello"]
        assert app.counters == {"dispatches": 1, "repetitions": 1}


@on_loop
async def test_what_comes_before_the_block_waits_for_it() -> None:
    app = webhook()
    await post(app, said("early", SENDER))
    async with app:
        assert await heard(app) == ["early"]


@on_loop
async def test_when_the_buffer_is_full_the_platform_is_asked_to_come_again_and_loses_nothing() -> None:
    requests = [said(number, SENDER) for number in range(3)]
    async with webhook(policy=Policy(max_buffered=2)) as app:
        statuses = [(await post(app, request)).status for request in requests]
        assert statuses == [200, 200, 503]
        assert await heard(app, 1) == ["0"]
        assert (await post(app, SENDER.again(requests[2], NOW + 1.0))).status == 200
        assert await heard(app, 2) == ["1", "2"]


@on_loop
async def test_replies_on_their_way_count_as_well() -> None:
    """Many requests at once: each is looked at while the replies of the others are being sent."""
    async with webhook(policy=Policy(max_buffered=2)) as app:
        responses = await asyncio.gather(*(post(app, said(number, SENDER)) for number in range(10)))

        assert sorted(response.status for response in responses) == [200, 200] + [503] * 8
        assert len(await heard(app, 2)) == 2


# -- what settles -----------------------------------------------------------------------------------------------------


async def drained(app: WebhookApp, seconds: float = 5.0) -> bool:
    """Whether everything is settled, by the one measure that there is: whether draining waits."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.ensure_future(app.aclose(drain=seconds))
    return loop.time() - began < seconds


@pytest.mark.parametrize(("settle", "done"), [("delivery", True), ("iteration", False), ("manual", False)])
@on_loop
async def test_what_is_handed_out_is_settled_when_the_host_has_chosen(settle: Any, done: bool) -> None:
    async with webhook(settle=settle) as app:
        await post(app, said("hello", SENDER))
        await app.__anext__()
        assert await drained(app, 0.1) is done


@on_loop
async def test_asking_for_the_next_event_settles_the_one_before() -> None:
    async with webhook() as app:
        for content in ("one", "two"):
            await post(app, said(content, SENDER))
        await heard(app, 2)
        waiting = asyncio.ensure_future(heard(app))
        await asyncio.sleep(0)
        assert await drained(app)
        with pytest.raises(StopAsyncIteration):
            await waiting


@on_loop
async def test_a_block_settles_what_it_handles() -> None:
    async with webhook(settle="manual") as app:
        await post(app, said("hello", SENDER))
        dispatch = await app.__anext__()
        with pytest.raises(KeyError, match="odd"):
            async with app.handling(dispatch):
                raise KeyError("odd")
        assert await drained(app)


@on_loop
async def test_a_handler_in_a_thread_may_settle() -> None:
    async with webhook(settle="manual") as app:
        await post(app, said("hello", SENDER))
        dispatch = await app.__anext__()
        closing = asyncio.ensure_future(app.aclose(drain=20.0))
        await asyncio.sleep(0)
        thread = threading.Thread(target=app.settle, args=(dispatch,))
        thread.start()
        await closing
        thread.join()


@on_loop
async def test_what_nobody_settles_is_forgotten_in_the_end() -> None:
    async with webhook(settle="manual", policy=Policy(max_unsettled=3)) as app:
        for number in range(10):
            await post(app, said(number, SENDER))
        await heard(app, 10)

        assert len(app._unsettled) == 3


# -- how it ends ------------------------------------------------------------------------------------------------------


@on_loop
async def test_closing_ends_the_iteration_and_leaves_requests_to_another_process() -> None:
    async with webhook() as app:
        await post(app, said("withdrawn", SENDER))
        app.close()
        app.close()
        assert [dispatch async for dispatch in app] == []
        assert (await post(app, said("later", SENDER))).status == 503
        assert (await post(app, SENDER.validation(NOW))).status == 503
    assert (await post(app, said("afterwards", SENDER))).status == 503


@on_loop
async def test_it_can_be_closed_from_a_thread_while_somebody_waits() -> None:
    async with webhook() as app:
        waiting = asyncio.ensure_future(app.__anext__())
        await asyncio.sleep(0)
        thread = threading.Thread(target=app.close)
        thread.start()
        with pytest.raises(StopAsyncIteration):
            await waiting
        thread.join()


@on_loop
async def test_draining_hands_out_what_the_platform_will_not_deliver_again() -> None:
    done: list[str] = []

    async def handle(app: WebhookApp) -> None:
        async for dispatch in app:
            await asyncio.sleep(0)
            done.append(dispatch.data["content"])

    async with webhook() as app:
        for number in range(20):
            await post(app, said(number, SENDER))
        handler = asyncio.ensure_future(handle(app))
        closing = asyncio.ensure_future(app.aclose(drain=20.0))
        await asyncio.sleep(0)
        assert (await post(app, said("new", SENDER))).status == 503
        await closing
        await handler

    assert done == [str(number) for number in range(20)]


@on_loop
async def test_a_handler_may_close_and_drain_and_does_not_wait_for_itself() -> None:
    async with webhook() as app:
        await post(app, said("hello", SENDER))
        async for dispatch in app:
            async with app.handling(dispatch):
                await app.aclose(drain=20.0)


@on_loop
async def test_closed_before_its_block_it_ends_at_once() -> None:
    app = webhook()
    app.close()
    await app.aclose(drain=5.0)
    async with app:
        assert [dispatch async for dispatch in app] == []


@on_loop
async def test_an_exception_leaves_the_block_as_it_is() -> None:
    async def bot() -> None:
        async with webhook() as app:
            await post(app, said("hello", SENDER))
            async for _ in app:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bot()


def test_a_loop_that_is_gone_is_no_reason_not_to_close() -> None:
    app = webhook()

    async def main() -> None:
        async with app:
            await post(app, said("hello", SENDER))

    asyncio.run(main())
    app.close()


# -- misuse -----------------------------------------------------------------------------------------------------------


@on_loop
async def test_misuse_is_told() -> None:
    app = webhook()
    with pytest.raises(RuntimeError, match="its block comes first"):
        await app.__anext__()
    async with app:
        with pytest.raises(RuntimeError, match="entered once"):
            await app.__aenter__()
        waiting = asyncio.ensure_future(app.__anext__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="somebody else waits"):
            await app.__anext__()
        app.close()
        with pytest.raises(StopAsyncIteration):
            await waiting


@on_loop
async def test_requests_in_another_loop_than_the_bots_are_a_mistake_that_is_told() -> None:
    async with webhook() as app:
        problems: list[str] = []

        def elsewhere() -> None:
            try:
                asyncio.run(post(app, said("hello", SENDER)))
            except RuntimeError as error:
                problems.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await eventually(lambda: not thread.is_alive())
        assert problems == ["requests have to come in the event loop in which the events are iterated over"]


# -- the account ------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_account_is_the_hosts_or_is_made_when_it_is_asked_for() -> None:
    async def exchange(request: object) -> HTTPResponse:
        return HTTPResponse(200, {}, b'{"access_token":"T","expires_in":"7200"}')

    shared = BotAccount(CREDENTIALS, http=exchange)
    app = WebhookApp(shared)
    assert app.account is shared
    assert await app.authorization() == {"Authorization": "QQBot T", "X-Union-Appid": BOT.app_id}
    alone = webhook()
    assert alone.account is alone.account
    assert alone.account.credentials is CREDENTIALS


def test_it_needs_no_httpx_for_callbacks_alone() -> None:
    program = (
        "import sys\n"
        "sys.modules['httpx'] = None\n"
        "from qqproto import Credentials\n"
        "from qqproto_transports.asgi import WebhookApp\n"
        "WebhookApp(Credentials('1', 'a-secret'))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_secret_is_in_no_repr() -> None:
    assert BOT.secret not in repr(webhook())
