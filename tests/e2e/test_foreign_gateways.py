"""The asyncio driver against gateways that are none of ours, with every wire sample played through them."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from qqproto import (
    ConfigurationError,
    Credentials,
    Disconnected,
    Dispatch,
    Event,
    FailureKind,
    Offline,
    Policy,
    Ready,
    Resumed,
    StopReason,
)
from qqproto_transports.asyncio import BotAccount, Gateway, GatewayStopped, open_gateway
from tests.core.samples import SAMPLES, body, response
from tests.e2e.aiohttp_platform import AiohttpPlatform
from tests.e2e.foreign_platform import DISPATCHES, ForeignPlatform, play, play_everything, rotating
from tests.e2e.websockets_platform import WebsocketsPlatform
from tests.transports.certificates import authority, server_context, trusting
from tests.transports.loops import eventually, on_loop

INTENTS = body("identify")["d"]["intents"]

QUICK = Policy(
    backoff=(0.01,),
    stable_after=0.0,
    rotation_jitter=0.01,
    invalid_session_wait=0.05,
    identify_window=0.05,
    token_refused_pause=0.05,
    token_failure_pause=0.05,
    configuration_retry=0.05,
)


on_both = pytest.mark.parametrize("server", [WebsocketsPlatform, AiohttpPlatform])


def bot(platform: ForeignPlatform, **options: Any) -> Gateway:
    account = BotAccount(
        Credentials("11111111", "the-secret"), http=platform.http, ssl_context=trusting(), policy=QUICK
    )
    return open_gateway(account, intents=INTENTS, **options)


async def hear(gateway: Gateway, enough: int) -> list[Event]:
    """Every event up to the one with which so many dispatches have come."""
    events: list[Event] = []
    async for event in gateway:
        events.append(event)
        if sum(isinstance(seen, Dispatch) for seen in events) == enough:
            break
    return events


def dispatches(events: list[Event]) -> list[Dispatch]:
    return [event for event in events if isinstance(event, Dispatch)]


def test_there_are_samples_to_play() -> None:
    assert len(DISPATCHES) == 63
    assert [body(name)["s"] for name in DISPATCHES] == list(range(2, 65))


@on_both
@pytest.mark.parametrize("ready", ["ready", "ready_field"])
@pytest.mark.parametrize("secure", [False, True])
@on_loop
async def test_every_sample_arrives_as_it_was_sent(server: type[ForeignPlatform], ready: str, secure: bool) -> None:
    platform = server(play_everything, ready=ready)
    tls = server_context("127.0.0.1") if secure else None
    async with platform.open(tls), bot(platform) as gateway:
        events = await hear(gateway, len(DISPATCHES))
        status = gateway.status()[0]

    assert [event.envelope for event in dispatches(events)] == [body(name) for name in DISPATCHES]
    for event in dispatches(events):
        envelope = event.envelope
        assert (event.type, event.data, event.id) == (envelope["t"], envelope["d"], envelope["id"])
        assert (event.sequence, event.shard, event.redelivered) == (envelope["s"], 0, False)
    (ready_event,) = [event for event in events if isinstance(event, Ready)]
    assert ready_event.dispatch.envelope == body(ready)
    assert ready_event.user.id == body(ready)["d"]["user"]["id"]
    assert ready_event.session_id == body(ready)["d"]["session_id"]
    assert status.counters["unknown_opcodes"] == 21
    assert platform.beats, "it was asked for one"


@on_both
@on_loop
async def test_what_we_say_is_what_the_samples_say(server: type[ForeignPlatform]) -> None:
    platform = server(play_everything)
    async with platform.open(), bot(platform, properties=body("identify")["d"]["properties"]) as gateway:
        await hear(gateway, len(DISPATCHES))

    assert platform.heard == [body("identify")]
    token, info = platform.asked
    assert token.method == "POST"
    assert token.url.endswith(SAMPLES["token_request"]["where"].split()[-1])
    assert set(body("token_request")) == {"appId", "clientSecret"}
    assert token.body == b'{"appId": "11111111", "clientSecret": "the-secret"}'
    assert info.headers["Authorization"] == "QQBot ACCESS_TOKEN"
    (handshake,) = platform.handshakes
    assert handshake["User-Agent"].startswith("qqproto/")
    assert "Sec-WebSocket-Extensions" not in handshake, "no compression is offered"
    assert "Sec-WebSocket-Protocol" not in handshake


@on_both
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("how", ["op 7", "4009", "reset"])
@on_loop
async def test_a_new_connection_resumes_where_the_old_one_was(
    server: type[ForeignPlatform], how: str, secure: bool
) -> None:
    first, second, third = DISPATCHES[:20], DISPATCHES[20:40], DISPATCHES[40:]
    platform = server(rotating(how, first), rotating(how, second), play(third))
    tls = server_context("127.0.0.1") if secure else None
    async with platform.open(tls), bot(platform) as gateway:
        events = await hear(gateway, len(DISPATCHES))

    session = body("ready")["d"]["session_id"]
    assert [message["op"] for message in platform.heard] == [2, 6, 6]
    for message, sequence in zip(platform.heard[1:], (21, 41), strict=True):
        assert message == {**body("resume"), "d": {**body("resume")["d"], "session_id": session, "seq": sequence}}
    assert [event.envelope for event in dispatches(events)] == [body(name) for name in DISPATCHES]
    gone = [event for event in events if isinstance(event, Disconnected)]
    assert [event.planned for event in gone] == [how != "reset"] * 2
    assert not [event for event in events if isinstance(event, Offline)]


@on_both
@on_loop
async def test_what_is_replayed_comes_before_resumed(server: type[ForeignPlatform]) -> None:
    platform = server(rotating("4009", DISPATCHES[:10]), play(DISPATCHES[30:]))
    platform.replay = [body(name) for name in DISPATCHES[10:30]]
    async with platform.open(), bot(platform) as gateway:
        events = await hear(gateway, len(DISPATCHES))

    assert [event.envelope for event in dispatches(events)] == [body(name) for name in DISPATCHES]
    (resumed,) = [event for event in events if isinstance(event, Resumed)]
    assert (resumed.replayed, resumed.missing, resumed.dispatch.data) == (20, 0, "")


@on_both
@on_loop
async def test_a_session_that_the_server_refuses_is_begun_anew(server: type[ForeignPlatform]) -> None:
    platform = server(rotating("4009", DISPATCHES[:3]), play(DISPATCHES[3:6]))
    async with platform.open(), bot(platform) as gateway:
        events = await hear(gateway, 3)
        platform.refuse = [body("invalid_session")]
        events += await hear(gateway, 3)

    assert [message["op"] for message in platform.heard] == [2, 6, 2]
    assert len([event for event in events if isinstance(event, Ready)]) == 2


@on_both
@on_loop
async def test_a_session_that_is_refused_for_the_moment_is_kept(server: type[ForeignPlatform]) -> None:
    platform = server(rotating("4009", DISPATCHES[:3]), play(DISPATCHES[3:6]))
    async with platform.open(), bot(platform) as gateway:
        await hear(gateway, 3)
        platform.refuse = [body("invalid_session_resumable")]
        await hear(gateway, 3)

    assert [message["op"] for message in platform.heard] == [2, 6, 6]


@on_both
@on_loop
async def test_heartbeats_carry_the_sequence(server: type[ForeignPlatform]) -> None:
    platform = server(play(DISPATCHES[:5]))
    platform.hello = {"op": 10, "d": {"heartbeat_interval": 250}}
    async with platform.open(), bot(platform, settle="delivery") as gateway:
        last = dispatches(await hear(gateway, 5))[-1]
        await eventually(lambda: platform.beats[-3:] == [last.sequence] * 3)

    assert last.sequence == 6
    assert set(platform.beats) <= {None, 1, 2, 3, 4, 5, 6}


# -- what HTTP says ----------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("name", ["token_error_100016", "token_error_100007", "token_error_10004"])
@on_loop
async def test_a_refusal_of_the_credentials_ends_it(server: type[ForeignPlatform], name: str) -> None:
    platform = server()
    platform.http_replies = [response(name)]
    async with platform.open():
        with pytest.raises(GatewayStopped) as caught:
            await live(bot(platform))

    assert caught.value.stopped.reason is StopReason.CREDENTIALS
    assert not caught.value.stopped.retryable


async def live(gateway: Gateway) -> None:
    async with gateway:
        async for _ in gateway:
            pass


@on_both
@pytest.mark.parametrize(
    "names",
    [
        ["token_error_100001", "token_response_int_expires"],
        ["token_response_int_expires", "http_error_old_style", "token_response_string_expires"],
    ],
)
@on_loop
async def test_what_passes_is_tried_again(server: type[ForeignPlatform], names: list[str]) -> None:
    platform = server(play(DISPATCHES[:1]))
    platform.http_replies = [response(name) for name in names]
    async with platform.open(), bot(platform) as gateway:
        await hear(gateway, 1)

    assert platform.http_replies == []


@on_both
@on_loop
async def test_what_a_person_can_mend_is_told(server: type[ForeignPlatform]) -> None:
    platform = server(play(DISPATCHES[:1]))
    platform.http_replies = [
        response("token_response_string_expires"),
        response("http_error_ip_not_whitelisted"),
    ]
    told: list[ConfigurationError] = []
    async with platform.open(), bot(platform) as gateway:
        async for event in gateway:
            if isinstance(event, ConfigurationError):
                told.append(event)
            if isinstance(event, Dispatch):
                break

    assert len(told) == 1
    assert "allowlist" in told[0].hint


# -- TLS ---------------------------------------------------------------------------------------------------------------


@on_both
@on_loop
async def test_a_gateway_with_a_wrong_certificate_is_never_told_anything(server: type[ForeignPlatform]) -> None:
    platform, failure = server(), None
    async with platform.open(server_context("other.example")), bot(platform) as gateway:
        async for event in gateway:
            if isinstance(event, Disconnected):
                failure = event.failure
                break

    assert failure is not None
    assert failure.kind is FailureKind.TLS_UNTRUSTED
    assert "not valid for '127.0.0.1'" in failure.message

    assert platform.handshakes == []


@on_both
@on_loop
async def test_the_hosts_own_context_is_taken(server: type[ForeignPlatform]) -> None:
    """One that trusts our authority and nobody else, and speaks TLS 1.2 at most."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    authority().configure_trust(context)
    platform = server(play(DISPATCHES[:2]))
    async with platform.open(server_context("127.0.0.1")):
        account = BotAccount(Credentials("11111111", "s"), http=platform.http, ssl_context=context)
        async with open_gateway(account, intents=INTENTS) as gateway:
            events = await hear(gateway, 2)

    assert len(dispatches(events)) == 2
