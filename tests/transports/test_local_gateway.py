"""The local gateway over real sockets, driven by a foreign client."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import aiohttp
import pytest

from qqproto import Credentials, Endpoints
from qqproto.testing import HTTPFault, at_message, c2c_message, group_at_message, reply
from qqproto_transports.local_gateway import CannotListen, LocalGateway
from tests.transports.loops import eventually, on_loop

WebSocket: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"

INTENTS = 1 << 25


class Client:
    """A bot on aiohttp, without this library."""

    def __init__(self, gateway: LocalGateway, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.http = http
        self.headers: dict[str, str] = {}

    async def login(self) -> None:
        """Fetch a token."""
        credentials = self.gateway.credentials
        body = {"appId": credentials.app_id, "clientSecret": credentials.secret}
        status, answer = await self.ask("POST", "/app/getAppAccessToken", json=body)
        assert status == 200
        self.headers = {"Authorization": f"QQBot {answer['access_token']}"}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """One HTTP exchange: the status and the JSON of the reply."""
        async with self.http.request(method, self.gateway.url + path, headers=self.headers, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    @contextlib.asynccontextmanager
    async def websocket(self) -> AsyncIterator[WebSocket]:
        """A WebSocket to where /gateway/bot says, Hello heard."""
        _, info = await self.ask("GET", "/gateway/bot")
        async with self.http.ws_connect(info["url"]) as websocket:
            hello = await websocket.receive_json()
            assert hello["op"] == 10
            yield websocket

    async def identify(self, websocket: WebSocket) -> str:
        """Identify; returns the id of the session."""
        token = self.headers["Authorization"]
        await websocket.send_json({"op": 2, "d": {"token": token, "intents": INTENTS, "shard": [0, 1]}})
        ready = await websocket.receive_json()
        assert ready["t"] == "READY"
        session_id: str = ready["d"]["session_id"]
        return session_id

    async def resume(self, websocket: WebSocket, session_id: str, seq: int) -> list[Any]:
        """Resume; returns what came until RESUMED."""
        token = self.headers["Authorization"]
        await websocket.send_json({"op": 6, "d": {"token": token, "session_id": session_id, "seq": seq}})
        came = [await websocket.receive_json()]
        while came[-1]["t"] != "RESUMED":
            came.append(await websocket.receive_json())
        return came


@contextlib.asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[Client]:
    """A local gateway, and a client that has a token."""
    async with LocalGateway(**options) as gateway, aiohttp.ClientSession() as http:
        client = Client(gateway, http)
        await client.login()
        yield client


async def raw(gateway: LocalGateway, data: bytes) -> bytes:
    """Send bytes on a connection of their own; everything that comes back until its end."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


# -- a bot of somebody else's ------------------------------------------------------------------------------------------


@on_loop
async def test_a_foreign_bot_connects_hears_and_replies() -> None:
    async with connected(app_id="1234", secret="abcd") as client, client.websocket() as websocket:
        gateway = client.gateway
        await client.identify(websocket)
        await websocket.send_json({"op": 1, "d": 1})
        assert await websocket.receive_json() == {"op": 11}
        message = group_at_message("ping", id="ROBOT1.0_1", group="G", now=gateway.now)
        gateway.platform.session().dispatch("GROUP_AT_MESSAGE_CREATE", message, gateway.now)
        heard = await websocket.receive_json()
        assert (heard["t"], heard["s"], heard["d"]) == ("GROUP_AT_MESSAGE_CREATE", 2, message)
        body = {"content": "pong", "msg_type": 0, "msg_id": heard["d"]["id"], "msg_seq": 1}
        status, answer = await client.ask("POST", "/v2/groups/G/messages", json=body)
        assert status == 200
        status, refusal = await client.ask("POST", "/v2/groups/G/messages", json=body)
        assert (status, refusal["err_code"]) == (400, 40054005)
        (sent,) = gateway.platform.messages
        assert (sent.app_id, sent.place, sent.target, sent.body, sent.id) == ("1234", "groups", "G", body, answer["id"])
        assert gateway.platform.violations == []


@on_loop
async def test_users_channels_and_interactions_are_answered_too() -> None:
    async with connected() as client, client.websocket() as websocket:
        platform = client.gateway.platform
        await client.identify(websocket)
        session = platform.session()
        session.dispatch("C2C_MESSAGE_CREATE", c2c_message("hi", id="M1"), client.gateway.now)
        session.dispatch("AT_MESSAGE_CREATE", at_message("hi", id="M2"), client.gateway.now)
        for path, id in (("/v2/users/U/messages", "M1"), ("/channels/10/messages", "M2"), ("/dms/1/messages", "M2")):
            status, _ = await client.ask("POST", path, json={"content": "hello", "msg_id": id})
            assert status == 200
        assert await client.ask("PUT", "/interactions/I-1", json={"code": 0}) == (204, None)
        assert await client.ask("GET", "/users/@me") == (200, platform.bot.user)
        assert [sent.place for sent in platform.messages] == ["users", "channels", "dms"]
        assert platform.acknowledged == {"I-1": [0]}


@on_loop
async def test_a_session_survives_a_reset_and_what_was_missed_is_replayed() -> None:
    async with connected() as client:
        gateway = client.gateway
        async with client.websocket() as websocket:
            session_id = await client.identify(websocket)
            gateway.platform.conversations[0].reset(gateway.now)
            ended = await websocket.receive()
            assert ended.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await eventually(lambda: gateway.platform.conversations == [])
        gateway.platform.session().dispatch("A", 1, gateway.now)
        async with client.websocket() as websocket:
            came = await client.resume(websocket, session_id, 1)
            assert [(message["t"], message["s"]) for message in came] == [("A", 2), ("RESUMED", 2)]
        assert gateway.platform.ops() == [2, 6]
        assert gateway.platform.violations == []


@on_loop
async def test_levers_reach_the_client_by_themselves() -> None:
    async with connected() as client, client.websocket() as websocket:
        gateway = client.gateway
        await client.identify(websocket)
        talk = gateway.platform.session().live
        assert talk is not None
        talk.send_reconnect(gateway.now)
        assert await websocket.receive_json() == {"op": 7}
        talk.request_heartbeat()
        assert await websocket.receive_json() == {"op": 1}
        talk.ping()
        talk.close(4009, "session timed out", gateway.now)
        closed = await websocket.receive()
        assert (closed.type, closed.data, closed.extra) == (aiohttp.WSMsgType.CLOSE, 4009, "session timed out")
        await eventually(lambda: talk.pongs == 1)
        await eventually(lambda: gateway.platform.conversations == [])


@on_loop
async def test_the_stream_can_end_without_a_close_frame() -> None:
    async with connected() as client, client.websocket() as websocket:
        client.gateway.platform.conversations[0].hang_up(client.gateway.now)
        ended = await websocket.receive()
        assert ended.type is aiohttp.WSMsgType.CLOSED
        assert websocket.close_code == 1006


@on_loop
async def test_a_client_without_heartbeats_is_closed_in_time() -> None:
    async with connected(heartbeat_interval=0.25) as client, client.websocket() as websocket:
        gateway = client.gateway
        gateway.platform.behaviour.heartbeat_grace = 0.05
        await websocket.send_json({"op": 1, "d": None})
        assert await websocket.receive_json() == {"op": 11}
        began = gateway.now
        closed = await websocket.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 4009)
        assert gateway.now - began > 0.25


@on_loop
async def test_a_client_that_does_not_answer_the_close_is_hung_up_on() -> None:
    async with LocalGateway() as gateway:
        gateway.platform.behaviour.close_wait = 0.05
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        gateway.platform.conversations[0].close(4000, "", gateway.now)
        assert (await reader.read())[-4:] == b"\x88\x02\x0f\xa0"
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: gateway.platform.conversations == [])


@on_loop
async def test_a_reset_is_a_reset() -> None:
    async with LocalGateway() as gateway:
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        gateway.platform.conversations[0].reset(gateway.now)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@on_loop
async def test_a_client_that_goes_without_a_word_leaves_nothing_behind() -> None:
    async with LocalGateway() as gateway:
        for _ in range(3):
            assert b" 101 " in await raw(gateway, UPGRADE)
        await eventually(lambda: gateway.platform.conversations == [])


@on_loop
async def test_faults_of_the_endpoints_reach_the_client() -> None:
    async with connected() as client:
        client.gateway.platform.behaviour.http.append(HTTPFault(reply(429, {"code": 22009}, Retry_After="1")))
        async with client.http.get(client.gateway.url + "/gateway", headers=client.headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert (await client.ask("GET", "/gateway"))[0] == 200


# -- HTTP --------------------------------------------------------------------------------------------------------------

UPGRADE = (
    b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ASK = b"GET /users/@me HTTP/1.1\r\nHost: x\r\n\r\n"


@on_loop
async def test_requests_without_a_token_and_to_nowhere_get_the_platforms_errors() -> None:
    async with LocalGateway() as gateway, aiohttp.ClientSession() as http:
        client = Client(gateway, http)
        assert await client.ask("GET", "/gateway/bot") == (401, AnyTrace(11244, "token not exist or expire"))
        status, answer = await client.ask("POST", "/app/getAppAccessToken", data={"appId": "11111111"})
        assert (status, answer) == (200, {"code": 100007, "message": "appid invalid"})
        assert (await client.ask("GET", "/nowhere"))[0] == 404
        assert (await client.ask("DELETE", "/gateway"))[0] == 405


class AnyTrace:
    """Equal to an error body with this code and message, whatever its trace."""

    def __init__(self, code: int, message: str) -> None:
        self.wanted = {"code": code, "message": message}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and other.items() >= self.wanted.items()

    __hash__ = None  # type: ignore[assignment]


@on_loop
async def test_a_connection_is_kept_alive_and_requests_may_follow_each_other_at_once() -> None:
    async with LocalGateway() as gateway:
        answer = await raw(gateway, ASK * 3)
        assert answer.count(b"HTTP/1.1 401 ") == 3
        assert answer.count(b"11244") == 3


@on_loop
async def test_an_upgrade_may_follow_a_request_on_the_same_connection() -> None:
    async with LocalGateway() as gateway:
        answer = await raw(gateway, ASK + UPGRADE)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"HTTP/1.1 101 " in answer
        assert b"heartbeat_interval" in answer


@on_loop
async def test_a_request_may_come_in_pieces_of_any_size() -> None:
    async with LocalGateway() as gateway:
        for request in (ASK, UPGRADE):
            reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
            for byte in request:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 ")
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("request_head", "wanted"),
    [
        (b"GET /users/@me HTTP/1.0\r\n\r\n", b" 401 "),
        (b"GET /users/@me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b" 401 "),
    ],
)
@on_loop
async def test_a_client_that_wants_one_answer_gets_one_and_the_end(request_head: bytes, wanted: bytes) -> None:
    async with LocalGateway() as gateway:
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(request_head)
        assert wanted in await reader.read()
        writer.close()
        await writer.wait_closed()


@on_loop
async def test_a_head_request_gets_no_body() -> None:
    async with LocalGateway() as gateway:
        head, _, body = (await raw(gateway, b"HEAD /gateway HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert body == b""


@on_loop
async def test_a_client_that_waits_for_100_continue_is_told_to() -> None:
    async with LocalGateway() as gateway:
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        head = b"POST /app/getAppAccessToken HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
        writer.write(head + b"Content-Type: application/json\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"{}")
        assert b"100007" in await reader.readuntil(b"}")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("junk", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: no\r\n\r\n", 400),
        (b"GET \xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"x" * 100_000, 431),
    ],
)
@on_loop
async def test_junk_gets_a_clear_answer_and_the_next_client_is_served(junk: bytes, status: int) -> None:
    async with LocalGateway() as gateway:
        head, _, body = (await raw(gateway, junk)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert json.loads(body)["code"] == status
        assert json.loads(body)["message"]
        assert b" 401 " in await raw(gateway, ASK)


@on_loop
async def test_a_body_that_is_too_big_is_refused_while_the_client_still_sends() -> None:
    async with connected() as client:
        body = io.BytesIO(b"x" * (3 << 20))
        status, answer = await client.ask("POST", "/v2/users/U/messages", data=body)
        assert (status, answer["code"]) == (413, 413)
        assert (await client.ask("GET", "/users/@me"))[0] == 200


@on_loop
async def test_a_client_that_leaves_within_its_request_is_forgotten() -> None:
    async with LocalGateway() as gateway:
        assert b" 400 " in await raw(gateway, b"GET / HTTP/1.1\r\nHo")
        assert b" 400 " in await raw(gateway, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
        assert await raw(gateway, b"") == b""


@on_loop
async def test_the_gateways_address_is_no_page() -> None:
    async with LocalGateway() as gateway, aiohttp.ClientSession() as http:
        async with http.get(gateway.url + "/websocket") as response:
            assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
            assert "WebSocket" in (await response.json())["message"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(gateway.url + "/elsewhere")
        assert refused.value.status == 404


@on_loop
async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async with LocalGateway() as gateway:
        gateway.platform.behaviour.http.append(HTTPFault(reply(200, "x" * 1_000_000), "/users/@me", times=11))
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port, limit=1 << 16)
        writer.write(ASK * 10)
        await eventually(lambda: len(gateway.platform.requests) == 10)
        writer.write(ASK)
        await raw(gateway, ASK.replace(b"/users/@me", b"/gateway"))
        assert [request.path for request in gateway.platform.requests[10:]] == ["/gateway"]
        for _ in range(11):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(1_000_002)
        writer.close()
        await writer.wait_closed()


# -- listening ---------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_facts_are_what_a_bot_needs() -> None:
    async with LocalGateway(app_id="1", secret="s") as gateway:
        base = f"http://127.0.0.1:{gateway.port}"
        assert gateway.url == base
        assert gateway.endpoints == Endpoints(api_base=base, token_url=f"{base}/app/getAppAccessToken")
        assert gateway.credentials == Credentials("1", "s")
        assert gateway.platform.gateway_url == f"ws://127.0.0.1:{gateway.port}/websocket"
        loop = asyncio.get_running_loop()
        assert loop.time() <= gateway.now <= loop.time()


@on_loop
async def test_a_port_in_use_is_told_with_what_to_do() -> None:
    async with LocalGateway() as first:
        with pytest.raises(CannotListen) as refused:
            await LocalGateway(port=first.port).__aenter__()
        assert f"port {first.port} of 127.0.0.1 is in use" in str(refused.value)
        assert "another port" in str(refused.value)


@on_loop
async def test_an_address_that_is_not_this_machines_is_told() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on port 0 of 192\.0\.2\.1: .+"):
        await LocalGateway("192.0.2.1").__aenter__()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_there_cannot_be_is_told(port: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 65535"):
        LocalGateway(port=port)


@on_loop
async def test_it_listens_on_ipv6_too() -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    async with connected(host="::1") as client, client.websocket() as websocket:
        assert client.gateway.url == f"http://[::1]:{client.gateway.port}"
        await client.identify(websocket)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@on_loop
async def test_leaving_ends_every_connection_and_frees_the_port() -> None:
    async with aiohttp.ClientSession() as http:
        async with LocalGateway() as gateway:
            client = Client(gateway, http)
            await client.login()
            _, info = await client.ask("GET", "/gateway/bot")
            websocket = await http.ws_connect(info["url"])
            await websocket.receive()
            _, writer = await asyncio.open_connection(gateway.host, gateway.port)
            writer.write(b"GET / HT")
            await writer.drain()
        ended = await websocket.receive()
        assert ended.type is aiohttp.WSMsgType.CLOSED
        await websocket.close()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        async with LocalGateway(port=gateway.port):
            pass


@on_loop
async def test_levers_after_the_end_do_no_harm() -> None:
    async with connected() as client, client.websocket() as websocket:
        await client.identify(websocket)
        gateway = client.gateway
        session, talk = gateway.platform.session(), gateway.platform.conversations[0]
    session.dispatch("A", 1, gateway.now)
    talk.request_heartbeat()
    talk.reset(gateway.now)
    assert gateway.platform.conversations == []


@on_loop
async def test_a_pulled_cable_tells_nobody() -> None:
    async with connected() as client, client.websocket() as websocket:
        session_id = await client.identify(websocket)
        platform = client.gateway.platform
        client.gateway.unplug()
        platform.session().dispatch("C2C_MESSAGE_CREATE", c2c_message("lost", id="M-1"), client.gateway.now)
        await websocket.send_json({"op": 1, "d": 1})
        with pytest.raises(asyncio.TimeoutError):
            await client.ask("GET", "/gateway/bot", timeout=aiohttp.ClientTimeout(0.1))
        assert not websocket.closed, "nobody was told"

        client.gateway.plug()
        assert (await websocket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        async with client.websocket() as again:
            came = await client.resume(again, session_id, 1)
            assert came[0]["d"]["content"] == "lost"
        assert platform.violations == []
