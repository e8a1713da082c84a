"""The doctor at a bot that gets out of its machine: clock, token, gateway, WebSocket, Identify, heartbeat, each going
wrong on real sockets."""

from __future__ import annotations

import asyncio
import math

import pytest

from qqproto import Intents
from qqproto.testing import HTTPFault, Refusal, reply
from qqproto_transports._doctor_findings import Finding, State
from tests.transports.doctor import DEADLINE, WRONG, endpoints_at, examined, gateway_here
from tests.transports.loops import eventually, on_loop, on_quick_loop
from tests.transports.servers import closed_port, serving, silence

WAY = ["environment", "proxy", "dns", "tcp", "clock", "token", "proxy", "gateway", "proxy", "websocket", "hello"]
NOT_ALLOWED = {"message": "接口访问源IP不在白名单", "code": 11298, "err_code": 40023002}
"""As it came on the wire (botpy#189)."""


def fault(body: object, *, path: str, status: int = 200, **headers: str) -> HTTPFault:
    return HTTPFault(reply(status, body, **headers), path=path, times=math.inf)


# -- all is well -------------------------------------------------------------------------------------------------------


@on_quick_loop
async def test_without_identify_it_goes_as_far_as_hello_and_costs_nothing() -> None:
    async with gateway_here() as gateway:
        found = await examined(gateway)
        await eventually(lambda: not gateway.platform.conversations)

    assert found.steps == [*WAY, "identify", "verdict"]
    assert {finding.state for finding in found.findings} == {State.OK, State.SKIPPED}
    assert found.step("identify").state is State.SKIPPED
    assert found.verdict.text.startswith("all is well as far as Hello")
    assert "one of 1500 session starts" in found.verdict.text
    assert gateway.platform.ops() == []
    assert gateway.platform.bot.remaining == 1500
    assert gateway.platform.violations == []
    found.hides_secrets()


@on_loop
async def test_with_identify_it_goes_on_to_the_first_heartbeat() -> None:
    async with gateway_here() as gateway:
        found = await examined(gateway, identify=True)
        await eventually(lambda: not gateway.platform.sessions)  # It was told 1000.

    assert found.steps == [*WAY, "identify", "ready", "heartbeat", "instances", "verdict"]
    assert {finding.state for finding in found.findings} == {State.OK}
    assert found.step("hello").facts == {"heartbeat_interval": 1.0}
    assert found.step("identify").facts == {"intents": ["GROUP_AND_C2C_EVENT"], "shard": [0, 1]}
    assert "fake bot (911111111)" in found.step("ready").text
    assert 0 <= found.step("heartbeat").facts["latency"] < 5
    assert found.step("instances").facts == {"others": 0}
    assert found.verdict.text == "all is well: the bot connects, and its heartbeats are acknowledged"
    assert gateway.platform.ops() == [2]
    assert gateway.platform.violations == []
    found.hides_secrets()


@on_quick_loop
async def test_each_step_has_its_time() -> None:
    async with gateway_here() as gateway:
        found = await examined(gateway, identify=True)

    *steps, verdict = found.findings
    assert all(finding.seconds >= 0 for finding in steps)
    assert found.step("heartbeat").seconds > 0
    assert sum(finding.seconds for finding in steps) <= verdict.seconds + 0.001
    assert verdict.seconds <= found.seconds


@pytest.mark.parametrize(("shards", "expected"), [(2, 2), (None, 3)])
@on_quick_loop
async def test_the_first_shard_of_as_many_as_wanted(shards: int | None, expected: int) -> None:
    async with gateway_here() as gateway:
        gateway.platform.bot.shards = 3
        found = await examined(gateway, identify=True, shards=shards)

    assert found.step("identify").facts["shard"] == [0, expected]
    assert "3 shards recommended" in found.step("gateway").text


# -- the clock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "words"), [(-7200, "is 2 h ahead of 127.0.0.1's"), (7200, "is 2 h behind")])
@on_quick_loop
async def test_a_clock_that_is_off_is_named_and_all_the_rest_looked_at(seconds: float, words: str) -> None:
    async with gateway_here() as gateway:
        gateway.clock_ahead = seconds
        found = await examined(gateway)

    assert found.steps == [*WAY, "identify", "verdict"]
    assert found.step("clock").state is found.verdict.state is State.WARNING
    assert words in found.verdict.text
    assert "What to do: set this machine's clock" in found.verdict.text
    assert found.verdict.facts == {"cause": "clock", "host": "127.0.0.1"}


@on_quick_loop
async def test_what_stops_the_bot_is_named_before_the_clock() -> None:
    async with gateway_here() as gateway:
        gateway.clock_ahead = -7200
        found = await examined(gateway, credentials=WRONG)

    text = found.ends_with("token", "wrong AppID or AppSecret")
    assert "Besides, clock: this machine's clock is 2 h ahead" in text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "the reply has no Date"),
        (b"HTTP/1.1 200 OK\r\nDate: noon\r\n\r\n", "the reply's Date is none"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "what answers there speaks no HTTP"),
        (b"", "there is no reply"),
    ],
)
@on_quick_loop
async def test_a_clock_that_nobody_tells_is_not_judged(said: bytes, why: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    async with gateway_here() as gateway, serving(talk) as port:
        found = await examined(gateway, endpoints=endpoints_at(port))

    assert found.step("clock").state is State.SKIPPED
    assert why in found.step("clock").text
    found.ends_with("token", "check QQ_TOKEN_URL")


# -- the token ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"code": 100007, "message": "appid invalid"}, 200, ("the bot was deleted or banned", "check AppID")),
        ({"code": 10004, "message": "no such robot"}, 200, ("the robot does not exist", "check AppID")),
        ({"code": 100001, "message": "slow down"}, 200, ("too many requests", "wait a few minutes", "same AppID")),
        ({"code": 50055001, "message": "oops"}, 200, ("the server failed", "the platform's own trouble")),
        ({"code": 777, "message": "new"}, 200, ("unknown error of the platform", "look it up")),
        ("<html>log in</html>", 200, ("is not the QQ platform", "captive portal", "check QQ_TOKEN_URL")),
        ("<html>log in</html>", 302, ("HTTP 302", "is not the QQ platform", "check QQ_TOKEN_URL")),
        ({}, 200, ("no usable access_token", "is not the QQ platform")),
        ("", 429, ("HTTP 429", "wait a few minutes")),
    ],
)
@on_quick_loop
async def test_a_token_that_is_refused(body: object, status: int, words: tuple[str, ...]) -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.http.append(fault(body, status=status, path="/app/getAppAccessToken"))
        found = await examined(gateway)

    found.ends_with("token", *words)


@on_quick_loop
async def test_a_wrong_secret() -> None:
    async with gateway_here() as gateway:
        found = await examined(gateway, credentials=WRONG)

    found.ends_with("token", "wrong AppID or AppSecret", "error 100016", "the bot's page in the QQ console")
    assert found.step("token").facts == {"failure": "http-status", "http_status": 200, "code": 100016}
    assert WRONG.secret not in repr(found.findings)


@on_loop
async def test_an_endpoint_that_hangs_costs_its_deadline_and_no_more() -> None:
    async with gateway_here() as gateway, serving(silence) as port:
        found = await examined(gateway, endpoints=endpoints_at(port), deadline=0.2)

    assert found.step("clock").state is State.SKIPPED
    found.ends_with("token", "no reply", "curl -v http://127.0.0.1:")
    assert found.seconds < DEADLINE


# -- the gateway's address and the budget ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (NOT_ALLOWED, 401, ("not on the bot's IP allowlist", "add this machine's public IPv4 address", "QQ console")),
        (
            {"message": "source IP 203.0.113.7 is not allowed", "code": 11298},
            401,
            ("add 203.0.113.7, the address that the platform saw, to the IP allowlist",),
        ),
        ({"message": "no", "code": 11253}, 401, ("no privilege for this interface", "permissions in the QQ console")),
        ({"message": "no", "code": 11265}, 401, ("the bot is banned", "see its page")),
        ({"message": "no", "code": 11245}, 401, ("not the old bot token",)),
        ({"url": "https://not.a.websocket"}, 200, ("no ws:// or wss:// url", "check QQ_API_BASE")),
        ("nothing here", 404, ("HTTP 404", "check QQ_API_BASE")),
    ],
)
@on_quick_loop
async def test_a_gateway_that_is_not_told(body: object, status: int, words: tuple[str, ...]) -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.http.append(fault(body, status=status, path="/gateway/bot"))
        found = await examined(gateway)

    found.ends_with("gateway", *words)


@pytest.mark.parametrize(("left", "state"), [(0, State.WARNING), (75, State.WARNING), (76, State.OK)])
@on_quick_loop
async def test_a_budget_that_is_nearly_spent_is_told(left: int, state: State) -> None:
    async with gateway_here() as gateway:
        gateway.platform.bot.set_remaining(left, 5400.0, gateway.now)
        found = await examined(gateway)

    assert f"{left} of 1500 session starts left, refilled in 90 min" in found.step("gateway").text
    assert found.step("gateway").state is found.verdict.state is state
    assert ("restarted over and over" in found.verdict.text) == (state is State.WARNING)


@on_quick_loop
async def test_nothing_is_spent_beyond_the_budget() -> None:
    async with gateway_here() as gateway:
        gateway.platform.bot.set_remaining(0, 5400.0, gateway.now)
        found = await examined(gateway, identify=True)

    found.ends_with("identify", "the budget is spent", "wait until it is refilled")
    assert gateway.platform.ops() == []


@on_quick_loop
async def test_a_platform_that_tells_no_budget() -> None:
    async with gateway_here() as gateway:
        body = {"url": gateway.platform.gateway_url}
        gateway.platform.behaviour.http.append(fault(body, path="/gateway/bot"))
        plainly = await examined(gateway)
        found = await examined(gateway, identify=True)

    assert "of the budget nothing is said" in found.step("gateway").text
    assert "does not tell the budget" in found.step("instances").text
    assert plainly.verdict.text.endswith("costs a session start")
    assert found.verdict.state is State.OK


# -- the WebSocket and Hello -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, ("HTTP 403", "gives no WebSocket")), (429, ("HTTP 429", "wait a few minutes")), (503, ("bad day",))],
)
@on_quick_loop
async def test_an_upgrade_that_is_refused(status: int, words: tuple[str, ...]) -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.upgrade = reply(status, {})
        found = await examined(gateway)

    found.ends_with("websocket", *words)


@on_quick_loop
async def test_a_gateway_that_does_not_answer() -> None:
    async with gateway_here() as gateway, serving(silence) as port:
        gateway.platform.gateway_url = f"ws://localhost:{port}/websocket"
        found = await examined(gateway, deadline=0.5)

    found.ends_with("websocket", "no reply in time", "may let no WebSocket pass")
    assert found.step("dns").host == "localhost", "the way to a host of its own is told"


@on_quick_loop
async def test_a_gateway_at_a_closed_port() -> None:
    async with gateway_here() as gateway:
        with closed_port() as port:
            gateway.platform.gateway_url = f"ws://127.0.0.1:{port}/websocket"
            found = await examined(gateway)

    found.ends_with("tcp", "nobody listens there", "the platform has named this address")


@on_quick_loop
async def test_a_hello_that_does_not_come() -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.hello = False
        found = await examined(gateway, deadline=0.5)

    assert found.step("websocket").state is State.OK
    found.ends_with("hello", "no reply in time")


@on_quick_loop
async def test_a_connection_that_is_cut_before_hello() -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.hello = False

        def tell(finding: Finding) -> None:
            if finding.step == "websocket":
                gateway.platform.conversations[0].reset(gateway.now)

        found = await examined(gateway, tell)

    found.ends_with("hello", "the connection was cut", "may let no WebSocket pass")


# -- Identify, READY, the first heartbeat ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(), ("the intents", "are refused", "4903", "GUILD_MESSAGES: private-domain bots only")),
        (Refusal(code=None), ("are refused", "the stream ended", "IP allowlist")),
        (Refusal(hangs=True), ("are refused", "op 9")),
        (Refusal(4013, op9=None), ("4013, invalid intents", "bits that the platform does not know")),
        (Refusal(4014, op9=None), ("4014, intents not permitted", "apply for them", "GUILDS: every bot")),
        (Refusal(4004, op9=None), ("4004, authentication failed", "renew the AppSecret")),
        (Refusal(4011, op9=None), ("4011, sharding required", "reshard")),
        (Refusal(4914, op9=None), ("4914, bot taken offline", "https://sandbox.api.sgroup.qq.com")),
        (Refusal(4915, op9=None), ("4915, bot banned", "see its page")),
        (Refusal(4900, op9=None), ("4900, internal error of the platform", "the platform's own trouble")),
    ],
    ids=lambda value: f"{value.code}-{value.op9}-{value.hangs}" if isinstance(value, Refusal) else "",
)
@on_quick_loop
async def test_an_identify_that_is_refused(refusal: Refusal, words: tuple[str, ...]) -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.identify.append(refusal)
        intents = Intents.GUILDS | Intents.GUILD_MESSAGES
        found = await examined(gateway, identify=True, intents=intents, deadline=0.8 if refusal.hangs else DEADLINE)

    found.ends_with("identify", *words)
    assert gateway.platform.ops() == [2], "it is tried once"


@on_quick_loop
async def test_intents_that_the_bot_may_not_have() -> None:
    async with gateway_here() as gateway:
        gateway.platform.bot.intents = Intents.GROUP_AND_C2C_EVENT
        found = await examined(gateway, identify=True, intents=Intents.FORUMS_EVENT | Intents(1 << 31))

    found.ends_with("identify", "the intents FORUMS_EVENT 1<<31 are refused", "FORUMS_EVENT: private-domain bots only")
    assert "1<<31: not documented" in found.verdict.text


@on_quick_loop
async def test_an_identify_that_is_not_answered() -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.answers = False
        found = await examined(gateway, identify=True, deadline=0.5)

    found.ends_with("identify", "no reply in time")


@on_quick_loop
async def test_a_heartbeat_that_is_not_acknowledged() -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.acks = False
        found = await examined(gateway, identify=True, deadline=0.5)

    assert found.step("ready").state is State.OK
    found.ends_with("heartbeat", "no reply in time")


@pytest.mark.parametrize(("after", "at"), [("ready", "heartbeat"), ("heartbeat", "instances")])
@on_quick_loop
async def test_another_instance_that_takes_the_session_over(after: str, at: str) -> None:
    async with gateway_here() as gateway:
        gateway.platform.behaviour.acks = after != "ready"

        def tell(finding: Finding) -> None:
            if finding.step == after:
                gateway.platform.conversations[0].close(4902, "reset by resume", gateway.now)

        found = await examined(gateway, tell, identify=True)

    found.ends_with(at, "4902", "another process runs the same bot")


@pytest.mark.parametrize("others", [1, 2])
@on_quick_loop
async def test_another_instance_that_starts_sessions_meanwhile(others: int) -> None:
    async with gateway_here() as gateway:

        def tell(finding: Finding) -> None:
            if finding.step == "ready":
                gateway.platform.bot.remaining -= others

        found = await examined(gateway, tell, identify=True)

    assert found.verdict.state is found.step("instances").state is State.WARNING
    assert found.step("instances").facts == {"others": others}
    assert "another process runs the same bot" in found.verdict.text


@on_quick_loop
async def test_a_budget_that_is_not_told_again_is_no_failure() -> None:
    async with gateway_here() as gateway:

        def tell(finding: Finding) -> None:
            if finding.step == "ready":
                gateway.platform.behaviour.http.append(fault("no", status=503, path="/gateway/bot"))

        found = await examined(gateway, tell, identify=True)

    assert found.step("instances").state is State.SKIPPED
    assert found.verdict.state is State.OK


# -- its end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["tcp", "clock", "gateway", "websocket", "ready"])
@on_loop
async def test_it_can_be_ended_at_any_step_and_leaves_nothing_behind(step: str) -> None:
    async with gateway_here() as gateway:
        reached = asyncio.Event()

        def tell(finding: Finding) -> None:
            if finding.step == step:
                reached.set()
                gateway.platform.behaviour.hello = gateway.platform.behaviour.acks = False

        examination = asyncio.ensure_future(examined(gateway, tell, identify=True))
        await reached.wait()
        examination.cancel()

        with pytest.raises(asyncio.CancelledError):
            await examination
        await eventually(lambda: not gateway.platform.conversations)


@on_loop
async def test_a_bug_is_raised_and_told_as_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    async with gateway_here() as gateway:
        monkeypatch.setattr("socket.getaddrinfo", broken)
        with pytest.raises(ZeroDivisionError):
            await examined(gateway)
