"""What the asyncio driver logs, over real sockets: lines that a person can live with, and fields for machines."""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from typing import Any

import pytest

from qqproto import (
    Account,
    Credentials,
    Disconnected,
    Event,
    HTTPRequest,
    HTTPResponse,
    Policy,
    Ready,
    Resumed,
    Shard,
    ShardConfig,
    Stopped,
)
from qqproto.testing import Refusal
from qqproto_transports._clock import clock
from qqproto_transports.local_gateway import LocalGateway
from tests.transports.bots import (
    INTENTS,
    BotAccount,
    Buggy,
    Gateway,
    bot_at,
    on_both_drivers,
    open_gateway,
    run,
    say,
    until,
)
from tests.transports.loops import on_loop

pytestmark = on_both_drivers


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "qqproto"]


def told(records: list[logging.LogRecord]) -> list[tuple[int, str]]:
    return [(record.levelno, fields(record)["qq_event"]) for record in records]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries as ``extra``, as a formatter for machines sees it."""
    return {name: value for name, value in vars(record).items() if name.startswith("qq_")}


async def ready(gateway: Gateway) -> None:
    await until(gateway, lambda event: isinstance(event, Ready))


# -- how much ----------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_quiet_life_is_one_line_when_it_begins_and_one_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with LocalGateway() as local, bot_at(local) as gateway:
        await ready(gateway)
        assert told(ours(caplog)) == [(logging.INFO, "Ready")]
        say(local, *range(20))
        await until(gateway, lambda event: getattr(event, "data", {}).get("content") == "19")

    assert told(ours(caplog)) == [(logging.INFO, "Ready"), (logging.INFO, "Stopped")]


@on_loop
async def test_a_rotation_is_one_line_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with LocalGateway() as local, bot_at(local, policy=Policy(stable_after=0.0)) as gateway:
        await ready(gateway)
        for _ in range(3):
            caplog.clear()
            talk = local.platform.session().live
            assert talk is not None
            talk.send_reconnect(local.now)
            await until(gateway, lambda event: isinstance(event, Resumed))
            assert told(ours(caplog)) == [(logging.DEBUG, "Disconnected")]
            assert fields(ours(caplog)[0])["qq_planned"] is True


@on_loop
async def test_repeats_collapse_however_long_the_outage(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred refused dials are seven lines; then one says that it is over."""
    caplog.set_level(logging.DEBUG)
    async with LocalGateway() as local:
        local.platform.behaviour.upgrade = HTTPResponse(502, {}, b"")
        policy = Policy(backoff=(0.001,), gateway_burst=10_000)
        async with bot_at(local, policy=policy) as gateway:
            for _ in range(100):
                await until(gateway, lambda event: isinstance(event, Disconnected))
            gone = ours(caplog)
            local.platform.behaviour.upgrade = None
            await ready(gateway)

    assert {record.levelno for record in gone} == {logging.WARNING}
    assert [fields(record)["qq_attempt"] for record in gone] == [1, 2, 4, 8, 16, 32, 64]
    assert "502" in gone[0].getMessage()
    assert told(ours(caplog)[len(gone) :]) == [(logging.INFO, "Ready"), (logging.INFO, "Stopped")]


# -- what the lines carry ----------------------------------------------------------------------------------------------


@on_loop
async def test_records_carry_fields_for_machines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with LocalGateway() as local:
        local.platform.bot.max_concurrency = 2
        async with bot_at(local, shards=2) as gateway:
            await ready(gateway)
            await ready(gateway)
            session = local.platform.session(1)
            assert session.live is not None
            session.live.reset(local.now)
            await until(gateway, lambda event: isinstance(event, Resumed))

    by_event = {(fields(record)["qq_event"], fields(record)["qq_shard"]): fields(record) for record in ours(caplog)}
    gone = by_event["Disconnected", 1]
    assert (gone["qq_phase"], gone["qq_verdict"], gone["qq_code"], gone["qq_attempt"]) == ("ready", "resume", None, 1)
    assert 0 < gone["qq_retry_in"] <= 0.02
    assert by_event["Resumed", 1]["qq_session"] == by_event["Ready", 1]["qq_session"] == session.id
    assert by_event["Stopped", 0]["qq_reason"] == "closed"
    assert ("Disconnected", 0) not in by_event


@on_loop
async def test_a_stop_is_an_error_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with LocalGateway() as local:
        local.platform.behaviour.identify = [Refusal(code=4914, op9=None)]
        async with bot_at(local) as gateway:
            await until(gateway, lambda event: isinstance(event, Stopped))

    last = ours(caplog)[-1]
    assert last.levelno == logging.ERROR
    assert (fields(last)["qq_code"], fields(last)["qq_reason"]) == (4914, "sandbox-only")
    assert "sandbox" in last.getMessage()
    assert [record for record in ours(caplog) if record.exc_info] == []


@on_loop
async def test_a_bug_is_one_line_with_one_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def loads(text: str | bytes) -> Any:
        decoded = json.loads(text)
        if isinstance(decoded, dict) and decoded.get("t") == "C2C_MESSAGE_CREATE":
            return Buggy()
        return decoded

    async with LocalGateway() as local:
        gateway = bot_at(local, loads=loads)
        async with local_bug(LookupError), gateway:
            await ready(gateway)
            caplog.clear()
            say(local, "hello")
            await until(gateway, lambda event: isinstance(event, Stopped))

    (record,) = ours(caplog)
    assert record.levelno == logging.CRITICAL
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)
    assert fields(record) == {"qq_event": "Bug", "qq_shard": 0, "qq_error": "LookupError"}


class local_bug:
    """The block ends with this exception."""

    def __init__(self, kind: type[Exception]) -> None:
        self._raises = pytest.raises(kind)

    async def __aenter__(self) -> None:
        self._raises.__enter__()

    async def __aexit__(self, *exc: Any) -> bool:
        return bool(self._raises.__exit__(*exc))


@on_loop
async def test_a_bug_that_ends_several_shards_has_one_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """A host's HTTP that raises what no network does, while all of them wait for it."""

    async def http(request: HTTPRequest) -> HTTPResponse:
        raise KeyError("a bug")

    account = BotAccount(Credentials("11111111", "s"), http=http)
    async with local_bug(KeyError), open_gateway(account, intents=INTENTS, shards=3) as gateway:
        await gateway.wait_connected()

    assert sorted(fields(record)["qq_shard"] for record in ours(caplog)) == [0, 1, 2]
    assert {record.levelno for record in ours(caplog)} == {logging.CRITICAL}
    assert len([record for record in ours(caplog) if record.exc_info]) == 1


@on_loop
async def test_no_secret_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    """A refused secret, a token that is refused, a reset: what is said about them does not repeat them."""
    caplog.set_level(logging.DEBUG)
    secret, wrong = "the-very-secret-secret", "the-very-wrong-secret"
    async with LocalGateway(secret=secret) as local:
        account = BotAccount(Credentials("11111111", wrong), endpoints=local.endpoints)
        async with open_gateway(account, intents=INTENTS) as gateway:
            await until(gateway, lambda event: isinstance(event, Stopped))
        async with bot_at(local) as gateway:
            await ready(gateway)
            first = gateway.account.current_token
            local.platform.bot.revoke_tokens()
            talk = local.platform.session().live
            assert talk is not None
            talk.close(4004, "authentication failed", local.now)
            await until(gateway, lambda event: isinstance(event, (Ready, Resumed)))
            second = gateway.account.current_token

    assert first is not None
    assert second is not None
    assert first != second
    assert len(ours(caplog)) >= 5
    for record in ours(caplog):
        for hidden in (secret, wrong, first.value, second.value):
            assert hidden not in str(vars(record))


# -- where they go -----------------------------------------------------------------------------------------------------


class Tagging(logging.LoggerAdapter):  # type: ignore[type-arg]  # Python 3.10 takes none
    """As hosts write them."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"[a bot] {msg}", kwargs


class Foreign(logging.LoggerAdapter):  # type: ignore[type-arg]  # as above
    """One that sends everything to a library of its own."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("nobody.listens"), {})
        self.lines: list[tuple[int, str, str]] = []

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        self.lines.append((level, str(msg), kwargs["extra"]["qq_event"]))


@pytest.mark.parametrize("layers", ["plain", "tagging", "both"])
@on_loop
async def test_a_hosts_adapter_gets_them_all_with_its_fields_and_ours(
    caplog: pytest.LogCaptureFixture, layers: str
) -> None:
    caplog.set_level(logging.DEBUG)
    log: Any = logging.getLogger("a.host")
    if layers in ("plain", "both"):
        log = logging.LoggerAdapter(log, {"bot": "one"})
    if layers in ("tagging", "both"):
        log = Tagging(log, {})
    async with LocalGateway() as local, bot_at(local, logger=log) as gateway:
        await ready(gateway)

    records = [record for record in caplog.records if record.name == "a.host"]
    assert ours(caplog) == []
    assert told(records) == [(logging.INFO, "Ready"), (logging.INFO, "Stopped")]
    assert [getattr(record, "bot", None) for record in records] == [None if layers == "tagging" else "one"] * 2
    assert records[0].getMessage().startswith("shard 0" if layers == "plain" else "[a bot] shard 0")


@on_loop
async def test_an_adapter_with_a_log_of_its_own_is_called() -> None:
    log = Foreign()
    async with LocalGateway() as local, bot_at(local, logger=log) as gateway:
        await ready(gateway)

    assert [(level, event) for level, _, event in log.lines] == [(20, "Ready"), (20, "Stopped")]


@on_loop
async def test_a_bare_machine_is_logged_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with LocalGateway() as local:
        shard = Shard(ShardConfig(local.credentials.app_id, INTENTS), random=lambda: 0.5)
        account = Account(local.credentials, endpoints=local.endpoints)

        def on_event(event: Event) -> None:
            if isinstance(event, Ready):
                shard.close(clock())

        await run(shard, account, on_event, logger=logging.getLogger("a.host"))

    records = [record for record in caplog.records if record.name == "a.host"]
    assert told(records) == [(logging.INFO, "Ready"), (logging.INFO, "Stopped")]


class Broken(logging.Handler):
    """The disk is full."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.asked += 1
        raise OSError(28, "No space left on device")


@on_loop
async def test_a_broken_handler_stops_no_bot() -> None:
    log, handler = logging.getLogger("a.broken.host"), Broken()
    log.addHandler(handler)
    try:
        log.setLevel(logging.DEBUG)
        async with LocalGateway() as local, bot_at(local, logger=log) as gateway:
            await ready(gateway)
            talk = local.platform.session().live
            assert talk is not None
            talk.reset(local.now)
            await until(gateway, lambda event: isinstance(event, Resumed))
            assert gateway.connected
    finally:
        log.removeHandler(handler)

    assert handler.asked >= 4


def test_the_default_logger_is_left_to_the_host() -> None:
    log = logging.getLogger("qqproto")

    assert log.level == logging.NOTSET
    assert log.propagate
    assert [type(handler) for handler in log.handlers] == [logging.NullHandler]
